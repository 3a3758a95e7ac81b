"""What a row of the table is: a property, what is right, our implementation and the mistakes of public code. No torch here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

PEERS = {
    "GAN-zoo": "facebookresearch/pytorch_GAN_zoo at b75dee4",
    "GANLab": "poloclub/ganlab at 09073e8",
    "PTGAN": "eriklindernoren/PyTorch-GAN at 36d3c77, implementations/",
    "StudioGAN": "POSTECH-CVLab/PyTorch-StudioGAN at 947b35e",
    "anordertoreclaim": "anordertoreclaim/PixelCNN at 606ebe9",
    "carpedm20": "carpedm20/pixel-rnn-tensorflow at 1d98c28",
    "compare_gan": "google/compare_gan, branch v1",
    "gitE0Z9": "gitE0Z9/pytorch-implementations at 9f5b595",
    "heechan95": "heechan95/PixelRNN-pytorch at 50bd36d",
    "hwalsuk": "hwalsuklee/tensorflow-generative-model-collections at 3abde8a",
    "j-min": "j-min/PixelCNN at 1bf072b",
    "jzbontar": "jzbontar/pixelcnn-pytorch at 14c9414",
    "mimicry": "kwotsin/mimicry at a7fda06",
    "mmgen": "open-mmlab/mmgeneration at ccd1f56",
    "pytorch-generative": "EugenHotaj/pytorch-generative at d1f0a5c",
    "rmsnorm": "rmsnorm/pixel-rnn-jax at b04a930",
    "torchgan": "torchgan/torchgan at fe86d7c",
    "wgan official": "martinarjovsky/WassersteinGAN",
    "znxlwm": "znxlwm/pytorch-generative-model-collections at 0d183bb",
}
"""The public repositories, by the short names that the table uses; the commit is the one that line numbers refer to."""

NOBODY = "none by reading"
"""Who makes a mistake that is planted to show that its check can fail, though no public code was seen to make it."""

Implementation = TypeVar("Implementation")
Measured = Mapping[str, float]


@dataclass(frozen=True)
class Right:
    """The numbers that are right: those in [low, high]."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high  # NaN is in no interval

    def __str__(self) -> str:
        if self.low == -math.inf:
            return f"at most {self.high:g}"
        if self.high == math.inf:
            return f"at least {self.low:g}"
        half = (self.high - self.low) / 2
        return f"{(self.low + self.high) / 2:g}" + (f" +- {half:.2g}" if half else "")


def near(value: float, tolerance: float = 0.0) -> Right:
    """`value`, give or take `tolerance`; exactly it by default."""
    return Right(value - tolerance, value + tolerance)


def at_most(value: float) -> Right:
    """No more than `value`."""
    return Right(-math.inf, value)


def at_least(value: float) -> Right:
    """No less than `value`."""
    return Right(value, math.inf)


@dataclass(frozen=True)
class Mistake(Generic[Implementation]):
    """What public code does wrong, stated anew and put in our implementation's place.

    Args:
        what: in a few words.
        who: the short names in `PEERS` of the repositories that do so, each with the place; or `NOBODY`.
        planted: takes the place of the implementation.
    """

    what: str
    who: str
    planted: Implementation


@dataclass(frozen=True)
class Row(Generic[Implementation]):
    """One property, checked by one measurement that ours must pass and each mistake must fail.

    Args:
        number: its place in the table, from 1.
        name: short, for `--only`.
        property: in words.
        paper: whose property it is.
        equation: what is measured, as mathematics.
        right: the right numbers, by name.
        measure: gives those numbers of an implementation.
        ours: pinxit's function, layer or system, called and not stated again.
        mistakes: what public code does instead.
    """

    number: int
    name: str
    property: str
    paper: str
    equation: str
    right: Mapping[str, Right]
    measure: Callable[[Implementation], Measured]
    ours: Implementation
    mistakes: tuple[Mistake[Implementation], ...]

    def wrong(self, measured: Measured) -> list[str]:
        """The names of the numbers that are not right, missing ones included."""
        return [name for name, right in self.right.items() if measured.get(name, math.nan) not in right]

    def holds(self, measured: Measured) -> bool:
        """Whether every number is right."""
        return not self.wrong(measured)

    def of(self, implementation: Implementation) -> Measured:
        """The numbers of an implementation, from fixed random numbers; the caller's are left as they were."""
        from pinxit.core.rng import seed_of, seeded

        with seeded(seed_of("conformance", self.name)):
            return self.measure(implementation)


@dataclass(frozen=True)
class Missing:
    """A property of a system that is not here yet: neither held nor failed.

    Args:
        number: its place in the table, from 1.
        name: short, for `--only`.
        property: in words.
        why: what is not here.
        system: the name that it will have in `pinxit.systems`; once it is there, this row must become a `Row`.
        who: the short names in `PEERS` of the repositories that fail it.
    """

    number: int
    name: str
    property: str
    why: str
    system: str
    who: str
