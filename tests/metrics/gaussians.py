"""Models of which everything is known: probabilistic PCA as a VAE, and data drawn from it."""

from __future__ import annotations

import math

import torch
from torch.distributions import MultivariateNormal

from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.systems import vae

D, K, S = 6, 2, 0.7


class Drawn:
    """Points in memory as a data set."""

    name, fingerprint = "drawn", "drawn"

    def __init__(self, x: torch.Tensor, spec: Spec, labels: torch.Tensor | None = None) -> None:
        self.x, self.spec, self.labels = x.view(-1, *spec.shape), spec, labels

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: torch.Tensor) -> Batch:
        return Batch(self.x[indices], None if self.labels is None else self.labels[indices])

    def batches(self, order, device=None):
        yield from map(self.batch, order)


def ppca(*, offset: float = 0.3, wide: float = 0.0):
    """(model, p(x)): x = W z + b + s noise as a linear VAE, whose encoder is the exact posterior but for `offset` and `wide`.

    `offset` moves the posterior's means, `wide` is added to its log-variances.
    """
    g = torch.Generator().manual_seed(4)
    w, b = torch.randn(D, K, generator=g), torch.randn(D, generator=g)
    precision = torch.eye(K) + w.T @ w / S**2
    # The encoder's covariance is diagonal: rotate the latents so that the true posterior's is too.
    w = w @ torch.linalg.eigh(precision)[1]
    variance = 1 / (1 + (w.T @ w).diagonal() / S**2)
    spec = Spec(D, 1, 1, levels=0)
    model = vae.build(vae.PRESETS["tiny"].replace(decoder="gaussian", hidden=(), latent=K), spec)
    with torch.no_grad():
        model.decoder[0].weight.copy_(w)
        model.decoder[0].bias.copy_(b)
        model.log_scale.fill_(math.log(S))
        encode = variance[:, None] * w.T / S**2
        model.encoder[0].weight.copy_(torch.cat((encode, torch.zeros_like(encode))))
        model.encoder[0].bias.copy_(torch.cat((-encode @ b + offset, variance.log() + wide)))
    covariance = (w @ w.T + S**2 * torch.eye(D)).double()
    return model.eval(), MultivariateNormal(b.double(), covariance)


def drawn(marginal: MultivariateNormal, n: int, seed: int = 0) -> Drawn:
    """n points of the model."""
    noise = torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return Drawn((marginal.loc + noise @ marginal.scale_tril.T).float(), Spec(D, 1, 1, levels=0))
