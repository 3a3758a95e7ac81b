"""The stack of PixelRNN: a first layer under mask A, LSTM layers, a head of 1 x 1 convolutions under mask B.

(van den Oord et al. 2016, https://arxiv.org/abs/1601.06759, table 1.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pinxit.nn import reach
from pinxit.nn.canvas import Canvas, Sites
from pinxit.nn.lstm2d import DiagonalBiLSTM, RowLSTM
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.pixels import Head


class RecurrentBlock(nn.Module):
    """x + W lstm(x), once: the LSTM takes 2h features to h, a 1 x 1 convolution under mask B takes them back (figure 5, right).

    Args:
        lstm: 2h to h.
        width: h.
        groups: channels of the image.
        residual: whether x is added.
    """

    def __init__(self, lstm: RowLSTM | DiagonalBiLSTM, width: int, *, groups: int = 1, residual: bool = True) -> None:
        super().__init__()
        self.lstm = lstm
        self.widen = MaskedConv2d(width, 2 * width, groups=groups)
        self.residual = residual

    def forward(
        self, x: Float[Tensor, "n c h w"], labels: Tensor | None = None, right: Float[Tensor, "n c h w"] | None = None
    ) -> Float[Tensor, "n c h w"]:
        """All pixels at once; `right` goes to the second direction of the Diagonal BiLSTM in the place of x."""
        h = self.lstm(x, labels) if right is None else self.lstm(x, labels, right)
        y = self.widen(h)
        return x + y if self.residual else y

    def at(self, canvas: Canvas, sites: Sites, x: Tensor, group: int) -> Tensor:
        """One group of the output at the sites."""
        y = self.widen.at(canvas, sites, self.lstm.at(canvas, sites, x, group), group)
        return y.add_(x) if self.residual else y


class RecurrentStack(nn.Module):
    """First layer, LSTM layers, head: an image to the numbers of each sub-pixel's distribution, given those before it.

    Args:
        first: under mask A.
        blocks: the LSTM layers.
        head: the last.
        skip: whether each layer has a 1 x 1 convolution, mask B, to the head's input (section 3.3).
        wide: a first layer under mask B, for the second direction of the first Diagonal BiLSTM only. The paper's, mask A, never
            sees the last pixel of the row above by that way; this one does.
    """

    lead = 0

    def __init__(
        self,
        first: MaskedConv2d,
        blocks: Sequence[RecurrentBlock],
        head: Head,
        *,
        skip: bool = False,
        wide: MaskedConv2d | None = None,
    ) -> None:
        super().__init__()
        self.first, self.layers, self.head, self.wide = first, nn.ModuleList(blocks), head, wide
        self.groups, width = first.groups, first.c_out
        self.skips = nn.ModuleList(MaskedConv2d(width, width, groups=self.groups) for _ in blocks) if skip else None
        slopes = [first.slope, *(block.lstm.slope for block in blocks)]
        self.slope = None if None in slopes else max(s for s in slopes if s is not None)
        self.up = None if blocks else first.up
        self.pad = max([first.pad, *(block.lstm.pad for block in blocks)])

    def _blocks(self) -> list[RecurrentBlock]:
        return list(self.layers)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "n c h w"], labels: Tensor | None = None) -> Float[Tensor, "n s h w"]:
        """The numbers of all sub-pixels, those of channel g in group g of `c` equal groups."""
        right = None if self.wide is None else self.wide(x)
        x = self.first(x).contiguous(memory_format=torch.channels_last)
        through = []
        for index, block in enumerate(self._blocks()):
            x = block(x, labels, None if index else right)
            if self.skips is not None:
                through.append(self.skips[index](x))
        return self.head(sum(through, x))

    def promise(self, height: int, width: int) -> Bool[Tensor, "subpixels subpixels"]:
        """Which sub-pixels (columns) the distribution of each sub-pixel (rows) depends on, by the structure."""
        image = reach.image(self.groups, height, width)
        x = reach.convolution(image, self.first.up, self.first.side, "A")
        right = None if self.wide is None else reach.convolution(image, self.wide.up, self.wide.side)
        through = torch.zeros_like(x)
        for index, block in enumerate(self._blocks()):
            h = reach.own(block.lstm.reach(x, None if index else right))
            x = x | h if block.residual else h
            if self.skips is not None:
                through = through | x
        return reach.matrix(reach.own(x | through))

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Keep the maps of all layers on the canvas."""
        self.first.begin(canvas)
        for index, block in enumerate(self._blocks()):
            block.lstm.begin(canvas, labels)
            block.widen.begin(canvas)
            if self.skips is not None:
                self._skip(index).begin(canvas)
        self.head.begin(canvas)

    def _skip(self, index: int) -> MaskedConv2d:
        return self.skips[index]  # type: ignore[index,return-value]

    def ahead(self, canvas: Canvas, time: int) -> None:
        """Nothing is computed ahead."""

    def at(self, canvas: Canvas, sites: Sites, group: int) -> Tensor:
        """The numbers of channel `group` at the sites, (n, count, size), given the pixels so far."""
        x = self.first.of_image(canvas, sites, group)
        through = []
        for index, block in enumerate(self._blocks()):
            x = block.at(canvas, sites, x, group)
            if self.skips is not None:
                through.append(self._skip(index).at(canvas, sites, x, group))
        return self.head.at(canvas, sites, sum(through, x), group)

    def end_row(self, canvas: Canvas, row: int) -> None:
        """Tell all layers that a row is complete."""
        for index, block in enumerate(self._blocks()):
            right = None
            if self.wide is not None and index == 0:
                seen = canvas.image("image")[:, :, max(0, row - self.wide.up) : row + 1]
                right = self.wide(seen)[:, :, -1].transpose(1, 2)
            block.lstm.end_row(canvas, row, right)
