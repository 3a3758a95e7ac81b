"""The pieces of the evidence lower bound, in nats per sample: summed over latents, never averaged."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def reparameterise(mu: Float[Tensor, "n d"], logvar: Float[Tensor, "n d"], noise: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """z = mu + exp(logvar / 2) noise, a draw of N(mu, e^logvar) where noise ~ N(0, I) (Kingma & Welling 2014, section 2.4)."""
    return mu + (0.5 * logvar).exp() * noise


def kl_to_standard_normal(mu: Float[Tensor, "n d"], logvar: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """KL(N(mu, e^logvar) || N(0, I)) = 1/2 sum (mu^2 + e^logvar - logvar - 1) (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mu.square() + logvar.exp() - logvar - 1).sum(dim=1)
