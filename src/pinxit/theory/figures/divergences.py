"""Five distances between two Gaussians that are pulled apart.

    p = N(0, 1), q = N(t, 1):   KL = t^2 / 2    JS <= log 2    TV = 2 Phi(t/2) - 1    W1 = W2 = t

Each is computed by quadrature and held against its closed form, where there is one.
"""

from __future__ import annotations

import math

import numpy as np

from pinxit.theory import chart, densities
from pinxit.theory.chart import Result
from pinxit.theory.densities import Mixture


def figure_divergences(*, seed: int = 0) -> Result:
    """KL, JS, TV, W1 and W2 over the distance of the means. Nothing here is random: `seed` is not used.

    Numbers: each at t = 3, the quadrature's own error, and the greatest difference to a closed form over the whole range.
    """
    del seed
    shifts = np.linspace(0, 6, 25)
    p = Mixture.of([0.0], 1.0)
    distances = {
        "kl": densities.kl,
        "js": densities.js,
        "total_variation": densities.total_variation,
        "w1": densities.wasserstein1,
        "w2": densities.wasserstein2,
    }
    found = {name: [distance(p, Mixture.of([t], 1.0)) for t in shifts] for name, distance in distances.items()}
    known = {
        "kl": shifts**2 / 2,
        "total_variation": np.array([math.erf(t / math.sqrt(8)) for t in shifts]),
        "w1": shifts,
        "w2": shifts,
    }
    at = int(np.argmin(np.abs(shifts - 3)))
    numbers = {f"{name}_at_3": estimates[at].value for name, estimates in found.items()}
    numbers |= {f"{name}_quadrature_error": max(e.error for e in estimates) for name, estimates in found.items()}
    for name, truth in known.items():
        numbers[f"{name}_difference"] = float(np.abs(np.array([e.value for e in found[name]]) - truth).max())
    return Result(numbers, _draw(shifts, {name: [e.value for e in estimates] for name, estimates in found.items()}))


def _draw(shifts: np.ndarray, values: dict[str, list[float]]) -> chart.Figure:
    figure, (left, right) = chart.panels(2)
    x = np.linspace(-4, 7, 400)[:, None]
    for t, colour, name in ((0.0, chart.BLUE, "p = N(0, 1)"), (3.0, chart.ORANGE, "q = N(t, 1), t = 3")):
        y = Mixture.of([t], 1.0).prob(x)
        left.plot(x[:, 0], y, color=colour, label=name)
        left.fill_between(x[:, 0], y, color=colour, alpha=0.15)
    chart.dress(left, "The pair", "x", "density")
    left.set_ylim(0, 0.5)
    chart.legend(left, "upper right")
    styles = (
        ("kl", "KL(p ‖ q)", chart.PINK, "-"),
        ("w1", "W1 = W2", chart.GREEN, "-"),
        ("js", "JS, at most log 2", chart.BLUE, "-"),
        ("total_variation", "TV, at most 1", chart.AMBER, "--"),
    )
    for name, label, colour, style in styles:
        right.plot(shifts, values[name], color=colour, label=label, linestyle=style)
    right.axhline(math.log(2), color=chart.BLUE, linewidth=0.9, linestyle=":")
    right.set_ylim(0, 6.2)
    right.set_xlim(0, 6)
    chart.dress(right, "JS and TV stop telling, W goes on", "distance t of the means", "divergence (KL, JS in nats)")
    chart.legend(right, "upper left")
    return figure
