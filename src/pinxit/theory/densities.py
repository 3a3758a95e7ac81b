"""Mixtures of Gaussians in one and two dimensions, and divergences between them by quadrature with its error.

The trapezoidal rule on a box of `REACH` standard deviations: for integrands that are analytic and decay like these, it
converges faster than any power of the step, so the difference to twice the step bounds the error (Trefethen & Weideman
2014). The mass left outside the box is below 1e-32. The kink of |p - q| leaves an error of the order of the step squared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pinxit.core.errors import InputError

Array = NDArray[np.float64]
REACH = 12.0
"""Half-width of the box beyond the outermost means, in standard deviations."""
POINTS = {1: 2**14 + 1, 2: 2**10 + 1}
"""Points an axis, by dimension."""


class Estimate(NamedTuple):
    """A number and how far it may be from the truth."""

    value: float
    error: float


@dataclass(frozen=True)
class Mixture:
    """sum_k w_k N(m_k, S_k) in d = 1 or 2 dimensions.

    Args:
        weights: (k,), of sum one.
        means: (k, d).
        covariances: (k, d, d), positive definite.
    """

    weights: Array
    means: Array
    covariances: Array

    @classmethod
    def of(cls, means: ArrayLike, scale: ArrayLike, weights: Sequence[float] | None = None) -> Mixture:
        """Round components: means (k,) or (k, d), standard deviations a number or (k,), equal weights by default."""
        m = np.asarray(means, dtype=np.float64)
        m = m[:, None] if m.ndim == 1 else m
        if m.ndim != 2 or m.shape[1] not in POINTS:
            raise InputError(f"`means` has shape {m.shape}: it must be (k,), (k, 1) or (k, 2)")
        s = np.broadcast_to(np.asarray(scale, dtype=np.float64), (len(m),))
        if not (s > 0).all():
            raise InputError(f"`scale` is {scale}: standard deviations must be > 0")
        w = np.full(len(m), 1 / len(m)) if weights is None else np.asarray(weights, dtype=np.float64)
        if w.shape != (len(m),) or w.min() < 0 or abs(w.sum() - 1) > 1e-9:
            raise InputError(f"`weights` is {weights}: one number >= 0 a component, of sum 1")
        return cls(w, m, np.square(s)[:, None, None] * np.eye(m.shape[1]))

    @property
    def dim(self) -> int:
        """1 or 2."""
        return self.means.shape[1]

    @property
    def mean(self) -> Array:
        """(d,)."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Array:
        """Within plus between components, (d, d)."""
        centred = self.means - self.mean
        between = np.einsum("k,ki,kj->ij", self.weights, centred, centred)
        return np.einsum("k,kij->ij", self.weights, self.covariances) + between

    def log_prob(self, x: Array) -> Array:
        """log p at x (..., d), as (...)."""
        terms = [self._component(k, x) for k in range(len(self.weights)) if self.weights[k] > 0]
        return np.logaddexp.reduce(terms)

    def prob(self, x: Array) -> Array:
        """p at x (..., d), as (...)."""
        return np.exp(self.log_prob(x))

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """`n` points (n, d)."""
        which = generator.choice(len(self.weights), size=n, p=self.weights)
        noise = generator.standard_normal((n, self.dim))
        return self.means[which] + np.einsum("nij,nj->ni", self._roots[which], noise)

    def cdf(self, x: Array, *, upper: bool = False) -> Array:
        """P(X <= x), or P(X > x) with `upper`, each with full relative accuracy in its tail; one dimension only."""
        scaled = (np.asarray(x)[..., None] - self._line) / self._deviations
        return _ndtr(-scaled if upper else scaled) @ self.weights

    def quantile(self, u: Array, *, upper: bool = False) -> Array:
        """The x with P(X <= x) = u, or P(X > x) = u with `upper`, for u in (0, 1); one dimension only, by bisection."""
        low = np.full(np.shape(u), float((self._line - 40 * self._deviations).min()))
        high = np.full(np.shape(u), float((self._line + 40 * self._deviations).max()))
        for _ in range(80):
            middle = (low + high) / 2
            left = self.cdf(middle, upper=upper) > u if upper else self.cdf(middle) < u
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        return (low + high) / 2

    @cached_property
    def _roots(self) -> Array:
        return np.linalg.cholesky(self.covariances).astype(np.float64, copy=False)

    @property
    def _line(self) -> Array:
        if self.dim != 1:
            raise InputError(f"this mixture lives in {self.dim} dimensions: distribution functions are for 1")
        return self.means[:, 0]

    @property
    def _deviations(self) -> Array:
        return np.sqrt(self.covariances[:, 0, 0])

    def _component(self, k: int, x: Array) -> Array:
        inverse = np.linalg.inv(self._roots[k])
        scaled = (x - self.means[k]) @ inverse.T
        normalised = math.log(self.weights[k]) + np.log(np.diag(inverse)).sum() - 0.5 * self.dim * math.log(2 * math.pi)
        return normalised - 0.5 * np.square(scaled).sum(axis=-1)


