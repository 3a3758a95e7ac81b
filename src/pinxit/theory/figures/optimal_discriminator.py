"""The best discriminator is p / (p + q), and its value is 2 JS - log 4.

    max over D of  V(D) = E_p log D + E_q log(1 - D)   is at   D* = p / (p + q),   V(D*) = 2 JS(p, q) - log 4

(Goodfellow et al. 2014, proposition 1 and theorem 1.) A network trained on V by exact quadrature climbs to it from below.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from pinxit.core.rng import seed_of, seeded
from pinxit.theory import chart, critics, densities, discriminators
from pinxit.theory.chart import Result
from pinxit.theory.densities import Mixture

STEPS = 600


def figure_optimal_discriminator(*, seed: int = 0) -> Result:
    """Two modes against one broad Gaussian, on the line.

    Numbers: V(D*) by its definition, 2 JS - log 4, their difference; V of the trained network, what it lacks, and its
    greatest distance to D* where data or samples are (p + q > 0.01).
    """
    p, q = Mixture.of([-1.5, 1.5], [0.5, 0.8]), Mixture.of([0.3], 1.4)
    best, divergence = discriminators.optimal_value(p, q), densities.js(p, q)
    x = np.linspace(-6, 6, 601)
    at_p, at_q = p.prob(x[:, None]), q.prob(x[:, None])
    optimum = discriminators.optimal_discriminator(at_p, at_q)
    values, learned = train(x, at_p, at_q, seed)
    theory = 2 * divergence.value - math.log(4)
    numbers = {
        "value_of_optimum": best.value,
        "two_js_minus_log_4": theory,
        "difference": abs(best.value - theory),
        "js": divergence.value,
        "value_of_trained": values[-1],
        "trained_lacks": best.value - values[-1],
        "trained_distance": float(np.abs(learned - optimum)[at_p + at_q > 0.01].max()),
    }
    return Result(numbers, _draw(x, at_p, at_q, optimum, learned, values, theory))


def train(x: np.ndarray, at_p: np.ndarray, at_q: np.ndarray, seed: int) -> tuple[list[float], np.ndarray]:
    """V of a network at every step, and its D(x) at the end: expectations are sums over the grid x, not samples."""
    points = torch.from_numpy(x)[:, None]
    wp, wq = (torch.from_numpy(density / density.sum()) for density in (at_p, at_q))
    with seeded(seed_of("optimal", seed)):
        network = critics.network((1, 64, 64)).double()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    values = []
    for step in range(STEPS):
        d = network(points)
        loss = wp @ F.softplus(-d) + wq @ F.softplus(d)
        values.append(-float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / STEPS)
        optimizer.step()
    with torch.no_grad():
        return values, torch.sigmoid(network(points)).numpy()


def _draw(
    x: np.ndarray,
    at_p: np.ndarray,
    at_q: np.ndarray,
    optimum: np.ndarray,
    learned: np.ndarray,
    values: list[float],
    theory: float,
) -> chart.Figure:
    figure, (left, right) = chart.panels(2)
    for density, colour, name in ((at_p, chart.BLUE, "p, data"), (at_q, chart.ORANGE, "q, generator")):
        left.fill_between(x, density, color=colour, alpha=0.3, linewidth=0, label=name)
    left.plot(x, optimum, color=chart.INK, linewidth=1.5, label="D* = p / (p + q)")
    left.plot(x, learned, color=chart.PINK, linewidth=1.5, linestyle=(0, (3, 2)), label="trained D")
    left.axhline(0.5, color=chart.INK, linewidth=0.8, linestyle=":", alpha=0.6)
    left.set_xlim(-5, 5)
    left.set_ylim(0, 1.3)
    chart.dress(left, "The optimum, and what training finds", "x", "density; D(x)")
    chart.legend(left, "upper right", size=7.5)
    right.plot(np.arange(1, len(values) + 1), values, color=chart.PINK, label="V(D) of the trained D")
    right.axhline(theory, color=chart.INK, linewidth=1.2, linestyle="--", label=f"2 JS \N{MINUS SIGN} log 4 = {theory:.5f}")
    right.axhline(-math.log(4), color=chart.AMBER, linewidth=1.2, linestyle=":", label="\N{MINUS SIGN}log 4: D can only guess")
    right.set_xscale("log")
    right.set_ylim(-1.6, theory + 0.12)
    chart.dress(right, "Its value climbs to the bound", "step", "V(D), nats")
    chart.legend(right, "lower right")
    return figure
