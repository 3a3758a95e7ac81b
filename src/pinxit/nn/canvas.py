"""The feature maps that are kept while images are painted pixel by pixel, so that a layer computes its new pixels only.

A map of H x W pixels lies in a buffer (n, positions, channels): p rows of padding on top, and p columns before each row, which
are the padding on the right of the row above too:

    position(r, c) = (r + p)(W + p) + p + c

So every tap of a kernel is a fixed distance away, taps that are neighbours in a row are neighbours in memory, and the pixels
that a wavefront computes at one time, (r, t - s r) for all r, are evenly spaced: a kernel reads views, and nothing is gathered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Sites:
    """Pixels that are computed together: evenly spaced positions.

    Args:
        start: position of the first.
        step: distance of one from the next.
        count: how many.
    """

    start: int
    step: int
    count: int


class Canvas:
    """The kept maps of `n` images of height x width pixels, all padded by `pad`.

    `slope` is the order in which pixels are visited, see `front`; the width is the raster's.

    Memory: n (H + p)(W + p) numbers a kept channel. `kept` holds maps, `held` whatever else a layer prepares in `begin`.
    """

    def __init__(self, n: int, height: int, width: int, pad: int, like: Tensor, slope: int = 0) -> None:
        self.n, self.height, self.width, self.pad = n, height, width, pad
        self.slope = slope or width
        self.stride = width + pad
        self.positions = (height + pad) * self.stride + pad
        self.like = like
        self.kept: dict[object, Tensor] = {}
        self.held: dict[object, Any] = {}

    def keep(self, key: object, channels: int) -> Tensor:
        """A new map (n, positions, channels) of zeros under `key`, of the type and on the device of `like`."""
        self.kept[key] = self.like.new_zeros(self.n, self.positions, channels)
        return self.kept[key]

    def sites(self, row: int, column: int, *, slope: int = 0, count: int = 1) -> Sites:
        """The pixels (row + i, column - slope i), i < count."""
        return Sites((row + self.pad) * self.stride + self.pad + column, self.stride - slope if count > 1 else 1, count)

    def front(self, time: int) -> Sites | None:
        """The pixels that are visited at `time`, if any."""
        found = front(self.height, self.width, self.slope, time) if time >= 0 else None
        return found and self.sites(found[0], found[1], slope=self.slope, count=found[2])

    def row(self, row: int) -> Sites:
        """A whole row, from left to right."""
        return Sites((row + self.pad) * self.stride + self.pad, 1, self.width)

    def read(self, key: object, sites: Sites, *, up: int = 0, right: int = 0, taps: int = 1, more: int = 0) -> Tensor:
        """What `taps` neighbours in a row hold, from the one `up` rows above and `right` columns right of each site on.

        Returns:
            A view (n, count, taps * channels + more), the leftmost tap first; `more` are the first channels of the next tap.
        """
        kept = self.kept[key]
        channels = kept.shape[2]
        start = sites.start - up * self.stride + right
        shape = (self.n, sites.count, taps * channels + more)
        return kept.as_strided(shape, (kept.stride(0), sites.step * channels, 1), start * channels)

    def write(self, key: object, sites: Sites, values: Tensor, channel: int = 0) -> None:
        """Keep the channels from `channel` on (n, count, c) of the map at the sites."""
        kept = self.kept[key]
        channels = kept.shape[2]
        shape, strides = values.shape, (kept.stride(0), sites.step * channels, 1)
        kept.as_strided(shape, strides, sites.start * channels + channel).copy_(values)

    def image(self, key: object) -> Tensor:
        """The map without its padding, (n, channels, height, width), as a view."""
        kept = self.kept[key]
        channels = kept.shape[2]
        shape = (self.n, channels, self.height, self.width)
        strides = (kept.stride(0), 1, self.stride * channels, channels)
        return kept.as_strided(shape, strides, self.row(0).start * channels)


def front(height: int, width: int, slope: int, time: int) -> tuple[int, int, int] | None:
    """(first row, its column, count) of the pixels with c + slope r = time; None where there are none."""
    first = max(0, -(-(time - width + 1) // slope))
    last = min(height - 1, time // slope)
    return (first, time - slope * first, last - first + 1) if first <= last else None


def steps(height: int, width: int, slope: int) -> int:
    """The number of times t = c + slope r: W + slope (H - 1)."""
    return width + slope * (height - 1)


def wavefront(height: int, width: int, slope: int) -> list[tuple[int, int, int]]:
    """The `front` of all times that have one.

    Its pixels may be computed together where a pixel depends on none of a row u above that is `slope` u columns right of it or
    further. Slope W or more is the raster order, one pixel at a time.
    """
    fronts = (front(height, width, slope, time) for time in range(steps(height, width, slope)))
    return [found for found in fronts if found is not None]
