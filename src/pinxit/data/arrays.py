"""Images that come as arrays: torch tensors, numpy arrays, .npy and .npz files. All become uint8 (n, c, h, w)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pinxit.core.errors import InputError
from pinxit.core.labels import UNKNOWN

_IMAGE_KEYS = ("images", "x", "data", "arr_0")
_LABEL_KEYS = ("labels", "y", "targets")


@dataclass
class Images:
    """Images read from arrays.

    Args:
        pixels: (n, c, h, w) uint8, contiguous.
        labels: (n,) int64 in [0, classes), -1 where unknown, or None.
        classes: over all splits of the source, so that train and test agree.
        has_test: whether the source has a test split.
        notes: one line each.
    """

    pixels: np.ndarray
    labels: np.ndarray | None = None
    classes: int = 0
    has_test: bool = False
    notes: list[str] = field(default_factory=list)


def from_memory(source: Any) -> Images:
    """A tensor, an array, or a pair (images, labels) of them; see `to_pixels`; raises InputError."""
    images, labels = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    array = _numpy(images, "source")
    pixels, notes = to_pixels(array, "source", channels_last_first=not _is_tensor(images))
    if np.may_share_memory(pixels, array):  # what the caller does to the array later must not reach a run
        pixels = pixels.copy()
    if labels is None:
        return Images(pixels, notes=notes)
    whole = to_labels(_numpy(labels, "labels"), len(pixels), "source")
    classes = int(whole.max()) + 1
    return Images(pixels, whole if classes else None, classes, notes=notes)


def read_npy(path: Path) -> Images:
    """The images in a .npy file; raises InputError naming the file."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"can't read {path} as a .npy array: {error}") from None
    pixels, notes = to_pixels(array, str(path), channels_last_first=True)
    return Images(pixels, notes=notes)


def read_npz(path: Path, split: str) -> Images:
    """A split of a .npz file.

    Its keys are x_train, y_train, x_test, y_test; or images (x, data) and labels (y, targets); or one array of any name.

    Raises:
        InputError: naming the file and what is missing or wrong in it.
    """
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            keys = set(archive.files)
            x_key, y_key = _keys(keys, split, path)
            array = archive[x_key]
            others = [archive[key] for key in {"x_train", "x_test"} & keys - {x_key} if _range_is_open(array)]
            # Both splits' labels, so that a class missing from one of them keeps its number.
            labels = {key: archive[key] for key in {y_key, "y_train", "y_test"} & keys}
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each raise their own on damage
        raise InputError(f"can't read {path} as a .npz archive: {error}") from None
    pixels, notes = to_pixels(array, f"{path}:{x_key}", channels_last_first=True, others=others)
    has_test = {"x_train", "x_test"} <= keys
    if y_key not in labels:
        return Images(pixels, has_test=has_test, notes=notes)
    whole = {key: to_labels(value, len(pixels if key == y_key else value), f"{path}:{key}") for key, value in labels.items()}
    classes = max(int(y.max()) for y in whole.values()) + 1
    return Images(pixels, whole[y_key] if classes else None, classes, has_test, notes)


def to_pixels(
    array: np.ndarray, where: str, *, channels_last_first: bool, others: Sequence[np.ndarray] = ()
) -> tuple[np.ndarray, list[str]]:
    """An array as contiguous uint8 (n, c, h, w), and notes.

    Shapes: (n, h, w), (n, c, h, w), (n, h, w, c) with c of 1 or 3; where both readings fit, a torch tensor is taken to
    have its channels first and a numpy array (`channels_last_first`) to have them last.
    Values: uint8; other whole numbers within [0, 255]; booleans; floats within [0, 1], or within [-1, 1] if any is
    negative, which are rounded to 256 levels. Whole numbers 0 and 1 are black and white. Anything else is refused.
    `others` are the other splits of the same images: what one split says of the range holds for all.

    Raises:
        InputError: naming the shape or the range and what is allowed.
    """
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4:
        first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
        if last and (channels_last_first or not first):
            array = array.transpose(0, 3, 1, 2)
        elif not first:
            raise InputError(f"images in {where} have shape {array.shape}: there must be 1 or 3 channels, second or last")
    else:
        raise InputError(f"images in {where} have shape {array.shape}: it must be (n, h, w), (n, c, h, w) or (n, h, w, c)")
    if array.size == 0:
        raise InputError(f"images in {where} have shape {array.shape}: there are none")
    others = [part for part in others if part.dtype.kind in "fiub"]
    array, notes = _eight_bits(array, where, signed=any((part < 0).any() for part in (array, *others)))
    top = int(array.max())
    if top == int(array.min()):
        notes.append(f"every pixel in {where} has the value {top} of 255")
    elif top == 1 and all((part <= 1).all() for part in others):
        array = array * np.uint8(255)
        notes.append(f"the pixels in {where} are 0 and 1: they were read as black and white")
    return np.ascontiguousarray(array), notes


