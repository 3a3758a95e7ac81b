"""Labelled pictures of two batches: real beside generated, input above reconstruction.

Labels are grey on clear paper, so that a picture reads on a light page and on a dark one.
"""

from __future__ import annotations

import math
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from pinxit.core.errors import InputError
from pinxit.viz import grids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

INK = (122, 122, 122, 255)
TEXT = 17
PAD = 2


def real_beside_fake(real: Tensor, fake: Tensor) -> Image.Image:
    """Two labelled halves, data on the left and samples on the right.

    Args:
        real: (n, c, h, w) in [-1, 1], or points (n, 2, 1, 1), which decide the extent of both plots.
        fake: (m, c, h, w).

    Raises:
        InputError: the batches are not of one shape of sample, or can't be drawn.
    """
    _check_pair(real, fake, "real", "fake")
    if grids.is_points(real):
        extent = grids.extent_of(real)
        halves = [grids.scatter(half, extent) for half in (real, fake)]
    else:
        columns = grids.square(max(len(real), len(fake)))
        halves = [grids.lay(grids.tiles(half), columns, PAD, grids.CLEAR) for half in (real, fake)]
    return beside(halves, ("real", "generated"))


def beside(blocks: Sequence[Image.Image], names: Sequence[str]) -> Image.Image:
    """Blocks in a row, each below its name."""
    gap, head = 28, _line_height() + 8
    size = (sum(b.width for b in blocks) + gap * (len(blocks) - 1), head + max(b.height for b in blocks))
    sheet = Image.new("RGBA", size, grids.CLEAR)
    left = 0
    for block, name in zip(blocks, names, strict=True):
        sheet.paste(block, (left, head))
        write(sheet, name, (left + block.width // 2, head // 2), "mm")
        left += block.width + gap
    return sheet


def stacked(sheets: Sequence[Image.Image], gap: int = 16) -> Image.Image:
    """Sheets below each other, on clear paper."""
    whole = Image.new("RGBA", (max(s.width for s in sheets), sum(s.height + gap for s in sheets) - gap), grids.CLEAR)
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height + gap
    return whole


def pairs(x: Tensor, x_hat: Tensor) -> Image.Image:
    """Inputs above their reconstructions, ten a row, every row labelled.

    Args:
        x: (n, c, h, w) in [-1, 1].
        x_hat: of the same shape.

    Raises:
        InputError: the shapes differ, or can't be drawn as images.
    """
    _check_pair(x, x_hat, "x", "x_hat")
    if len(x) != len(x_hat) or grids.is_points(x):
        raise InputError(f"`x` {tuple(x.shape)} and `x_hat` {tuple(x_hat.shape)} must be images, as many of each")
    above, below = grids.tiles(x), grids.tiles(x_hat)
    names = ("input", "reconstruction")
    columns, margin = min(10, len(x)), 12 + max(math.ceil(font().getlength(name)) for name in names)
    tile, gap = above[0], 14
    band = 2 * (tile.height + PAD) + gap
    bands = math.ceil(len(x) / columns)
    sheet = Image.new("RGBA", (margin + columns * (tile.width + PAD) - PAD, bands * band - gap - PAD), grids.CLEAR)
    for start in range(bands):
        for line, (name, row) in enumerate(zip(names, (above, below), strict=True)):
            top = start * band + line * (tile.height + PAD)
            write(sheet, name, (margin - 12, top + tile.height // 2), "rm")
            for column, picture in enumerate(row[start * columns : (start + 1) * columns]):
                sheet.paste(picture, (margin + column * (tile.width + PAD), top))
    return sheet


@cache
def font(size: int = TEXT) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow: the same on every machine."""
    return ImageFont.load_default(size)


def write(sheet: Image.Image, text: str, at: tuple[float, float], anchor: str) -> None:
    """Put grey `text` on a sheet; `anchor` as Pillow names it."""
    text, letters = lettering(text)
    ImageDraw.Draw(sheet).text(at, text, fill=INK, font=letters, anchor=anchor)


def lettering(text: str) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    r"""`text` as it can be drawn, and the font.

    Pillow's font has the letters of English alone and draws an empty box for any other, which would make all names of classes
    alike. Where there are others the font is the one that comes with matplotlib; what that lacks too is written as its code,
    \u68ee.
    """
    text = unicodedata.normalize("NFC", text)
    if all(_has_letter(False, letter) for letter in text):
        return text, font()
    known = (letter if _has_letter(True, letter) else letter.encode("ascii", "backslashreplace").decode() for letter in text)
    return "".join(known), _wide()


@cache
def _wide() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, as matplotlib brings it: Latin, Greek, Cyrillic, Arabic and more."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), TEXT - 1)


@cache
def _has_letter(wide: bool, letter: str) -> bool:
    """Whether the font has a glyph for a letter, which is other than that for what is no letter."""
    return _glyph(wide, letter) != _glyph(wide, "\uffff")


def _glyph(wide: bool, letter: str) -> tuple[float, bytes]:
    """How far a letter goes and what it looks like."""
    letters, sheet = _wide() if wide else font(), Image.new("L", (3 * TEXT, 3 * TEXT))
    ImageDraw.Draw(sheet).text((TEXT, TEXT), letter, fill=255, font=letters)
    return letters.getlength(letter), sheet.tobytes()


def _line_height() -> int:
    return TEXT + 6


def _check_pair(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    grids.check(a, name_a)
    grids.check(b, name_b)
    if a.shape[1:] != b.shape[1:]:
        raise InputError(f"`{name_a}` holds samples {tuple(a.shape[1:])}, `{name_b}` {tuple(b.shape[1:])}: they must agree")
