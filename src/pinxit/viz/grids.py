"""Grids of images and scatter plots of points: the picture of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pinxit.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 64
"""Smaller images are magnified until their longer side has this many pixels."""
PLOT = 384
"""Pixels a side of a scatter plot."""
CLASSES = 20
"""Most classes that a picture shows."""
PAPER = (255, 255, 255, 255)
CLEAR = (255, 255, 255, 0)
BLUE = (0, 114, 178)
FRAME = 205


def grid(images: Tensor, *, columns: int | None = None, pad: int = 2) -> Image.Image:
    """Images side by side, row by row; points in the plane as a scatter plot.

    Args:
        images: (n, c, h, w) float in [-1, 1], values beyond are clamped, with c = 1, 2 (drawn red and green) or 3; or points
            (n, 2, 1, 1).
        columns: images a row; by default the grid is as square as can be.
        pad: white pixels around every image, >= 0.

    Returns:
        A picture of mode "L" or "RGB". Images below 64 pixels are magnified by a whole factor.

    Raises:
        TypeError: `images` is no tensor of floats.
        InputError: a shape, a value that is not finite, `columns` or `pad` that can't be drawn.
    """
    check(images)
    if columns is not None and columns < 1:
        raise InputError(f"`columns` is {columns}: it must be >= 1")
    if pad < 0:
        raise InputError(f"`pad` is {pad}: it must be >= 0")
    if is_points(images):
        return scatter(images, extent=extent_of(images))
    return lay(tiles(images), columns or square(len(images)), pad)


def is_points(images: Tensor) -> bool:
    """Whether a batch (n, c, h, w) holds points in the plane rather than images."""
    return tuple(images.shape[1:]) == (2, 1, 1)


def square(n: int) -> int:
    """The columns of the squarest grid of `n`."""
    return math.ceil(math.sqrt(n))


def check(images: Tensor, name: str = "images") -> None:
    """Refuse what can't be drawn; raises TypeError and InputError naming the value and the constraint."""
    import torch

    if not isinstance(images, torch.Tensor):
        raise TypeError(f"`{name}` is a {type(images).__name__}: it must be a float tensor (n, c, h, w)")
    if not images.is_floating_point():
        raise TypeError(f"`{name}` has dtype {images.dtype}: it must be float, with values in [-1, 1]")
    shape = tuple(images.shape)
    if images.ndim != 4 or 0 in shape:
        raise InputError(f"`{name}` has shape {shape}: it must be (n, c, h, w) with n >= 1")
    if shape[1] not in (1, 2, 3):
        raise InputError(f"`{name}` has shape {shape}: c must be 1, 2 or 3, or (n, 2, 1, 1) for points in the plane")
    if bad := int((~torch.isfinite(images)).sum()):
        raise InputError(f"`{name}` holds {bad} values that are not finite: all must be in [-1, 1]")


def to_uint8(images: Tensor) -> np.ndarray:
    """Pixels x * 127.5 + 128, clamped to 0..255 and cut to whole numbers: the inverse of u / 127.5 - 1. (n, h, w, c) uint8."""
    x = images.detach().float().cpu() * 127.5 + 128
    return x.clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def tiles(images: Tensor) -> list[Image.Image]:
    """Every image (n, c, h, w) as a picture of its own, magnified by a whole factor if small."""
    pixels = to_uint8(images)
    factor = max(1, math.ceil(LEAST / max(pixels.shape[1:3])))
    return [picture(tile) for tile in pixels.repeat(factor, axis=1).repeat(factor, axis=2)]


def picture(pixels: np.ndarray) -> Image.Image:
    """uint8 (h, w, c) as a picture: grey, red and green, or colour."""
    if pixels.shape[2] == 2:
        pixels = np.pad(pixels, ((0, 0), (0, 0), (0, 1)))
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def lay(pictures: Sequence[Image.Image], columns: int, pad: int, paper: tuple[int, int, int, int] = PAPER) -> Image.Image:
    """Pictures of one size on `paper`, row by row; opaque paper keeps their mode, clear paper makes it "RGBA"."""
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    width, height = pictures[0].size
    mode = "RGBA" if paper[3] < 255 else pictures[0].mode
    size = (columns * (width + pad) + pad, rows * (height + pad) + pad)
    sheet = Image.new(mode, size, paper[0] if mode == "L" else paper[: len(mode)])
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet.paste(picture, (pad + column * (width + pad), pad + row * (height + pad)))
    return sheet


def extent_of(points: Tensor) -> float:
    """Half the side of the square around the origin that shows points (n, 2, 1, 1) with a margin."""
    return 1.15 * max(float(points.abs().max()), 1e-6)


def scatter(points: Tensor, extent: float, size: int = PLOT) -> Image.Image:
    """Points (n, 2, 1, 1) as translucent discs in the framed square [-extent, extent]^2, the second coordinate upward.

    Drawn by addition of ink, not by a plotting library: exactly repeatable, and a point outside leaves no mark.
    """
    xy = points.detach().cpu().double().numpy().reshape(-1, 2)
    at = (xy * (1, -1) / extent + 1) * size / 2 - 0.5  # pixel centres have whole coordinates
    ink = np.zeros((size, size))
    radius, reach = 1.9, 3
    base = np.floor(at).astype(np.int64)
    for dx in range(-reach, reach + 2):
        for dy in range(-reach, reach + 2):
            column, row = base[:, 0] + dx, base[:, 1] + dy
            distance = np.hypot(column - at[:, 0], row - at[:, 1])
            inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
            np.add.at(ink, (row[inside], column[inside]), np.clip(radius + 0.5 - distance[inside], 0, 1))
    cover = 1 - 0.62**ink
    pixels = np.rint(255 - cover[..., None] * (255 - np.array(BLUE))).astype(np.uint8)
    pixels[[0, -1]] = pixels[:, [0, -1]] = FRAME
    return Image.fromarray(pixels)
