"""The distribution of one sub-pixel given those before it: what the last layer's numbers mean.

bernoulli           1 number: the logit of +1 against -1
softmax             K numbers: the logits of the K levels; no order is built in (van den Oord et al. 2016, section 3.1)
logistic-mixture    3m numbers: logits, means and log scales of m logistics on the levels (Salimans et al. 2017, section 2.1);
                    each channel has its own mixture, whose numbers depend on the channels before it

A draw inverts the distribution function F at one uniform number u a sub-pixel, k = #{j < K - 1: F(j) <= u}: every way of painting
an image from the same numbers u paints the same image.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core.errors import InputError, near
from pinxit.losses.levels import categorical_log_prob, level_index, mixture_log_prob
from pinxit.losses.likelihood import bernoulli_log_prob

NAMES = ("bernoulli", "logistic-mixture", "softmax")
Draw = tuple[Int[Tensor, "*s"], Float[Tensor, "*s"]]


@runtime_checkable
class Output(Protocol):
    """The distribution of a sub-pixel.

    Attributes:
        size: numbers a sub-pixel.
        levels: values that it can take.
    """

    size: int
    levels: int

    def log_prob(self, x: Float[Tensor, "n c h w"], parameters: Float[Tensor, "n s h w"]) -> Float[Tensor, " n"]:
        """log p in nats, summed over sub-pixels, of images in [-1, 1]; the numbers of channel g are group g of c equal ones."""
        ...

    def draw(self, parameters: Float[Tensor, "*s k"], u: Float[Tensor, "*s"]) -> Draw:
        """The level's index at u in [0, 1), float64, and the margin: by how much the numbers must at least differ to change it.

        To first order |F - u| / |dF|, where |dF| bounds what a change by 1 of every number does: a margin of 0 is a tie. If all
        numbers move by at most e, log F/(1 - F) of bernoulli and softmax moves by at most 2e, so |dF| = 2 F (1 - F).
        """
        ...


class Bernoulli:
    """p(+1) = sigmoid(logit)."""

    size, levels = 1, 2

    def log_prob(self, x: Float[Tensor, "n c h w"], parameters: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        """See `Output`; x is -1 or 1."""
        return bernoulli_log_prob((x + 1) / 2, parameters)

    def draw(self, parameters: Float[Tensor, "*s 1"], u: Float[Tensor, "*s"]) -> Draw:
        """See `Output`."""
        edge = parameters[..., 0].double().neg().sigmoid_()
        return (u >= edge).long(), (u - edge).abs_().div_(_slack(u))


class Softmax:
    """p(k) = softmax(logits)_k.

    Args:
        levels: K.
    """

    def __init__(self, levels: int) -> None:
        self.size = self.levels = levels

    def log_prob(self, x: Float[Tensor, "n c h w"], parameters: Float[Tensor, "n s h w"]) -> Float[Tensor, " n"]:
        """See `Output`."""
        return categorical_log_prob(_last(level_index(x, self.levels), 1)[..., 0], _last(parameters, self.size)).flatten(1).sum(1)

    def draw(self, parameters: Float[Tensor, "*s k"], u: Float[Tensor, "*s"]) -> Draw:
        """See `Output`."""
        edges = parameters.double().softmax(dim=-1).cumsum(dim=-1)[..., :-1]
        distance = u[..., None] - edges
        return (distance >= 0).sum(dim=-1), distance.abs_().amin(dim=-1).div_(_slack(u))


class LogisticMixture:
    """p(k) = sum_i softmax(weights)_i P_i(k), P_i(k) the mass of a logistic in the level's bin.

    Args:
        levels: K.
        components: m.
    """

    lowest = -7.0
    """Of log s, as in Salimans et al.'s code: a bin of 256 levels is then a few s wide."""

    def __init__(self, levels: int, components: int) -> None:
        self.size, self.levels = 3 * components, levels

    def log_prob(self, x: Float[Tensor, "n c h w"], parameters: Float[Tensor, "n s h w"]) -> Float[Tensor, " n"]:
        """See `Output`."""
        weights, means, log_scales = _last(parameters, self.size).chunk(3, dim=-1)
        log_prob = mixture_log_prob(_last(x, 1)[..., 0], weights, means, log_scales.clamp(min=self.lowest), self.levels)
        return log_prob.flatten(1).sum(1)

    def draw(self, parameters: Float[Tensor, "*s k"], u: Float[Tensor, "*s"]) -> Draw:
        """See `Output`; F is evaluated at every sqrt(K)-th level, and then at the levels between the two that u lies between."""
        weights, means, log_scales = parameters.double()[..., None, :].chunk(3, dim=-1)
        weights, inverse = weights.softmax(dim=-1), (-log_scales.clamp(min=self.lowest)).exp()

        def compare(edges: Tensor) -> Draw:
            z = (((edges * 2 + 1) / (self.levels - 1) - 1)[..., None] - means).mul_(inverse)
            part = z.sigmoid()
            distance = u[..., None] - (part * weights).sum(dim=-1)
            # How far F moves if all means and log scales move by 1; `_slack` has the weights.
            moved = (part * (1 - part) * weights * (inverse + z.abs_())).sum(dim=-1)
            margin = distance.abs().div_(moved.add_(_slack(u)[..., None]))
            inside = edges < self.levels - 1
            count = ((distance >= 0) & inside).sum(dim=-1)
            return count, margin.masked_fill_(~inside, torch.inf).amin(dim=-1)

        stride = math.isqrt(self.levels - 1) + 1
        at = torch.arange(stride, dtype=torch.float64, device=u.device)
        block, margin = compare((at * stride + stride - 1).expand(*u.shape, -1))
        low = block * stride
        index, nearest = compare(low[..., None] + at)
        return low + index, torch.minimum(margin, nearest)


def output(name: str, levels: int, components: int = 10) -> Output:
    """The distribution called `name`.

    Args:
        name: bernoulli, softmax or logistic-mixture.
        levels: of a channel of the data.
        components: of a mixture.

    Raises:
        InputError: an unknown name, or levels that it can't have.
    """
    if levels < 2:
        raise InputError(f"a distribution of grey levels needs at least 2 of them, this data has {levels}: it is continuous")
    match name:
        case "bernoulli":
            if levels != 2:
                raise InputError(f"`output` bernoulli is for bits, this data has {levels} levels: binarise it, or take softmax")
            return Bernoulli()
        case "softmax":
            return Softmax(levels)
        case "logistic-mixture":
            return LogisticMixture(levels, components)
    raise InputError(f"unknown `output` {name!r}: {near(name, NAMES)}")


def _last(x: Tensor, size: int) -> Tensor:
    """(n, c size, h, w) as (n, h, w, c, size): a view, contiguous for maps in channels_last."""
    return x.permute(0, 2, 3, 1).unflatten(3, (-1, size))


def _slack(u: Tensor) -> Tensor:
    """2 u (1 - u), which is 2 F (1 - F) near a tie."""
    return (u * (1 - u)).mul_(2).clamp_(min=1e-300)
