"""`pinxit evaluate RUN --likelihood`: bounds and exact values with their protocol, and what may be compared."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from pinxit.cli import console, options, shelf
from pinxit.core import files
from pinxit.core.errors import InputError
from pinxit.core.protocols import Likelihood, Splits, Weighs

ANNEALED = 16
"""Most images whose chains are annealed: each takes seconds."""


def report(chosen: options.Evaluate) -> None:
    """Print the likelihoods of each run, then which of them may be compared and which may not."""
    if not chosen.folders or chosen.images:
        raise InputError("`--likelihood` is of trained models: name runs, and no --images")
    from pinxit.metrics import likelihood
    from pinxit.training import from_pretrained

    found: dict[str, dict[str, Any]] = {}
    for folder in map(shelf.find, chosen.folders):
        import pinxit.data

        data = shelf.data_of(folder) if chosen.data is None else pinxit.data.load(chosen.data)
        model, progress = from_pretrained(folder), console.Progress()
        row: dict[str, Any] = {"likelihood": []}
        if isinstance(model, (Likelihood, Weighs)) or not chosen.ais:
            row = likelihood.report(
                model, data, k=chosen.samples, n=_count(chosen.n, data), seed=chosen.seed,
                progress=lambda done, total, tell=progress, name=folder.name: tell(f"{name}: images", done, total),
            )  # fmt: skip
        if chosen.ais:
            row |= _annealed(folder, data, chosen)
        found[str(folder)] = row
        told = likelihood.lines(row) if row["likelihood"] else []
        console.say("\n".join([f"{folder}", *told, *_lines_of_ais(row)]))
        if chosen.out is not None:
            files.write(chosen.out, json.dumps(found, indent=1) + "\n")
    console.say("\n".join(_compared(found)))
    if chosen.out is not None:
        console.say(str(chosen.out))


def _count(n: int, data: Any) -> int:
    """Images asked for; 0, which is all, where there are no more."""
    test = data.test() if isinstance(data, Splits) else None
    return 0 if n >= len(data if test is None else test) else n


def _compared(found: dict[str, dict[str, Any]]) -> list[str]:
    """The runs from the likeliest on, or why two of them can't be compared."""
    from pinxit.metrics.estimates import Protocol, comparable

    names = [field.name for field in fields(Protocol)]
    last = {name: row["likelihood"][-1] for name, row in found.items() if row["likelihood"]}
    if len(last) < 2:
        return []
    (first, head), *others = last.items()
    lines = []
    for name, row in others:
        a, b = (Protocol(**{key: each[key] for key in names}) for each in (head, row))
        try:
            notes = comparable(a, b)
        except InputError as error:
            lines.append(f"{first} and {name}: {error}")
            continue
        difference, error = row["nats"] - head["nats"], (row["error"] ** 2 + head["error"] ** 2) ** 0.5
        better = name if difference < 0 else first
        told = f"{better} is better by {abs(difference):.2f} nats" if abs(difference) > 2 * error else "not told apart"
        lines.append(f"{first} and {name}: {told}" + (f" ({'; '.join(notes)})" if notes else ""))
    return lines


def _annealed(folder: Path, data: Any, chosen: options.Evaluate) -> dict[str, Any]:
    """AIS of a few test images with the gap of both chains; a generator gets Gaussian noise on its images."""
    from dataclasses import asdict

    from pinxit.metrics import ais, likelihood
    from pinxit.training import from_pretrained

    model: Any = from_pretrained(folder)
    observed = model if isinstance(model, ais.Observed) else ais.GaussianObservation(model, chosen.sigma)
    test = data.test() if isinstance(data, Splits) else None
    plan, progress = ais.Plan(), console.Progress()
    found = ais.annealed(
        observed, data if test is None else test, plan=plan, n=min(chosen.n, ANNEALED), seed=chosen.seed,
        split="train" if test is None else "test", progress=lambda a, b: progress(f"{folder.name}: AIS, images", a, b),
    )  # fmt: skip
    gap = ais.bidirectional(observed, plan=plan, n=ANNEALED, seed=chosen.seed)
    return {"ais": likelihood.as_row(found), "bdmc": asdict(gap)}


def _lines_of_ais(row: dict[str, Any]) -> list[str]:
    if "ais" not in row:
        return []
    found, gap = row["ais"], row["bdmc"]
    return [
        "-log p(x)  AIS      {nats:9.3f} +- {error:.3f} nats   {bits_per_dim:.4f} bits/dim".format(**found),
        "{estimator}; {measure}; {n} images".format(**found),
        "BDMC gap {gap:.3f} +- {error:.3f} nats on {n} images of the model: the estimate's error there, at most".format(**gap),
    ]
