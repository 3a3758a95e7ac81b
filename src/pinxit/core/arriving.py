"""What a data set hands to a run, held against what it says of itself: a data set may be anybody's code."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.protocols import Data

TOLERANCE = 1e-3
"""What an image may lie beyond [-1, 1]."""


def data_set(data: object) -> Data:
    """`data` itself; raises InputError where it is no data set, but a tensor or a DataLoader."""
    if not isinstance(data, Data):
        raise InputError(f"`data` is of type {type(data).__name__}: give what pinxit.data.load makes of it")
    return data


def checked(batches: Iterator[Batch], data: Data, size: int, left: int) -> Iterator[Batch]:
    """The batches of `data`, of `size` samples each, once the first is read: form and kind of every one, the values of the first.

    Args:
        batches: of `data`.
        data: says what they must be.
        size: samples in each.
        left: rounds that want one; without any nothing is read.

    Raises:
        InputError: other shapes or types than `Batch` and the spec say, images beyond [-1, 1], labels that are no class.
    """
    if not left:
        return batches
    first = _next(batches, data, size)
    if wrong := _values(first, data):  # read back now and not in a round, where the CPU waits for nothing
        raise InputError(f"a batch of {data.name} {wrong}")
    return chain((first,), _rest(batches, data, size))


def _rest(batches: Iterator[Batch], data: Data, size: int) -> Iterator[Batch]:
    while True:
        yield _next(batches, data, size)


def _next(batches: Iterator[Batch], data: Data, size: int) -> Batch:
    batch = next(batches, None)
    if batch is None:
        raise InputError(
            f"the batches of {data.name} came to an end: `batches` gives one for each index tensor of an endless order"
        )
    if wrong := _form(batch, data, size):
        raise InputError(f"a batch of {data.name} {wrong}")
    return batch


def _form(batch: object, data: Data, size: int) -> str:
    if not isinstance(batch, Batch):
        return f"is a {type(batch).__name__}: it must be a pinxit.core.game.Batch(images, labels)"
    x, y, want = batch.images, batch.labels, (size, *data.spec.shape)
    if not isinstance(x, Tensor) or tuple(x.shape) != want:
        return f"has images of shape {tuple(getattr(x, 'shape', ()))}: {size} indices were asked for, so it must be {want}"
    if x.dtype != torch.float32:
        return f"has images of {x.dtype}: they must be torch.float32"
    if y is None:
        return (
            f"has no labels, its spec says {data.spec.classes} classes: give them, or a spec without" if data.spec.classes else ""
        )
    if tuple(y.shape) != (size,) or y.dtype != torch.int64:
        return f"has labels of shape {tuple(y.shape)} and {y.dtype}: they must be ({size},) and torch.int64"
    return ""


def _values(batch: Batch, data: Data) -> str:
    if not data.spec.continuous:
        low, high = (float(end) for end in batch.images.detach().aminmax())
        if low < -1 - TOLERANCE or high > 1 + TOLERANCE:
            return f"has images with values of {low:g} to {high:g}: they must be in [-1, 1]"
    if batch.labels is not None and data.spec.classes:
        low, high = (int(end) for end in batch.labels.aminmax())
        if low < -1 or high >= data.spec.classes:
            return f"has labels of {low} to {high}: its spec says {data.spec.classes} classes, 0 to {data.spec.classes - 1}"
    return ""
