"""Pictures of what else a trained model can do: reconstruct, interpolate, lay out its latent plane, classes and codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pinxit import viz
from pinxit.core import bits, files, protocols
from pinxit.core.clock import Clock
from pinxit.core.labels import labelled
from pinxit.core.rng import seed_of, seeded
from pinxit.observers.ending import AbstractEnding
from pinxit.observers.samples import shown, some_of
from pinxit.viz import grids
from pinxit.viz.classes import category_grid, class_grid, traversals
from pinxit.viz.directions import noise_decoded

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from pinxit.core.game import AbstractGame
    from pinxit.core.protocols import Data

SHOWN = 20
MEASURED = 500


class Pictures(AbstractEnding):
    """At the end writes reconstructions, walks, manifold, classes, codes, what becomes of noise, as far as the model can."""

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Draw."""
        if self.data.spec.continuous:
            return
        with torch.no_grad(), seeded(seed_of("pictures", self.seed)):
            if isinstance(game, protocols.Reconstructs):
                x, labels = self.shown_to(game, held_out(self.data, told=isinstance(game, protocols.EncodesGiven))[0], SHOWN)
                self.keep("reconstructions", viz.pairs(x.cpu(), shown(game.reconstruct(x, labels)).cpu()))
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
                x, _ = self.shown_to(game, self.data, MEASURED)
                self.keep("noise", noise_decoded({type(game).__name__: game}, x, seed=self.seed))
            if isinstance(game, protocols.Conditional) and self.data.spec.classes:
                classes, names = range(min(self.data.spec.classes, grids.CLASSES)), numbers(self.data)
                self.keep("classes", class_grid(game, classes, seed=self.seed, names=names))
            if isinstance(game, protocols.HasCodes):
                self.keep("categories", category_grid(game, most=grids.CLASSES, seed=self.seed))
                if game.codes()[1]:
                    self.keep("traversals", traversals(game, seed=self.seed))

    def draw_manifold(self, game: AbstractGame) -> None:
        """The plane of the two latents that the data moves most, of each class where the model is told it."""
        assert isinstance(game, protocols.HasLatents)
        assert isinstance(game, protocols.Encodes)
        x, labels = self.shown_to(game, self.data, MEASURED)
        codes = game.encode(x, labels)
        told = isinstance(game, protocols.EncodesGiven)
        if told:
            # What the class moves is its own prior.
            codes = (codes - game.placed(codes.new_zeros(len(codes), game.free()), labels))[:, : game.free()]
        if codes.shape[1] < 2:
            return
        first, second = codes.float().var(dim=0, correction=0).argsort(descending=True, stable=True)[:2].sort().values.tolist()
        if told:
            classes = range(min(self.data.spec.classes, grids.CLASSES))
            self.keep("manifold", viz.manifolds(game, classes, dims=(first, second), names=numbers(self.data)))
        else:
            self.keep("manifold", viz.manifold(game, dims=(first, second)))

    def shown_to(self, game: AbstractGame, data: Data, n: int) -> tuple[Tensor, Tensor | None]:
        """At most `n` samples of `data`, chosen by the seed, as the model was trained on them, and their classes."""
        batch = some_of(data, n, self.seed, told=isinstance(game, protocols.EncodesGiven)).to(game.device)
        generator = torch.Generator().manual_seed(seed_of("bits of pictures", self.seed))
        return bits.shown_to(game, batch.images, generator), batch.labels

    def keep(self, name: str, picture: Image.Image) -> None:
        """Write one picture, whole."""
        files.write_with(self.run_dir / f"{name}.png", picture.save)


def numbers(data: Data) -> tuple[str, ...]:
    """The names of the classes where they are numbers, which may be others than the labels: "10" comes before "2"; else none."""
    names = tuple(map(str, getattr(data, "class_names", ())))
    return names if all(name.removeprefix("-").isdecimal() for name in names) else ()


def held_out(data: Data, *, told: bool = False) -> tuple[Data, str]:
    """The test split where the data has one, with known classes if a model is `told` them, else the data; and what it is."""
    test = data.test() if isinstance(data, protocols.Splits) else None
    return (data, "train") if test is None or (told and not len(labelled(test))) else (test, "test")
