"""The networks of the judge, and how they are trained.

A network is written as in the literature: `32c3-64c3-pool-.25-128-.5` is 32 and 64 unpadded 3x3 filters, 2x2 max pooling,
dropout of .25, 128 units, dropout of .5 (ReLU after filters and units), and then one output a class. The 128 are its features.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.errors import InputError
from pinxit.core.spec import Spec

# Maps larger than this are averaged down before the dense layer, so that its size is bounded for large images.
LARGEST_MAP = 16


@dataclass(frozen=True)
class Protocol:
    """How a classifier is trained, always with Adam and cross-entropy.

    Args:
        architecture: the layers before the outputs; the last one with units is the feature layer.
        epochs: passes over the training images.
        batch_size: images a step.
        lr: Adam's learning rate; its peak where it decays.
        decay: whether the rate falls to 0 along half a cosine, over the whole training.
    """

    architecture: str
    epochs: int
    batch_size: int = 64
    lr: float = 1e-3
    decay: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` of a classifier's protocol is {getattr(self, name)}: it must be >= 1")
        layers_of(self.architecture)

    def __str__(self) -> str:
        decay = ", cosine decay" if self.decay else ""
        return f"{self.architecture}, Adam {self.lr:g}{decay}, batch {self.batch_size}, {self.epochs} epochs"


class LeNet(nn.Module):
    """The network of an architecture string for images of `spec`, with one logit a class."""

    def __init__(self, spec: Spec, architecture: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, side, flat = spec.channels, (spec.height, spec.width), False
        for kind, value in layers_of(architecture):
            if kind == "conv":
                layers += [nn.Conv2d(channels, int(value), 3), nn.ReLU(inplace=True)]
                channels, side = int(value), (side[0] - 2, side[1] - 2)
            elif kind == "pool":
                layers.append(nn.MaxPool2d(2))
                side = (side[0] // 2, side[1] // 2)
            elif kind == "drop":
                layers.append(nn.Dropout(value))
            else:
                if not flat:
                    layers += _flatten(side)
                    channels, flat = channels * min(side[0], LARGEST_MAP) * min(side[1], LARGEST_MAP), True
                layers += [nn.Linear(channels, int(value)), nn.ReLU(inplace=True)]
                channels = int(value)
            if min(side) < 1:
                raise InputError(f"`architecture` {architecture} leaves nothing of {spec.height}x{spec.width} pixels: pool less")
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(channels, spec.classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """The logits of images in [-1, 1]."""
        return self.head(self.trunk(x))


def layers_of(architecture: str) -> list[tuple[str, float]]:
    """The layers of an architecture string as (conv, pool, drop or dense, number)."""
    layers: list[tuple[str, float]] = []
    for word in architecture.split("-"):
        if word == "pool":
            layers.append(("pool", 2.0))
        elif found := re.fullmatch(r"([1-9]\d*)(c3)?", word):
            layers.append(("conv" if found[2] else "dense", float(found[1])))
        elif re.fullmatch(r"0?\.\d+", word):
            layers.append(("drop", float(word)))
        else:
            raise InputError(
                f"`architecture` {architecture!r} has the layer {word!r}: write 32c3, pool, .25 or 128, with - between"
            )
    kinds = [kind for kind, _ in layers]
    first = kinds.index("dense") if "dense" in kinds else len(kinds)
    if "conv" not in kinds[:first] or first == len(kinds) or {"conv", "pool"} & set(kinds[first:]):
        raise InputError(f"`architecture` {architecture!r} must have filters first and units last, as in 8c3-pool-64")
    return layers


def _flatten(side: tuple[int, int]) -> list[nn.Module]:
    """To vectors, large maps averaged down before."""
    most = (min(side[0], LARGEST_MAP), min(side[1], LARGEST_MAP))
    return [nn.Flatten()] if most == side else [nn.AdaptiveAvgPool2d(most), nn.Flatten()]


# Of the published train-on-synthetic figures on MNIST: 97.1 % for a conditional DCGAN.
FULL = Protocol("32c3-64c3-pool-.25-128-.5", epochs=10)
CHEAP = Protocol("8c3-pool-16c3-pool-64", epochs=3, lr=2e-3, decay=True)


def judge_protocol(n: int) -> Protocol:
    """The protocol of the judge for `n` training images: 240,000 images shown, in 4 to 25 epochs."""
    return Protocol(
        "32c3-pool-64c3-pool-.25-128-.5", epochs=max(4, min(25, round(240_000 / n))), batch_size=128, lr=2e-3, decay=True
    )
