"""Convolutions that see the past only: the pixels above and to the left, and of the pixel itself the earlier channels.

A k x k kernel masked by zeros multiplies by them: 25 of 49 taps of a 7 x 7 kernel. Here the closed taps do not exist: the rows
above are one parameter, the open taps of the pixel's own row another. So nothing closed can have a value, a gradient, or a
place in an optimizer or a checkpoint. (van den Oord et al. 2016, https://arxiv.org/abs/1601.06759, sections 3.3 and 3.4.)

The channels of the features are split into as many groups as the image has channels, R, G, B. The taps above and to the left
are open to all; at the pixel itself output group o sees the input groups i < o under mask A, i <= o under mask B.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.errors import InputError
from pinxit.core.pixel_config import odd
from pinxit.nn.canvas import Canvas, Sites


@runtime_checkable
class Layer(Protocol):
    """A layer of a pixel model, computed for whole images or, on a canvas that keeps its maps, for new pixels only.

    On a canvas the pixels are visited in an order in which all that a pixel depends on comes before it. A pixel's channel
    groups follow each other: `at` is called with group 0, 1, ... on the same sites.
    """

    @property
    def slope(self) -> int | None:
        """1 + the columns that it looks to the right for each row up; None where it must know the whole row above."""
        ...

    @property
    def up(self) -> int | None:
        """Rows that it looks up; None where there is no bound."""
        ...

    @property
    def pad(self) -> int:
        """What the canvas must be padded by at least."""
        ...

    def __call__(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features (n, c, h, w) to features, all pixels at once; labels (n,) of conditional models."""
        ...

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Keep the layer's maps on the canvas, under keys of its own (itself, or tuples with itself), and prepare its weights."""
        ...

    def at(self, canvas: Canvas, sites: Sites, x: Tensor, group: int) -> Tensor:
        """One group of the output at the sites, (n, count, c of the group), given that of the input, of the same form."""
        ...

    def end_row(self, canvas: Canvas, row: int) -> None:
        """Called when all pixels of a row are known."""
        ...


