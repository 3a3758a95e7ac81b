"""A run as pictures over time: sheets of fixed-noise samples, the strip and the animation made from them.

A sheet is a PNG that carries, in its text, how it is laid out and when it was drawn; so strip and animation can be
rebuilt from the files of a run folder alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pinxit.core import files
from pinxit.core.errors import InputError
from pinxit.viz import grids
from pinxit.viz.comparisons import PAD, TEXT, write

if TYPE_CHECKING:
    from torch import Tensor

KEY = "pinxit"


@dataclass(frozen=True)
class Sheet:
    """A grid of samples, taken apart or to be drawn.

    Args:
        tiles: one picture a sample, of one size; a scatter plot is one tile.
        columns: tiles a row.
        pad: pixels around a tile.
        step: rounds finished when it was drawn.
        images: real images shown until then.
    """

    tiles: tuple[Image.Image, ...]
    columns: int
    pad: int = PAD
    step: int = 0
    images: int = 0

    @classmethod
    def of(cls, samples: Tensor, *, step: int = 0, images: int = 0, extent: float | None = None) -> Sheet:
        """The sheet of samples (n, c, h, w); `extent` fixes the plot of points, so that several compare."""
        grids.check(samples, "samples")
        if grids.is_points(samples):
            return cls((grids.scatter(samples, extent or grids.extent_of(samples)),), 1, 0, step, images)
        return cls(tuple(grids.tiles(samples)), grids.square(len(samples)), PAD, step, images)

    def picture(self, paper: tuple[int, int, int, int] = grids.PAPER) -> Image.Image:
        """As `viz.grid` draws it, or on another paper."""
        return grids.lay(self.tiles, self.columns, self.pad, paper)

    def save(self, path: Path) -> None:
        """Write the PNG, whole or not at all."""
        about = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "tiles"}
        text = PngInfo()
        text.add_text(KEY, json.dumps({**about, "tile": self.tiles[0].size, "n": len(self.tiles)}))
        files.write_with(path, lambda temporary: self.picture().save(temporary, pnginfo=text))

    @classmethod
    def read(cls, path: Path) -> Sheet:
        """Take a saved sheet apart; raises InputError where the file is none."""
        try:
            with Image.open(path) as opened:
                opened.load()
                about, picture = json.loads(opened.info[KEY]), opened.copy()
        except (OSError, KeyError, json.JSONDecodeError) as error:
            raise InputError(f"{path} is not a sheet of samples that pinxit wrote: {error!r}") from None
        (width, height), n = about.pop("tile"), about.pop("n")
        pad, columns = about["pad"], about["columns"]
        corners = [(pad + k % columns * (width + pad), pad + k // columns * (height + pad)) for k in range(n)]
        return cls(tuple(picture.crop((x, y, x + width, y + height)) for x, y in corners), **about)


def sheets(run_dir: Path) -> list[Sheet]:
    """The sheets of a run folder in the order of time."""
    return [Sheet.read(path) for path in sorted((run_dir / "samples").glob("step-*.png"))]


def strip(frames: Sequence[Sequence[Image.Image]], labels: Sequence[str], title: str = "") -> Image.Image:
    """Fixed noise over time: one row a latent, one column a time.

    Args:
        frames: for every time, the pictures of the same latents in the same order.
        labels: one a time, above its column.
        title: what the labels are, above them at the left.

    Raises:
        InputError: there are no frames, or not as many labels, or frames of unequal length.
    """
    if not frames or len(frames) != len(labels) or len({len(frame) for frame in frames}) != 1 or not frames[0]:
        lengths = sorted({len(frame) for frame in frames})
        raise InputError(f"{len(frames)} `frames` of lengths {lengths} and {len(labels)} `labels`: give one label a frame, "
                         "and frames of one length >= 1")  # fmt: skip
    width, height = max(frame[0].size for frame in frames)
    line = TEXT + 7
    head = line * (2 if title else 1)
    size = (len(frames) * (width + PAD) - PAD, head + len(frames[0]) * (height + PAD) - PAD)
    sheet = Image.new("RGBA", size, grids.CLEAR)
    if title:
        write(sheet, title, (0, line // 2), "lm")
    for column, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        left = column * (width + PAD)
        write(sheet, label, (left + width // 2, head - line // 2 - 2), "mm")
        for row, tile in enumerate(frame):
            sheet.paste(_sized(tile, (width, height)), (left, head + row * (height + PAD)))
    return sheet


def animate(frames: Sequence[Image.Image], path: Path | str, ms: int = 160) -> None:
    """Write an endless animation, animated WebP or GIF by the suffix of `path`; the last picture stays ten times as long.

    Clear gutters stay clear in WebP and are white in GIF.

    Raises:
        InputError: no frames, another suffix, or `ms` below 1.
    """
    path = Path(path)
    if not frames:
        raise InputError("`frames` is empty: an animation needs at least one")
    if path.suffix not in (".webp", ".gif"):
        raise InputError(f"`path` {path} ends in {path.suffix!r}: it must end in .webp or .gif")
    if ms < 1:
        raise InputError(f"`ms` is {ms}: it must be >= 1")
    clear = path.suffix == ".webp" and all(frame.mode == "RGBA" for frame in frames)
    same = [_sized(frame if clear else _opaque(frame), frames[-1].size) for frame in frames]
    durations = [ms] * (len(same) - 1) + [10 * ms]
    form: dict[str, Any] = {"lossless": True, "method": 4} if path.suffix == ".webp" else {"optimize": True, "disposal": 1}
    form |= {"save_all": True, "append_images": same[1:], "duration": durations, "loop": 0}
    files.write_with(path, lambda temporary: same[0].save(temporary, **form))


def chosen(n: int, most: int, power: float = 1.0) -> list[int]:
    """At most `most` of the indices 0..n-1, first and last among them; `power` > 1 takes the early ones more densely."""
    if n <= most:
        return list(range(n))
    return sorted({round((k / (most - 1)) ** power * (n - 1)) for k in range(most)})


def short(count: float) -> str:
    """12345 as 12k, 1234567 as 1.2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            scaled = count / size
            return f"{scaled:.1f}{letter}".replace(".0", "") if scaled < 10 else f"{scaled:.0f}{letter}"
    return f"{count:.0f}"


def _opaque(picture: Image.Image) -> Image.Image:
    """On white, without transparency."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, grids.PAPER)
    white.alpha_composite(picture)
    return white.convert("RGB")


def _sized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`picture` in `size`: a growing model's early samples are smaller."""
    return picture if picture.size == size else picture.resize(size, Image.Resampling.NEAREST)
