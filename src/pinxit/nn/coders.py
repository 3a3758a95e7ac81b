"""Encoders and decoders of auto-encoders: fully connected for any data, convolutional for square images.

    conv encoder   image -> stride-2 convolutions, doubling the channels, to s x s -> linear
    conv decoder   linear -> s x s -> stride-2 transposed convolutions, halving the channels -> image

s = 7 for 28 pixels and 4 for 16, 32, 64, ...; no normalisation, ReLU or tanh, weights as torch draws them. What a coder is told
besides (a class) enters a fully connected one beside its input, a convolutional encoder as constant planes beside the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.shapes import coder_plan
from pinxit.core.spec import Spec
from pinxit.nn.mlp import mlp

MOST = 8
"""Most channels of a map, as a multiple of the width."""


class FlatEncoder(nn.Sequential):
    """Samples (n, c, h, w), and what else is known (n, e), to outputs (n, k) by linear layers."""

    def __init__(self, spec: Spec, widths: Sequence[int], outputs: int, activation: type[nn.Module], extra: int = 0) -> None:
        super().__init__(*mlp((spec.dim + extra, *widths, outputs), activation))

    def forward(self, input: Float[Tensor, "n c h w"], extra: Float[Tensor, "n e"] | None = None) -> Float[Tensor, "n k"]:
        """The outputs."""
        x = input.flatten(1)
        return super().forward(x if extra is None else torch.cat((x, extra), dim=1))


class FlatDecoder(nn.Sequential):
    """Codes (n, d) to samples (n, c, h, w) by linear layers, without a bound."""

    def __init__(self, spec: Spec, widths: Sequence[int], inputs: int, activation: type[nn.Module]) -> None:
        super().__init__(*mlp((inputs, *widths, spec.dim), activation))
        self.shape = spec.shape

    def forward(self, input: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The outputs."""
        return super().forward(input).view(-1, *self.shape)


class ConvEncoder(nn.Module):
    """Images (n, c, h, w), and what else is known (n, e), to outputs (n, k)."""

    def __init__(self, spec: Spec, width: int, outputs: int, activation: type[nn.Module], extra: int = 0) -> None:
        super().__init__()
        side, maps = _plan(spec, width)
        layers: list[nn.Module] = []
        channels = spec.channels + extra
        for each in maps:
            layers += [nn.Conv2d(channels, each, 4, stride=2, padding=1), activation()]
            channels = each
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, outputs))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "n c h w"], extra: Float[Tensor, "n e"] | None = None) -> Float[Tensor, "n k"]:
        """The outputs."""
        if extra is not None:
            x = torch.cat((x, extra[:, :, None, None].expand(-1, -1, *x.shape[2:])), dim=1)
        return self.layers(x.contiguous(memory_format=torch.channels_last))


class ConvDecoder(nn.Module):
    """Codes (n, d) to images (n, c, h, w), without a bound."""

    def __init__(self, spec: Spec, width: int, inputs: int, activation: type[nn.Module]) -> None:
        super().__init__()
        side, maps = _plan(spec, width)
        layers: list[nn.Module] = [
            nn.Linear(inputs, maps[-1] * side * side),
            nn.Unflatten(1, (maps[-1], side, side)),
            activation(),
        ]
        for each, after in zip(maps[::-1], (*maps[-2::-1], spec.channels), strict=True):
            layers += [nn.ConvTranspose2d(each, after, 4, stride=2, padding=1), activation()]
        self.layers = nn.Sequential(*layers[:-1])
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The outputs."""
        return self.layers(z).contiguous()


Encoder = FlatEncoder | ConvEncoder
Decoder = FlatDecoder | ConvDecoder


def coders(
    spec: Spec,
    *,
    network: Literal["mlp", "conv"],
    codes: int,
    latent: int,
    hidden: Sequence[int],
    width: int,
    activation: Literal["relu", "tanh", "sigmoid"],
    extra: int = 0,
) -> tuple[Encoder, Decoder]:
    """An encoder to `codes` numbers and its mirror image, a decoder of `latent` numbers, both told `extra` numbers besides.

    Args:
        spec: of the data.
        network: mlp or conv.
        codes: outputs of the encoder.
        latent: numbers of z.
        hidden: mlp: widths of the encoder's hidden layers.
        width: conv: channels of the encoder's first map.
        activation: of the hidden layers.
        extra: numbers that are known besides; the decoder takes `latent` + `extra` inputs side by side.

    Raises:
        InputError: the convolutional networks do not fit the data.
    """
    unit = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[activation]
    if network == "mlp":
        return FlatEncoder(spec, hidden, codes, unit, extra), FlatDecoder(spec, tuple(reversed(hidden)), latent + extra, unit)
    return ConvEncoder(spec, width, codes, unit, extra), ConvDecoder(spec, width, latent + extra, unit)


def _plan(spec: Spec, width: int) -> tuple[int, list[int]]:
    """The side of the smallest map and the channels of the encoder's maps; InputError for sizes that do not fit."""
    side, doublings = coder_plan(spec)
    return side, [width * min(2**k, MOST) for k in range(doublings)]
