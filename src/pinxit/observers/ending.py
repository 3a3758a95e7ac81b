"""What all observers share that act once, when a run is complete."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinxit.core.clock import Clock
    from pinxit.core.game import AbstractGame
    from pinxit.core.protocols import Data


class AbstractEnding(ABC):
    """An observer of the complete run.

    Args:
        run_dir: the run's folder.
        data: of the run.
        rounds: of the run.
        seed: of the run.
    """

    def __init__(self, run_dir: Path, data: Data, rounds: int, seed: int) -> None:
        self.run_dir, self.data, self.every, self.seed = run_dir, data, rounds, seed

    def __call__(self, game: AbstractGame, clock: Clock, stats: Mapping[str, float]) -> None:  # noqa: B027
        """Nothing before the end."""

    @abstractmethod
    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """What is done at the end."""
