"""Entropies and divergences of discrete distributions, exact, in nats.

p and q are float64 arrays of equal shape (of any number of axes), non-negative, of sum one. 0 log 0 = 0; a divergence is
infinite where its ratio is.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinxit.core.errors import InputError

Array = NDArray[np.float64]
SLACK = 1e-9
"""How far from one a sum may be."""


def distribution(p: ArrayLike, name: str = "p") -> Array:
    """`p` as float64, checked; raises InputError for a negative or non-finite entry or a sum that is not one."""
    array = np.asarray(p, dtype=np.float64)
    if not array.size or not np.isfinite(array).all() or array.min() < 0:
        raise InputError(f"`{name}` has {array.size} entries, some not finite or below 0: probabilities must be >= 0")
    if abs(array.sum() - 1) > SLACK:
        raise InputError(f"`{name}` sums to {array.sum():.12g}: probabilities must sum to 1, so divide by the sum")
    return array


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
    first, second = distribution(p, "p"), distribution(q, "q")
    if first.shape != second.shape:
        raise InputError(f"`p` has shape {first.shape} and `q` {second.shape}: both must live on the same points")
    return first, second
