"""One Gaussian q = N(mu, s^2) fitted to a mixture p on the line, by either direction of the divergence.

KL(p || q)   least where q has p's mean and variance: it covers every mode (maximum likelihood)
KL(q || p)   has a minimum at every mode that is far enough from the others: it seeks one
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.theory import checks, densities
from pinxit.theory.densities import Mixture

REACH, NODES = 10.0, 2001
"""Expectations under q are by the trapezoidal rule on this many points of z = (x - mu)/s in [-REACH, REACH]."""


@dataclass(frozen=True)
class Fit:
    """A Gaussian and what it costs: the divergence that it minimises, in nats."""

    mean: float
    scale: float
    divergence: float

    @property
    def density(self) -> Mixture:
        """As a density."""
        return Mixture.of([self.mean], self.scale)


def forward(p: Mixture) -> Fit:
    """argmin KL(p || q): the moments of p, since the log of q is linear in (x, x^2)."""
    mean, scale = float(_on_line(p).mean[0]), math.sqrt(float(p.covariance[0, 0]))
    return Fit(mean, scale, densities.kl(p, Mixture.of([mean], scale)).value)


def reverse_kl(mean: Tensor, log_scale: Tensor, p: Mixture) -> Tensor:
    """KL(q || p) = -log(s sqrt(2 pi e)) - E_q log p by quadrature, differentiable in mu and log s."""
    z = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
    weights = torch.softmax(-0.5 * z.square(), dim=0)
    x = mean + log_scale.exp() * z
    expected = weights @ torch.logsumexp(_log_terms(x, _on_line(p)), dim=1)
    return -log_scale - 0.5 * math.log(2 * math.pi * math.e) - expected


def reverse(p: Mixture, mean: float, scale: float) -> Fit:
    """A local minimum of KL(q || p), found from N(mean, scale^2) by L-BFGS."""
    start = [float(checks.finite(mean, "mean", ())), math.log(checks.positive(scale, "scale"))]
    at = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([at], max_iter=500, tolerance_grad=1e-11, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = reverse_kl(at[0], at[1], p)
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    found = at.detach()
    return Fit(float(found[0]), float(found[1].exp()), float(reverse_kl(found[0], found[1], p)))


def best_reverse(p: Mixture) -> Fit:
    """The least KL(q || p) found from every component and from the mixture's moments."""
    wide = forward(p)
    starts = [(float(m[0]), math.sqrt(float(c[0, 0]))) for w, m, c in zip(p.weights, p.means, p.covariances, strict=True) if w]
    return min((reverse(p, *start) for start in [*starts, (wide.mean, wide.scale)]), key=lambda fit: fit.divergence)


def _log_terms(x: Tensor, p: Mixture) -> Tensor:
    """The log of every component that has a weight, times the weight, (n, k)."""
    on = p.weights > 0
    weights, means, variances = (torch.from_numpy(part[on]) for part in (p.weights, p.means[:, 0], p.covariances[:, 0, 0]))
    return (weights / (2 * math.pi * variances).sqrt()).log() - 0.5 * (x[:, None] - means).square() / variances


def _on_line(p: Mixture) -> Mixture:
    if p.dim != 1:
        raise InputError(f"the mixture has {p.dim} dimensions: fits are of densities on the line")
    return p
