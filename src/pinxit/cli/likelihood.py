"""`pinxit evaluate RUN --likelihood`: bounds and exact values with their protocol, and what may be compared."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinxit.cli import console, options, shelf
from pinxit.cli.evaluate import unique
from pinxit.core import files
from pinxit.core.errors import InputError
from pinxit.core.protocols import ConditionalBound, Data, HasLatents, Likelihood, Splits, Weighs

if TYPE_CHECKING:
    from pinxit.metrics.estimates import Protocol

ANNEALED = 16
"""Most images whose chains are annealed: each takes seconds."""


@dataclass(frozen=True)
class Asked:
    """One run, its model and the data that it is asked about."""

    folder: Path
    model: Any
    data: Data
    split: str
    """What the protocol calls data that has no test split."""
    weights: str
    observed: Any = None
    """What is annealed, with --ais."""


def report(chosen: options.Evaluate) -> None:
    """Print the likelihoods of each run, then which of them may be compared and which may not."""
    if not chosen.folders or chosen.images:
        raise InputError("`--likelihood` is of trained models: name runs, and no --images")
    from pinxit.evaluation.scores import finite
    from pinxit.metrics import likelihood

    folders = list(map(shelf.find, chosen.folders))
    names, found = unique(folders), {}
    for asked in [_asked(folder, chosen) for folder in folders]:
        name, progress = names[asked.folder], console.Progress()
        row: dict[str, Any] = {"likelihood": []}
        if isinstance(asked.model, (Likelihood, Weighs)):
            row = likelihood.report(
                asked.model, asked.data, k=chosen.samples, n=_count(chosen.n, asked.data), seed=chosen.seed, split=asked.split,
                weights=asked.weights,
                progress=lambda done, total, tell=progress, name=name: tell(f"{name}: images", done, total),
            )  # fmt: skip
        if chosen.ais:
            row |= _annealed(asked, chosen)
        found[str(asked.folder)] = row
        told = likelihood.lines(row) if row["likelihood"] else []
        console.say("\n".join([f"{asked.folder}", *told, *_lines_of_ais(row)]))
        if chosen.out is not None:
            files.write(chosen.out, json.dumps(finite(found), indent=1, allow_nan=False) + "\n")
    for line in _compared(found):
        console.say(line)
    if chosen.out is not None:
        console.say(str(chosen.out))


def _asked(folder: Path, chosen: options.Evaluate) -> Asked:
    """A run, if it has what is asked for: known before the first one takes its minutes."""
    import pinxit.data
    from pinxit.core.averaging import published
    from pinxit.metrics import ais, likelihood
    from pinxit.training import from_pretrained

    model = from_pretrained(folder)
    data = shelf.data_of(folder) if chosen.data is None else pinxit.data.load(chosen.data)
    shelf.note_classes(folder, data)
    trained_on = (shelf.description(folder).get("data") or {}).get("fingerprint")
    split = "train" if chosen.data is None or trained_on == data.fingerprint else "only"
    held, _ = likelihood.held_out(data, split)
    if isinstance(model, (Likelihood, Weighs)):
        likelihood.check(model, held)
    elif not chosen.ais:
        raise InputError(f"{folder} has no likelihood: pixel models and auto-encoders with a prior have; a generator has --ais")
    observed = None
    if chosen.ais:
        if not isinstance(model, (ais.Observed, HasLatents)):
            raise InputError(f"{folder} has no codes to anneal: leave out --ais")
        decodes = isinstance(model, (ais.Observed, ConditionalBound))
        observed = model if decodes else ais.GaussianObservation(model, chosen.sigma)
        ais.suits(observed, held)
    return Asked(folder, model, data, split, published(folder), observed)


def _count(n: int, data: Any) -> int:
    """Images asked for; 0, which is all, where there are no more."""
    test = data.test() if isinstance(data, Splits) else None
    return 0 if n >= len(data if test is None else test) else n


def _compared(found: dict[str, dict[str, Any]]) -> list[str]:
    """Every run beside the first one of its protocol; and why the first ones can't be compared."""
    heads: list[str] = []
    lines, apart = [], []
    rows = {name: row["likelihood"][-1] for name, row in found.items() if row["likelihood"]}
    for name, row in rows.items():
        refusals = []
        for head in heads:
            try:
                lines.append(_beside(head, rows[head], name, row))
                break
            except InputError as error:
                refusals.append(f"{head} and {name}: {error}")
        else:
            heads.append(name)
            apart += refusals
    return [*lines, *apart]


def _beside(first: str, head: dict[str, Any], name: str, row: dict[str, Any]) -> str:
    """Which of two is the likelier; raises InputError where their protocols differ."""
    from pinxit.metrics.estimates import comparable

    notes = comparable(_protocol(head), _protocol(row))
    difference, error = row["nats"] - head["nats"], (row["error"] ** 2 + head["error"] ** 2) ** 0.5
    better = name if difference < 0 else first
    told = f"{better} is better by {abs(difference):.2f} nats" if abs(difference) > 2 * error else "not told apart"
    return f"{first} and {name}: {told}" + (f" ({'; '.join(notes)})" if notes else "")


def _annealed(asked: Asked, chosen: options.Evaluate) -> dict[str, Any]:
    """AIS of a few test images with the gap of both chains; a generator gets Gaussian noise on its images."""
    from dataclasses import asdict

    from pinxit.metrics import ais, likelihood

    held, split = likelihood.held_out(asked.data, asked.split)
    plan, progress = ais.Plan(), console.Progress()
    found = ais.annealed(
        asked.observed, held, plan=plan, n=min(chosen.n, ANNEALED), seed=chosen.seed, split=split, weights=asked.weights,
        progress=lambda a, b: progress(f"{asked.folder.name}: AIS, images", a, b),
    )  # fmt: skip
    gap = ais.bidirectional(asked.observed, plan=plan, n=ANNEALED, seed=chosen.seed)
    return {"ais": likelihood.as_row(found), "bdmc": asdict(gap)}


def _lines_of_ais(row: dict[str, Any]) -> list[str]:
    if "ais" not in row:
        return []
    found, gap = row["ais"], row["bdmc"]
    return [
        "-log p(x)  AIS      {nats:9.3f} +- {error:.3f} nats   {bits_per_dim:.4f} bits/dim".format(**found),
        str(_protocol(found)),
        "BDMC gap {gap:.3f} +- {error:.3f} nats on {n} images of the model: the estimate's error there, at most".format(**gap),
    ]


def _protocol(row: dict[str, Any]) -> Protocol:
    from pinxit.metrics.estimates import Protocol

    return Protocol(**{field.name: row[field.name] for field in fields(Protocol)})
