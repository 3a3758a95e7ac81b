"""Objectives of the two-player games, on logits `d` (n,) of a discriminator D = sigmoid(d). sp(t) = log(1 + e^t)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def discriminator_loss(d_real: Float[Tensor, " n"], d_fake: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """-E log D(x) - E log(1 - D(G(z))) = E sp(-d) + E sp(d_fake); log 4 where D can only guess (Goodfellow 2014, eq. 1).

    Args:
        d_real: logits of real samples.
        d_fake: logits of generated samples.
    """
    return F.softplus(-d_real).mean() + F.softplus(d_fake).mean()


def minimax_generator_loss(d_fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """E log(1 - D(G(z))) = -E sp(d_fake), whose gradient -sigmoid(d)/n vanishes where D is sure (Goodfellow 2014, eq. 1)."""
    return -F.softplus(d_fake).mean()


def non_saturating_generator_loss(d_fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """-E log D(G(z)) = E sp(-d_fake), whose gradient tends to -1/n where D is sure (Goodfellow 2014, section 3)."""
    return F.softplus(-d_fake).mean()
