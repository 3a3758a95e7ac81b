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
        binarised: "fixed" or "threshold" where the images are bits, -1 and 1; "dynamic" where they are grey levels that stand
            for bits, to be drawn anew whenever they are looked at (`pinxit.core.bits`): `levels` is 2; "" otherwise.
        unlabelled: whether the class of some images is unknown (`pinxit.core.labels`), though there are classes.
    """

    channels: int
    height: int
    width: int
    levels: int = 256
    classes: int = 0
    binarised: str = ""
    unlabelled: bool = False

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("height", 1), ("width", 1), ("levels", 0), ("classes", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"`{name}` of a Spec is {value!r}: it must be a whole number >= {least}")
        if self.levels == 1:
            raise InputError("`levels` of a Spec is 1: a channel has 2 values or more, or 0 for continuous data")
        if self.binarised not in ("", "dynamic", "fixed", "threshold"):
            raise InputError(f"`binarised` of a Spec is {self.binarised!r}: it must be dynamic, fixed, threshold or empty")
        if self.binarised and self.levels != 2:
            raise InputError(f"a Spec that is `binarised` has 2 `levels`, not {self.levels}")
        if self.unlabelled and not self.classes:
            raise InputError("a Spec that is `unlabelled` in part has `classes`: give their number, or leave it out")

    def __repr__(self) -> str:
        # Fingerprints of data hash this: a set without these two must read as it always did.
        return f"Spec({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

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

    def to_dict(self) -> dict[str, int | str]:
        """As plain values, for JSON, `binarised` and `unlabelled` only where they are set; `Spec(**d)` is its inverse."""
        return {name: value for name, value in asdict(self).items() if name not in ("binarised", "unlabelled") or value}


def specified(spec: object) -> Spec:
    """`spec` itself; raises InputError where it is none: the data, say, or a shape."""
    if not isinstance(spec, Spec):
        raise InputError(f"`spec` is of type {type(spec).__name__}: it must be a Spec, `data.spec` of what `load` gives")
    return spec
