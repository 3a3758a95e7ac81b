"""Grey image sets as bits, under names that say how: `<set>-dynamic`, `<set>-fixed`, `<set>-threshold`, `mnist-larochelle`.

The same model's likelihood differs by nats between them, so each is a data set of its own (Salakhutdinov & Murray 2008;
Larochelle & Murray 2011; Burda et al. 2016). The bits of `<set>-fixed` are our own draw, not those of Larochelle's files,
which the literature calls binarised MNIST; where these lie in the data folder, `mnist-larochelle` loads them. A user's array of
bits is fixed too: nothing is left to draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from pinxit.core.errors import InputError
from pinxit.core.protocols import Data
from pinxit.core.rng import seed_of
from pinxit.data import catalogue
from pinxit.data.store import Store

BLOCK = 2**22
SIZES = {"train": 50_000, "valid": 10_000, "test": 10_000}


class Bits(Store):
    """A set of images that are bits, 0 and 255 in memory, or with `how` "dynamic" grey levels that stand for bits."""

    def __init__(self, how: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.spec = replace(self.spec, levels=2, binarised=how)


def of_grey(grey: Store, name: str, how: str, split: str) -> Bits:
    """The bits of the images of a grey set.

        fixed   bit of pixel j of image i = [u_(i D + j) < level], u the Philox stream of the set's name and split, D the pixels

    Args:
        grey: images of one channel; flipped copies get flipped bits.
        name: of the result.
        how: dynamic, fixed or threshold.
        split: "train" or "test", another stream each; the same in every process and on every machine.

    Raises:
        InputError: the images are not grey.
    """
    if grey.spec.channels != 1:
        raise InputError(
            f"{name} makes bits of grey levels, but the images have {grey.spec.channels} channels: take --channels 1"
        )
    pixels = grey.images.numpy()
    if how == "fixed":
        pixels = _drawn(pixels, seed_of("bits", name, split))
    elif how == "threshold":
        pixels = np.where(pixels > 127, np.uint8(255), np.uint8(0))
    options: dict[str, Any] = {"class_names": grey.class_names, "mirror": grey.mirror, "has_test": grey.has_test}
    note = {"fixed": ("bits drawn by pinxit, not Larochelle's: compare with published figures of fixed binarisation with care",)}
    return Bits(how, name, torch.from_numpy(pixels), grey.labels, notes=(*grey.notes, *note.get(how, ())), **options)


def drawn_once(data: Data) -> Data:
    """The bits of dynamic data, drawn once, with those of its test split; other data as they are."""
    if not isinstance(data, Store) or data.spec.binarised != "dynamic":
        return data
    bits, test = of_grey(data, data.name, "fixed", "train"), data.test()
    if isinstance(test, Store):
        bits.load_test = partial(of_grey, test, data.name, "fixed", "test")
    return bits


def larochelle(split: str) -> Bits:
    """A split, "train", "valid" or "test", of Larochelle's binarised MNIST: 50,000, 10,000 and 10,000 images, without labels.

    Raises:
        InputError: its file is not in the data folder, or is not what it should be.
    """
    path = catalogue.folder() / f"binarized_mnist_{split}.amat"
    if not path.is_file():
        raise InputError(f"no {path}: {catalogue.how_to_get('mnist-larochelle')}")
    text = np.frombuffer(path.read_bytes(), np.uint8)
    digits = text[~np.isin(text, np.frombuffer(b" \t\r\n", np.uint8))] - ord("0")
    if digits.size != SIZES[split] * 784 or digits.max(initial=0) > 1:
        what = f"{digits.size} characters that are no space, {'all' if digits.max(initial=0) <= 1 else 'not all'} 0 or 1"
        raise InputError(f"{path} holds {what}: {SIZES[split]} lines of 784 digits 0 or 1 are needed; get it anew")
    images = torch.from_numpy(digits * np.uint8(255)).view(-1, 1, 28, 28)
    return Bits(
        "fixed", "mnist-larochelle", images, notes=("Larochelle's draw; its pixels have no labels",), has_test=split == "train"
    )


def _drawn(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Each pixel 255 with probability pixel / 255, else 0; number k of the stream decides pixel k in reading order."""
    flat = pixels.reshape(-1)
    pieces = (u * np.uint64(255) >> np.uint64(32) < flat[start : start + BLOCK] for start, u in _stream(flat.size, seed))
    bits = np.concatenate(list(pieces)) if flat.size else np.zeros(0, bool)
    return (bits * np.uint8(255)).reshape(pixels.shape)


def _stream(n: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of n whole numbers below 2^32, and where each begins: a counter-based generator (Salmon et al. 2011)."""
    philox = np.random.Philox(key=seed)
    for start in range(0, n, BLOCK):
        yield start, philox.random_raw(min(BLOCK, n - start)) >> np.uint64(32)
