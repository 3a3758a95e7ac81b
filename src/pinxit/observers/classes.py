"""Pictures of what classes and codes do: one column a class, walks along the numbers of a code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pinxit.core import files, protocols
from pinxit.core.clock import Clock
from pinxit.core.rng import seed_of, seeded
from pinxit.viz.classes import category_grid, class_grid, traversals

if TYPE_CHECKING:
    from PIL import Image

    from pinxit.core.game import AbstractGame
    from pinxit.core.protocols import Data

MOST = 20
"""Most classes shown."""


class Classes:
    """At the end writes `classes.png`, `categories.png` and `traversals.png`, as far as the model can.

    Args:
        run_dir: the run's folder.
        data: of the run.
        rounds: of the run.
        seed: of the run.
    """

    def __init__(self, run_dir: Path, data: Data, rounds: int, seed: int) -> None:
        self.run_dir, self.data, self.every, self.seed = run_dir, data, rounds, seed

    def __call__(self, game: AbstractGame, clock: Clock, stats: Mapping[str, float]) -> None:
        """Nothing before the end."""

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Draw."""
        if self.data.spec.continuous:
            return
        with torch.no_grad(), seeded(seed_of("classes", self.seed)):
            if isinstance(game, protocols.Conditional) and self.data.spec.classes:
                self.keep("classes", class_grid(game, range(min(self.data.spec.classes, MOST)), seed=self.seed))
            if isinstance(game, protocols.HasCodes):
                self.keep("categories", category_grid(game, most=MOST, seed=self.seed))
                if game.codes()[1]:
                    self.keep("traversals", traversals(game, seed=self.seed))

    def keep(self, name: str, picture: Image.Image) -> None:
        """Write one picture, whole."""
        files.write_with(self.run_dir / f"{name}.png", picture.save)
