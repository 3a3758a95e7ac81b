"""Real samples, spoilt in ways that are known: what a metric makes of them tells what its value on a model is worth."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from pinxit.core.protocols import Data
from pinxit.core.rng import seed_of
from pinxit.metrics.extraction import UNIT, DataSource

Rows = Callable[[Tensor, Tensor | None, torch.Generator], Tensor]
Pixels = Callable[[Tensor, torch.Generator], Tensor]


def all_rows(rows: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """The samples as they are."""
    return rows


def few_rows(rows: Tensor, labels: Tensor | None, generator: torch.Generator, *, modes: int) -> Tensor:
    """`modes` of the samples, repeated in turn."""
    chosen = rows[torch.randperm(len(rows), generator=generator)[:modes]]
    return chosen[torch.arange(len(rows)) % len(chosen)]


def other_classes(rows: Tensor, labels: Tensor | None, generator: torch.Generator, *, dropped: int) -> Tensor:
    """The samples without the `dropped` first classes, drawn again from the others to the same number."""
    if labels is None:
        return rows
    rest = rows[labels >= dropped]
    return rest[torch.randint(len(rest), (len(rows),), generator=generator)] if len(rest) else rows


def untouched(x: Tensor, generator: torch.Generator) -> Tensor:
    """The images as they are."""
    return x


def blurred(x: Tensor, generator: torch.Generator, *, sigma: float) -> Tensor:
    """A Gaussian blur of `sigma` pixels, the border repeated."""
    radius = min(math.ceil(3 * sigma), *(side - 1 for side in x.shape[2:]))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=x.dtype) / sigma) ** 2)
    taps = (taps / taps.sum()).expand(x.shape[1], 1, -1)
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, taps[..., None, :], groups=x.shape[1])
    return F.conv2d(rows, taps[..., :, None], groups=x.shape[1])


def noisy(x: Tensor, generator: torch.Generator, *, sigma: float) -> Tensor:
    """Gaussian noise of standard deviation `sigma`, clipped to [-1, 1]."""
    return (x + sigma * torch.randn(x.shape, generator=generator)).clamp(-1, 1)


@dataclass(frozen=True)
class Control:
    """One way of spoiling.

    Args:
        name: as printed.
        about: what is done, in words.
        rows: (indices (n,), their labels (n,) or None, generator) to the n indices that are taken.
        pixels: (images (m, c, h, w) in [-1, 1], generator) to as many images.
        points: whether it is of use for points too.
    """

    name: str
    about: str
    rows: Rows = all_rows
    pixels: Pixels = untouched
    points: bool = False


CONTROLS = (
    Control("blurred", "blurred by a Gaussian of 1 pixel", pixels=partial(blurred, sigma=1.0)),
    Control("noisy", "noise of standard deviation 0.4 on [-1, 1]", pixels=partial(noisy, sigma=0.4)),
    Control("one mode", "one sample, repeated with slight noise", partial(few_rows, modes=1), partial(noisy, sigma=0.02)),
    Control("class dropped", "the first class is left out", partial(other_classes, dropped=1), points=True),
)


class Spoilt:
    """Samples of a control, as a source of `pinxit.metrics.extraction`.

    Args:
        control: what is done to them.
        data: real samples.
        rows: which of them, (n,) int64.
        seed: of what is drawn.
    """

    def __init__(self, control: Control, data: Data, rows: Tensor, seed: int = 0) -> None:
        self.control, self.data, self.seed = control, data, seed
        labels = DataSource(data, rows).labels() if data.spec.classes else None
        drawn = torch.Generator().manual_seed(seed_of("control", control.name, seed))
        self.rows = control.rows(rows, labels, drawn)
        self.source = DataSource(data, self.rows)
        self.about = f"{self.source.about}, {control.about}"

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.rows)

    def labels(self) -> Tensor | None:
        """None: the classes of spoilt samples are not asked for."""
        return None

    def key(self) -> str:
        """A hash of the samples and of what is done to them."""
        parts = ("control", self.control.name, self.control.about, self.seed, UNIT, self.source.key())
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    def units(self, start: int = 0) -> Iterator[Tensor]:
        """The spoilt samples, UNIT at a time."""
        for unit, x in enumerate(self.source.units(start), start):
            drawn = torch.Generator().manual_seed(seed_of("spoilt", self.control.name, self.seed, unit))
            yield self.control.pixels(x, drawn)