def are_bits(pixels: np.ndarray) -> bool:
    """Whether uint8 images (n, c, h, w) are grey and all their pixels 0 or 255, both of which occur."""
    if pixels.shape[1] != 1:
        return False
    held = set()
    for start in range(0, len(pixels), 1000):
        held.update(np.unique(pixels[start : start + 1000]).tolist())
        if not held <= {0, 255}:
            return False
    return held == {0, 255}


def to_labels(labels: np.ndarray, n: int, where: str) -> np.ndarray:
    """Labels as int64 (n,), -1 where unknown, from whole numbers (n,) or (n, 1) or one-hot rows (n, k); raises InputError."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and (labels.sum(1) == 1).all() and ((labels == 0) | (labels == 1)).all():
        labels = labels.argmax(1)
    if labels.shape != (n,):
        raise InputError(f"labels in {where} have shape {labels.shape}: it must be ({n},), or ({n}, k) one-hot")
    if labels.dtype.kind not in "iub" and not (labels.dtype.kind == "f" and (labels == np.rint(labels)).all()):
        raise InputError(f"labels in {where} are {labels.dtype}: they must be whole numbers from 0, -1 for unknown")
    labels = labels.astype(np.int64)
    if labels.min() < UNKNOWN:
        raise InputError(f"labels in {where} go down to {labels.min()}: they must be whole numbers from 0, -1 for unknown")
    return labels


def _eight_bits(array: np.ndarray, where: str, *, signed: bool) -> tuple[np.ndarray, list[str]]:
    if array.dtype == np.uint8:
        return array, []
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255), []
    low, high = array.min(), array.max()
    if array.dtype.kind in "iu":
        if low < 0 or high > 255:
            raise InputError(f"images in {where} are {array.dtype} in [{low}, {high}]: whole numbers must be within [0, 255]")
        return array.astype(np.uint8), []
    if array.dtype.kind != "f":
        raise InputError(f"images in {where} are {array.dtype}: they must be uint8 or floats")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"images in {where} go from {low:g} to {high:g}: every value must be a number in [0, 1] or [-1, 1]")
    if not (low >= -1 and high <= 1):
        raise InputError(f"images in {where} are floats in [{low:g}, {high:g}]: scale them to [0, 1] or [-1, 1]")
    scaled = array.astype(np.float64)
    scaled = (scaled + 1) * 127.5 if signed else scaled * 255
    rounded = np.rint(scaled)
    inexact = np.abs(scaled - rounded).max() > 0.01
    notes = [f"the floats in {where} were read as [{'-1' if signed else '0'}, 1] and rounded to 256 levels"] if inexact else []
    return rounded.astype(np.uint8), notes


def _range_is_open(array: np.ndarray) -> bool:
    """Whether another split can show what these values mean: no float is negative, or no whole number over 1."""
    if array.size == 0 or array.dtype.kind not in "fiu":
        return False
    return bool(array.min() >= 0) if array.dtype.kind == "f" else bool(array.max() == 1)


def _keys(keys: set[str], split: str, path: Path) -> tuple[str, str]:
    """The keys of the images and of the labels of a split; the latter may be absent from `keys`."""
    if "x_train" in keys:
        if f"x_{split}" not in keys:
            raise InputError(f"{path} has no {split} split: its keys are {', '.join(sorted(keys))}; add x_{split}")
        return f"x_{split}", f"y_{split}"
    if split == "test":
        raise InputError(f"{path} has no test split: its keys are {', '.join(sorted(keys))}; x_train and x_test would make two")
    found = next((key for key in _IMAGE_KEYS if key in keys), None) or (next(iter(keys)) if len(keys) == 1 else None)
    if found is None:
        raise InputError(f"{path} has the keys {', '.join(sorted(keys))}: name them x_train and y_train, or images and labels")
    return found, next((key for key in _LABEL_KEYS if key in keys), "")


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _numpy(value: Any, name: str) -> np.ndarray:
    if _is_tensor(value):
        value = value.detach().cpu()
        return (value.float() if value.is_floating_point() else value).numpy()
    if isinstance(value, np.ndarray):
        return value
    if name == "labels":
        raise InputError(f"`labels` is of type {type(value).__name__}: give a tensor or an array (np.array(labels))")
    if isinstance(value, (list, tuple)):
        fix = "np.stack makes one of a list of images; images with labels are a pair (images, labels)"
    else:
        fix = "of a Dataset, torch.stack([x for x, y in dataset]), with labels a pair (images, labels)"
    raise InputError(f"`{name}` is of type {type(value).__name__}: give a name, a path, a tensor or an array; {fix}")
