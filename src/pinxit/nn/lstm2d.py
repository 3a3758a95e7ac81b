"""Row LSTM and Diagonal BiLSTM (van den Oord et al. 2016, https://arxiv.org/abs/1601.06759, sections 3.1 and 3.2).

Whole images go through `pinxit.nn.scan`. On a canvas a new pixel costs its own cell: the states of its neighbours are kept. The
map from the right of the Diagonal BiLSTM is added one row below, so it is computed a row at a time, when the row is known.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pinxit.nn import reach
from pinxit.nn.canvas import Canvas, Sites
from pinxit.nn.masked import sizes, starts
from pinxit.nn.scan import GATES, Course, Scan, by_diagonals, by_rows


class AbstractLSTM2d(nn.Module):
    """The parameters of a two-dimensional LSTM.

    Args:
        inputs: channels of x.
        size: h, channels of the state and of the result.
        groups: channels of the image; features are split into as many contiguous parts (`masked.sizes`), in every gate by itself,
            and part g sees parts up to g at its own pixel (mask B), all parts at earlier ones.
        classes: labels, each with a bias of its own for every gate (van den Oord et al. 2016b, equation 4); 0 for none.
        directions: recurrences with their own weights.
        reads: pixels of x that a cell reads, the last being its own.
        taps: neighbours whose state it reads.
    """

    mask: Tensor
    up: int | None = None
    pad = 1

    def __init__(self, inputs: int, size: int, groups: int, classes: int, directions: int, reads: int, taps: int) -> None:
        super().__init__()
        self.ins, self.outs = sizes(inputs, groups), sizes(size, groups)
        self.size, self.groups, self.classes = size, groups, classes
        self.weight_is = nn.Parameter(torch.empty(directions, reads * inputs, GATES * size))
        self.weight_ss = nn.Parameter(torch.empty(directions, taps, size, GATES * size))
        self.bias = nn.Parameter(torch.zeros(directions, GATES * size))
        self.h0 = nn.Parameter(torch.zeros(directions, size))
        self.c0 = nn.Parameter(torch.zeros(directions, size))
        self.label_bias = nn.Parameter(torch.zeros(classes, directions, GATES * size)) if classes else None
        part_in, part_out = (torch.arange(groups).repeat_interleave(torch.tensor(p)) for p in (self.ins, self.outs))
        own = (part_in[:, None] <= part_out).repeat(1, GATES)
        mask = torch.cat([torch.ones_like(own)] * (reads - 1) + [own])
        self.register_buffer("mask", mask.to(self.bias.dtype), persistent=False)
        for weight, fan_in in ((self.weight_is, reads * inputs), (self.weight_ss, taps * size)):
            nn.init.uniform_(weight, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def biases(self, labels: Tensor | None) -> Tensor:
        """(d, 1, 4h), or (d, n, 4h) with those of the labels."""
        bias = self.bias[:, None]
        return bias if self.label_bias is None or labels is None else bias + self.label_bias[labels].movedim(1, 0)

    def masked(self) -> Tensor:
        """K_is, (d, reads * inputs, 4h), zero where a later channel of the pixel would be seen."""
        return self.weight_is if self.groups == 1 else self.weight_is * self.mask

    def run(self, x: Tensor, labels: Tensor | None, course: Course) -> Tensor:
        """The sum over the directions of h, (n, h, H, W), of x (1 or directions, n, reads * inputs, H, W)."""
        height, width = x.shape[3:]
        pixels = x.permute(0, 3, 4, 1, 2).flatten(1, 2)
        # The recurrence is written for one type: in mixed precision it has that of the weights.
        with torch.autocast(x.device.type, enabled=False):
            pixels = pixels.to(self.bias.dtype)
            h = Scan.apply(pixels, self.masked(), self.biases(labels), self.weight_ss, self.h0, self.c0, course)
        return h.view(height, width, *h.shape[1:]).permute(2, 3, 0, 1)

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Keep x, h and c of the first direction, and the matrix and the bias of each group, which give a cell's gates."""
        for name, channels in (("x", self.ins), ("h", self.outs), ("c", self.outs)):
            canvas.keep((self, name), sum(channels))
        first_in, first_out, held = starts(self.ins), starts(self.outs), []
        weight, bias = self.masked().detach()[0], self.biases(labels).detach()
        others = len(weight) - first_in[-1]
        for group in range(self.groups):
            part = slice(first_out[group], first_out[group + 1])
            rows = torch.cat((weight[: others + first_in[group + 1]], self.weight_ss.detach()[0].flatten(0, 1)))
            matrix = rows.unflatten(1, (GATES, self.size))[..., part].flatten(1)
            held.append((part, matrix.contiguous(), bias[0].unflatten(1, (GATES, self.size))[..., part].flatten(1)[:, None]))
        canvas.held[self] = held
        canvas.held[self, "bias"] = bias

    def _advance(self, canvas: Canvas, sites: Sites, columns: list[Tensor], c: Tensor, group: int) -> Tensor:
        """h of one group at the sites, from what its gates read and the cell before; both are kept."""
        part, matrix, bias = canvas.held[self][group]
        read = torch.cat(columns, dim=2)
        h, c = _cell((read.flatten(0, 1) @ matrix).view(*read.shape[:2], -1).add_(bias), c[..., part])
        canvas.write((self, "h"), sites, h, part.start)
        canvas.write((self, "c"), sites, c, part.start)
        return h

    def _own(self, canvas: Canvas, sites: Sites, x: Tensor, group: int) -> Tensor:
        """Keep one group of x; all groups up to it at the sites."""
        first = starts(self.ins)
        canvas.write((self, "x"), sites, x, first[group])
        return canvas.read((self, "x"), sites, taps=0, more=first[group + 1])


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """(h, c) of gates (..., 4h), which are overwritten, and the cell before (..., h)."""
    size = c.shape[-1]
    o, f, i = gates[..., : 3 * size].sigmoid_().split(size, dim=-1)
    c = (f * c).addcmul_(i, gates[..., 3 * size :].tanh_())
    return o * c.tanh(), c


