"""The probability of a grey level: which of K evenly spaced values of [-1, 1] a number is, and what it costs in nats."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def level_index(x: Float[Tensor, "*s"], levels: int) -> Int[Tensor, "*s"]:
    """k of the level nearest to x: round((x + 1)(K - 1) / 2), int64.

    Args:
        x: in [-1, 1].
        levels: K >= 2.
    """
    return ((x + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1).long()


def level_value(index: Int[Tensor, "*s"], levels: int) -> Float[Tensor, "*s"]:
    """The grey level of index k: -1 + 2k / (K - 1), float32, as 8-bit images are scaled for K = 256."""
    return index.float().div(levels - 1).mul(2).sub(1)


def categorical_log_prob(index: Int[Tensor, "*s"], logits: Float[Tensor, "*s k"]) -> Float[Tensor, "*s"]:
    """log softmax(logits)[index] of each sub-pixel (van den Oord et al. 2016, section 3.1).

    Args:
        index: in 0..K-1.
        logits: K numbers a sub-pixel.
    """
    flat = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), index.reshape(-1), reduction="none")
    return -flat.view(index.shape)


def logistic_level_log_prob(
    x: Float[Tensor, "*s"], mean: Float[Tensor, "*s"], log_scale: Float[Tensor, "*s"], levels: int
) -> Float[Tensor, "*s"]:
    """The logistic's mass in the bin of each grey level (Salimans et al. 2017, https://arxiv.org/abs/1701.05517, section 2.1).

        P(x) = sigmoid((x + h - mean)/s) - sigmoid((x - h - mean)/s),   h = 1/(K - 1),   s = exp(log_scale)

    The first bin reaches down to -inf and the last up to +inf, so that the K probabilities sum to one. Exact in both tails:
    log(sigmoid(u) - sigmoid(l)) = log sigmoid(u) + log sigmoid(-l) + log(1 - e^(l - u)).

    Args:
        x: grey levels -1, -1 + 2h, ..., 1.
        mean: of the logistic.
        log_scale: log s.
        levels: K >= 2.
    """
    half = 1.0 / (levels - 1)
    inverse = (-log_scale).exp()
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-2 * half * inverse))
    return torch.where(x < -1 + half, F.logsigmoid(upper), torch.where(x > 1 - half, F.logsigmoid(-lower), inside))


def mixture_log_prob(
    x: Float[Tensor, "*s"],
    weights: Float[Tensor, "*s m"],
    means: Float[Tensor, "*s m"],
    log_scales: Float[Tensor, "*s m"],
    levels: int,
) -> Float[Tensor, "*s"]:
    """log sum_i softmax(weights)_i P_i(x), P_i a discretised logistic (Salimans et al. 2017, equations 1 and 2).

    Args:
        x: grey levels.
        weights: logits of the mixture.
        means: of its components.
        log_scales: of its components.
        levels: K >= 2.
    """
    expanded = x[..., None].expand_as(means)
    parts = logistic_level_log_prob(expanded, means, log_scales, levels)
    return torch.logsumexp(parts + F.log_softmax(weights, dim=-1), dim=-1)
