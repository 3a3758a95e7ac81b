"""Mixtures of Gaussians in one and two dimensions, and divergences between them by quadrature with its error.

The trapezoidal rule on a box of `REACH` standard deviations: for integrands that are analytic and decay like these, it
converges faster than any power of the step, so the difference to twice the step bounds the error (Trefethen & Weideman
2014). The mass left outside the box is below 1e-32. The kink of |p - q| leaves an error of the order of the step squared, which
the difference to twice the step may miss; so what a straight line leaves there is added: of |f| between neighbours of values
a, -b a step h apart, the rule gives h (a + b) / 2 instead of h (a^2 + b^2) / (2 (a + b)), too much by h a b / (a + b).

Where even steps are too coarse for the narrowest component, they are even in u(x) = sum_k arsinh((x - m_k) / s_k) instead: as
fine as each component's own scale about its mean, and wider with the distance from it. What is not settled then is refused.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pinxit.core.errors import InputError
from pinxit.theory import checks

Array = NDArray[np.float64]
REACH = 12.0
"""Half-width of the box beyond the outermost means, in standard deviations."""
POINTS = {1: 2**14 + 1, 2: 2**10 + 1}
"""Points an axis, by dimension."""
SETTLED, NEGLIGIBLE = 0.1, 1e-9
"""An error is accepted up to this share of the value, or up to this number; being that of twice the step, it is cautious."""


class Estimate(NamedTuple):
    """A number and how far it may be from the truth."""

    value: float
    error: float


@dataclass(frozen=True)
class Mixture:
    """sum_k w_k N(m_k, S_k) in d = 1 or 2 dimensions.

    Args:
        weights: (k,), of sum one; some may be zero.
        means: (k, d).
        covariances: (k, d, d), positive definite.

    Raises:
        InputError: another shape, or numbers that are no distribution.
    """

    weights: Array
    means: Array
    covariances: Array

    def __post_init__(self) -> None:
        k, dim = checks.finite(self.means, "means", (None, None)).shape
        if dim not in POINTS:
            raise InputError(f"`means` has shape {self.means.shape}: it must be (k,), (k, 1) or (k, 2)")
        checks.finite(checks.distribution(self.weights, "weights"), "weights", (k,))
        for covariance in checks.finite(self.covariances, "covariances", (k, dim, dim)):
            checks.covariance(covariance, "covariances")

    @classmethod
    def of(cls, means: ArrayLike, scale: ArrayLike, weights: Sequence[float] | None = None) -> Mixture:
        """Round components: means (k,) or (k, d), standard deviations a number or (k,), equal weights by default."""
        m = np.asarray(means, dtype=np.float64)
        m = m[:, None] if m.ndim == 1 else m
        if m.ndim != 2 or not len(m) or m.shape[1] not in POINTS:
            raise InputError(f"`means` has shape {m.shape}: it must be (k,), (k, 1) or (k, 2)")
        s = checks.finite(scale, "scale")
        if s.shape not in ((), (len(m),)) or not (s > 0).all():
            raise InputError(f"`scale` is {scale}: standard deviations must be > 0, a number or one a component")
        s = np.broadcast_to(s, (len(m),))
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
        if np.shape(x)[-1:] != (self.dim,):
            raise InputError(f"`x` has shape {np.shape(x)}: points of this mixture are (..., {self.dim})")
        terms = [self._component(k, x) for k in range(len(self.weights)) if self.weights[k] > 0]
        return np.logaddexp.reduce(terms)

    def prob(self, x: Array) -> Array:
        """p at x (..., d), as (...)."""
        return np.exp(self.log_prob(x))

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """`n` points (n, d)."""
        checks.at_least(n, "n", 0)
        which = generator.choice(len(self.weights), size=n, p=self.weights)
        noise = generator.standard_normal((n, self.dim))
        return self.means[which] + np.einsum("nij,nj->ni", self._roots[which], noise)

    def cdf(self, x: Array, *, upper: bool = False) -> Array:
        """P(X <= x), or P(X > x) with `upper`, each with full relative accuracy in its tail; one dimension only."""
        scaled = (np.asarray(x)[..., None] - self._line) / self._deviations
        return _ndtr(-scaled if upper else scaled) @ self.weights

    def quantile(self, u: Array, *, upper: bool = False) -> Array:
        """The x with P(X <= x) = u, or P(X > x) = u with `upper`, for u in (0, 1); one dimension only, by bisection."""
        if not ((np.asarray(u) > 0) & (np.asarray(u) < 1)).all():
            raise InputError(f"`u` runs from {np.min(u):.6g} to {np.max(u):.6g}: quantiles are of numbers in (0, 1)")
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


def integrate(f: Callable[[Array], Array], *within: Mixture, absolute: bool = False) -> Estimate:
    """The integral of f, or with `absolute` of |f|, over a box around the mixtures `within`; f maps points (..., d) to (...).

    Raises:
        InputError: the mixtures have different dimensions, or the error stays above a tenth of the value.
    """
    for p in within:
        checks.instance(p, Mixture, "distribution", "Mixture.of(means, scale)")
    dims = {p.dim for p in within}
    if len(dims) != 1:
        raise InputError(f"the distributions have {sorted(dims)} dimensions: they must have the same")
    axes, roundings = _box(within), _roundings(within)
    found = Estimate(math.nan, math.inf)
    if _fine_enough(axes, within):
        found = _trapezoidal(f, axes, roundings, absolute)
    if not _settled(found):
        found = _trapezoidal(f, _stretched(within), roundings, absolute)
    if not _settled(found):
        about = f"{found.value:.6g} with an error of {found.error:.2g}, above {SETTLED:.0%} of it"
        raise InputError(
            f"the quadrature on {POINTS[max(dims)]} points an axis gives {about}: "
            "the densities' scales are too far apart, or a covariance is too near to singular"
        )
    return found


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
    return integrate(lambda x: 0.5 * (p.prob(x) - q.prob(x)), p, q, absolute=True)


def wasserstein1(p: Mixture, q: Mixture) -> Estimate:
    """W1(p, q), the integral of |F_p - F_q| on the line (Vallender 1974)."""
    return integrate(lambda x: _cdf_difference(p, q, x[..., 0]), p, q, absolute=True)


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


class _Axis(NamedTuple):
    """The points of an axis, and the length of it that each stands for."""

    x: Array
    lengths: Array


def _trapezoidal(f: Callable[[Array], Array], axes: Sequence[_Axis], roundings: float, absolute: bool) -> Estimate:
    values = f(np.stack(np.meshgrid(*(axis.x for axis in axes), indexing="ij"), axis=-1))
    lengths = functools.reduce(np.multiply.outer, [axis.lengths for axis in axes])
    kinks = sum(_kinks(values, lengths, axis) for axis in range(len(axes))) if absolute else 0.0
    values = np.abs(values) if absolute else values
    every_other = (slice(None, None, 2),) * len(axes)
    fine = (values * lengths).sum()
    coarse = 2 ** len(axes) * (values[every_other] * lengths[every_other]).sum()
    rounding = roundings * np.finfo(np.float64).eps * (np.abs(values) * lengths).sum()
    return Estimate(float(fine), float(abs(fine - coarse) + rounding + kinks))


def _kinks(values: Array, lengths: Array, axis: int) -> float:
    """What the rule adds to the integral of |f| where f changes its sign along an axis, twice over: f is no straight line."""
    values, lengths = np.moveaxis(values, axis, 0), np.moveaxis(lengths, axis, 0)
    a, b, h = values[:-1], values[1:], np.maximum(lengths[:-1], lengths[1:])
    changes = a * b < 0
    a, b = np.abs(a[changes]), np.abs(b[changes])
    return float(2 * (h[changes] * a * b / (a + b)).sum())


def _roundings(within: Sequence[Mixture]) -> float:
    """To how many roundings an integrand is computed: some hundred, and those of x where x - m is a small part of it."""
    means, deviations = _spread(within)
    return 256 + float((np.abs(means) / deviations).max())


def _settled(found: Estimate) -> bool:
    return found.error <= max(SETTLED * abs(found.value), NEGLIGIBLE)


def _spread(within: Sequence[Mixture]) -> tuple[Array, Array]:
    """Means and standard deviations along the axes of all components that have a weight, (k, d) each."""
    means = [p.means[p.weights > 0] for p in within]
    deviations = [np.sqrt(np.diagonal(p.covariances, axis1=1, axis2=2))[p.weights > 0] for p in within]
    return np.concatenate(means), np.concatenate(deviations)


def _box(within: Sequence[Mixture]) -> list[_Axis]:
    """Even steps over `REACH` standard deviations around every component."""
    means, deviations = _spread(within)
    low, high = (means - REACH * deviations).min(axis=0), (means + REACH * deviations).max(axis=0)
    axes = [np.linspace(a, b, POINTS[len(low)]) for a, b in zip(low, high, strict=True)]
    return [_Axis(x, np.full(len(x), (x[-1] - x[0]) / (len(x) - 1))) for x in axes]


def _fine_enough(axes: Sequence[_Axis], within: Sequence[Mixture]) -> bool:
    """Whether no component can lie between two points unseen: then the error would be small and wrong."""
    narrowest = _spread(within)[1].min(axis=0)
    return all(axis.lengths[0] <= 2 * deviation for axis, deviation in zip(axes, narrowest, strict=True))


def _stretched(within: Sequence[Mixture]) -> list[_Axis]:
    """The same box in even steps h of u(x) = sum_k arsinh((x - m_k) / s_k); each stands for the length h / u'(x)."""
    means, deviations = _spread(within)
    return [_stretched_axis(m, s, POINTS[means.shape[1]]) for m, s in zip(means.T, deviations.T, strict=True)]


def _stretched_axis(m: Array, s: Array, points: int) -> _Axis:
    def u(x: Array) -> Array:
        return np.arcsinh((x[:, None] - m) / s).sum(axis=1)

    def slope(x: Array) -> Array:
        return (1 / np.hypot(x[:, None] - m, s)).sum(axis=1)

    low, high = (m - REACH * s).min(), (m + REACH * s).max()
    widest = np.arcsinh((high - low) / s)
    table = np.unique(np.clip(m + s * np.sinh(np.linspace(-widest, widest, 513)), low, high))
    first, last = u(np.array([low, high]))
    levels = np.linspace(first, last, points)
    x = np.interp(levels, u(table), table)
    for _ in range(6):  # Newton's method, from a table that is fine at every component's scale
        x = np.clip(x - (u(x) - levels) / slope(x), low, high)
    return _Axis(x, (last - first) / (points - 1) / slope(x))


def _ndtr(x: Array) -> Array:
    """The normal distribution function, accurate in its lower tail."""
    return 0.5 * torch.special.erfc(torch.from_numpy(np.ascontiguousarray(-x / math.sqrt(2)))).numpy()
