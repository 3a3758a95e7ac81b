"""The shape of a data set, which is all that a system needs to know of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pinxit.core.errors import InputError


@dataclass(frozen=True)
class Spec:
    """What one sample looks like.

    Args:
        channels: values a pixel (1 grey, 3 RGB); for points in the plane, their dimension.
        height: rows of pixels; 1 for points.
        width: columns of pixels; 1 for points.
        levels: distinct values of a channel (256 for 8-bit images); 0 for continuous data, which is not bounded by [-1, 1].
        classes: number of classes; 0 where the data has no labels.
    """

    channels: int
    height: int
    width: int
    levels: int = 256
    classes: int = 0

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("height", 1), ("width", 1), ("levels", 0), ("classes", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"`{name}` of a Spec is {value!r}: it must be a whole number >= {least}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)

    @property
    def dim(self) -> int:
        """Numbers in one sample: channels * height * width."""
        return self.channels * self.height * self.width

    @property
    def continuous(self) -> bool:
        """Whether samples are unbounded real vectors rather than images in [-1, 1]."""
        return self.levels == 0

    def to_dict(self) -> dict[str, int]:
        """As plain numbers, for JSON; `Spec(**d)` is its inverse."""
        return asdict(self)
