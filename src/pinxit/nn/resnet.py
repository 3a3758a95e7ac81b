"""The residual networks of SNGAN (Miyato et al. 2018, table 4), for square images of 16, 28, 32, 64 or 128 pixels.

    generator   z -> s x s x f -> residual blocks, each doubling the size -> norm, ReLU, 3x3 convolution, tanh
    trunk       residual blocks, halving the size down to 8 pixels, two more at that size -> ReLU, sum over pixels

s = 4 (7 for 28 pixels); f channels everywhere. The trunk ends at 7 pixels of images of 28, and at 4 of those of 16. Shortcuts
are 1x1 convolutions where size or channels change.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.shapes import backbone_plan
from pinxit.core.spec import Spec
from pinxit.nn.norms import norm


class UpBlock(nn.Module):
    """norm, ReLU, double the size, 3x3, norm, ReLU, 3x3; plus the doubled input through 1x1: (n, a, h, w) to (n, b, 2h, 2w)."""

    def __init__(self, c_in: int, c_out: int, *, normalisation: str) -> None:
        super().__init__()
        self.before = nn.Sequential(*norm(normalisation, c_in), nn.ReLU())
        self.first = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.after = nn.Sequential(*norm(normalisation, c_out), nn.ReLU(), nn.Conv2d(c_out, c_out, 3, padding=1))
        self.shortcut = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Float[Tensor, "n a h w"]) -> Float[Tensor, "n b 2*h 2*w"]:
        """The block; a 1x1 convolution commutes with the doubling, so it runs on the small map."""
        return self.after(self.first(_doubled(self.before(x)))) + _doubled(self.shortcut(x))


class DownBlock(nn.Module):
    """(norm, ReLU,) 3x3, norm, ReLU, 3x3, halve; plus the input through 1x1, halved: (n, a, h, w) to (n, b, h/2, w/2).

    Args:
        c_in: channels of the input.
        c_out: of the output.
        halve: average 2x2 pixels at the end; else the size stays.
        first: the network's first block, whose input is an image: neither norm nor ReLU before its first convolution.
        normalisation: none, batch, layer or spectral.
    """

    def __init__(self, c_in: int, c_out: int, *, halve: bool, first: bool = False, normalisation: str = "none") -> None:
        super().__init__()
        before = [] if first else [*norm(normalisation, c_in), nn.ReLU()]
        after = [*norm(normalisation, c_out), nn.ReLU(), nn.Conv2d(c_out, c_out, 3, padding=1)]
        self.layers = nn.Sequential(*before, nn.Conv2d(c_in, c_out, 3, padding=1), *after)
        self.shortcut = nn.Conv2d(c_in, c_out, 1) if halve or c_in != c_out else nn.Identity()
        self.halve = halve

    def forward(self, x: Float[Tensor, "n a h w"]) -> Float[Tensor, "n b p q"]:
        """The block; the shortcut's 1x1 convolution commutes with the average, so it runs on the small map."""
        if not self.halve:
            return self.layers(x) + self.shortcut(x)
        return F.avg_pool2d(self.layers(x), 2) + self.shortcut(F.avg_pool2d(x, 2))


class ResNetGenerator(nn.Module):
    """z (n, latent) to images (n, c, h, w) in [-1, 1]."""

    def __init__(self, latent: int, width: int, spec: Spec, *, normalisation: str = "batch") -> None:
        super().__init__()
        side, doublings = backbone_plan(spec, "resnet")
        blocks = [UpBlock(width, width, normalisation=normalisation) for _ in range(doublings)]
        end = [*norm(normalisation, width), nn.ReLU(), nn.Conv2d(width, spec.channels, 3, padding=1)]
        self.layers = nn.Sequential(nn.Linear(latent, width * side * side), nn.Unflatten(1, (width, side, side)), *blocks, *end)
        initialise(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The images of codes."""
        return torch.tanh(self.layers(z))


class ResNetTrunk(nn.Module):
    """Images (n, c, h, w) to features (n, width)."""

    def __init__(self, spec: Spec, width: int, *, normalisation: str = "none") -> None:
        super().__init__()
        side, doublings = backbone_plan(spec, "resnet")
        downs = max(2, doublings - (side == 4))
        blocks = [
            DownBlock(spec.channels if k == 0 else width, width, halve=k < downs, first=k == 0, normalisation=normalisation)
            for k in range(downs + 2)
        ]
        self.layers = nn.Sequential(*blocks, nn.ReLU())
        self.features = width
        initialise(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """The features of images, summed over pixels."""
        return self.layers(x.contiguous(memory_format=torch.channels_last)).sum(dim=(2, 3))


def initialise(network: nn.Module) -> None:
    """Glorot's uniform weights, of gain sqrt 2 but in shortcuts and dense layers; biases 0 (the authors' program)."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            plain = isinstance(module, nn.Linear) or name.endswith("shortcut")
            nn.init.xavier_uniform_(module.weight, 1.0 if plain else math.sqrt(2))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
