"""The feature maps that are kept while images are painted pixel by pixel, so that a layer computes its new pixels only.

A map of H x W pixels lies in a buffer (n, positions, channels): p rows of padding on top, and p columns before each row, which
are the padding on the right of the row above too:

    position(r, c) = (r + p)(W + p) + p + c

So every tap of a kernel is a fixed distance away, taps that are neighbours in a row are neighbours in memory, and the pixels
that a wavefront computes at one time, (r, t - s r) for all r, are evenly spaced: a kernel reads views, and nothing is gathered.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    Memory: n (H + p)(W + p) numbers a kept channel.
    """

    def __init__(self, n: int, height: int, width: int, pad: int, like: Tensor) -> None:
        self.n, self.height, self.width, self.pad = n, height, width, pad
        self.stride = width + pad
        self.positions = (height + pad) * self.stride + pad
        self.like = like
        self.kept: dict[object, Tensor] = {}

    def keep(self, key: object, channels: int) -> Tensor:
        """A new map (n, positions, channels) of zeros under `key`, of the type and on the device of `like`."""
        self.kept[key] = self.like.new_zeros(self.n, self.positions, channels)
        return self.kept[key]

    def sites(self, row: int, column: int, *, slope: int = 0, count: int = 1) -> Sites:
        """The pixels (row + i, column - slope i), i < count."""
        return Sites((row + self.pad) * self.stride + self.pad + column, self.stride - slope, count)

    def row(self, row: int) -> Sites:
        """A whole row, from left to right."""
        return Sites((row + self.pad) * self.stride + self.pad, 1, self.width)

    def read(self, key: object, sites: Sites, *, up: int = 0, right: int = 0, taps: int = 1) -> Tensor:
        """What `taps` neighbours in a row hold, from the one `up` rows above and `right` columns right of each site on.

        Returns:
            A view (n, count, taps * channels), the leftmost tap first.
        """
        kept = self.kept[key]
        channels = kept.shape[2]
        start = sites.start - up * self.stride + right
        shape = (self.n, sites.count, taps * channels)
        return kept.as_strided(shape, (kept.stride(0), sites.step * channels, 1), start * channels)

    def write(self, key: object, sites: Sites, values: Tensor) -> None:
        """Keep the first channels (n, count, c) of the map at the sites."""
        start, step, count = sites.start, sites.step, sites.count
        self.kept[key][:, start : start + step * (count - 1) + 1 : step, : values.shape[2]] = values

    def image(self, key: object) -> Tensor:
        """The map without its padding, (n, channels, height, width), as a view."""
        kept = self.kept[key]
        channels = kept.shape[2]
        shape = (self.n, channels, self.height, self.width)
        strides = (kept.stride(0), 1, self.stride * channels, channels)
        return kept.as_strided(shape, strides, self.row(0).start * channels)


def wavefront(height: int, width: int, slope: int) -> list[tuple[int, int, int]]:
    """(first row, its column, count) of the pixels with c + slope r = t, for t = 0, 1, ..., W - 1 + slope (H - 1).

    They may be computed together where a pixel depends on none of a row u above that is `slope` u columns right of it or
    further. Slope W or more is the raster order, one pixel at a time.
    """
    steps = []
    for t in range(width + slope * (height - 1)):
        first = max(0, -(-(t - width + 1) // slope))
        last = min(height - 1, t // slope)
        if first <= last:
            steps.append((first, t - slope * first, last - first + 1))
    return steps
