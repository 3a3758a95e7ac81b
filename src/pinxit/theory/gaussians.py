"""Closed forms for normal distributions N(mean, covariance) of any dimension d, in nats.

Means are (d,), covariances (d, d) symmetric and positive definite; numbers are taken for d = 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinxit.core.errors import InputError

Array = NDArray[np.float64]


def entropy(covariance: ArrayLike) -> float:
    """H = 1/2 log det(2 pi e S)."""
    s = _covariance(covariance)
    return 0.5 * (len(s) * math.log(2 * math.pi * math.e) + _log_det(s))


def kl(mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike) -> float:
    """KL(p || q) = 1/2 (tr(Sq^-1 Sp) + (mq - mp)^T Sq^-1 (mq - mp) - d + log det Sq - log det Sp)."""
    (mp, sp), (mq, sq) = _normal(mean_p, covariance_p), _normal(mean_q, covariance_q)
    shift = mq - mp
    trace = np.trace(np.linalg.solve(sq, sp))
    return float(0.5 * (trace + shift @ np.linalg.solve(sq, shift) - len(mp) + _log_det(sq) - _log_det(sp)))


def cross_entropy(mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike) -> float:
    """H(p, q) = -E_p log q = H(p) + KL(p || q)."""
    return entropy(covariance_p) + kl(mean_p, covariance_p, mean_q, covariance_q)


def wasserstein2(mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike) -> float:
    """W2 with W2^2 = |mp - mq|^2 + tr(Sp + Sq - 2 (Sq^1/2 Sp Sq^1/2)^1/2) (Dowson & Landau 1982; Gelbrich 1990)."""
    (mp, sp), (mq, sq) = _normal(mean_p, covariance_p), _normal(mean_q, covariance_q)
    root = _square_root(sq)
    bures = np.trace(sp) + np.trace(sq) - 2 * np.trace(_square_root(root @ sp @ root))
    return math.sqrt(max(0.0, float((mp - mq) @ (mp - mq) + bures)))


def _normal(mean: ArrayLike, covariance: ArrayLike) -> tuple[Array, Array]:
    m, s = np.atleast_1d(np.asarray(mean, dtype=np.float64)), _covariance(covariance)
    if m.shape != (len(s),):
        raise InputError(f"`mean` has shape {m.shape} and `covariance` {s.shape}: they must be (d,) and (d, d)")
    return m, s


def _covariance(covariance: ArrayLike) -> Array:
    s = np.atleast_2d(np.asarray(covariance, dtype=np.float64))
    if s.ndim != 2 or s.shape[0] != s.shape[1] or not np.allclose(s, s.T, rtol=1e-12, atol=0):
        raise InputError(f"`covariance` has shape {s.shape}: it must be square and symmetric")
    if np.linalg.eigvalsh(s).min() <= 0:
        raise InputError(f"`covariance` has the eigenvalue {np.linalg.eigvalsh(s).min():.3g}: all must be > 0")
    return s


def _log_det(s: Array) -> float:
    return float(np.linalg.slogdet(s)[1])


def _square_root(s: Array) -> Array:
    values, vectors = np.linalg.eigh((s + s.T) / 2)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