def integrate(f: Callable[[Array], Array], *within: Mixture) -> Estimate:
    """The integral of f, which maps points (..., d) to (...), over a box around the mixtures `within`."""
    dims = {p.dim for p in within}
    if len(dims) != 1:
        raise InputError(f"the distributions have {sorted(dims)} dimensions: they must have the same")
    axes = _box(within)
    values = f(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    steps = [float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in axes]
    fine = values.sum() * math.prod(steps)
    coarse = values[(slice(None, None, 2),) * len(axes)].sum() * math.prod(2 * step for step in steps)
    # The integrand itself is computed to some hundred roundings, by its logarithms and the inverse of a covariance.
    rounding = 256 * np.finfo(np.float64).eps * np.abs(values).sum() * math.prod(steps)
    return Estimate(float(fine), float(abs(fine - coarse) + rounding))


def entropy(p: Mixture) -> Estimate:
    """H(p) = -E_p log p."""
    return cross_entropy(p, p)


def cross_entropy(p: Mixture, q: Mixture) -> Estimate:
    """H(p, q) = -E_p log q."""
    return integrate(lambda x: -p.prob(x) * q.log_prob(x), p, q)


def kl(p: Mixture, q: Mixture) -> Estimate:
    """KL(p || q) = E_p log(p / q)."""

    def integrand(x: Array) -> Array:
        log_p = p.log_prob(x)
        return np.exp(log_p) * (log_p - q.log_prob(x))

    return integrate(integrand, p, q)


def js(p: Mixture, q: Mixture) -> Estimate:
    """JS(p, q) = KL(p || m)/2 + KL(q || m)/2 with m = (p + q)/2."""

    def integrand(x: Array) -> Array:
        log_p, log_q = p.log_prob(x), q.log_prob(x)
        log_m = np.logaddexp(log_p, log_q) - math.log(2)
        return 0.5 * (np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m))

    return integrate(integrand, p, q)


def total_variation(p: Mixture, q: Mixture) -> Estimate:
    """TV(p, q), the integral of |p - q| / 2."""
    return integrate(lambda x: 0.5 * np.abs(p.prob(x) - q.prob(x)), p, q)


def wasserstein1(p: Mixture, q: Mixture) -> Estimate:
    """W1(p, q), the integral of |F_p - F_q| on the line (Vallender 1974)."""
    return integrate(lambda x: np.abs(_cdf_difference(p, q, x[..., 0])), p, q)


def wasserstein2(p: Mixture, q: Mixture) -> Estimate:
    """W2(p, q) on the line: W2^2 = E_p (x - T(x))^2 with the monotone map T = F_q^-1 o F_p."""

    def integrand(x: Array) -> Array:
        return p.prob(x) * np.square(x[..., 0] - transported(p, q, x[..., 0]))

    square = integrate(integrand, p, q)
    root = math.sqrt(square.value)
    # sqrt(a + e) - sqrt(a) <= min(e / sqrt(a), sqrt(e)).
    return Estimate(root, min(square.error / root, math.sqrt(square.error)) if root else math.sqrt(square.error))


def transported(p: Mixture, q: Mixture, x: Array) -> Array:
    """T(x) = F_q^-1(F_p(x)), the optimal map on the line for every convex cost; x (n,)."""
    below = p.cdf(x) < 0.5
    out = np.empty_like(x)
    # Where F_p(x) is below the least float, T(x) is out of reach, and so is its weight in any integral: p(x) is 0 too.
    tiny = np.finfo(np.float64).tiny
    out[below] = q.quantile(np.maximum(p.cdf(x[below]), tiny))
    out[~below] = q.quantile(np.maximum(p.cdf(x[~below], upper=True), tiny), upper=True)
    return out


def _cdf_difference(p: Mixture, q: Mixture, x: Array) -> Array:
    return p.cdf(x) - q.cdf(x)


def _box(within: Sequence[Mixture]) -> list[Array]:
    """The points of each axis: `REACH` standard deviations around every component."""
    dim = within[0].dim
    spread = [np.sqrt(np.diagonal(p.covariances, axis1=1, axis2=2)) for p in within]
    low = np.min([(p.means - REACH * s).min(axis=0) for p, s in zip(within, spread, strict=True)], axis=0)
    high = np.max([(p.means + REACH * s).max(axis=0) for p, s in zip(within, spread, strict=True)], axis=0)
    return [np.linspace(low[i], high[i], POINTS[dim]) for i in range(dim)]


def _ndtr(x: Array) -> Array:
    """The normal distribution function, accurate in its lower tail."""
    return 0.5 * torch.special.erfc(torch.from_numpy(np.ascontiguousarray(-x / math.sqrt(2)))).numpy()
