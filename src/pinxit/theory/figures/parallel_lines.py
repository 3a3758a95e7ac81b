"""On disjoint supports JS is stuck at log 2, while W1 falls linearly.

    P_0 = (0, Z), P_t = (t, Z), Z ~ U[0, 1]:    JS = log 2 for t != 0, 0 at t = 0        W1 = |t|

(Arjovsky et al. 2017, example 1.) A discriminator and a WGAN-GP critic are trained anew at every t and judged on fresh
points, within bounds that docs/theory.md names.
"""

from __future__ import annotations

import math

import numpy as np

from pinxit.theory import chart, lines
from pinxit.theory.chart import Result
from pinxit.theory.lines import Measured


def figure_parallel_lines(*, seed: int = 0) -> Result:
    """Both estimates at nine distances.

    Numbers: the worst error and slope of each over |t| >= 0.25, and both estimates at every t.
    """
    measured = [lines.measure(distance, seed=seed) for distance in lines.DISTANCES]
    numbers = lines.bars(measured)
    for m in measured:
        numbers |= {f"js({m.distance:g})": m.js, f"wasserstein({m.distance:g})": m.wasserstein}
    return Result(numbers, _draw(measured))


def _draw(measured: list[Measured]) -> chart.Figure:
    figure, (left, middle, right) = chart.panels(3, width=3.8)
    z = np.linspace(0, 1, 40)
    left.plot(np.zeros(40), z, color=chart.BLUE, linewidth=3, label="P₀, data")
    left.plot(np.full(40, 0.75), z, color=chart.ORANGE, linewidth=3, label="P_t, generator")
    left.annotate("", (0.72, 0.5), (0.03, 0.5), arrowprops={"arrowstyle": "<->", "color": chart.INK})
    left.text(0.375, 0.53, "t", color=chart.INK, ha="center", fontsize=10)
    left.set_xlim(-0.3, 1.3)
    left.set_ylim(-0.05, 1.45)
    chart.dress(left, "Two lines that never meet", "x₁", "x₂ = Z")
    chart.legend(left, "upper right")
    t = [m.distance for m in measured]
    for sign in (-1, 1):
        middle.plot([0.002 * sign, 1.1 * sign], [math.log(2)] * 2, color=chart.INK, linewidth=1.2)
        right.plot([0, 1.1 * sign], [0, 1.1], color=chart.INK, linewidth=1.2, label="exact: |t|" if sign > 0 else None)
    middle.plot([], [], color=chart.INK, linewidth=1.2, label="exact: log 2, and 0 at t = 0")
    middle.plot(t, [m.js for m in measured], "o", color=chart.BLUE, markersize=5, label="trained discriminator")
    middle.set_ylim(-0.06, 1.0)
    chart.dress(middle, "JS: flat, no way to descend", "t", "JS, nats")
    right.plot(t, [m.wasserstein for m in measured], "o", color=chart.GREEN, markersize=5, label="trained WGAN-GP critic")
    right.set_ylim(-0.09, 1.5)
    chart.dress(right, "W1: a slope everywhere", "t", "W1")
    chart.legend(middle, "upper center")
    chart.legend(right, "upper center")
    return figure
