"""Closed forms for normal distributions N(mean, covariance) of any dimension d, in nats.

Means are (d,), covariances (d, d) symmetric and positive definite; numbers are taken for d = 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinxit.core.errors import InputError
from pinxit.theory import checks

Array = NDArray[np.float64]


def entropy(covariance: ArrayLike) -> float:
    """H = 1/2 log det(2 pi e S)."""
    s = _covariance(covariance)
    return 0.5 * (len(s) * math.log(2 * math.pi * math.e) + _log_det(s))


def kl(mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike) -> float:
    """KL(p || q) = 1/2 (tr(Sq^-1 Sp) + (mq - mp)^T Sq^-1 (mq - mp) - d + log det Sq - log det Sp)."""
    (mp, sp), (mq, sq) = _normals(mean_p, covariance_p, mean_q, covariance_q)
    shift = mq - mp
    trace = np.trace(np.linalg.solve(sq, sp))
    return float(0.5 * (trace + shift @ np.linalg.solve(sq, shift) - len(mp) + _log_det(sq) - _log_det(sp)))


def cross_entropy(mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike) -> float:
    """H(p, q) = -E_p log q = H(p) + KL(p || q)."""
    return entropy(covariance_p) + kl(mean_p, covariance_p, mean_q, covariance_q)


def wasserstein2(mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike) -> float:
    """W2 with W2^2 = |mp - mq|^2 + tr(Sp + Sq - 2 (Sq^1/2 Sp Sq^1/2)^1/2) (Dowson & Landau 1982; Gelbrich 1990)."""
    (mp, sp), (mq, sq) = _normals(mean_p, covariance_p, mean_q, covariance_q)
    root = _square_root(sq)
    bures = np.trace(sp) + np.trace(sq) - 2 * np.trace(_square_root(root @ sp @ root))
    return math.sqrt(max(0.0, float((mp - mq) @ (mp - mq) + bures)))


def _normals(*given: ArrayLike) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Mean (d,) and covariance (d, d) of p and of q, checked: of one d."""
    mean_p, covariance_p, mean_q, covariance_q = given
    sp, sq = _covariance(covariance_p, "covariance_p"), _covariance(covariance_q, "covariance_q")
    mp, mq = (np.atleast_1d(np.asarray(mean, dtype=np.float64)) for mean in (mean_p, mean_q))
    for side, m, s in (("p", mp, sp), ("q", mq, sq)):
        if m.shape != (len(s),):
            shapes = f"`mean_{side}` has shape {m.shape} and `covariance_{side}` {s.shape}"
            raise InputError(f"{shapes}: they must be (d,) and (d, d)")
        checks.finite(m, f"mean_{side}")
    checks.same_points(mean_p=mp, mean_q=mq)
    return (mp, sp), (mq, sq)


def _covariance(covariance: ArrayLike, name: str = "covariance") -> Array:
    return checks.covariance(np.atleast_2d(np.asarray(covariance, dtype=np.float64)), name)


def _log_det(s: Array) -> float:
    return float(np.linalg.slogdet(s)[1])


def _square_root(s: Array) -> Array:
    values, vectors = np.linalg.eigh((s + s.T) / 2)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
