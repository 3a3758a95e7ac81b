"""The discriminator that the theory speaks of, D* = p / (p + q), and what generators learn from it.

Logits throughout: d = log(D / (1 - D)), so d* = log p - log q. All expectations are exact sums or quadratures.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinxit.theory import checks, densities
from pinxit.theory.densities import Estimate, Mixture

Array = NDArray[np.float64]


def optimal_discriminator(p: ArrayLike, q: ArrayLike) -> Array:
    """D*(x) = p(x) / (p(x) + q(x)), from the two densities or probabilities at each x; 1/2 where both are zero.

    Goodfellow et al. 2014, proposition 1.
    """
    p, q = checks.within(p, "p", 0), checks.within(q, "q", 0)
    checks.same_points(p=p, q=q)
    both = p + q
    return np.divide(p, both, out=np.full(both.shape, 0.5), where=both > 0)


def value(discriminator: ArrayLike, p: ArrayLike, q: ArrayLike) -> float:
    """V(D) = E_p log D + E_q log(1 - D) of a discrete pair; 0 log 0 = 0 (Goodfellow et al. 2014, eq. 1).

    Args:
        discriminator: D on every point, in [0, 1].
        p: the data's probabilities.
        q: the generator's.
    """
    d = checks.within(discriminator, "discriminator", 0, 1)
    p, q = checks.distribution(p, "p"), checks.distribution(q, "q")
    checks.same_points(discriminator=d, p=p, q=q)
    return -_surprise(p, d) - _surprise(q, 1 - d)


def _surprise(p: Array, d: Array) -> float:
    """-E_p log d, infinite where d = 0 on mass of p."""
    on = p > 0
    if (d[on] <= 0).any():
        return math.inf
    return float(-(p[on] * np.log(d[on])).sum())


def optimal_value(p: Mixture, q: Mixture) -> Estimate:
    """V(D*) = E_p log D* + E_q log(1 - D*) by quadrature, from its definition; theory says 2 JS(p, q) - log 4."""

    def integrand(x: Array) -> Array:
        log_p, log_q = p.log_prob(x), q.log_prob(x)
        log_both = np.logaddexp(log_p, log_q)
        return np.exp(log_p) * (log_p - log_both) + np.exp(log_q) * (log_q - log_both)

    return densities.integrate(integrand, p, q)


def shift_gradients(distance: float, scale: float) -> dict[str, float]:
    """How hard each generator loss pulls q = N(t, s^2), t = `distance` > 0, to p = N(0, s^2) past its own best adversary.

    The adversary is optimal for its loss and held fixed; x = t + s z, so dL/dt = E_q l'(x):

        d*(x) = (t^2/2 - t x) / s^2,  D* = sigmoid(d*)
        minimax         l = log(1 - D*)      dL/dt =  (t/s^2) E_q D*             -> 0 as t/s grows
        non-saturating  l = -log D*          dL/dt =  (t/s^2) E_q (1 - D*)       -> t/s^2
        least squares   l = (D* - 1)^2 / 2   dL/dt =  (t/s^2) E_q D* (1 - D*)^2  -> 0
        Wasserstein     l = -f*, f*(x) = -x  dL/dt =  1

    Every value is >= 0: a step against the gradient moves t to 0. The optimum of the least-squares game is the same D*
    (Mao et al. 2017, eq. 5, a = 0, b = c = 1), so over *all* functions it saturates too; see `point_gradients`.
    """
    distance, scale = checks.positive(distance, "distance"), checks.positive(scale, "scale")
    q = Mixture.of([distance], scale)
    factor = distance / scale**2

    def mean(weight: str) -> float:
        def integrand(x: Array) -> Array:
            d = (distance**2 / 2 - distance * x[..., 0]) / scale**2
            log_sure, log_fooled = -np.logaddexp(0, d), -np.logaddexp(0, -d)
            log_weight = {"D": log_fooled, "1-D": log_sure, "D(1-D)^2": log_fooled + 2 * log_sure}[weight]
            return np.exp(q.log_prob(x) + log_weight)

        return factor * densities.integrate(integrand, Mixture.of([0.0], scale), q).value

    return {
        "minimax": mean("D"),
        "non_saturating": mean("1-D"),
        "least_squares": mean("D(1-D)^2"),
        "wasserstein": 1.0,
    }


def point_gradients(distance: float, slope: float) -> dict[str, float]:
    """The same for two points, data at 0 and a sample at t = `distance`, against a linear adversary of growing `slope` a.

    The logistic loss of separable points falls for ever as a grows, d(x) = a (t/2 - x): the adversary is ever better.

        minimax         a sigmoid(-a t/2)      -> 0, exponentially in a t
        non-saturating  a sigmoid(a t/2)       -> a, without bound
        least squares   its best line is D(x) = 1 - x/t, which training reaches and keeps: 1/t
        Wasserstein     the best 1-Lipschitz line is f(x) = -x: 1
    """
    distance, slope = checks.positive(distance, "distance"), checks.positive(slope, "slope")
    fooled = math.exp(-np.logaddexp(0, slope * distance / 2))
    return {
        "minimax": slope * fooled,
        "non_saturating": slope * (1 - fooled),
        "least_squares": 1 / distance,
        "wasserstein": 1.0,
    }


def logit_gradients(d: ArrayLike) -> dict[str, Array]:
    """|dl/dd| of one sample with the discriminator's output d.

    minimax: sigmoid(d). non-saturating: 1 - sigmoid(d). least squares (raw output, target 1): |d - 1|. Wasserstein: 1.
    """
    d = np.asarray(d, dtype=np.float64)
    sigmoid = np.exp(-np.logaddexp(0, -d))
    return {
        "minimax": sigmoid,
        "non_saturating": np.exp(-np.logaddexp(0, d)),
        "least_squares": np.abs(d - 1),
        "wasserstein": np.ones_like(d),
    }
