"""What a feature network is to a metric, and what all of them do with the images they are given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError


@runtime_checkable
class Features(Protocol):
    """Maps images to rows of numbers among which distances are taken."""

    @property
    def name(self) -> str:
        """As printed with a score: `lenet:mnist`, `efficientnet_lite0`, `inception-2015`, `pixels`, `random-conv`."""
        ...

    @property
    def digest(self) -> str:
        """A hash of weights and preprocessing, 16 hexadecimal digits: scores of different digests are not comparable."""
        ...

    @property
    def dim(self) -> int:
        """Numbers a row."""
        ...

    def describe(self) -> str:
        """One line: input size, resize filter, value range, preprocessing, the weights' source and licence, accuracy."""
        ...

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features of images in [-1, 1], float32, on the device of `images`."""
        ...


@runtime_checkable
class Classifies(Features, Protocol):
    """Features that also tell classes, as the inception score and mode counts need."""

    @property
    def classes(self) -> int:
        """The number of classes."""
        ...

    def told(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """p(class | image) of images that have these features, float32; rows sum to 1."""
        ...


def digest_of(weights: Mapping[str, Tensor], preprocessing: str) -> str:
    """A hash of named tensors and of a line on what is done to images before them, 16 hexadecimal digits."""
    digest = hashlib.blake2b(preprocessing.encode(), digest_size=8)
    for name, t in sorted(weights.items()):
        content = t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest.update(repr((name, tuple(t.shape), str(t.dtype))).encode())
        digest.update(content.data)
    return digest.hexdigest()


def check_images(images: Tensor, name: str) -> None:
    """Refuse what is not a batch of floats in [-1, 1]: images in [0, 255] or 8-bit ones give numbers, and wrong ones."""
    if images.ndim != 4 or not images.is_floating_point() or not images.numel():
        raise InputError(f"images for {name} are {tuple(images.shape)} {images.dtype}: they must be (n, c, h, w) floats, n >= 1")
    low, high = (float(end) for end in images.aminmax())
    if low < -1 - 1e-3 or high > 1 + 1e-3:
        raise InputError(f"images for {name} have values of {low:g} to {high:g}: they must be in [-1, 1]")


def to_rgb(images: Tensor, name: str) -> Tensor:
    """Three channels, a grey one repeated; refuses other numbers."""
    if images.shape[1] not in (1, 3):
        raise InputError(f"images for {name} have {images.shape[1]} channels: it reads grey (1, repeated) or RGB (3)")
    return images.expand(-1, 3, -1, -1)
