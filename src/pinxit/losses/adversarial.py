"""Objectives of the two-player games, on logits or scores `d` (n,) of real and generated samples.

D = sigmoid(d), sp(t) = log(1 + e^t); every expectation is a mean over the batch.

    name            discriminator or critic                              generator                    d/dd of the generator's
    minimax         E sp(-d) + E sp(d~)                                  -E sp(d~)                    -sigmoid(d~)
    non-saturating  E sp(-d) + E sp(d~)                                   E sp(-d~)                   -(1 - sigmoid(d~))
    least squares   1/2 E (d - b)^2 + 1/2 E (d~ - a)^2                   1/2 E (d~ - c)^2             d~ - c
    Wasserstein     E d~ - E d                                           -E d~                        -1
    hinge           E max(0, 1 - d) + E max(0, 1 + d~)                   -E d~                        -1
    energy          E e + E max(0, m - e~)                                E e~                         1
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.losses.penalties import TINY
from pinxit.losses.precision import widened


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


def least_squares_discriminator_loss(
    d_real: Float[Tensor, " n"], d_fake: Float[Tensor, " m"], *, a: float = 0.0, b: float = 1.0
) -> Float[Tensor, ""]:
    """1/2 E (d - b)^2 + 1/2 E (d_fake - a)^2 on raw scores, without a sigmoid (Mao et al. 2017, eq. 2).

    Args:
        d_real: scores of real samples.
        d_fake: scores of generated samples.
        a: target of generated samples.
        b: target of real samples.
    """
    return 0.5 * (d_real - b).square().mean() + 0.5 * (d_fake - a).square().mean()


def least_squares_generator_loss(d_fake: Float[Tensor, " n"], *, c: float = 1.0) -> Float[Tensor, ""]:
    """1/2 E (d_fake - c)^2 (Mao et al. 2017, eq. 2).

    Against the best D it is a Pearson chi-square divergence if b - c = 1 and b - a = 2, so of (a, b, c) = (-1, 1, 0) (eq. 8) and
    not of the default (0, 1, 1) (eq. 9).
    """
    return 0.5 * (d_fake - c).square().mean()


def wasserstein_critic_loss(d_real: Float[Tensor, " n"], d_fake: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """E d_fake - E d_real: minus the dual estimate of W1 where the critic is 1-Lipschitz (Arjovsky et al. 2017, eq. 2)."""
    return widened(d_fake).mean() - widened(d_real).mean()


def wasserstein_generator_loss(d_fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """-E d_fake, whose gradient is -1/n everywhere (Arjovsky et al. 2017, eq. 4)."""
    return -d_fake.mean()


def hinge_discriminator_loss(d_real: Float[Tensor, " n"], d_fake: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """E max(0, 1 - d) + E max(0, 1 + d_fake) (Miyato et al. 2018, eq. 16); its generator minimises -E d_fake (eq. 17)."""
    return F.relu(1 - d_real).mean() + F.relu(1 + d_fake).mean()


def energy(x: Float[Tensor, "n *d"], x_hat: Float[Tensor, "..."]) -> Float[Tensor, " n"]:
    """|x_hat - x|_2 of each sample: the energy of an auto-encoding discriminator (Zhao et al. 2017, eq. 13).

    Args:
        x: samples; the gradient flows through them too.
        x_hat: their reconstructions.

    Raises:
        InputError: `x_hat` has another shape: the discriminator scores instead of reconstructing.
    """
    _same(x, x_hat)
    return ((x_hat - x).square().flatten(1).sum(dim=1) + TINY).sqrt()


def absolute_error(x: Float[Tensor, "n *d"], x_hat: Float[Tensor, "..."]) -> Float[Tensor, " n"]:
    """mean |x - x_hat| of each sample, over its numbers (Berthelot et al. 2017, section 3.1); raises as `energy` does."""
    _same(x, x_hat)
    return (x - x_hat).abs().flatten(1).mean(dim=1)


def energy_loss(e_real: Float[Tensor, " n"], e_fake: Float[Tensor, " m"], margin: Float[Tensor, ""] | float) -> Float[Tensor, ""]:
    """E e + E max(0, margin - e_fake), the hinge taken sample by sample (Zhao et al. 2017, eq. 1).

    Args:
        e_real: energies of real samples, >= 0.
        e_fake: energies of generated samples.
        margin: in the unit of the energy.
    """
    return e_real.mean() + F.relu(margin - e_fake).mean()


def matching_discriminator_loss(
    d_match: Float[Tensor, " n"], d_fake: Float[Tensor, " m"], d_mismatch: Float[Tensor, " k"], *, weight: float = 0.5
) -> Float[Tensor, ""]:
    """E sp(-d(x, y)) + w E sp(d(x, y-)) + (1 - w) E sp(d(G(z, y), y)): GAN-CLS (Reed et al. 2016, algorithm 1).

    Args:
        d_match: logits of real samples with their own condition.
        d_fake: logits of generated samples with the condition that they were made for.
        d_mismatch: logits of real samples with a condition that is not theirs.
        weight: w, the share of the mismatched pairs.
    """
    return F.softplus(-d_match).mean() + weight * F.softplus(d_mismatch).mean() + (1 - weight) * F.softplus(d_fake).mean()


def _same(x: Tensor, x_hat: Tensor) -> None:
    if x.shape != x_hat.shape:
        got = f"the discriminator gave {tuple(x_hat.shape)} for samples {tuple(x.shape)}"
        raise InputError(f"{got}: an energy needs a reconstruction of the samples' shape, not a score; take an auto-encoder")
