"""Whether a pixel model sees the past, the whole past that its architecture promises, and nothing but the past.

A model of p(x_i | x_<i) that sees x_i or later ones has no likelihood: its log p looks better than any honest one and its samples
are noise. One that misses pixels which its paper lets it see is valid, and worse than it need be. Neither shows in the loss.

The dependencies are measured: in float64, d(numbers of sub-pixel i's distribution)/d(sub-pixel j) is exactly zero where j does
not enter, and at random weights and images it is zero elsewhere by accident only; several draws rule that out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from pinxit.core.errors import InputError
from pinxit.core.likelihoods import ConditionalLikelihood
from pinxit.core.spec import Spec
from pinxit.nn import reach

Matrix = Bool[Tensor, "subpixels subpixels"]
PART = 64
"""Images in memory at a time."""


@runtime_checkable
class Causal(Protocol):
    """A network that gives the numbers of every sub-pixel's distribution at once.

    Attributes:
        groups: channels of the image.
        pad: half of its widest kernel, k//2.
    """

    groups: int
    pad: int

    def __call__(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (n, c, h, w) to numbers (n, c * size, h, w), those of channel g in group g."""
        ...

    def promise(self, height: int, width: int) -> Matrix:
        """Which sub-pixels (columns) the distribution of each sub-pixel (rows) may depend on, by its structure."""
        ...


@runtime_checkable
class Paints(Protocol):
    """A model with such a network, as `pixelcnn` and `pixelrnn` build it.

    Attributes:
        network: see `Causal`.
        spec: of its data.
    """

    network: nn.Module
    spec: Spec


@dataclass(frozen=True)
class Certificate:
    """What a network depends on, beside what it should.

    Sub-pixels are numbered in their order, (r W + c) channels + channel; matrices have a row for each distribution.

    Args:
        shape: (channels, height, width).
        found: dependencies that were measured.
        promised: those of the architecture.
        draws: of weights and images.
    """

    shape: tuple[int, int, int]
    found: Matrix
    promised: Matrix
    draws: int

    def __str__(self) -> str:
        return self.verdict

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(self.verdict)

    @property
    def past(self) -> Matrix:
        """All that may be seen."""
        return reach.past(*self.shape)

    @property
    def leaks(self) -> Matrix:
        """Dependencies on the sub-pixel itself or on later ones: the model is no likelihood."""
        return self.found & ~self.past

    @property
    def gaps(self) -> Matrix:
        """Promised, and not found."""
        return self.promised & ~self.found

    @property
    def surplus(self) -> Matrix:
        """In the past and found, and not promised: valid, but the architecture is another than it says."""
        return self.found & self.past & ~self.promised

    @property
    def blind(self) -> float:
        """Share of the past that the architecture itself does not see; 0 of an image of one sub-pixel."""
        past = self.past
        return int((past & ~self.promised).sum()) / max(1, int(past.sum()))

    @property
    def missing(self) -> float:
        """Share of the past that was not found."""
        past = self.past
        return int((past & ~self.found).sum()) / max(1, int(past.sum()))

    @property
    def holds(self) -> bool:
        """No leak, and exactly what is promised."""
        return torch.equal(self.found, self.promised) and not self.leaks.any()

    @property
    def verdict(self) -> str:
        """One line: the first leak, or else the first gap, or what holds."""
        channels, height, width = self.shape
        size = f"{height} x {width}" + (" RGB" if channels == 3 else f" of {channels} channels" if channels > 1 else "")
        if self.leaks.any():
            pixels = self.leaks.view(height * width, -1).any(dim=1).sum().item()
            return f"LEAKS: {self._first(self.leaks)}; {pixels} of {height * width} pixels see what they must not ({size})"
        if self.gaps.any():
            count = int(self.gaps.sum())
            return f"causal, but with gaps: {self._first(self.gaps, 'does not see')}; {count} promised links are missing ({size})"
        if self.surplus.any():
            return f"causal, but not as declared: {self._first(self.surplus)}, which its architecture does not promise ({size})"
        seen = "the whole past" if self.blind == 0 else f"all but {self.blind:.1%} of the past, which its architecture can't see"
        return f"causal: every sub-pixel sees {seen} ({size})"

    def _first(self, links: Matrix, verb: str = "sees") -> str:
        """The first of `links`, in words."""
        to, origin = links.nonzero()[0].tolist()
        return f"sub-pixel {self._named(to)} {verb} {'itself' if to == origin else self._named(origin)}"

    def _named(self, index: int) -> str:
        channels, _, width = self.shape
        pixel, channel = divmod(index, channels)
        place = f"(row {pixel // width}, column {pixel % width}"
        return f"{place})" if channels == 1 else f"{place}, {'RGB'[channel] if channels == 3 else f'channel {channel}'})"


