"""Which sub-pixels a feature may depend on, by the structure of the layers: exact sets, no network is run.

A reach is bool (groups, H, W, sub-pixels): the features of a group at a pixel, and the sub-pixels of the image in their order,
(r W + c) groups + g. Each layer takes the reach of its input to that of its output. What is reached may be less than the past: a
stack of plain masked convolutions has a blind spot, a Row LSTM sees a triangle, the Diagonal BiLSTM misses one pixel.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

Reach = Bool[Tensor, "groups height width subpixels"]


def image(groups: int, height: int, width: int) -> Reach:
    """The image itself: a sub-pixel reaches itself."""
    own = torch.eye(height * width * groups, dtype=torch.bool)
    return own.view(height, width, groups, -1).movedim(2, 0)


def past(groups: int, height: int, width: int) -> Bool[Tensor, "subpixels subpixels"]:
    """What a sub-pixel's distribution may depend on at all: the sub-pixels before it (equation 2)."""
    return torch.ones((height * width * groups,) * 2, dtype=torch.bool).tril(-1)


def matrix(x: Reach) -> Bool[Tensor, "subpixels subpixels"]:
    """A row for each sub-pixel's distribution, a column for each sub-pixel."""
    return x.movedim(0, 2).flatten(0, 2)


def shifted(x: Tensor, up: int, right: int) -> Tensor:
    """What is `up` rows above and `right` columns right of each pixel, (..., H, W, sub-pixels); False outside."""
    height, width = x.shape[-3:-1]
    padded = F.pad(x, (0, 0, max(0, -right), max(0, right), max(0, up), max(0, -up)))
    top, left = max(0, -up), max(0, right)
    return padded[..., top : top + height, left : left + width, :]


def own(x: Reach, mask: Literal["A", "B"] = "B") -> Reach:
    """At the pixel itself: groups before, and under mask B the group itself."""
    first = torch.zeros_like(x[:1])
    through = torch.cat((first, x)).byte().cummax(dim=0).values.bool()
    return through[1:] if mask == "B" else through[:-1]


def convolution(x: Reach, up: int = 0, side: int = 0, mask: Literal["A", "B"] = "B") -> Reach:
    """`MaskedConv2d`: `up` rows above with `side` columns on both sides, `side` pixels on the left, the pixel by its mask."""
    everything = x.any(dim=0)
    taps = [(u, d) for u in range(1, up + 1) for d in range(-side, side + 1)] + [(0, -d) for d in range(1, side + 1)]
    out = own(x, mask)
    for u, d in taps:
        out = out | shifted(everything, u, d)
    return out


def rows_above(x: Reach, up: int, *, own: bool = False) -> Reach:
    """`up` rows above, as many columns on both sides, all groups; with `own` the pixel's row too (van den Oord et al. 2016b)."""
    everything, out = x.any(dim=0)[None], torch.zeros_like(x)
    for u in range(0 if own else 1, up + 1):
        for d in range(-up, up + 1):
            out = out | shifted(everything, u, d)
    return out


def row_lstm(x: Reach) -> Reach:
    """The pixel, its left neighbour, and by the state three pixels of the row above, each of which reaches on."""
    now = convolution(x, side=1)
    rows = [now[:, 0]]
    for r in range(1, x.shape[1]):
        before = rows[-1].any(dim=0)[None]
        above = shifted(before, 0, -1) | before | shifted(before, 0, 1)
        rows.append(now[:, r] | above)
    return torch.stack(rows, dim=1)


def diagonal_lstm(x: Reach, right: Reach | None = None) -> Reach:
    """From the upper left, and of the row above from the upper right; `right` is what the second direction reads for x."""
    left = _quadrant(own(x))
    other = _quadrant(own(x if right is None else right).flip(2)).flip(2)
    return left | shifted(other, 1, 0)


def _quadrant(x: Reach) -> Reach:
    """With all that is above and to the left."""
    before = x.any(dim=0).byte().cummax(dim=0).values.cummax(dim=1).values.bool()
    return x | shifted(before, 1, 0) | shifted(before, 0, -1)
