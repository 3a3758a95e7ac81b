"""Penalties on a discriminator's gradient and on a batch's features. They run in float32, whatever the precision of the run.

The gradient of a sum of scores is the gradient of each score only if scores do not interact: no batch statistics in a network
that is penalised. A norm is that of all that one score is of: a whole sample, or a whole pack of samples that follow each other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.losses.precision import widened

TINY = 1e-12
"""Added to a squared norm: the root's gradient at zero is finite with it."""

Score = Callable[[Tensor], Tensor]


def gradient_norms(f: Score, x: Float[Tensor, "n *d"]) -> Float[Tensor, " m"]:
    """|grad f(x_i)|_2 of every score, differentiable in the parameters of f.

    Args:
        f: (n, ...) to (m,), each score a function of its own n / m samples alone, which follow each other.
        x: where the gradient is taken; detached here.
    """
    with torch.autocast(x.device.type, enabled=False):
        points = widened(x.detach()).requires_grad_()
        scores = f(points)
        (slopes,) = torch.autograd.grad(scores.sum(), points, create_graph=True)
        return (slopes.reshape(len(scores), -1).square().sum(dim=1) + TINY).sqrt()


def between(x: Float[Tensor, "n *d"], x_fake: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
    """epsilon x + (1 - epsilon) x_fake with one epsilon ~ U[0, 1] a sample (Gulrajani et al. 2017, algorithm 1)."""
    epsilon = torch.rand(len(x), *(1 for _ in x.shape[1:]), device=x.device, dtype=x.dtype)
    return x_fake + epsilon * (x - x_fake)


def gradient_penalty(
    critic: Score, x: Float[Tensor, "n *d"], x_fake: Float[Tensor, "n *d"], *, one_sided: bool = False
) -> Float[Tensor, ""]:
    """E (|grad critic(x_hat)| - 1)^2 on random points between real and generated samples (Gulrajani et al. 2017, eq. 3).

    Args:
        critic: (n, ...) to (n,), without batch statistics.
        x: real samples.
        x_fake: as many generated samples.
        one_sided: E max(0, |grad| - 1)^2, which leaves smaller slopes alone (Petzka et al. 2018, eq. 8).
    """
    excess = gradient_norms(critic, between(x, x_fake)) - 1
    return (excess.clamp(min=0) if one_sided else excess).square().mean()


def dragan_penalty(discriminator: Score, x: Float[Tensor, "n *d"], *, noise: float = 0.5) -> Float[Tensor, ""]:
    """E (|grad d(x + delta)| - 1)^2 around real samples alone (Kodali et al. 2017, eq. 6, and the authors' program).

        delta = alpha_i * noise * std(x) * u,   alpha_i ~ U[0, 1] a sample,   u ~ U[0, 1] a pixel

    Args:
        discriminator: (n, ...) to (n,), without batch statistics.
        x: real samples.
        noise: in standard deviations of the batch.
    """
    alpha = torch.rand(len(x), *(1 for _ in x.shape[1:]), device=x.device, dtype=x.dtype)
    delta = alpha * noise * x.std() * torch.rand_like(x)
    return (gradient_norms(discriminator, x + delta) - 1).square().mean()


def r1_penalty(discriminator: Score, x: Float[Tensor, "n *d"]) -> Float[Tensor, ""]:
    """1/2 E |grad d(x)|^2 on real samples (Mescheder et al. 2018, eq. 9, without its weight gamma)."""
    return 0.5 * (gradient_norms(discriminator, x).square() - TINY).mean()


def pulling_away(codes: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """1/(n (n-1)) sum over i != j of the squared cosine of codes i and j (Zhao et al. 2017, eq. 14).

    1 for codes on one line, through the origin in either direction; 0 for orthogonal ones.

    Args:
        codes: of n >= 2 generated samples.

    Raises:
        InputError: fewer than two codes, which make no pair.
    """
    if (n := len(codes)) < 2:
        raise InputError(f"the pulling-away term compares codes in pairs, `codes` has {n}: it needs 2 or more")
    with torch.autocast(codes.device.type, enabled=False):
        codes = widened(codes)
        unit = codes / (codes.square().sum(dim=1, keepdim=True) + TINY).sqrt()
        cosines = unit @ unit.T
        return (cosines.square().sum() - cosines.diagonal().square().sum()) / (n * (n - 1))
