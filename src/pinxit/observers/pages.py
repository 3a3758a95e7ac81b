"""The page of a run and its curves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pinxit import viz
from pinxit.core import files, records
from pinxit.core.clock import Clock

if TYPE_CHECKING:
    from pinxit.core.game import AbstractGame

PAUSE = 20.0


class Pages:
    """Writes `curves.png` now and then, and at the end `report.html`.

    Args:
        run_dir: the run's folder.
        every: rounds between looks at the time.
    """

    def __init__(self, run_dir: Path, every: int) -> None:
        self.run_dir, self.every = run_dir, every
        self.drawn = time.monotonic()

    def __call__(self, game: AbstractGame, clock: Clock, stats: Mapping[str, float]) -> None:
        """Draw the curves, at most every 20 seconds: they cost a few tenths of one."""
        if time.monotonic() - self.drawn >= PAUSE:
            self.draw_curves()
            self.drawn = time.monotonic()

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Draw the curves and write the page."""
        self.draw_curves()
        files.write(self.run_dir / "report.html", viz.report([self.run_dir], title=self.run_dir.resolve().name))

    def draw_curves(self) -> None:
        """From metrics.jsonl to `curves.png`."""
        path = self.run_dir / "metrics.jsonl"
        if path.exists():
            figure = viz.curves(records.read(path))
            files.write_with(self.run_dir / "curves.png", figure.savefig)
