"""log p(x | z) of the decoders, in nats per sample: summed over every dimension but the first."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def bernoulli_log_prob(x: Float[Tensor, "n *d"], logits: Float[Tensor, "n *d"]) -> Float[Tensor, " n"]:
    """sum x log p + (1 - x) log(1 - p), p = sigmoid(logits). A likelihood for x in {0, 1} only; for grey levels it is not.

    Args:
        x: in [0, 1].
        logits: of the probability of a one.
    """
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(dim=1)


def gaussian_log_prob(
    x: Float[Tensor, "n *d"], mean: Float[Tensor, "n *d"], log_scale: Float[Tensor, "..."]
) -> Float[Tensor, " n"]:
    """The density sum of log N(x; mean, s^2), s = exp(log_scale): -1/2 sum ((x - mean)^2 / s^2 + 2 log s + log 2 pi).

    Args:
        x: data.
        mean: of each dimension.
        log_scale: logarithm of the standard deviation; broadcasts against `mean`.
    """
    scaled = (x - mean) * (-log_scale).exp()
    return -(0.5 * scaled.square() + log_scale + 0.5 * math.log(2 * math.pi)).flatten(1).sum(dim=1)


def discretised_logistic_log_prob(
    x: Float[Tensor, "n *d"], mean: Float[Tensor, "n *d"], log_scale: Float[Tensor, "..."], levels: int
) -> Float[Tensor, " n"]:
    """The probability of a grey level, the logistic's mass in its bin (Kingma et al. 2016, section 6; Salimans et al. 2017).

        P(x) = sigmoid((x + h - mean)/s) - sigmoid((x - h - mean)/s),   h = 1/(levels - 1),   s = exp(log_scale)

    The first bin reaches down to -inf and the last up to +inf, so that the `levels` probabilities sum to one.

    Args:
        x: grey levels -1, -1 + 2h, ..., 1.
        mean: of each dimension.
        log_scale: logarithm of the logistic's scale; broadcasts against `mean`.
        levels: number of grey levels, at least 2.
    """
    half = 1.0 / (levels - 1)
    inverse = (-log_scale).exp()
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    # log(sigmoid(u) - sigmoid(l)) = logsigmoid(u) + logsigmoid(-l) + log(1 - e^(l-u)): exact in both tails.
    width = (2 * half * inverse).expand_as(upper)
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-width))
    log_prob = torch.where(x < -1 + half, F.logsigmoid(upper), torch.where(x > 1 - half, F.logsigmoid(-lower), inside))
    return log_prob.flatten(1).sum(dim=1)