def causality(
    model: nn.Module,
    height: int = 0,
    width: int = 0,
    *,
    labels: Tensor | None = None,
    draws: int = 2,
    most: int = 40,
    modes: Sequence[str] = ("eval", "train"),
    generator: torch.Generator | None = None,
) -> Certificate:
    """Measure what a pixel model depends on, and compare it with its promise; the model itself is not touched.

    Each draw takes new weights, normal numbers of the size of the old ones, so that a certificate is one of the architecture and
    the state of training hides nothing. Closed weights of a mask are drawn too: they must not act.

    Args:
        model: a pixel model, or its network, which has the methods of `Causal`.
        height: rows of the image; 0 for four more than the widest kernel has, but no more than the model's images have. Fewer
            than the kernel's would keep gaps out of sight; time grows with the square of the sub-pixels.
        width: columns of the image; 0 for six more than the kernel, likewise.
        labels: one class (1,) of a conditional network; by default a conditional model's first.
        draws: of weights and images, in each mode, the modes in turn; at least 1.
        most: draws in a mode while something promised has not been found: units that are dead in a draw hide it.
        modes: "eval" and "train".
        generator: of the draws, by default one of a fixed seed.

    Raises:
        InputError: a model that promises nothing, no draws, a negative size, or an unknown mode.
    """
    if not 1 <= draws <= most:
        raise InputError(f"`draws` is {draws}: it must be at least 1 and no more than `most`, {most}")
    if not modes or set(modes) - {"eval", "train"}:
        raise InputError(f"`modes` is {tuple(modes)}: it must name eval, train or both")
    if min(height, width) < 0:
        raise InputError(f"`height` is {height}, `width` {width}: they must be >= 1, or 0 for a size that suits the kernel")
    generator = generator or torch.Generator().manual_seed(0)
    if labels is None and isinstance(model, ConditionalLikelihood):
        labels = torch.zeros(1, dtype=torch.int64)
    asked, shape = _asked(model, height, width)
    promised = asked.promise(*shape[1:])
    found, drawn = torch.zeros_like(promised), 0
    while drawn < draws or (drawn < most and (promised & ~found).any()):
        for mode in modes:
            drawing = copy.deepcopy(asked)
            redraw(drawing.train(mode == "train"), generator)  # type: ignore[attr-defined]
            found |= dependencies(drawing, shape, labels, generator)
        drawn += 1
    return Certificate(shape, found, promised, drawn * len(modes))


def _asked(model: nn.Module, height: int, width: int) -> tuple[Causal, tuple[int, int, int]]:
    """A copy of the network in float64 on the CPU, and the shape of the images that it is asked about."""
    painted = isinstance(model, Paints)
    network = model.network if painted else model
    if not isinstance(network, Causal):
        raise InputError(f"{type(model).__name__} does not say which pixels it sees: take a pixel model, or its network")
    rows, columns = 2 * network.pad + 5, 2 * network.pad + 7
    if painted:
        rows, columns = min(rows, model.spec.height), min(columns, model.spec.width)
    shape = (network.groups, height or rows, width or columns)
    asked: Causal = copy.deepcopy(network).cpu().double()  # type: ignore[assignment]
    return asked, shape


@torch.no_grad()
def redraw(network: nn.Module, generator: torch.Generator) -> None:
    """Replace every parameter by normal numbers of its own size (root of the mean square), at least 0.1."""
    for p in network.parameters():
        size = p.square().mean().sqrt().clamp(min=0.1)
        p.copy_(torch.randn(p.shape, dtype=p.dtype, generator=generator) * size)


def dependencies(network: Causal, shape: tuple[int, int, int], labels: Tensor | None, generator: torch.Generator) -> Matrix:
    """Where the Jacobian at one random image is not zero: sub-pixels' distributions by sub-pixels.

    Row i takes the gradient of a random combination of i's numbers. All rows come from one pass over copies of the image, in
    parts: copy i is asked for row i.
    """
    channels, height, width = shape
    count = channels * height * width
    x = torch.rand(1, *shape, dtype=torch.float64, generator=generator) * 2 - 1
    found = []
    for rows in torch.arange(count).split(PART):
        copies = x.repeat(len(rows), 1, 1, 1).requires_grad_()
        numbers = network(copies, None if labels is None else labels.expand(len(rows)))
        each = numbers.unflatten(1, (channels, -1)).permute(0, 3, 4, 1, 2).flatten(1, 3)  # (copies, sub-pixels, size)
        asked = each[torch.arange(len(rows)), rows]
        mixture = torch.randn(asked.shape, dtype=asked.dtype, generator=generator)
        (gradient,) = torch.autograd.grad((asked * mixture).sum(), copies)
        found.append(gradient.permute(0, 2, 3, 1).flatten(1) != 0)
    return torch.cat(found)
