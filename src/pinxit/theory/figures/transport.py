"""An optimal transport plan, and the Kantorovich potential that proves it optimal.

    primal  W1 = min over plans pi of sum_ij pi_ij |x_i - y_j|       dual  W1 = max over 1-Lipschitz f of E_p f - E_q f

Linear programme, POT's network simplex and the dual must agree; mass moves only where f falls with slope exactly one.
"""

from __future__ import annotations

import numpy as np

from pinxit.core.rng import seed_of
from pinxit.theory import chart, transport
from pinxit.theory.chart import Result
from pinxit.theory.densities import Mixture
from pinxit.theory.transport import Points, Potential


def figure_transport(*, seed: int = 0) -> Result:
    """Twenty-four weighted points of a ring against thirty of a Gaussian beside it.

    Numbers: W1 by linear programme, POT and dual; W2 by the first two; `gap` between primal and dual; `slope`, the greatest
    of the potential between any two points; `slackness`, how far f is from slope one where mass moves.
    """
    p, q = pair(seed)
    plan = transport.transport(p, q)
    found = transport.potential(p, q)
    apart = transport.distances(p.x, q.x)
    fall = found.at_p[:, None] - found.at_q[None, :]
    moved = plan.plan > 1e-12
    numbers = {
        "w1_linear_programme": plan.cost,
        "w1_pot": transport.wasserstein_pot(p, q),
        "w1_dual": found.value,
        "gap": abs(plan.cost - found.value),
        "slope": found.slope,
        "slackness": float(np.abs(fall - apart)[moved].max()),
        "w2_linear_programme": transport.wasserstein(p, q, 2),
        "w2_pot": transport.wasserstein_pot(p, q, 2),
    }
    return Result(numbers, _draw(p, q, plan.plan, found))


def pair(seed: int) -> tuple[Points, Points]:
    """The two distributions, with unequal weights."""
    generator = np.random.default_rng(seed_of("transport", seed))
    angles = 2 * np.pi * np.arange(8) / 8
    ring = Mixture.of(np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.06)
    blob = Mixture.of([[1.6, -0.9]], 0.35)
    weights = [generator.uniform(0.5, 1.5, size=n) for n in (24, 30)]
    points = (ring.sample(24, generator), blob.sample(30, generator))
    first, second = (Points.of(x, w / w.sum()) for x, w in zip(points, weights, strict=True))
    return first, second


def _draw(p: Points, q: Points, plan: np.ndarray, found: Potential) -> chart.Figure:
    figure, (left, right) = chart.panels(2, width=4.6, height=3.6)
    for i, j in zip(*np.nonzero(plan > 1e-12), strict=True):
        ends = np.stack([p.x[i], q.x[j]])
        left.plot(ends[:, 0], ends[:, 1], color=chart.INK, alpha=0.5, linewidth=60 * plan[i, j], zorder=1)
    low, high = np.array([-1.6, -2.2]), np.array([2.9, 1.6])
    axes = [np.linspace(low[i], high[i], 160) for i in range(2)]
    at = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    f = transport.extended(found, p, q, at).reshape(160, 160)
    lines = right.contourf(*axes, f, levels=12, cmap="Greys_r", alpha=0.75)
    right.contour(*axes, f, levels=12, colors="white", linewidths=0.5, linestyles="solid")
    bar = figure.colorbar(lines, ax=right, fraction=0.045, pad=0.02)
    bar.ax.tick_params(labelsize=8, colors=chart.INK)
    bar.set_label("f", color=chart.INK, fontsize=9)
    bar.outline.set_visible(False)  # type: ignore[operator]
    for panel in (left, right):
        panel.scatter(*p.x.T, s=900 * p.weights, color=chart.BLUE, edgecolor="white", linewidth=0.7, label="p, a ring", zorder=3)
        panel.scatter(*q.x.T, s=900 * q.weights, color=chart.ORANGE, edgecolor="white", linewidth=0.7, label="q", zorder=3)
        panel.set_xlim(low[0], high[0])
        panel.set_ylim(low[1], high[1])
        panel.set_aspect("equal")
    chart.dress(left, f"The plan: who goes where (W1 = {plan_cost(p, q, plan):.4f})", "x₁", "x₂")
    chart.dress(right, "The potential f: |slope| ≤ 1", "x₁", "x₂")
    chart.legend(left, "upper right")
    right.grid(False)
    return figure


def plan_cost(p: Points, q: Points, plan: np.ndarray) -> float:
    """sum_ij pi_ij |x_i - y_j|."""
    return float((plan * transport.distances(p.x, q.x)).sum())
