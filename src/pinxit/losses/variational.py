"""The pieces of the variational bounds, in nats per sample: summed over latents, never averaged."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def reparameterise(
    mu: Float[Tensor, "*n d"], logvar: Float[Tensor, "*n d"], noise: Float[Tensor, "*k d"]
) -> Float[Tensor, "*k d"]:
    """z = mu + exp(logvar / 2) noise, a draw of N(mu, e^logvar) where noise ~ N(0, I) (Kingma & Welling 2014, section 2.4).

    `noise` may have leading dimensions more than `mu`: several draws of each posterior.
    """
    return mu + (0.5 * logvar).exp() * noise


def kl_of_each_latent(mu: Float[Tensor, "n d"], logvar: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """KL(N(mu, e^logvar) || N(0, 1)) = (mu^2 + e^logvar - logvar - 1) / 2 of every latent of every sample."""
    return 0.5 * (mu.square() + logvar.exp() - logvar - 1)


def kl_to_standard_normal(mu: Float[Tensor, "n d"], logvar: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """KL(N(mu, e^logvar) || N(0, I)) = 1/2 sum (mu^2 + e^logvar - logvar - 1) (Kingma & Welling 2014, appendix B)."""
    return kl_of_each_latent(mu, logvar).sum(dim=1)


def kl_between_normals(
    mu: Float[Tensor, "n d"], logvar: Float[Tensor, "n d"], mu_p: Float[Tensor, "n d"], logvar_p: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """KL(N(mu, e^logvar) || N(mu_p, e^logvar_p)), the KL to a learned prior (Sohn et al. 2015, equation 4).

    1/2 sum (logvar_p - logvar + (e^logvar + (mu - mu_p)^2) / e^logvar_p - 1)
    """
    # e^(logvar - logvar_p) and not a quotient: both may be far below what float32 holds.
    ratio = (logvar - logvar_p).exp() + (mu - mu_p).square() * (-logvar_p).exp()
    return 0.5 * (logvar_p - logvar + ratio - 1).sum(dim=1)


def free_bits(kl: Float[Tensor, "n d"], least: float) -> Float[Tensor, ""]:
    """sum_j max(least, mean_n KL_nj): a latent's KL is free up to `least` nats (Kingma et al. 2016, appendix C.8, equation 15).

    The mean is over the batch, before the maximum, and every latent is a group of its own. Where a latent's mean is below `least`
    its KL has no gradient, so that nothing drives it to the prior.

    Args:
        kl: of each latent of each sample, in nats.
        least: lambda, in nats per latent, >= 0.
    """
    return kl.mean(dim=0).clamp_min(least).sum()


def normal_log_prob(z: Float[Tensor, "*k d"], mu: Float[Tensor, "*n d"], logvar: Float[Tensor, "*n d"]) -> Float[Tensor, "*k"]:
    """log N(z; mu, e^logvar) = -1/2 sum ((z - mu)^2 / e^logvar + logvar + log 2 pi), over the last dimension."""
    return -0.5 * ((z - mu).square() * (-logvar).exp() + logvar + math.log(2 * math.pi)).sum(dim=-1)


def standard_normal_log_ratio(
    z: Float[Tensor, "*k d"], logvar: Float[Tensor, "*n d"], noise: Float[Tensor, "*k d"]
) -> Float[Tensor, "*k"]:
    """log N(z; 0, I) - log N(z; mu, e^logvar) of z = mu + exp(logvar / 2) noise: 1/2 sum (noise^2 + logvar - z^2)."""
    return 0.5 * (noise.square() + logvar - z.square()).sum(dim=-1)


def importance_bound(log_weights: Float[Tensor, "k n"]) -> Float[Tensor, " n"]:
    """L_k = log 1/k sum_i w_i, a bound of log p(x) that rises with k (Burda et al. 2016, equation 8).

    Its gradient is sum_i w~_i grad log w_i, w~ = softmax(log w) (equation 14): autograd gives just that.

    Args:
        log_weights: log w_i = log p(x, z_i) - log q(z_i | x), z_i ~ q(z | x).
    """
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))
