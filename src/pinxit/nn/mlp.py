"""Fully connected networks for images of any shape and for points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.spec import Spec
from pinxit.nn.activations import LeakyReLU
from pinxit.nn.norms import norm


class Maxout(nn.Module):
    """The greatest of `pieces` linear maps, unit by unit (Goodfellow et al. 2013): (n, d_in) to (n, d_out)."""

    def __init__(self, d_in: int, d_out: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(d_in, d_out * pieces)
        self.pieces = pieces

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        """The greatest piece of every unit."""
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(dim=2)


def mlp(widths: Sequence[int], activation: type[nn.Module] = nn.ReLU, **options: float) -> nn.Sequential:
    """Linear layers of the given widths (first: input, last: output) with `activation(**options)` between them."""
    layers: list[nn.Module] = []
    for d_in, d_out in pairwise(widths):
        layers += [nn.Linear(d_in, d_out), activation(**options)]
    return nn.Sequential(*layers[:-1])


class MLPGenerator(nn.Module):
    """z (n, latent) to samples (n, c, h, w): ReLU or tanh layers; tanh at the end for images, linear for continuous data."""

    def __init__(self, latent: int, widths: Sequence[int], spec: Spec, *, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.shape = spec.shape
        self.layers = mlp((latent, *widths, spec.dim), activation)
        self.bounded = not spec.continuous

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The samples of codes."""
        x = self.layers(z)
        return (torch.tanh(x) if self.bounded else x).view(-1, *self.shape)


class MLPTrunk(nn.Module):
    """Samples (n, c, h, w) to features (n, widths[-1]): LeakyReLU(0.2), tanh or maxout layers; dropout before and after each.

    Args:
        spec: of the data.
        widths: of the hidden layers.
        activation: relu (leaky, as is usual in a discriminator) or tanh.
        normalisation: of every hidden layer but the first.
        pieces: linear maps a maxout unit; 0 for `activation`.
        dropout_input: share of the input that is dropped.
        dropout: share of each hidden layer that is dropped.
    """

    def __init__(
        self,
        spec: Spec,
        widths: Sequence[int],
        *,
        activation: str = "relu",
        normalisation: str = "none",
        pieces: int = 0,
        dropout_input: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        d_in, drop = spec.dim, dropout_input
        for number, width in enumerate(widths):
            layers += [nn.Dropout(drop)] if drop else []
            layers += [Maxout(d_in, width, pieces)] if pieces else [nn.Linear(d_in, width)]
            layers += norm(normalisation, width, flat=True) if number else []
            if not pieces:
                layers.append(LeakyReLU() if activation == "relu" else nn.Tanh())
            d_in, drop = width, dropout
        layers += [nn.Dropout(drop)] if drop else []
        self.layers = nn.Sequential(*layers)
        self.features = d_in

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """The features of samples."""
        return self.layers(x.flatten(1))


def orthogonal(network: nn.Module, gain: float) -> None:
    """Orthogonal weights times `gain`, zero biases, in every linear layer (Metz et al. 2017, appendix A: 1.4)."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, gain)
            nn.init.zeros_(module.bias)
