"""The figures of a finished run, each with the protocol by which it was measured."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import torch

from pinxit.core import files, protocols, records
from pinxit.core.averaging import published
from pinxit.core.clock import Clock
from pinxit.core.rng import seed_of, seeded
from pinxit.observers.ending import AbstractEnding
from pinxit.observers.pictures import held_out
from pinxit.observers.samples import some_of
from pinxit.observers.timing import seconds

if TYPE_CHECKING:
    from torch import Tensor

    from pinxit.core.game import AbstractGame, Batch

MOST = 2000
CHUNK = 200
PROBABILITIES = ("D(x)", "D(G(z))")


class Figures(AbstractEnding):
    """At the end writes `figures.json`: a list of {name, value, unit, protocol} and, for means, standard_error."""

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Measure."""
        figures = [*self.of_the_likelihood(game), *self.of_the_game(), *self.of_the_run(game, clock)]
        files.write(self.run_dir / "figures.json", json.dumps(figures, indent=2, ensure_ascii=False) + "\n")

    def of_the_likelihood(self, game: AbstractGame) -> list[dict[str, Any]]:
        """ELBO and its parts, or the exact log-likelihood, of models that have one."""
        kinds = (protocols.Bound, protocols.ConditionalBound, protocols.Likelihood)
        if not isinstance(game, kinds):
            return []
        told = isinstance(game, (protocols.ConditionalBound, protocols.ConditionalLikelihood))
        data, split = held_out(self.data, told=told)
        batch = some_of(data, MOST, self.seed, told=told)
        if not len(batch):
            return []
        which = f"{len(batch):,} images of the {split} split of {data.name}"
        which += ", chosen by the seed" if len(batch) < len(data) else ""
        protocol = f"{which}; {published(self.run_dir)} weights; seed {self.seed}"
        named: list[tuple[str, Tensor, str]] = []
        with torch.no_grad(), seeded(seed_of("figures", self.seed)):
            if isinstance(game, (protocols.Bound, protocols.ConditionalBound)):
                reconstruction, kl = _bound(game, batch, self.seed)
                given = " given the class" if isinstance(game, protocols.ConditionalBound) else ""
                one = f"{game.measure}{given}; one draw of z an image; "
                named += [("ELBO", reconstruction - kl, one), ("E log p(x|z)", reconstruction, one), ("KL", kl, "")]
            if isinstance(game, protocols.Likelihood):
                named.append(("log-likelihood", *_exact(game, batch)))
        return [_mean(name, values, "nats per image", how + protocol) for name, values, how in named]

    def of_the_game(self) -> list[dict[str, Any]]:
        """What the discriminator thinks in the last logging interval."""
        path = self.run_dir / "metrics.jsonl"
        rows = records.read(path) if path.exists() else []
        if not rows:
            return []
        first = int(rows[-2]["step"]) + 1 if len(rows) > 1 else 1
        protocol = f"mean over rounds {first:,} to {int(rows[-1]['step']):,}, training batches; present weights, in training mode"
        found = [(key, key.partition("/")[2]) for key in rows[-1] if key.partition("/")[2] in PROBABILITIES]
        several = len({key.partition("/")[0] for key, _ in found}) > 1
        return [_figure(key if several else name, rows[-1][key], "", protocol) for key, name in found]

    def written(self, name: str) -> float | None:
        """What a finished run that is looked at again has said before: the looking is not to change what the training took."""
        path = self.run_dir / "figures.json"
        try:
            rows = json.loads(path.read_text()) if path.exists() else []
            return next((row["value"] for row in rows if row["name"] == name), None)
        except (ValueError, TypeError, KeyError):  # damaged: it is written anew
            return None

    def of_the_run(self, game: AbstractGame, clock: Clock) -> list[dict[str, Any]]:
        """Size, length and time."""
        parameters = sum(p.numel() for p in game.parameters())
        device = "CPU" if game.device.type == "cpu" else torch.cuda.get_device_name() if game.device.type == "cuda" else "MPS"
        rows = [
            _figure("parameters", parameters, "", "weights of all networks, without buffers"),
            _figure("images shown", clock.images, "", f"in {clock.step:,} rounds, over all processes"),
        ]
        minutes = seconds(self.run_dir / "timing.json") / 60
        if minutes:
            threads = torch.get_num_threads()
            each = f"{device}, {threads} thread{'s' * (threads > 1)} a process"
            how = f"{each}; pictures during training and resumptions included"
            rows.append(_figure("wall time", round(minutes, 2), "minutes", how))
        if sys.platform != "win32":
            import resource

            unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in KiB elsewhere
            peak = self.written("peak memory") or round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
            rows.append(_figure("peak memory", peak, "MiB", "of the whole process, data included; without an accelerator's own"))
        return rows


def _bound(game: protocols.Bound | protocols.ConditionalBound, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
    """(E log p(x|z), KL) of every image, float64 on the CPU."""
    generator = torch.Generator().manual_seed(seed_of("elbo", seed))
    parts = []
    for x, labels in _parts(game, batch):
        if isinstance(game, protocols.ConditionalBound):
            assert labels is not None
            parts.append(game.elbo_given(x, labels, generator=generator))
        else:
            parts.append(game.elbo(x, generator=generator))
    reconstruction, kl = (torch.cat(values).cpu().double() for values in zip(*parts, strict=True))
    return reconstruction, kl


def _exact(game: protocols.Likelihood, batch: Batch) -> tuple[Tensor, str]:
    """log p of every image, float64 on the CPU, and how it was measured."""
    of = getattr(game, "measure", "")
    of = f"{of}; " if of else ""
    if isinstance(game, protocols.ConditionalLikelihood):
        values = [game.log_prob_of_class(x, labels) for x, labels in _parts(game, batch) if labels is not None]
        return torch.cat(values).cpu().double(), f"exact, given the class; {of}"
    return torch.cat([game.log_prob(x) for x, _ in _parts(game, batch)]).cpu().double(), f"exact; {of}"


def _parts(game: Any, batch: Batch) -> list[tuple[Tensor, Tensor | None]]:
    """Images and labels on the model's device, a part at a time."""
    images = batch.images.to(game.device).split(CHUNK)
    labels = [None] * len(images) if batch.labels is None else batch.labels.to(game.device).split(CHUNK)
    return list(zip(images, labels, strict=True))


def _mean(name: str, values: Tensor, unit: str, protocol: str) -> dict[str, Any]:
    error = float(values.std() / math.sqrt(len(values))) if len(values) > 1 else None
    return _figure(name, float(values.mean()), unit, protocol) | ({} if error is None else {"standard_error": error})


def _figure(name: str, value: float, unit: str, protocol: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "protocol": protocol}
