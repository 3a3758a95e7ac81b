"""Wall time, summed over the resumptions of a run. It lives in a file of its own: metrics.jsonl is compared bit for bit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pinxit.core import files
from pinxit.core.clock import Clock

if TYPE_CHECKING:
    from pinxit.core.game import AbstractGame

PAUSE = 5.0


class Timing:
    """Keeps `timing.json`: the seconds this run has taken, work that was lost to a kill included.

    The clock starts when the observer is first called: in a resumed run that is a few rounds after its start.

    Args:
        run_dir: the run's folder.
        every: rounds between looks at the clock.
        rounds: of the run.
    """

    def __init__(self, run_dir: Path, every: int, rounds: int) -> None:
        self.path, self.every, self.rounds = run_dir / "timing.json", every, rounds
        self.before, self.started, self.written = 0.0, 0.0, 0.0

    def __call__(self, game: AbstractGame, clock: Clock, stats: Mapping[str, float]) -> None:
        """Write the sum, at most every few seconds."""
        now = time.monotonic()
        if not self.started:
            # At step 0 the run is new, whatever an older one left in the folder.
            self.before, self.started = seconds(self.path) if clock.step else 0.0, now
        last = clock.step == self.rounds
        if last or now - self.written >= PAUSE:
            self.written = now
            files.write(self.path, json.dumps({"seconds": round(self.before + now - self.started, 2)}) + "\n")

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Nothing: reporting a finished run again takes no training time."""


def seconds(path: Path) -> float:
    """What a `timing.json` says; 0 where there is none."""
    try:
        return float(json.loads(path.read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
