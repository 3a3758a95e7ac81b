"""What a trained critic reaches of the exact W1: clipping, gradient penalty, spectral norm.

    E_p f - E_q f  <=  K W1   for a K-Lipschitz f, with equality only for a Kantorovich potential

The same pair of point sets for all: eight narrow Gaussians on a circle against one at its centre. The exact W1 is the linear
programme's; K is the greatest slope found in the critic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from pinxit.theory import chart, critics, transport
from pinxit.theory.chart import Axes, Result
from pinxit.theory.critics import Reached
from pinxit.theory.transport import Points

NAMES = {
    "clip": "Weight clipping\nc = 0.01",
    "penalty": "Gradient penalty\nλ = 10",
    "spectral": "Spectral norm\nLeakyReLU",
    "sorted": "Spectral norm\nsorted pairs",
}
EDGE = 1.35


def figure_trained_critics(*, seed: int = 0) -> Result:
    """Four critics of one architecture (two hidden layers of 64); the last has activations that keep the gradient's norm.

    Numbers: the exact W1; for each critic its `value`, the measured `slope` K, the `bound` of K from above, `scaled`, which is
    value / K, and `share`, which is value / (K W1): 1 for a perfect critic.
    """
    x, x_fake = critics.ring_and_centre(seed=seed)
    p, q = (Points.of(points.double().numpy()) for points in (x, x_fake))
    best = transport.potential(p, q)
    networks = {name: critics.train(x, x_fake, name, seed=seed) for name in critics.CONSTRAINTS}
    found = {name: critics.reached(network, x, x_fake, seed=seed) for name, network in networks.items()}
    numbers = {"w1": transport.wasserstein(p, q), "w1_dual": best.value}
    for name, reached in found.items():
        numbers |= {f"{name}_value": reached.value, f"{name}_slope": reached.slope, f"{name}_bound": reached.bound}
        numbers |= {f"{name}_scaled": reached.scaled, f"{name}_share": reached.scaled / best.value}
    maps: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "Exact potential\n(light: high)": lambda at: transport.extended(best, p, q, at),
        **{NAMES[name]: _scores(network) for name, network in networks.items()},
    }
    return Result(numbers, _draw(maps, x, x_fake, best.value, found))


def _scores(network: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda at: network(torch.from_numpy(at).float()).double().numpy()


def _draw(
    maps: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    x: Tensor,
    x_fake: Tensor,
    exact: float,
    found: Mapping[critics.Constraint, Reached],
) -> chart.Figure:
    figure = chart.paper(13.2, 6.1)
    grid = figure.add_gridspec(2, 10, height_ratios=(1.15, 1))
    axis = np.linspace(-EDGE, EDGE, 90)
    at = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for place, (name, scores) in enumerate(maps.items()):
        axes = figure.add_subplot(grid[0, 2 * place : 2 * place + 2])
        f = scores(at).reshape(90, 90)
        axes.contourf(axis, axis, f, levels=12, cmap="Greys_r", alpha=0.8)
        axes.contour(axis, axis, f, levels=12, colors="white", linewidths=0.5, linestyles="solid")
        axes.scatter(*x.numpy().T, s=9, color=chart.BLUE, label="p")
        axes.scatter(*x_fake.numpy().T, s=9, color=chart.ORANGE, label="q")
        chart.dress(axes, name, "x₁", "x₂" if place == 0 else "")
        axes.grid(False)
        axes.set_aspect("equal")
        if place == 0:
            chart.legend(axes, "upper left", size=7.5)
    _bars(figure.add_subplot(grid[1, :5]), "What the critic says: E f(x) \N{MINUS SIGN} E f(x̃)", exact, found, scaled=False)
    _bars(figure.add_subplot(grid[1, 5:]), "The same divided by its measured slope K", exact, found, scaled=True)
    return figure


def _bars(axes: Axes, title: str, exact: float, found: Mapping[critics.Constraint, Reached], *, scaled: bool) -> None:
    colours = (chart.PINK, chart.GREEN, chart.AMBER, chart.SKY)
    for place, reached in enumerate(found.values()):
        height = reached.scaled if scaled else reached.value
        axes.bar(place, height, width=0.55, color=colours[place])
        label = f"{height:.4f}\n{height / exact:.0%} of W1" if scaled else f"{height:.4f}"
        axes.annotate(
            label,
            (place, max(height, exact) if height > 0.75 * exact else height),  # clear of the dashed line
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=chart.INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.9},
            zorder=5,
        )
    axes.axhline(exact, color=chart.INK, linewidth=1.2, linestyle="--")
    axes.text(3.98, exact + 0.015, f"exact W1\n{exact:.4f}", ha="right", va="bottom", fontsize=8.5, color=chart.INK)
    axes.set_xlim(-0.5, 4.0)
    axes.set_xticks(range(len(found)), [f"{NAMES[name]}\nK = {reached.slope:.3g}" for name, reached in found.items()])
    axes.set_ylim(0, 1.25)
    chart.dress(axes, title, y="estimate of W1")
    axes.grid(axis="x", visible=False)