def sizes(channels: int, groups: int) -> tuple[int, ...]:
    """`channels` split into contiguous groups that are as equal as possible, the first ones larger.

    Raises:
        InputError: where a group would be empty.
    """
    if channels < groups:
        raise InputError(f"{channels} features can't be split into {groups} groups, one a channel: take a width >= {groups}")
    return tuple(channels // groups + (i < channels % groups) for i in range(groups))


def starts(parts: tuple[int, ...]) -> tuple[int, ...]:
    """Where each group begins, and where the last ends."""
    return tuple(sum(parts[:i]) for i in range(len(parts) + 1))


class MaskedConv2d(nn.Module):
    """A k x k convolution (k odd), or kh x kw, of the past only, for stride 1 and zero padding.

        y(r, c) = b + sum over u = 1..kh//2, |d| <= kw//2 of  A[u, d] x(r - u, c + d)
                    + sum over d = 1..kw//2 of  R[d] x(r, c - d)  +  (M * C) x(r, c),     M the mask of channel groups

    Args:
        c_in: input features, split into `groups` by `sizes`.
        c_out: output features of a gate.
        kernel: k, or (kh, kw).
        mask: "A" for the layer that sees the image, "B" for all others.
        groups: channels of the image.
        gates: sets of output features, one after the other, each split into groups of its own; `chunk` takes them apart.
        bias: whether b is there.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int | tuple[int, int] = 1,
        mask: Literal["A", "B"] = "B",
        *,
        groups: int = 1,
        gates: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        odd(height), odd(width)
        self.ins, self.outs = sizes(c_in, groups), sizes(c_out, groups)
        self.c_in, self.c_out, self.groups, self.gates, self.mask = c_in, c_out, groups, gates, mask
        self.up, self.side = height // 2, width // 2
        self.pad = max(self.up, self.side)
        self.slope = 1 + self.side if self.up else 1
        centre = mask == "B" or groups > 1
        taps = self.side + centre
        if not taps and not self.up:
            raise InputError("a 1 x 1 kernel under mask A sees nothing of an image of one channel")
        bound = 1 / math.sqrt(c_in * (self.up * width + taps))
        self.above = _parameter(bound, gates * c_out, c_in, self.up, width) if self.up else None
        self.row = _parameter(bound, gates * c_out, c_in, 1, taps) if taps else None
        self.bias = _parameter(bound, gates * c_out) if bias else None
        self.register_buffer("open", self._open(taps) if groups > 1 else None, persistent=False)

    def _open(self, taps: int) -> Tensor:
        """1 where a weight of the row is open, 0 where it is closed: at the centre only."""
        first = starts(self.ins)
        ends = [first[g + (self.mask == "B")] for g in range(self.groups) for _ in range(self.outs[g])]
        allowed = torch.arange(self.c_in) < torch.tensor(ends)[:, None]
        mask = torch.ones(self.gates * self.c_out, self.c_in, 1, taps)
        mask[..., -1] = allowed.repeat(self.gates, 1)[..., None]
        return mask

    def kernel(self) -> Tensor:
        """The kernel of the rows above and the pixel's own, (gates c_out, c_in, kh//2 + 1, kw), zero right of the pixel."""
        if self.row is None:
            assert self.above is not None
            return F.pad(self.above, (0, 0, 0, 1))
        row = self.row if self.open is None else self.row * self.open
        row = F.pad(row, (0, 2 * self.side + 1 - row.shape[3])) if self.side else row
        return row if self.above is None else torch.cat((self.above, row), dim=2)

    def forward(self, x: Float[Tensor, "n c_in h w"], labels: Tensor | None = None) -> Float[Tensor, "n c_out h w"]:
        """All pixels at once.

        One convolution of the upper half of the kernel is faster than two without its zeros right of the pixel: no copies by
        padding, no second pass over the output. Where there are few input channels the full kernel is: see benchmarks.
        """
        kernel, height = self.kernel(), x.shape[2]
        if not self.up:
            return F.conv2d(x, kernel, self.bias, padding=(0, self.side))
        if self.c_in < 8:
            return F.conv2d(x, F.pad(kernel, (0, 0, 0, self.up)), self.bias, padding=(self.up, self.side))
        return F.conv2d(x, kernel, self.bias, padding=(self.up, self.side))[:, :, :height]

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Keep the input's map where neighbours are read, and a matrix for each group."""
        if self.mask == "B" and (self.up or self.side):
            canvas.keep(self, self.c_in)
        columns = [part.movedim(1, 3).flatten(1) for part in (self.above, self.row) if part is not None]
        matrix = torch.cat(columns, dim=1).detach().unflatten(0, (self.gates, self.c_out))
        first_in, first_out = starts(self.ins), starts(self.outs)
        closed = self.c_in if self.mask == "B" or self.groups > 1 else 0
        matrices, biases = [], []
        for group in range(self.groups):
            rows = slice(first_out[group], first_out[group + 1])
            seen = matrix.shape[2] - closed + (first_in[group + (self.mask == "B")] if closed else 0)
            matrices.append(matrix[:, rows, :seen].flatten(0, 1).t().contiguous())
            bias = matrix.new_zeros(self.gates, self.c_out) if self.bias is None else self.bias.detach().view(self.gates, -1)
            biases.append(bias[:, rows].flatten())
        canvas.held[self] = (matrices, biases)

    def at(self, canvas: Canvas, sites: Sites, x: Tensor, group: int) -> Tensor:
        """Mask B: one group of the output at the sites, (n, count, gates * c), given that of the input."""
        if not self.up and not self.side:
            columns = x if group == 0 else torch.cat((canvas.held[self, "columns"], x), dim=2)
        else:
            canvas.write(self, sites, x, starts(self.ins)[group] if group else 0)
            before = self._taps(canvas, self, sites, 0) if group == 0 else [canvas.held[self, "columns"]]
            columns = torch.cat([*before, x], dim=2)
        if group + 1 < self.groups:
            canvas.held[self, "columns"] = columns
        return self._times(canvas, columns, group)

    def of_image(self, canvas: Canvas, sites: Sites, group: int) -> Tensor:
        """Mask A: one group of the output at the sites, given the pixels so far, which the canvas keeps as "image"."""
        more = starts(self.ins)[group] if group else 0
        return self._times(canvas, torch.cat(self._taps(canvas, "image", sites, more), dim=2), group)

    def _taps(self, canvas: Canvas, key: object, sites: Sites, more: int) -> list[Tensor]:
        rows = [canvas.read(key, sites, up=u, right=-self.side, taps=2 * self.side + 1) for u in range(self.up, 0, -1)]
        if self.side or more:
            rows.append(canvas.read(key, sites, right=-self.side, taps=self.side, more=more))
        return rows

    def _times(self, canvas: Canvas, columns: Tensor, group: int) -> Tensor:
        matrices, biases = canvas.held[self]
        y = torch.addmm(biases[group], columns.reshape(-1, columns.shape[2]), matrices[group])
        return y.view(columns.shape[0], columns.shape[1], -1)

    def end_row(self, canvas: Canvas, row: int) -> None:
        """Nothing."""


def _parameter(bound: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
