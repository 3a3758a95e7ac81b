"""Perceptual path length: how far samples move when their code moves a little (Karras et al. 2019, section 4.1).

    l = E d(G(w(t)), G(w(t + eps))) / eps^2,   w the walk between two draws of the prior, t uniform in [0, 1 - eps)

d is the squared distance of features, of any network of `pinxit.metrics.features`: the paper's is LPIPS on VGG-16, so values of
different features are not comparable. A generator that ignores its code has length 0. The walk is the one of `pinxit.viz.walks`.
Pixels are not rounded: a step of eps moves them by less than a level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.protocols import HasLatents
from pinxit.core.rng import uniform
from pinxit.metrics.features.protocol import Features
from pinxit.viz.walks import path_of

UNIT = 64


@dataclass(frozen=True)
class PathLength:
    """The mean over pairs of codes.

    Args:
        value: mean of all pairs.
        error: its standard error.
        trimmed: mean without the least and the greatest hundredth, as the paper's authors take it.
        n: pairs.
        features: the network's name.
    """

    value: float
    error: float
    trimmed: float
    n: int
    features: str

    def __str__(self) -> str:
        return f"path length {self.value:.4g} +- {self.error:.2g} in {self.features}, {self.n:,} pairs"


@torch.no_grad()
def path_length(model: HasLatents, features: Features, *, n: int = 2000, epsilon: float = 1e-2, seed: int = 0) -> PathLength:
    """The path length of a model in the space of features.

    Args:
        model: in eval mode.
        features: in which distances are taken.
        n: pairs of codes.
        epsilon: the step; the paper's 1e-4 is below what float32 features resolve unless they are linear.
        seed: of codes and places.

    Raises:
        InputError: `n` below 2 or `epsilon` outside (0, 1).
    """
    if n < 2 or not 0 < epsilon < 1:
        raise InputError(f"`n` is {n} and `epsilon` {epsilon}: they must be >= 2 and in (0, 1)")
    generator = torch.Generator().manual_seed(seed)
    path, found = path_of(model), []
    for start in range(0, n, UNIT):
        count = min(UNIT, n - start)
        a, b = model.latents(2 * count, generator=generator).chunk(2)
        t = (1 - epsilon) * (uniform(count, 1, device=a.device, generator=generator) + 1) / 2
        near, far = (features(model.decode(path(a, b, at))).cpu().double() for at in (t, t + epsilon))
        found.append((far - near).square().sum(1) / epsilon**2)
    return _mean(torch.cat(found), features.name)


def _mean(lengths: Tensor, name: str) -> PathLength:
    n, cut = len(lengths), len(lengths) // 100
    inner = lengths.sort().values[cut : n - cut]
    return PathLength(float(lengths.mean()), float(lengths.std()) / n**0.5, float(inner.mean()), n, name)