class RowLSTM(AbstractLSTM2d):
    """Row LSTM: K_is reads the pixel and its left neighbour (3 x 1, mask B), K_ss three pixels of the row above (section 3.1).

    Args:
        inputs: channels of x.
        size: h, channels of the state and of the result.
        groups: 3 for RGB, 1 for grey.
        classes: labels that have biases; 0 for none.
    """

    slope: int | None = 2

    def __init__(self, inputs: int, size: int, *, groups: int = 1, classes: int = 0) -> None:
        super().__init__(inputs, size, groups, classes, directions=1, reads=2, taps=3)

    def forward(
        self, x: Float[Tensor, "n inputs height width"], labels: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n size height width"]:
        """h at every pixel, which has seen x at the pixel, left of it and in the rows above."""
        left = nn.functional.pad(x, (1, 0))[..., :-1]
        both = torch.cat((left, x), dim=1)[None]
        return self.run(both, labels, by_rows(*x.shape[2:]))

    def reach(self, x: reach.Reach, right: reach.Reach | None = None) -> reach.Reach:
        """What h may depend on."""
        return reach.row_lstm(x)

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """As of all; the row above the first has the learned state."""
        super().begin(canvas, labels)
        for name, start in (("h", self.h0), ("c", self.c0)):
            canvas.write((self, name), canvas.row(-1), start.detach().expand(canvas.n, canvas.width, -1))

    def at(self, canvas: Canvas, sites: Sites, x: Tensor, group: int) -> Tensor:
        """One group of h at the sites, (n, count, c), given that of x."""
        own = self._own(canvas, sites, x, group)
        left, above = canvas.read((self, "x"), sites, right=-1), canvas.read((self, "h"), sites, up=1, right=-1, taps=3)
        return self._advance(canvas, sites, [left, own, above], canvas.read((self, "c"), sites, up=1), group)

    def end_row(self, canvas: Canvas, row: int, right: Tensor | None = None) -> None:
        """Nothing."""


class DiagonalBiLSTM(AbstractLSTM2d):
    """Diagonal BiLSTM: two recurrences along the diagonals, from the upper left and from the upper right (section 3.2).

    K_is is 1 x 1, mask B; K_ss reads the pixels beside and above. The map from the right is shifted down by one row before it
    is added, so that no pixel sees those after it; both advance together in H + W - 1 steps.

    Args:
        inputs: channels of x.
        size: h, channels of the state and of the result.
        groups: 3 for RGB, 1 for grey.
        classes: labels that have biases; 0 for none.
    """

    slope: int | None = None

    def __init__(self, inputs: int, size: int, *, groups: int = 1, classes: int = 0) -> None:
        super().__init__(inputs, size, groups, classes, directions=2, reads=1, taps=2)

    def forward(
        self,
        x: Float[Tensor, "n inputs height width"],
        labels: Int[Tensor, " n"] | None = None,
        right: Float[Tensor, "n inputs height width"] | None = None,
    ) -> Float[Tensor, "n size height width"]:
        """h at every pixel; the second direction reads `right` in the place of x where it is given."""
        both = x[None] if right is None else torch.stack((x, right))
        return self.run(both, labels, by_diagonals(*x.shape[2:]))

    def reach(self, x: reach.Reach, right: reach.Reach | None = None) -> reach.Reach:
        """What h may depend on."""
        return reach.diagonal_lstm(x, right)

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """As of all; each row begins with the learned state, the map from the right is zero above the image."""
        super().begin(canvas, labels)
        canvas.keep((self, "right"), self.size)
        before = canvas.sites(0, -1, count=canvas.height)
        for name, start in (("h", self.h0), ("c", self.c0)):
            canvas.write((self, name), before, start.detach()[0].expand(canvas.n, canvas.height, -1))

    def at(self, canvas: Canvas, sites: Sites, x: Tensor, group: int) -> Tensor:
        """One group of h at the sites, (n, count, c), given that of x."""
        columns = [
            self._own(canvas, sites, x, group),
            canvas.read((self, "h"), sites, right=-1),
            canvas.read((self, "h"), sites, up=1),
        ]
        h = self._advance(canvas, sites, columns, canvas.read((self, "c"), sites, right=-1), group)
        return h + canvas.read((self, "right"), sites, up=1)[..., canvas.held[self][group][0]]

    def end_row(self, canvas: Canvas, row: int, right: Tensor | None = None) -> None:
        """Compute the map from the right of a row that is known, last pixel first; `right` (n, w, inputs) for x."""
        sites = canvas.row(row)
        x = canvas.read((self, "x"), sites) if right is None else right
        read = torch.cat((x, canvas.read((self, "right"), sites, up=1)), dim=2)
        beside, above = self.weight_ss.detach()[1]
        gates = read @ torch.cat((self.masked().detach()[1], above)) + canvas.held[self, "bias"][1][:, None]
        h, c = (start.detach()[1].expand(canvas.n, -1) for start in (self.h0, self.c0))
        for column in reversed(range(canvas.width)):
            h, c = _cell(torch.addmm(gates[:, column], h, beside), c)
            canvas.write((self, "right"), canvas.sites(row, column), h[:, None])
