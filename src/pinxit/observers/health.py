"""Whether a run is healthy, looked at now and then on a fixed probe, and with more care at the end."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pinxit.core import files, protocols, records
from pinxit.core.averaging import published
from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.labels import sampler
from pinxit.core.rng import seed_of, seeded
from pinxit.diagnostics import health, probes
from pinxit.diagnostics.divisions import Stacks

if TYPE_CHECKING:
    from pinxit.core.game import AbstractGame
    from pinxit.core.protocols import Data

LIVE, FINAL = (500, 200), (1000, 500)
"""Samples of a look during the run and of the last one: of games that decode codes in one pass, and of others."""
STACKED = (2000, 5000)
"""The same for stacked digits, whose modes are many."""
BANK, WHOLE, PLANE = 5000, 60_000, 20_000
"""Training samples among which copies are sought: during the run; at the end; and then of points."""
VALUES = 100_000_000
"""Most numbers of a probe, and twice as many of the training samples: large images are looked at in smaller numbers."""
KEPT = ("reached", "copies", "effective rank", "pairwise distance", "high quality", "D prefers training samples")
"""What of a look joins metrics.jsonl, by the end of its name."""


class Health:
    """Keeps `health.jsonl`, a line a look, and at the end writes `health.json` and joins the numbers to `metrics.jsonl`.

    A look is a function of the averaged weights, the data, the seed and the metrics so far. Looks later than the present
    round are cut off, so a resumed run writes the same bytes. Before the first round nothing has been learned: no verdict.

    Copies are sought among 5,000 training samples during the run, which finds a copied training set but not a copy in twenty;
    at the end among all (at most 60,000, of points 20,000), which finds a copy in twenty where it looks among all. How often
    both are wrong is measured by `experiments/health_rates.py`. On one core eight looks at a DCGAN of 28x28 images take 3
    seconds and the last one 3 more; at points in the plane 1 second together.

    Args:
        run_dir: the run's folder.
        data: real samples.
        every: rounds between looks.
        seed: of the run; decides the fixed probe and which real samples are compared.
    """

    def __init__(self, run_dir: Path, data: Data, every: int, seed: int) -> None:
        self.run_dir, self.data, self.every, self.seed = run_dir, data, every, seed
        self.path = run_dir / "health.jsonl"
        self.line = ""
        self._reference: probes.Reference | None = None

    def __call__(self, game: AbstractGame, clock: Clock, stats: Mapping[str, float]) -> None:
        """Look, and add a line."""
        if not self._can_look(game):
            return
        rows = self.recall(clock)
        if clock.step:
            if self._reference is None:
                self._reference = self._against(self._probe(game, final=False), BANK)
            found = self._look(game, self._reference)
            self.line = found.line
            place = {"step": clock.step, "stage": clock.stage, "round": clock.round, "images": clock.images}
            rows.append({**place, "state": found.state, "line": found.line, "dropped": list(found.dropped), **_numbers(found)})
        if rows or self.path.exists():
            files.write(self.path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def recall(self, clock: Clock) -> list[dict[str, Any]]:
        """The looks before this round; the line to show is the last one's."""
        rows = [row for row in _lines(self.path) if row["step"] < clock.step]
        if rows and not self.line:
            self.line = rows[-1]["line"]
        return rows

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Look once more, at more samples and among more of the training set, and put the numbers beside the losses."""
        if not self._can_look(game):
            return
        against = self._against(self._probe(game, final=True), PLANE if self.data.spec.continuous else WHOLE)
        found = self._look(game, against)
        self.line = found.line
        protocol = (
            f"{against.size:,} samples of the {published(self.run_dir)} weights, seed {self.seed}; "
            f"{len(against.held_out):,} real samples {'kept from' if against.apart else 'of'} training; "
            f"copies sought among {len(against.bank):,} training samples ({against.whole:.0%} of them)"
            f"{'; all compared as bits' if self.data.spec.binarised else ''}"
        )
        rows = [{**asdict(row), "value": _plain(row.value), "data": _plain(row.data)} for row in found.evidence]
        about = {"state": found.state, "line": found.line, "dropped": list(found.dropped), "protocol": protocol, "evidence": rows}
        files.write(self.run_dir / "health.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")
        join(self.run_dir)

    def _can_look(self, game: AbstractGame) -> bool:
        return isinstance(game, protocols.Samples) and len(self.data) >= probes.LEAST

    def _probe(self, game: AbstractGame, *, final: bool) -> int:
        """How many samples to draw."""
        if isinstance(self.data, Stacks):
            return STACKED[final]
        n = (FINAL if final else LIVE)[not isinstance(game, protocols.HasLatents)]
        return max(100, min(n, VALUES // self.data.spec.dim))

    def _against(self, n: int, bank: int) -> probes.Reference:
        bank = max(1000, min(bank, 2 * VALUES // self.data.spec.dim))
        return probes.reference(self.data, size=n, bank=bank, held=max(2000, 2 * n), seed=self.seed)

    def _look(self, game: AbstractGame, against: probes.Reference) -> health.Health:
        """The default generator is put back: a model that draws from it as well must not be able to change the run."""
        if not isinstance(game, protocols.Samples):
            raise InputError(f"{type(game).__name__} can't `sample`: health is about samples")
        seed = seed_of("health", self.seed)
        path = self.run_dir / "metrics.jsonl"
        history = records.read(path) if path.exists() else []
        generator, judge = torch.Generator().manual_seed(seed), probes.opponent(game)
        drawn = sampler(game, self.data)
        with torch.no_grad(), seeded(seed):
            return health.examine_sampler(drawn, against, against.size, generator=generator, judge=judge, history=history)


def join(run_dir: Path) -> None:
    """Put the numbers of `health.jsonl` into the lines of `metrics.jsonl`, as `health/...`; done again it changes nothing.

    It is done when the run is complete: then both files are functions of the run alone, whether it was resumed or not. A look
    between two logging intervals joins the later one.
    """
    path = run_dir / "metrics.jsonl"
    looks = _lines(run_dir / "health.jsonl")
    if not path.exists() or not looks:
        return
    rows = [{key: value for key, value in row.items() if not key.startswith("health/")} for row in records.read(path)]
    for look in looks:
        row = next((row for row in rows if row["step"] >= look["step"]), None)
        if row is not None:
            row["health/state"] = float(health.STATES.index(look["state"]))
            row |= {f"health/{key}": value for key, value in look.items() if key.endswith(KEPT) and value is not None}
    files.write(path, "".join(json.dumps(row) + "\n" for row in rows))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [dict(row) for row in records.read(path)] if path.exists() else []


def _numbers(found: health.Health) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in found.figures.items()}


def _plain(value: float) -> float | None:
    """What JSON can hold."""
    return float(value) if math.isfinite(value) else None
