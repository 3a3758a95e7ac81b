"""The convolutional networks of DCGAN (Radford et al. 2016), for square images of 16, 28, 32, 64 or 128 pixels.

    generator      z -> s x s x f 2^(m-1) -> stride-2 transposed convolutions, halving the channels -> image
    trunk          its mirror image, of strided convolutions

s = 4 (7 for 28 pixels), m = log2(size / s), f the width: 64 pixels and f = 128 give the paper's 1024, 512, 256, 128.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.shapes import backbone_plan
from pinxit.core.spec import Spec
from pinxit.nn.activations import LeakyReLU
from pinxit.nn.norms import norm


class DCGANGenerator(nn.Module):
    """z (n, latent) to images (n, c, h, w) in [-1, 1]: normalisation and ReLU in every layer but the last, which is tanh."""

    def __init__(self, latent: int, width: int, spec: Spec, *, normalisation: str = "batch") -> None:
        super().__init__()
        side, doublings = backbone_plan(spec, "dcgan")
        channels, plain = width * 2 ** (doublings - 1), normalisation in ("none", "spectral")
        # A transposed convolution of a 1x1 map is a matrix product: this is the same layer, and faster.
        layers: list[nn.Module] = [nn.Linear(latent, channels * side * side, bias=plain), nn.Unflatten(1, (channels, side, side))]
        for _ in range(doublings - 1):
            layers += [*norm(normalisation, channels), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1, bias=plain)]
            channels //= 2
        layers += [*norm(normalisation, channels), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(channels, spec.channels, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The images of codes."""
        return torch.tanh(self.layers(z))


class DCGANTrunk(nn.Module):
    """Images (n, c, h, w) to features (n, f): LeakyReLU(0.2); normalisation in every layer but the first."""

    def __init__(self, spec: Spec, width: int, *, normalisation: str = "batch") -> None:
        super().__init__()
        side, doublings = backbone_plan(spec, "dcgan")
        layers: list[nn.Module] = [nn.Conv2d(spec.channels, width, 4, stride=2, padding=1), LeakyReLU()]
        channels, plain = width, normalisation in ("none", "spectral")
        for _ in range(doublings - 1):
            layers += [nn.Conv2d(channels, channels * 2, 4, stride=2, padding=1, bias=plain)]
            channels *= 2
            layers += [*norm(normalisation, channels), LeakyReLU()]
        layers += [nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        self.features = channels * side * side
        self.apply(initialise)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """The features of images."""
        return self.layers(x.contiguous(memory_format=torch.channels_last))


def initialise(module: nn.Module) -> None:
    """Weights N(0, 0.02^2), batch-norm gains N(1, 0.02^2), biases 0 (Radford et al. 2016, section 4, and its code)."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
