"""Gated PixelCNN: a stack of the rows above and a stack of the pixel's own row, so that no pixel of the past is hidden.

(van den Oord et al. 2016b, https://arxiv.org/abs/1606.05328, sections 2.2 and 2.3, figure 2.)

    v_l = gate(p_l),   p_l = V_l v_(l-1) + e_y        V_0: k0//2 rows above of the image; V_l: k//2 rows above and the pixel's own
    g_l = gate(H_l h_(l-1) + U_l p_l + e'_y)          H_0: 1 x k0 mask A of the image; H_l: 1 x k mask B;  U_l: 1 x 1
    h_l = h_(l-1) + R_l g_l,   skip_l = S_l g_l       R, S: 1 x 1 mask B; no h_(l-1) at l = 0
    gate(a, b) = tanh(a) sigmoid(b)                   equation 2

A v of row r holds pixels of the rows above r only. So its convolutions need no channel masks, and may look to the right.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pinxit.nn import reach
from pinxit.nn.canvas import Canvas, Sites
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.pixels import Head, LabelBias


def gate(x: Float[Tensor, "n c *s"]) -> Float[Tensor, "n d *s"]:
    """tanh(a) sigmoid(b) of features (a, b)."""
    a, b = x.chunk(2, dim=1)
    return a.tanh() * b.sigmoid()


class RowsAbove(nn.Module):
    """A convolution of the rows above: k//2 of them, and with `own` the pixel's own row, of features that do not hold it.

    Args:
        c_in: input features.
        c_out: output features.
        kernel: k, odd.
        own: whether the row r of the features is read.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, *, own: bool) -> None:
        super().__init__()
        self.c_in, self.pad, self.own = c_in, kernel // 2, own
        rows = self.pad + own
        bound = 1 / math.sqrt(c_in * rows * kernel)
        self.weight = nn.Parameter(torch.empty(c_out, c_in, rows, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(c_out).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h w"]:
        """All pixels at once."""
        weight = self.weight
        if self.c_in < 8:  # as MaskedConv2d
            weight = F.pad(weight, (0, 0, 0, self.pad + 1 - self.own))
        return F.conv2d(x, weight, self.bias, padding=self.pad)[:, :, : x.shape[2]]

    def begin(self, canvas: Canvas) -> None:
        """Prepare the matrix."""
        canvas.held[self] = self.weight.detach().movedim(1, 3).flatten(1).t().contiguous()

    def at(self, canvas: Canvas, sites: Sites, key: object) -> Tensor:
        """The output at the sites, (n count, c_out), of the map kept under `key`."""
        ups = range(self.pad, -self.own, -1)
        columns = torch.cat([canvas.read(key, sites, up=u, right=-self.pad, taps=2 * self.pad + 1) for u in ups], dim=2)
        return torch.addmm(self.bias, columns.flatten(0, 1), canvas.held[self])


class GatedLayer(nn.Module):
    """One layer of both stacks.

    Args:
        c_in: channels of the image for the first layer, else 0.
        width: features of each stack.
        kernel: k, or k0 for the first layer.
        groups: channels of the image.
        classes: of the label biases; 0 for none.
    """

    def __init__(self, c_in: int, width: int, kernel: int, *, groups: int = 1, classes: int = 0) -> None:
        super().__init__()
        self.first, self.width, self.groups = bool(c_in), width, groups
        self.vertical = RowsAbove(c_in or width, 2 * width, kernel, own=not c_in)
        self.horizontal = MaskedConv2d(c_in or width, width, (1, kernel), "A" if c_in else "B", groups=groups, gates=2)
        self.link = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.vertical_label = LabelBias(classes, width, gates=2)
        self.label = LabelBias(classes, width, groups, gates=2)
        self.residual = MaskedConv2d(width, width, groups=groups)
        self.skip = MaskedConv2d(width, width, groups=groups)

    def forward(self, v: Tensor, h: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """v, h and the skip connection, all pixels at once; the first layer is given the image twice."""
        p = self.vertical_label(self.vertical(v), labels)
        g = gate(self.label(self.horizontal(h) + self.link(p), labels))
        return gate(p), self.residual(g) if self.first else h + self.residual(g), self.skip(g)

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Keep v and U p."""
        canvas.keep((self, "v"), self.width)
        canvas.keep((self, "link"), 2 * self.width)
        self.vertical.begin(canvas)
        for part in (self.horizontal, self.vertical_label, self.label, self.residual, self.skip):
            part.begin(canvas, labels)
        canvas.held[self, "link"] = self._by_group(self.link.weight.detach()[:, :, 0, 0]).t().contiguous()

    def _by_group(self, rows: Tensor) -> Tensor:
        """Rows ordered gate, group as group, gate: those of one group lie together."""
        parts = rows.unflatten(0, (2, self.width)).split(self.horizontal.outs, dim=1)
        return torch.cat([part.flatten(0, 1) for part in parts])

    def ahead(self, canvas: Canvas, sites: Sites, below: object) -> None:
        """Compute v and U p at the sites, given v of the layer below."""
        p = self.vertical.at(canvas, sites, below).view(canvas.n, sites.count, -1)
        p = self.vertical_label.add(canvas, p, 0)
        a, b = p.chunk(2, dim=2)
        canvas.write((self, "v"), sites, a.tanh().mul_(b.sigmoid()))
        canvas.write((self, "link"), sites, torch.mm(p.flatten(0, 1), canvas.held[self, "link"]).view_as(p))

    def at(self, canvas: Canvas, sites: Sites, h: Tensor | None, group: int) -> tuple[Tensor, Tensor]:
        """h and the skip connection of one group at the sites."""
        row = self.horizontal
        g = row.of_image(canvas, sites, group) if h is None else row.at(canvas, sites, h, group)
        before = 2 * sum(row.outs[:group])
        link = canvas.read((self, "link"), sites, taps=1)[..., before : before + 2 * row.outs[group]]
        a, b = self.label.add(canvas, g.add_(link), group).chunk(2, dim=2)
        g = a.tanh().mul_(b.sigmoid())
        out = self.residual.at(canvas, sites, g, group)
        return out if h is None else out.add_(h), self.skip.at(canvas, sites, g, group)


class GatedStack(nn.Module):
    """Both stacks and the head.

    Args:
        groups: channels of the image.
        width: features of each stack.
        layers: after the first one.
        size: numbers of a sub-pixel's distribution.
        head: features of the 1 x 1 layer between skip connections and output.
        first_kernel: k0.
        kernel: k.
        classes: of the label biases; 0 for none.
    """

    def __init__(
        self,
        groups: int,
        width: int,
        layers: int,
        size: int,
        *,
        head: int,
        first_kernel: int = 7,
        kernel: int = 3,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.groups, self.shift = groups, kernel // 2
        self.layers = nn.ModuleList([
            GatedLayer(0 if i else groups, width, kernel if i else first_kernel, groups=groups, classes=classes)
            for i in range(layers + 1)
        ])  # fmt: skip
        self.head = Head(width, (head,), size, groups=groups)
        self.pad = max(first_kernel, kernel) // 2
        self.lead = self.shift * layers
        self.slope: int | None = first_kernel // 2 + self.lead + 1
        self.up: int | None = first_kernel // 2 + self.lead

    def _layers(self) -> list[GatedLayer]:
        return [layer for layer in self.layers if isinstance(layer, GatedLayer)]

    def forward(self, x: Float[Tensor, "n c h w"], labels: Tensor | None = None) -> Float[Tensor, "n s h w"]:
        """The numbers of all sub-pixels, those of channel g in group g of `c` equal groups."""
        v = h = x.to(memory_format=torch.channels_last)
        skips: Tensor | None = None
        for layer in self._layers():
            v, h, skip = layer(v, h, labels)
            skips = skip if skips is None else skips + skip
        assert skips is not None
        return self.head(skips)

    def promise(self, height: int, width: int) -> Bool[Tensor, "subpixels subpixels"]:
        """Which sub-pixels (columns) the distribution of each sub-pixel (rows) depends on, by the structure."""
        v = h = reach.image(self.groups, height, width)
        skips = torch.zeros_like(h)
        for layer in self._layers():
            v = reach.rows_above(v, layer.vertical.pad, own=layer.vertical.own)
            g = reach.own(v | reach.convolution(h, 0, layer.horizontal.side, "A" if layer.first else "B"))
            h = g if layer.first else h | g
            skips = skips | g
        return reach.matrix(reach.own(skips))

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Keep the maps of all layers on the canvas."""
        for layer in self._layers():
            layer.begin(canvas, labels)
        self.head.begin(canvas)

    def ahead(self, canvas: Canvas, time: int) -> None:
        """The stack v, as far right of the pixels of `time` as they will need it: layer l by (L - l) k//2 columns."""
        below: object = "image"
        for left, layer in zip(range(len(self.layers) - 1, -1, -1), self._layers(), strict=True):
            sites = canvas.front(time + left * self.shift)
            if sites is not None:
                layer.ahead(canvas, sites, below)
            below = (layer, "v")

    def at(self, canvas: Canvas, sites: Sites, group: int) -> Tensor:
        """The numbers of channel `group` at the sites, (n, count, size), given the pixels so far."""
        h: Tensor | None = None
        skips: Tensor | None = None
        for layer in self._layers():
            h, skip = layer.at(canvas, sites, h, group)
            skips = skip if skips is None else skips.add_(skip)
        assert skips is not None
        return self.head.at(canvas, sites, skips, group)

    def end_row(self, canvas: Canvas, row: int) -> None:
        """Nothing: v is computed pixel by pixel too."""
