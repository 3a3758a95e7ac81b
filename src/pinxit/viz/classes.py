"""What a class or a code does to a sample: grids in which one thing changes along a row and another from row to row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.viz import grids
from pinxit.viz.comparisons import PAD, TEXT, beside, font, write

if TYPE_CHECKING:
    from pinxit.core.protocols import Conditional, HasCodes


@torch.no_grad()
def class_grid(
    game: Conditional, classes: Sequence[int], *, rows: int = 10, seed: int = 0, names: Sequence[str] = ()
) -> Image.Image:
    """One class a column, one latent code a row: along a row only the class changes.

    Args:
        game: in eval mode; it draws the same code from the same generator state, whatever the label.
        classes: of the columns, from left to right, >= 1.
        rows: latent codes, >= 1.
        seed: of the codes.
        names: of all classes; by default their numbers.

    Returns:
        A picture of mode "RGBA" with clear gutters, the names of the classes above.

    Raises:
        InputError: nothing to draw, or the samples are not images.
    """
    _some("classes", len(classes))
    _some("rows", rows)

    def column(c: int) -> Tensor:
        return game.sample_class(torch.full((rows,), c), generator=_generator("class grid", seed))

    return table([column(c) for c in classes], heads=[names[c] if names else str(c) for c in classes], title="class")


@torch.no_grad()
def category_grid(game: HasCodes, *, most: int = 20, rows: int = 10, seed: int = 0) -> Image.Image:
    """One category a column, one draw of everything else a row (Chen et al. 2016, figure 2a); arguments as of `class_grid`.

    Args:
        game: in eval mode.
        most: categories shown.
        rows: draws of the noise and the numbers.
        seed: of those.
    """
    _some("rows", rows)
    categories, d = game.codes()
    u = torch.rand(rows, d, generator=_generator("numbers", seed)) * 2 - 1
    shown = range(min(categories, most))
    columns = [game.sample_code(torch.full((rows,), k), u, generator=_generator("noise", seed)) for k in shown]
    return table(columns, heads=[str(k) for k in shown], title="category, found without labels")


@torch.no_grad()
def traversals(
    game: HasCodes, *, reach: float = 2.0, steps: int = 9, most: int = 10, numbers: int = 3, seed: int = 0
) -> Image.Image:
    """One block a number of the code: it goes from -reach to reach along a row (Chen et al. 2016, figure 2c and d).

    Rows are categories, each with a draw of the noise of its own; the other numbers are 0. Beyond 1 no number went in training.

    Args:
        game: in eval mode, with at least one number.
        reach: ends of the walk.
        steps: columns, >= 2.
        most: categories shown.
        numbers: blocks at the most.
        seed: of the noise.

    Raises:
        InputError: the model has no numbers, `steps` is below 2, or the samples are not images.
    """
    categories, d = game.codes()
    if d < 1 or steps < 2:
        raise InputError(f"the code has {d} numbers and `steps` is {steps}: a walk needs at least 1 and 2")
    rows = min(categories, most)
    values = torch.linspace(-reach, reach, steps).tolist()
    blocks = []
    for number in range(min(d, numbers)):
        columns = []
        for value in values:
            u = torch.zeros(rows, d)
            u[:, number] = value
            columns.append(game.sample_code(torch.arange(rows), u, generator=_generator("walk", seed)))
        blocks.append(table(columns, heads=[f"{value:.1f}" for value in values], sides=[str(k) for k in range(rows)]))
    return beside(blocks, [f"number {number + 1} of the code, by category" for number in range(len(blocks))])


def table(columns: Sequence[Tensor], *, heads: Sequence[str], sides: Sequence[str] = (), title: str = "") -> Image.Image:
    """Columns of images (rows, c, h, w) beside each other, `heads` above them, `sides` left of the rows, `title` on top.

    Values that are not finite are drawn too, as 0 or the ends: a picture of a model gone wrong must not stop its run.
    """
    x = torch.stack([column.float().cpu() for column in columns])
    images = torch.nan_to_num(x.flatten(0, 1), nan=0.0, posinf=1.0, neginf=-1.0)
    grids.check(images)
    if grids.is_points(images):
        raise InputError("a grid of classes or codes shows images: this model makes points")
    tiles = grids.tiles(images)
    rows, (width, height), line = x.shape[1], tiles[0].size, TEXT + 7
    margin = 10 + max(math.ceil(font().getlength(side)) for side in sides) if sides else 0
    top = line * (2 if title else 1)
    size = (margin + len(columns) * (width + PAD) - PAD, top + rows * (height + PAD) - PAD)
    sheet = Image.new("RGBA", size, grids.CLEAR)
    if title:
        write(sheet, title, (margin, line // 2), "lm")
    for number, head in enumerate(heads):
        write(sheet, head, (margin + number * (width + PAD) + width // 2, top - line // 2 - 2), "mm")
    for number, side in enumerate(sides):
        write(sheet, side, (margin - 10, top + number * (height + PAD) + height // 2), "rm")
    for index, tile in enumerate(tiles):
        column, row = divmod(index, rows)
        sheet.paste(tile, (margin + column * (width + PAD), top + row * (height + PAD)))
    return sheet


def _generator(what: str, seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(what, seed))


def _some(name: str, value: int) -> None:
    if value < 1:
        raise InputError(f"`{name}` is {value}: it must be >= 1")
