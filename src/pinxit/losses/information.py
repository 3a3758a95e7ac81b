"""The variational lower bound of the mutual information of codes and samples, in nats (Chen et al. 2016, section 5).

    I(c; G(z, c)) = H(c) - H(c | x)  >=  E log Q(c | x) + H(c) = L_I,      tight where Q is the posterior of c

One function a kind of code, each with its own entropy: the bound of independent codes is the sum of theirs.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.losses.likelihood import gaussian_log_prob


def categorical_log_prob(logits: Float[Tensor, "n k"], c: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """log Q(c | x) = log softmax(logits)_c of each sample, <= 0; the softmax is taken here, so never before.

    Args:
        logits: of the K classes.
        c: the class of each sample, in [0, K).
    """
    return -F.cross_entropy(logits, c, reduction="none")


def categorical_information(logits: Float[Tensor, "n k"], c: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """E log Q(c | x) + log K for c uniform over K classes; at most log K, and 0 for a Q that says nothing.

    Args:
        logits: of Q(c | x).
        c: the codes that the samples were made from.
    """
    return categorical_log_prob(logits, c).mean() + math.log(logits.shape[1])


def continuous_information(
    mu: Float[Tensor, "n d"], log_scale: Float[Tensor, "n d"], c: Float[Tensor, "n d"]
) -> Float[Tensor, ""]:
    """E log N(c; mu, s^2) + d log 2 for c ~ U(-1, 1)^d, with H(c) = d log 2.

    Where s is held at 1, it is at most d (log 2 - log(2 pi) / 2) = -0.226 d: a bound that says nothing of the information, but
    whose gradient is that of the mean square error (c - mu)^2 / 2.

    Args:
        mu: means of Q(c | x).
        log_scale: log s.
        c: the codes that the samples were made from, in [-1, 1].
    """
    return gaussian_log_prob(c, mu, log_scale).mean() + c.shape[1] * math.log(2)
