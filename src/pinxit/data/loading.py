"""`load`: from a name, a path or a tensor to a data set. A wrong name answers without importing torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinxit.core.errors import InputError, near
from pinxit.data import catalogue

if TYPE_CHECKING:
    from pinxit.data.arrays import Images
    from pinxit.data.points import Points
    from pinxit.data.stacked import Stacked
    from pinxit.data.store import Store
    from pinxit.data.stream import Stream

LARGEST = 8192


def load(
    source: Any = catalogue.DEFAULT,
    *,
    split: str = "train",
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    crop: str = "centre",
    mirror: bool = False,
    stream: bool = False,
    workers: int = 0,
    skip_bad: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Store | Stream | Points | Stacked:
    """A data set.

    Args:
        source: a name of `names()` (a folder of that name is `./name`); else a path: a folder of images (sub-folders are
            classes, in sorted order), a zip of images (StyleGAN's `dataset.json` is read), a .npy or .npz file; else a torch
            tensor or numpy array of images (uint8, or floats in [0, 1] or [-1, 1]; see `pinxit.data.arrays.to_pixels`), or
            a pair (images, labels) of them. Grey arrays whose pixels are all black or white are bits (`pinxit.core.bits`);
            a label -1, or null in `dataset.json`, says that the class is unknown.
        split: "train" or "test" (mnist-larochelle: "valid" too); `.has_test` of the result says whether there is a test split.
        size: height and width in pixels, one number or a pair (h, w); None keeps the size, which must then be one.
        channels: 1 or 3; None is 1 where every image is grey, else 3.
        crop: "centre" scales the short side and cuts the middle out, "stretch" ignores the aspect ratio.
        mirror: double the set: index n + i is image i flipped left to right.
        stream: decode a folder or zip on demand instead of packing it once into a cache; the same images in the same order.
        workers: processes that read ahead when streaming.
        skip_bad: leave out files that can't be decoded, instead of refusing the set.
        seed: fixes the samples of "ring" and "grid" and which digits are stacked; other images do not depend on it.
        progress: called with (done, total) while files are decoded into the cache.

    Raises:
        InputError: a wrong argument, a source that is not there, or images that can't be loaded as asked.
    """
    valid = split == "valid" and isinstance(source, str) and source == catalogue.LAROCHELLE
    shape = check("test" if valid else split, size, channels, crop)
    _check_workers(stream, workers)
    options = {"channels": channels, "crop": crop, "mirror": mirror, "stream": stream, "workers": workers, "skip_bad": skip_bad}
    data = _load(source, split, shape, seed, progress, **options)
    if split == "train" and data.has_test and data.load_test is None:
        spec = data.spec
        form = {} if spec.continuous else {"size": (spec.height, spec.width), "channels": spec.channels, "crop": crop}
        data.load_test = partial(load, source, split="test", **form, stream=stream, workers=workers, skip_bad=skip_bad, seed=seed)
    return data


def _load(
    source: Any,
    split: str,
    shape: tuple[int, int] | None,
    seed: int,
    progress: Callable[[int, int], None] | None,
    *,
    channels: int | None,
    crop: str,
    mirror: bool,
    stream: bool,
    workers: int,
    skip_bad: bool,
) -> Store | Stream | Points | Stacked:
    """The data set of checked arguments."""
    kind = kind_of(source)
    if stream and kind != "files":
        what = "a tensor" if kind == "memory" else source
        raise InputError(f"`stream` is for folders and zips of images: {what} is held in memory")
    if kind == "points":
        if shape or channels or mirror:
            raise InputError(f"{source} holds points in the plane: `size`, `channels` and `mirror` are for images")
        from pinxit.data.points import Points

        return Points(str(source), split, seed=seed)
    if kind == "stacked":
        if shape or channels or mirror:
            raise InputError(f"{source} holds stacked digits of 28x28: `size`, `channels` and `mirror` do not apply")
        from pinxit.data.stacked import Stacked

        return Stacked(str(source), split, seed=seed)
    if kind == "bits":
        return _bits(str(source), split, shape, channels, crop, mirror)
    if kind == "files":
        from pinxit.data.pack import load_files

        options = {"channels": channels, "crop": crop, "mirror": mirror, "stream": stream, "workers": workers}
        return load_files(Path(source).expanduser(), split=split, size=shape, skip_bad=skip_bad, progress=progress, **options)
    return _in_memory(source, kind, split, shape, channels, crop, mirror)


def _in_memory(
    source: Any, kind: str, split: str, size: tuple[int, int] | None, channels: int | None, crop: str, mirror: bool
) -> Store:
    """A Store of a named set, an array file or an array."""
    import torch

    from pinxit.data import arrays, binarised, decode, notes
    from pinxit.data.store import Store

    name, read = _read(source, kind, split)
    _, own, height, width = read.pixels.shape
    form = decode.Form(*(size or (height, width)), channels or own, crop)
    class_names = catalogue.CLASS_NAMES.get(name) or tuple(str(c) for c in range(read.classes))
    pixels = decode.refit(read.pixels, form)
    made = Store
    if kind != "named" and arrays.are_bits(pixels):
        made = partial(binarised.Bits, "fixed")
        read.notes.append("every pixel is black or white: they are taken for bits, fixed as they are")
    return made(
        name,
        torch.from_numpy(pixels),
        None if read.labels is None else torch.from_numpy(read.labels),
        class_names=class_names,
        notes=read.notes + notes.on_labels(read.labels, class_names),
        mirror=mirror,
        has_test=read.has_test,
    )


def _bits(name: str, split: str, size: tuple[int, int] | None, channels: int | None, crop: str, mirror: bool) -> Store:
    """A set of bits, made of a grey one or read from its own files."""
    made = catalogue.bits_of(name)
    if made is None and (size not in (None, (28, 28)) or channels not in (None, 1) or mirror):
        raise InputError(f"{name} holds bits of 28x28 pixels: `size`, `channels` and `mirror` do not apply")
    from pinxit.data import binarised

    if made is None:
        return binarised.larochelle(split)
    base, how = made
    return binarised.of_grey(_in_memory(base, "named", split, size, channels, crop, mirror), name, how, split)


def _read(source: Any, kind: str, split: str) -> tuple[str, Images]:
    """The name of the set and its images."""
    from pinxit.data import arrays

    if kind == "named":
        from pinxit.data.named import read

        images, labels = read(str(source), split)
        pixels, notes = arrays.to_pixels(images, str(source), channels_last_first=True)
        return str(source), arrays.Images(pixels, labels, len(catalogue.CLASS_NAMES[str(source)]), True, notes)
    if kind == "npz":
        return Path(source).stem, arrays.read_npz(Path(source).expanduser(), split)
    if split == "test":
        what = source if kind == "npy" else "a tensor"
        raise InputError(f"{what} has no test split: load it as `split` train, or split it yourself")
    return (
        (Path(source).stem, arrays.read_npy(Path(source).expanduser()))
        if kind == "npy"
        else ("tensor", arrays.from_memory(source))
    )


def kind_of(source: Any) -> str:
    """What a source is: points, stacked, bits, named, npz, npy, files or memory; raises InputError where it is nothing."""
    if not isinstance(source, (str, os.PathLike)):
        return "memory"
    text = os.fspath(source)
    if text in ("ring", "grid"):
        return "points"
    if text in catalogue.STACKED:
        return "stacked"
    if text == catalogue.LAROCHELLE or catalogue.bits_of(text) is not None:
        return "bits"
    if text in catalogue.names():
        return "named"
    path = Path(text).expanduser()
    if path.is_dir() and text:  # "" would be the folder that we are in
        return "files"
    kinds = {".npz": "npz", ".npy": "npy", ".zip": "files"}
    if not path.is_file():
        raise InputError(f"no data `{text}`: it is neither a named set nor a path that exists; {near(text, catalogue.names())}")
    if path.suffix.lower() not in kinds:
        raise InputError(f"{path} ends in {path.suffix!r}: give a folder or a {', '.join(sorted(kinds))} file")
    return kinds[path.suffix.lower()]


def check(split: str, size: Any, channels: int | None, crop: str) -> tuple[int, int] | None:
    """Refuse wrong values of these arguments of `load`; return `size` as (height, width) or None."""
    for name, value, allowed in (("split", split, ("train", "test")), ("crop", crop, ("centre", "stretch"))):
        if value not in allowed:
            raise InputError(f"`{name}` is {value!r}: {near(str(value), allowed)}")
    if channels not in (None, 1, 3):
        raise InputError(f"`channels` is {channels!r}: it must be 1 (grey), 3 (RGB) or None")
    sides = (size,) if not isinstance(size, (tuple, list)) else tuple(size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= LARGEST for side in sides)
    if size is not None and not (whole and len(sides) == (1 if isinstance(size, int) else 2)):
        raise InputError(f"`size` is {size!r}: it must be whole pixels from 1 to {LARGEST}, one number or (height, width)")
    return None if size is None else (sides[0], sides[-1])


def _check_workers(stream: bool, workers: int) -> None:
    if not isinstance(workers, int) or workers < 0:
        raise InputError(f"`workers` is {workers!r}: it must be a whole number >= 0")
    if workers and not stream:
        raise InputError(f"`workers` is {workers} without `stream`: only streaming reads ahead; drop it, or add --stream")
