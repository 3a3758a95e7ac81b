"""log p(x | z) of the decoders, in nats per sample: summed over every dimension but the first.

`decoder_log_prob` and `decoder_mean` choose among them by name, for one draw of z a sample or for several.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function

from pinxit.core import bits
from pinxit.core.rng import normal, uniform
from pinxit.core.spec import Spec
from pinxit.losses.precision import widened

Kind = Literal["bernoulli", "gaussian", "logistic"]
GROUP = 100
"""Factors between 1/2 and 1 that are multiplied before a logarithm is taken: 2^-100 is well within float32."""


def bernoulli_log_prob(x: Float[Tensor, "n *d"], logits: Float[Tensor, "n *d"]) -> Float[Tensor, " n"]:
    """sum x log p + (1 - x) log(1 - p), p = sigmoid(logits). A likelihood for x in {0, 1} only; for grey levels it is not.

    Args:
        x: in [0, 1].
        logits: of the probability of a one.
    """
    return _Bernoulli.apply(widened(x).flatten(1), widened(logits).flatten(1))


def gaussian_log_prob(
    x: Float[Tensor, "n *d"], mean: Float[Tensor, "n *d"], log_scale: Float[Tensor, "..."]
) -> Float[Tensor, " n"]:
    """The density sum of log N(x; mean, s^2), s = exp(log_scale): -1/2 sum ((x - mean)^2 / s^2 + 2 log s + log 2 pi).

    Args:
        x: data.
        mean: of each dimension.
        log_scale: logarithm of the standard deviation; broadcasts against `mean`.
    """
    return _gaussian(x, mean, log_scale).flatten(1).sum(dim=1)


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
    return _logistic(x, mean, log_scale, levels).flatten(1).sum(dim=1)


def decoder_log_prob(
    kind: Kind, x: Float[Tensor, "n d"], out: Float[Tensor, "*k n d"], log_scale: Float[Tensor, "..."] | None, levels: int
) -> Float[Tensor, "*k n"]:
    """log p(x|z) of a decoder's outputs for one or several z a sample, over the last dimension.

    Args:
        kind: bernoulli, gaussian or logistic.
        x: in [-1, 1]: bits for bernoulli, grey levels for logistic.
        out: logits for bernoulli, means for the others.
        log_scale: of gaussian and logistic.
        levels: of logistic.
    """
    x, out = widened(x), widened(out)
    if kind == "bernoulli":
        return _Bernoulli.apply((x + 1) / 2, out)
    assert log_scale is not None
    values = _gaussian(x, out, log_scale) if kind == "gaussian" else _logistic(x, out, log_scale, levels)
    return values.sum(dim=-1)


def decoder_mean(kind: Kind, out: Float[Tensor, "*n"], spec: Spec) -> Float[Tensor, "*n"]:
    """The mean of p(x|z), in [-1, 1] for images; that of logistic but for the mass beyond the ends."""
    if kind == "bernoulli":
        return torch.sigmoid(out) * 2 - 1
    return out if spec.continuous else out.clamp(-1, 1)


def decoder_draw(
    kind: Kind,
    out: Float[Tensor, "n *d"],
    log_scale: Float[Tensor, "..."] | None,
    spec: Spec,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "n *d"]:
    """A draw of p(x|z) from a decoder's outputs: bits, numbers or grey levels; drawn where the generator lives."""
    if kind == "bernoulli":
        return bits.binarised(decoder_mean(kind, out, spec), "dynamic", generator)
    assert log_scale is not None
    if kind == "gaussian":
        return out + log_scale.exp() * normal(*out.shape, device=out.device, generator=generator)
    noise = torch.logit((uniform(*out.shape, device=out.device, generator=generator) + 1) / 2, eps=1e-7)
    step = 2 / (spec.levels - 1)
    return (((out + log_scale.exp() * noise).clamp(-1, 1) + 1) / step).round() * step - 1


def decoder_measure(kind: Kind, spec: Spec, binarise: str) -> str:
    """What p(x) of a decoder is a probability of; `binarise` says what becomes of grey levels in a bernoulli."""
    if kind == "gaussian":
        return f"density{'' if spec.continuous else ' of pixels in [-1, 1]'}"
    if kind == "logistic":
        return bits.measure(spec)
    if bits.drawing(spec, binarise) == "none" and spec.levels != 2:
        return "grey levels in a Bernoulli decoder: no likelihood, not comparable"
    return bits.measure(spec, binarise)


class _Bernoulli(Function):
    """sum x l - log(1 + e^l) over the last dimension, as sum (x - 1/2) l - |l|/2 + log prod max(p, 1 - p), p = sigmoid(l).

    One logarithm for `GROUP` pixels: log1p of every pixel would take most of a bound's time. The sum differs from torch's
    binary_cross_entropy_with_logits by float rounding, the gradient x - p is the same.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, logits: Tensor) -> Tensor:
        ctx.p = torch.sigmoid(logits)
        ctx.save_for_backward(x, logits)
        greater = (ctx.p - 0.5).abs_().add_(0.5)  # max(p, 1 - p) = 1 / (1 + e^-|l|)
        whole = greater.shape[-1] // GROUP * GROUP
        groups, rest = greater[..., :whole].unflatten(-1, (-1, GROUP)), greater[..., whole:]
        logarithm = groups.prod(-1).log_().sum(-1).add_(rest.prod(-1).log_())
        return logits.abs().mul_(-0.5).addcmul_(x - 0.5, logits).sum(-1).add_(logarithm)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, logits = ctx.saved_tensors
        grad = grad_outputs[0].unsqueeze(-1)
        p = torch.sigmoid(logits) if torch.is_grad_enabled() else ctx.p  # a second derivative needs p's own graph
        of_x = (logits * grad).sum_to_size(x.shape) if ctx.needs_input_grad[0] else None
        of_logits = (x - p) * grad if ctx.needs_input_grad[1] else None
        return of_x, of_logits


def _gaussian(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    scaled = (x - mean) * (-log_scale).exp()
    return -(0.5 * scaled.square() + log_scale + 0.5 * math.log(2 * math.pi))


def _logistic(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    half = 1.0 / (levels - 1)
    inverse = (-log_scale).exp()
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    # log(sigmoid(u) - sigmoid(l)) = logsigmoid(u) + logsigmoid(-l) + log(1 - e^(l-u)): exact in both tails.
    width = (2 * half * inverse).expand_as(upper)
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-width))
    return torch.where(x < -1 + half, F.logsigmoid(upper), torch.where(x > 1 - half, F.logsigmoid(-lower), inside))
