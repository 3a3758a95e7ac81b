"""Multi-scale structural similarity of pairs of samples: a high mean says that the samples resemble one another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.distances import wide

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales from fine to coarse (Wang et al. 2003, section 3.2)."""
WINDOW, SIGMA = 11, 1.5
LEAST = 16


@dataclass(frozen=True)
class Similarity:
    """The similarity of random pairs of one set.

    Args:
        value: mean MS-SSIM, at most 1.
        standard_error: of the mean over pairs.
        pairs: how many.
        scales: used, of the paper's five.
    """

    value: float
    standard_error: float
    pairs: int
    scales: int

    @property
    def name(self) -> str:
        """MS-SSIM, with the scales where they are not the paper's five."""
        return "MS-SSIM" if self.scales == len(WEIGHTS) else f"MS-SSIM ({self.scales} of {len(WEIGHTS)} scales)"

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4f} +- {self.standard_error:.4f} of {self.pairs:,} pairs"


def scales_of(height: int, width: int) -> int:
    """The scales at which an 11 x 11 window fits: five from 176 pixels, three from 44, two from 22, one from 16.

    Raises:
        InputError: images below 16 pixels.
    """
    side = min(height, width)
    if side < LEAST:
        raise InputError(f"images of {height}x{width} pixels are too small for MS-SSIM: give at least {LEAST} a side")
    return min(len(WEIGHTS), 1 + int(math.log2(side // WINDOW)))


def ms_ssim(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """l_M^{w_M} prod_j cs_j^{w_j} of each pair, over the scales that fit, in each channel, then averaged over channels.

        l  = (2 m_x m_y + C1) / (m_x^2 + m_y^2 + C1),   C1 = 0.01^2
        cs = (2 s_xy + C2) / (s_x^2 + s_y^2 + C2),      C2 = 0.03^2

    m, s^2 and s_xy under a Gaussian window (11 x 11, sigma 1.5), pixels in [0, 1]; both are averaged over the image, l cs at the
    coarsest scale as one map, and cut at 0. Each scale is the one before averaged over 2 x 2. With fewer than five scales the
    weights of the first ones are divided by their sum; with one it is SSIM.

    Reference: Wang, Simoncelli & Bovik 2003, Multiscale structural similarity, equation 7.

    Args:
        x: images in [-1, 1].
        y: images in [-1, 1].

    Raises:
        InputError: images below 16 pixels.
    """
    scales = scales_of(*x.shape[2:])
    # l compares means, so it is no function of differences alone: black must be 0.
    a, b = ((wide(images) + 1) / 2 for images in (x, y))
    product = a.new_ones(a.shape[:2])
    for scale in range(scales):
        light, contrast = _maps(a, b)
        last = scale == scales - 1
        term = (light * contrast if last else contrast).mean((2, 3)).clamp(min=0)
        product = product * term ** (WEIGHTS[scale] / sum(WEIGHTS[:scales]))
        a, b = (images if last else F.avg_pool2d(images, 2) for images in (a, b))
    return product.mean(1)


def pair_similarity(
    images: Float[Tensor, "n c h w"], *, generator: torch.Generator, pairs: int = 1000, chunk: int = 100
) -> Similarity:
    """The mean MS-SSIM of random pairs of different samples, to be compared with that of as many pairs of real images.

    It sees collapse to one kind of image and little else: give the images of one class at a time, as the paper does.

    Reference: Odena et al. 2017 (AC-GAN), section 4.2 (100 pairs a class).

    Args:
        images: in [-1, 1], at least two.
        generator: of the pairs.
        pairs: how many, >= 2.
        chunk: pairs at once.

    Raises:
        InputError: fewer than two images or pairs, numbers that are not finite, or images below 16 pixels.
    """
    n = len(images)
    if n < 2 or pairs < 2:
        raise InputError(f"{n} `images` and {pairs} `pairs`: similarity within a set needs at least two of each")
    if not bool(images.isfinite().all()):
        raise InputError("`images` are not all finite: leave out or repair those that are not")
    first = torch.randint(n, (pairs,), generator=generator)
    second = (first + torch.randint(1, n, (pairs,), generator=generator)) % n
    parts = zip(first.split(chunk), second.split(chunk), strict=True)
    found = torch.cat([ms_ssim(images[i.to(images.device)], images[j.to(images.device)]) for i, j in parts])
    return Similarity(float(found.mean()), float(found.std()) / math.sqrt(pairs), pairs, scales_of(*images.shape[2:]))


def _maps(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure under the window at every place where it fits."""
    m_x, m_y, xx, yy, xy = (_smooth(t) for t in (x, y, x * x, y * y, x * y))
    light = (2 * m_x * m_y + 0.01**2) / (m_x**2 + m_y**2 + 0.01**2)
    contrast = (2 * (xy - m_x * m_y) + 0.03**2) / (xx - m_x**2 + yy - m_y**2 + 0.03**2)
    return light, contrast


def _smooth(x: Tensor) -> Tensor:
    places = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    line = (-places.square() / (2 * SIGMA**2)).exp()
    line = (line / line.sum()).expand(x.shape[1], 1, 1, -1)
    return F.conv2d(F.conv2d(x, line, groups=x.shape[1]), line.transpose(2, 3), groups=x.shape[1])
