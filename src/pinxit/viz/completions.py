"""The picture of completions: the image, what of it is known, and several ways in which a model goes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image

from pinxit.core.errors import InputError
from pinxit.viz import comparisons, grids

if TYPE_CHECKING:
    from torch import Tensor

COVER = (226, 178, 122)
"""The colour of covered pixels: no image of the bundled sets has it, and it reads on light and dark."""


def completions(x: Tensor, known: Tensor, drawn: Tensor) -> Image.Image:
    """A column an image: the image, its known part, and its completions below each other.

    Args:
        x: (n, c, h, w) in [-1, 1].
        known: bool, (h, w) or (n, h, w).
        drawn: (k, n, c, h, w), k completions of each.

    Raises:
        InputError: shapes that do not fit each other, or that can't be drawn.
    """
    if drawn.ndim != 5 or drawn.shape[1:] != x.shape or tuple(known.shape) not in (tuple(x.shape[2:]), (len(x), *x.shape[2:])):
        got = f"`x` {tuple(x.shape)}, `known` {tuple(known.shape)}, `drawn` {tuple(drawn.shape)}"
        raise InputError(f"{got}: they must be (n, c, h, w), (h, w) or (n, h, w), and (k, n, c, h, w)")
    grids.check(x, "x")
    rows = [grids.tiles(x), _covered(x, known), *(grids.tiles(part) for part in drawn)]
    names = ["image", "known", *[f"draw {k + 1}" for k in range(len(drawn))]]
    tile, pad = rows[0][0], comparisons.PAD
    margin = 12 + max(math.ceil(comparisons.font().getlength(name)) for name in names)
    gap = 10  # between what is given and what is drawn
    size = (margin + len(x) * (tile.width + pad) - pad, len(rows) * (tile.height + pad) - pad + gap)
    sheet = Image.new("RGBA", size, grids.CLEAR)
    for line, (name, row) in enumerate(zip(names, rows, strict=True)):
        top = line * (tile.height + pad) + (gap if line > 1 else 0)
        comparisons.write(sheet, name, (margin - 12, top + tile.height // 2), "rm")
        for column, picture in enumerate(row):
            sheet.paste(picture.convert("RGB"), (margin + column * (tile.width + pad), top))
    return sheet


def _covered(x: Tensor, known: Tensor) -> list[Image.Image]:
    """The images with their unknown pixels in one colour."""
    import torch

    colour = torch.tensor(COVER, dtype=x.dtype, device=x.device) / 127.5 - 1
    mask = known.expand(len(x), *x.shape[2:])[:, None].to(x.device)
    return grids.tiles(torch.where(mask, x.expand(-1, 3, -1, -1), colour[:, None, None]))
