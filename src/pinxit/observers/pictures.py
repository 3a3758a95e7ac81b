"""Pictures of what else a trained model can do: reconstruct, interpolate, lay out its latent plane, classes and codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pinxit import viz
from pinxit.core import files, protocols
from pinxit.core.clock import Clock
from pinxit.core.rng import seed_of, seeded
from pinxit.observers.ending import AbstractEnding
from pinxit.observers.samples import shown, some
from pinxit.viz.classes import category_grid, class_grid, traversals
from pinxit.viz.directions import noise_decoded

if TYPE_CHECKING:
    from PIL import Image

    from pinxit.core.game import AbstractGame
    from pinxit.core.protocols import Data

SHOWN = 20
MEASURED = 500
CLASSES = 20
"""Most classes shown."""


class Pictures(AbstractEnding):
    """At the end writes reconstructions, walks, manifold, classes, codes, what becomes of noise, as far as the model can."""

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Draw."""
        if self.data.spec.continuous:
            return
        with torch.no_grad(), seeded(seed_of("pictures", self.seed)):
            if isinstance(game, protocols.Reconstructs):
                x = some(held_out(self.data)[0], SHOWN, self.seed)
                x_hat = game.reconstruct(x.to(game.device))
                self.keep("reconstructions", viz.pairs(x, shown(x_hat).cpu()))
            if isinstance(game, protocols.HasLatents):
                generator = torch.Generator().manual_seed(seed_of("interpolation", self.seed))
                self.keep("interpolation", viz.interpolation(game, generator=generator))
                if isinstance(game, protocols.Encodes):
                    self.draw_manifold(game)
            if (
                isinstance(game, protocols.Encodes)
                and isinstance(game, protocols.Decodes)
                and not isinstance(game, protocols.Samples)
            ):
                x = some(self.data, MEASURED, self.seed).to(game.device)
                self.keep("noise", noise_decoded({type(game).__name__: game}, x, seed=self.seed))
            if isinstance(game, protocols.Conditional) and self.data.spec.classes:
                self.keep("classes", class_grid(game, range(min(self.data.spec.classes, CLASSES)), seed=self.seed))
            if isinstance(game, protocols.HasCodes):
                self.keep("categories", category_grid(game, most=CLASSES, seed=self.seed))
                if game.codes()[1]:
                    self.keep("traversals", traversals(game, seed=self.seed))

    def draw_manifold(self, game: AbstractGame) -> None:
        """The plane of the two latents that the data moves most."""
        assert isinstance(game, protocols.HasLatents)
        assert isinstance(game, protocols.Encodes)
        codes = game.encode(some(self.data, MEASURED, self.seed).to(game.device))
        if codes.shape[1] < 2:
            return
        first, second = codes.float().var(dim=0, correction=0).argsort(descending=True, stable=True)[:2].sort().values.tolist()
        self.keep("manifold", viz.manifold(game, dims=(first, second)))

    def keep(self, name: str, picture: Image.Image) -> None:
        """Write one picture, whole."""
        files.write_with(self.run_dir / f"{name}.png", picture.save)


def held_out(data: Data) -> tuple[Data, str]:
    """The test split where the data has one, else the data itself; and what it is."""
    test = data.test() if isinstance(data, protocols.Splits) else None
    return (data, "train") if test is None else (test, "test")
