"""`load`: from the name that is printed with a score to the feature network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pinxit.core.errors import InputError, near
from pinxit.core.protocols import Data
from pinxit.core.rng import seeded
from pinxit.metrics.features.protocol import Features

NAMES = ("efficientnet_lite0", "efficientnet_lite0@224", "inception-2015", "lenet", "pixels", "random-conv")


def load(
    name: str,
    data: Data | None = None,
    *,
    weights: Path | str | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """The features of a name.

    Args:
        name: `efficientnet_lite0` (at 112 pixels; `efficientnet_lite0@224` at 224), `inception-2015`, `lenet` of the classes of
            `data` or `lenet:<data>` of any labelled data that `pinxit.data.load` knows, `pixels`, `random-conv`.
        data: the training images in question; `pixels` and `lenet` need them.
        weights: a file, for `inception-2015` alone.
        device: where it computes.
        progress: called with (steps done, steps in all) where a `lenet` is trained.

    Raises:
        InputError: an unknown name, data that a name needs, or weights that are not there.
    """
    if weights is not None and name != "inception-2015":
        raise InputError(f"`weights` is {weights} for {name}: only inception-2015 reads weights from a file")
    kind, _, source = name.partition(":")
    if kind == "lenet" and (source or name == "lenet"):
        return _judge(source, data, device, progress)
    if name == "pixels":
        from pinxit.metrics.features.plain import Pixels

        if data is None:
            raise InputError("the features `pixels` depend on the size of the images: give `data`")
        return Pixels(data.spec)
    if name == "random-conv":
        from pinxit.metrics.features.plain import RandomConv

        return RandomConv(device)
    if name == "inception-2015":
        from pinxit.metrics.features.inception import InceptionFeatures

        return InceptionFeatures(weights, device)
    if name in ("efficientnet_lite0", "efficientnet_lite0@224"):
        from pinxit.metrics.features.efficientnet import FULL_SIZE, SIZE, EfficientNetFeatures

        return EfficientNetFeatures(FULL_SIZE if name.endswith("@224") else SIZE, device)
    raise InputError(f"no features `{name}`: {near(name, NAMES)}")


def _judge(source: str, data: Data | None, device: torch.device | str, progress: Callable[[int, int], None] | None) -> Features:
    """The judge of `data` where that is what is named (or nothing is), else of the named data."""
    from pinxit.data import load as load_data
    from pinxit.metrics.classifier import lenet
    from pinxit.metrics.features.judge import LeNetFeatures

    if data is None or source not in ("", data.name):
        if not source:
            raise InputError("the features `lenet` depend on the data: give `data`, or a name such as lenet:mnist")
        data = load_data(source)
    with seeded(0):  # a network that is read from the cache draws weights first
        return LeNetFeatures(lenet(data, progress=progress), device)
