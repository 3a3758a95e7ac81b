"""Wasserstein distances between weighted points: the primal and the dual linear programme, POT, and the line's closed form.

    W_r(p, q)^r = min over plans pi >= 0 with marginals p, q of  sum_ij pi_ij |x_i - y_j|^r
    W_1(p, q)   = max over f with |f(a) - f(b)| <= |a - b| of    sum_i p_i f(x_i) - sum_j q_j f(y_j)

The second is Kantorovich-Rubinstein duality: what a perfect critic would reach (Villani 2009, theorem 5.10 and remark 6.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinxit.core.errors import InputError
from pinxit.theory import checks

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """sum_i w_i delta(x_i): `x` (n, d) and `weights` (n,) of sum one."""

    x: Array
    weights: Array

    def __post_init__(self) -> None:
        n = len(checks.finite(self.x, "x", (None, None)))
        checks.distribution(self.weights, "weights")
        if np.shape(self.weights) != (n,):
            raise InputError(f"`weights` has shape {np.shape(self.weights)} for {n} points: it must be ({n},)")

    @classmethod
    def of(cls, x: ArrayLike, weights: ArrayLike | None = None) -> Points:
        """Points (n, d), or (n,) on the line; equal weights by default."""
        at = np.asarray(x, dtype=np.float64)
        at = at[:, None] if at.ndim == 1 else at
        if at.ndim != 2 or not len(at):
            raise InputError(f"`x` has shape {at.shape}: it must be (n,) or (n, d) with n >= 1")
        return cls(at, np.full(len(at), 1 / len(at)) if weights is None else np.asarray(weights, dtype=np.float64))


@dataclass(frozen=True)
class Transport:
    """An optimal plan, as the linear programme proves it.

    Args:
        cost: the least sum_ij pi_ij |x_i - y_j|^order, i.e. W_order^order.
        plan: pi (n, m).
        phi: dual variables of p (n,).
        psi: dual variables of q (m,), with phi_i + psi_j <= |x_i - y_j|^order and sum p phi + sum q psi = cost.
    """

    cost: float
    plan: Array
    phi: Array
    psi: Array


@dataclass(frozen=True)
class Potential:
    """A Kantorovich potential: the best 1-Lipschitz function on the points of p and q.

    Args:
        value: sum p f - sum q f, equal to W_1.
        at_p: f on the points of p (n,).
        at_q: f on the points of q (m,).
        slope: the greatest |f(a) - f(b)| / |a - b| over all pairs of points.
    """

    value: float
    at_p: Array
    at_q: Array
    slope: float


def distances(x: Array, y: Array) -> Array:
    """|x_i - y_j| of x (n, d) and y (m, d), (n, m)."""
    checks.finite(y, "y", (None, checks.finite(x, "x", (None, None)).shape[1]))
    return np.sqrt(np.square(x[:, None, :] - y[None, :, :]).sum(axis=-1))


def transport(p: Points, q: Points, order: int = 1) -> Transport:
    """The optimal plan and its dual variables, by the primal linear programme (scipy's HiGHS).

    Raises:
        InputError: scipy is missing, `order` is below 1, or the points have different dimensions.
    """
    optimize, sparse = _scipy()
    checks.at_least(order, "order", 1)
    cost = distances(*_same_space(p, q)) ** order
    n, m = cost.shape
    rows = sparse.kron(sparse.eye(n), np.ones((1, m)))
    columns = sparse.kron(np.ones((1, n)), sparse.eye(m))
    marginals = np.concatenate([p.weights, q.weights])
    found = _solved(optimize.linprog(cost.ravel(), A_eq=sparse.vstack([rows, columns]).tocsc(), b_eq=marginals, method="highs"))
    return Transport(float(found.fun), found.x.reshape(n, m), found.eqlin.marginals[:n], found.eqlin.marginals[n:])


def wasserstein(p: Points, q: Points, order: int = 1) -> float:
    """W_order(p, q) by the primal linear programme."""
    return max(0.0, transport(p, q, order).cost) ** (1 / order)


def wasserstein_pot(p: Points, q: Points, order: int = 1) -> float:
    """W_order(p, q) by the network simplex of POT (Flamary et al. 2021)."""
    try:
        import ot
    except ImportError:
        raise InputError("optimal transport by POT needs the package `POT`: pip install 'pinxit[eval]'") from None
    checks.at_least(order, "order", 1)
    cost = distances(*_same_space(p, q)) ** order
    found: Any = ot.emd2(p.weights, q.weights, cost)
    return max(0.0, float(found)) ** (1 / order)


def potential(p: Points, q: Points) -> Potential:
    """The dual linear programme of W_1: max sum p f - sum q f over the 1-Lipschitz f on the points of both.

    Raises:
        InputError: scipy is missing, or the points have different dimensions.
    """
    optimize, sparse = _scipy()
    x = np.concatenate(_same_space(p, q))
    gain = np.concatenate([p.weights, -q.weights])
    i, j = np.nonzero(~np.eye(len(x), dtype=bool))
    pairs = np.arange(len(i))
    slopes = sparse.csr_matrix((np.ones(len(i)), (pairs, i)), (len(i), len(x)))
    slopes = slopes - sparse.csr_matrix((np.ones(len(j)), (pairs, j)), (len(j), len(x)))
    apart = distances(x, x)[i, j]
    # f is known up to a constant, which the first point's f = 0 fixes.
    bounds = [(0.0, 0.0)] + [(None, None)] * (len(x) - 1)
    f = _solved(optimize.linprog(-gain, A_ub=slopes.tocsc(), b_ub=apart, bounds=bounds, method="highs")).x
    return Potential(float(gain @ f), f[: len(p.x)], f[len(p.x) :], steepest(f, x))


def steepest(f: Array, x: Array) -> float:
    """The Lipschitz constant of f (n,) on the points x (n, d): the greatest |f_i - f_j| / |x_i - x_j|, of points apart."""
    checks.finite(f, "f", (len(x),))
    apart = distances(x, x)
    rise = np.abs(f[:, None] - f[None, :])
    if (rise[apart == 0] > 0).any():
        return float("inf")
    return float((rise[apart > 0] / apart[apart > 0]).max(initial=0.0))


def extended(found: Potential, p: Points, q: Points, x: Array) -> Array:
    """The potential at any points x (n, d): max_i f_i - |x - x_i|, the least 1-Lipschitz extension (McShane 1934)."""
    at_p, at_q = _same_space(p, q)
    checks.finite(found.at_p, "found.at_p", (len(at_p),))
    checks.finite(found.at_q, "found.at_q", (len(at_q),))
    at, f = np.concatenate([at_p, at_q]), np.concatenate([found.at_p, found.at_q])
    return (f[None, :] - distances(x, at)).max(axis=1)


def wasserstein_line(p: Points, q: Points, order: int = 1) -> float:
    """W_order on the line, exact: (int_0^1 |F_p^-1(u) - F_q^-1(u)|^order du)^(1/order) of two step functions.

    Raises:
        InputError: the points are not one-dimensional, or `order` is below 1.
    """
    if (d := _same_space(p, q)[0].shape[1]) != 1:
        raise InputError(f"the points have {d} coordinates: the quantile formula is for 1")
    checks.at_least(order, "order", 1)
    levels, sides = [], []
    for points in (p, q):
        ranks = np.argsort(points.x[:, 0], kind="stable")
        levels.append(np.cumsum(points.weights[ranks])[:-1])
        sides.append(points.x[ranks, 0])
    edges = np.concatenate([[0.0], np.sort(np.concatenate(levels)), [1.0]])
    middle = (edges[1:] + edges[:-1]) / 2
    at_p, at_q = (side[np.searchsorted(level, middle)] for level, side in zip(levels, sides, strict=True))
    return float((np.diff(edges) @ np.abs(at_p - at_q) ** order) ** (1 / order))


def _same_space(p: Points, q: Points) -> tuple[Array, Array]:
    """The points of both, (n, d) and (m, d)."""
    for name, points in (("p", p), ("q", q)):
        checks.instance(points, Points, name, "Points.of(x, weights)")
    if p.x.shape[1] != q.x.shape[1]:
        raise InputError(f"the points have {p.x.shape[1]} and {q.x.shape[1]} coordinates: they must live in one space")
    return p.x, q.x


def _scipy() -> tuple[Any, Any]:
    try:
        from scipy import optimize, sparse
    except ImportError:
        raise InputError("linear programmes need the package `scipy`: pip install 'pinxit[eval]'") from None
    return optimize, sparse


def _solved(found: Any) -> Any:
    if found.status != 0:
        raise ArithmeticError(f"the linear programme was not solved: {found.message}")
    return found
