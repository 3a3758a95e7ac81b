"""Samples over a run: the same noise drawn again and again, and at the end its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pinxit import viz
from pinxit.core import files, protocols
from pinxit.core.clock import Clock
from pinxit.core.labels import labelled, sampler
from pinxit.core.rng import seed_of, seeded
from pinxit.viz.timelines import Sheet, chosen, sheets, short

if TYPE_CHECKING:
    from torch import Tensor

    from pinxit.core.game import AbstractGame, Batch
    from pinxit.core.protocols import Data
    from pinxit.core.spec import Spec

IMAGES = 64
POINTS = 2000
FRAMES, COLUMNS, ROWS = 60, 10, 8
"""Most frames of the animation; most columns and rows of the strip, ..."""
WIDTH = 1600
"""... which has fewer columns, but at least four, where its tiles would exceed this many pixels together."""


class Samples:
    """Writes `samples/step-*.png`; at the end `timeline.webp`, `strip.png` and `real_beside_fake.png`.

    Every picture is a function of the averaged weights and the seed, so a resumed run writes the same bytes.

    Args:
        run_dir: the run's folder.
        data: real samples.
        every: rounds between pictures.
        seed: of the run.
    """

    def __init__(self, run_dir: Path, data: Data, every: int, seed: int) -> None:
        self.run_dir, self.data, self.every, self.seed = run_dir, data, every, seed
        self.n = POINTS if data.spec.continuous else IMAGES
        self.extent: float | None = None

    def __call__(self, game: AbstractGame, clock: Clock, stats: Mapping[str, float]) -> None:
        """Draw the fixed noise."""
        if not isinstance(game, protocols.Samples):
            return
        fake, _ = self.draw(game)
        sheet = Sheet.of(fake, step=clock.step, images=clock.images, extent=self.extent)
        sheet.save(self.run_dir / "samples" / f"step-{clock.step:09d}.png")

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Make the pictures over time from the folder, and the last one beside the data."""
        if not isinstance(game, protocols.Samples):
            return
        found = sheets(self.run_dir)
        if found:
            frames = [found[k] for k in chosen(len(found), FRAMES)]
            viz.animate([frame.picture(viz.grids.CLEAR) for frame in frames], self.run_dir / "timeline.webp")
            columns = min(COLUMNS, max(4, WIDTH // found[-1].tiles[0].width))
            picked = [found[k] for k in chosen(len(found), columns, power=1.5)]
            rows = min(ROWS, columns, *(len(sheet.tiles) for sheet in picked))
            labels = [short(sheet.images) for sheet in picked]
            strip = viz.strip([sheet.tiles[:rows] for sheet in picked], labels, title="images shown")
            files.write_with(self.run_dir / "strip.png", strip.save)
        fake, real = self.draw(game)
        files.write_with(self.run_dir / "real_beside_fake.png", viz.real_beside_fake(real, fake).save)

    def draw(self, game: protocols.Samples) -> tuple[Tensor, Tensor]:
        """The fixed noise's samples, their classes as often as the data has them, and as many real ones."""
        real = some(self.data, self.n, self.seed)
        if self.extent is None and self.data.spec.continuous:
            self.extent = viz.grids.extent_of(real)
        generator = torch.Generator().manual_seed(seed_of("samples", self.seed))
        # The default generator is put back: a model that draws from it as well must not be able to change the run.
        with torch.no_grad(), seeded(seed_of("samples", self.seed)):
            fake = sampler(game, self.data).sample(self.n, generator=generator)
        return shown(fake), shown(real)


def drawable(spec: Spec) -> bool:
    """Whether samples are pictures of up to 3 channels, or points in the plane."""
    return spec.shape == (2, 1, 1) if spec.continuous else spec.channels <= 3


def some(data: Data, n: int, seed: int) -> Tensor:
    """At most `n` real samples, (m, c, h, w), chosen by `seed`."""
    return some_of(data, n, seed).images


def some_of(data: Data, n: int, seed: int, *, told: bool = False) -> Batch:
    """The same with their classes, of images whose class is known where a model is `told` it."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed_of("real", seed)))
    return data.batch((labelled(data, order) if told else order)[:n])


def shown(x: Tensor) -> Tensor:
    """Values that can be drawn: what is not finite becomes 0, so that a picture never stops a run."""
    return torch.nan_to_num(x.float(), nan=0.0, posinf=1.0, neginf=-1.0)
