"""Entropies and divergences of discrete distributions, exact, in nats.

p and q are float64 arrays of equal shape (of any number of axes), non-negative, of sum one. 0 log 0 = 0; a divergence is
infinite where its ratio is.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinxit.theory import checks

Array = NDArray[np.float64]


def entropy(p: ArrayLike) -> float:
    """H(p) = -sum p log p."""
    return cross_entropy(p, p)


def cross_entropy(p: ArrayLike, q: ArrayLike) -> float:
    """H(p, q) = -sum p log q = H(p) + KL(p || q); infinite where q misses mass of p."""
    p, q = _pair(p, q)
    on = p > 0
    if (q[on] == 0).any():
        return math.inf
    return float(-(p[on] * np.log(q[on])).sum())


def kl(p: ArrayLike, q: ArrayLike) -> float:
    """KL(p || q) = sum p log(p / q), infinite where q misses mass of p (Kullback & Leibler 1951)."""
    p, q = _pair(p, q)
    on = p > 0
    if (q[on] == 0).any():
        return math.inf
    return float((p[on] * (np.log(p[on]) - np.log(q[on]))).sum())


def reverse_kl(p: ArrayLike, q: ArrayLike) -> float:
    """KL(q || p): what a model q pays for mass where the data p have none."""
    return kl(q, p)


def js(p: ArrayLike, q: ArrayLike) -> float:
    """JS(p, q) = KL(p || m)/2 + KL(q || m)/2 with m = (p + q)/2; in [0, log 2] (Lin 1991)."""
    p, q = _pair(p, q)
    m = (p + q) / 2
    return 0.5 * kl(p, m) + 0.5 * kl(q, m)


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """TV(p, q) = sum |p - q| / 2 = max over events of p(A) - q(A); in [0, 1]."""
    p, q = _pair(p, q)
    return float(0.5 * np.abs(p - q).sum())


def _pair(p: ArrayLike, q: ArrayLike) -> tuple[Array, Array]:
    first, second = checks.distribution(p, "p"), checks.distribution(q, "q")
    checks.same_points(p=first, q=second)
    return first, second
