"""The stack of PixelCNN: a first layer under mask A, residual blocks, and a head of 1 x 1 convolutions under mask B.

(van den Oord et al. 2016, https://arxiv.org/abs/1601.06759, table 1.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pinxit.nn import reach
from pinxit.nn.canvas import Canvas, Sites
from pinxit.nn.masked import Layer, MaskedConv2d, sizes


class LabelBias(nn.Module):
    """A learned vector a class, added to features; zero at first, so that training begins with the model of no class.

    Args:
        classes: number of classes; 0 adds nothing.
        channels: of the features of a gate, split into `groups`.
        groups: channels of the image.
        gates: sets of features.
    """

    def __init__(self, classes: int, channels: int, groups: int = 1, gates: int = 1) -> None:
        super().__init__()
        self.parts, self.gates = sizes(channels, groups), gates
        self.embedding = nn.Embedding.from_pretrained(torch.zeros(classes, gates * channels), freeze=False) if classes else None

    def forward(self, x: Float[Tensor, "n c h w"], labels: Tensor | None = None) -> Float[Tensor, "n c h w"]:
        """The features with the bias of their class."""
        return x if self.embedding is None or labels is None else x + self.embedding(labels)[:, :, None, None]

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Look the biases of the canvas's images up, (n, 1, c) a group."""
        if self.embedding is not None and labels is not None:
            parts = self.embedding(labels).detach().unflatten(1, (self.gates, -1)).split(self.parts, dim=2)
            canvas.held[self] = [part.flatten(1)[:, None] for part in parts]

    def add(self, canvas: Canvas, x: Tensor, group: int) -> Tensor:
        """Add the group's bias to features (n, count, c), in place."""
        return x.add_(canvas.held[self][group]) if self in canvas.held else x


class ResidualBlock(nn.Module):
    """x + W2 relu(K * relu(W1 relu(x))), added once: 1 x 1 (2h to h), k x k (h to h), 1 x 1 (h to 2h), mask B (figure 5).

    Args:
        width: h.
        kernel: k.
        groups: channels of the image.
        classes: of the label bias e; 0 for none.
    """

    def __init__(self, width: int, kernel: int = 3, *, groups: int = 1, classes: int = 0) -> None:
        super().__init__()
        self.down = MaskedConv2d(2 * width, width, groups=groups)
        self.convolution = MaskedConv2d(width, width, kernel, groups=groups)
        self.label = LabelBias(classes, width, groups)
        self.widen = MaskedConv2d(width, 2 * width, groups=groups)
        self.slope: int | None = self.convolution.slope
        self.up: int | None = self.convolution.up
        self.pad = self.convolution.pad

    def forward(self, x: Float[Tensor, "n c h w"], labels: Tensor | None = None) -> Float[Tensor, "n c h w"]:
        """All pixels at once."""
        y = self.down(x.relu()).relu_()
        y = self.label(self.convolution(y), labels).relu()
        return x + self.widen(y)

    def reach(self, x: reach.Reach) -> reach.Reach:
        """What the output depends on, given what x does."""
        return x | reach.convolution(reach.own(x), self.convolution.up, self.convolution.side)

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Begin its parts."""
        for part in (self.down, self.convolution, self.label, self.widen):
            part.begin(canvas, labels)

    def at(self, canvas: Canvas, sites: Sites, x: Tensor, group: int) -> Tensor:
        """One group of the output at the sites."""
        y = self.down.at(canvas, sites, x.relu(), group).relu_()
        y = self.convolution.at(canvas, sites, y, group)
        y = self.label.add(canvas, y, group).relu_()
        return self.widen.at(canvas, sites, y, group).add_(x)

    def end_row(self, canvas: Canvas, row: int) -> None:
        """Nothing."""


class Head(nn.Module):
    """relu and 1 x 1 under mask B, for each of `widths`, and once more to the numbers of each channel's distribution.

    Args:
        c_in: features.
        widths: of the layers between.
        size: numbers a channel of the image.
        groups: channels of the image.
    """

    def __init__(self, c_in: int, widths: Sequence[int], size: int, *, groups: int = 1) -> None:
        super().__init__()
        ends = [c_in, *widths, groups * size]
        self.layers = nn.ModuleList(MaskedConv2d(a, b, groups=groups) for a, b in pairwise(ends))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n s h w"]:
        """All pixels at once; group g of the output is of channel g."""
        for layer in self.layers:
            x = layer(x.relu())
        return x

    def begin(self, canvas: Canvas) -> None:
        """Begin its layers."""
        for layer in self._layers():
            layer.begin(canvas)

    def at(self, canvas: Canvas, sites: Sites, x: Tensor, group: int) -> Tensor:
        """The numbers of one channel at the sites, (n, count, size)."""
        for layer in self._layers():
            x = layer.at(canvas, sites, x.relu(), group)
        return x

    def _layers(self) -> list[MaskedConv2d]:
        return [layer for layer in self.layers if isinstance(layer, MaskedConv2d)]


class PixelStack(nn.Module):
    """First layer, blocks, head: an image to the numbers of each sub-pixel's distribution, given those before it.

    Args:
        first: under mask A.
        layers: the blocks.
        head: the last.
    """

    lead = 0

    def __init__(self, first: MaskedConv2d, layers: Sequence[ResidualBlock], head: Head) -> None:
        super().__init__()
        self.first, self.layers, self.head = first, nn.ModuleList(layers), head
        self.groups = first.groups
        parts: list[Layer] = [first, *self._layers()]
        slopes = [part.slope for part in parts]
        ups = [part.up for part in parts]
        self.pad = max(part.pad for part in parts)
        self.slope = None if None in slopes else max(s for s in slopes if s is not None)
        self.up = None if None in ups else sum(u for u in ups if u is not None)

    def _layers(self) -> list[ResidualBlock]:
        return [layer for layer in self.layers if isinstance(layer, ResidualBlock)]

    def forward(self, x: Float[Tensor, "n c h w"], labels: Tensor | None = None) -> Float[Tensor, "n s h w"]:
        """The numbers of all sub-pixels, those of channel g in group g of `c` equal groups."""
        x = self.first(x.to(memory_format=torch.channels_last))
        for layer in self._layers():
            x = layer(x, labels)
        return self.head(x)

    def promise(self, height: int, width: int) -> Bool[Tensor, "subpixels subpixels"]:
        """Which sub-pixels (columns) the distribution of each sub-pixel (rows) depends on, by the structure."""
        x = reach.convolution(reach.image(self.groups, height, width), self.first.up, self.first.side, "A")
        for layer in self._layers():
            x = layer.reach(x)
        return reach.matrix(reach.own(x))

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Keep the maps of all layers on the canvas."""
        self.first.begin(canvas)
        for layer in self._layers():
            layer.begin(canvas, labels)
        self.head.begin(canvas)

    def ahead(self, canvas: Canvas, time: int) -> None:
        """Nothing is computed ahead."""

    def at(self, canvas: Canvas, sites: Sites, group: int) -> Tensor:
        """The numbers of channel `group` at the sites, (n, count, size), given the pixels so far."""
        x = self.first.of_image(canvas, sites, group)
        for layer in self._layers():
            x = layer.at(canvas, sites, x, group)
        return self.head.at(canvas, sites, x, group)

    def end_row(self, canvas: Canvas, row: int) -> None:
        """Tell all layers that a row is complete."""
        for layer in self._layers():
            layer.end_row(canvas, row)
