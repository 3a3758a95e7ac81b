"""Lipschitz constants from below and from above: the largest slope found, and the product of the layers' norms.

    max over points of |grad f|  <=  Lip(f)  <=  product of the operator norms

Equal for a linear map; for |x| made of two ReLUs the product is 2, though the slope is 1 (all patterns of activity tried:
1). Below them an untrained critic and the four of `trained-critics`.
"""

from __future__ import annotations

import torch
from torch import nn

from pinxit.core.rng import seed_of, seeded
from pinxit.diagnostics import lipschitz
from pinxit.nn.spectral import operator_norm
from pinxit.theory import chart, critics
from pinxit.theory.chart import Result


def figure_lipschitz_bounds(*, seed: int = 0) -> Result:
    """Seven networks.

    Numbers: `lower` and `upper` of each; the exact norm of the linear one; all patterns of |x|; the mean gradient norm of the
    penalised critic on lines between the sets; the greatest |sigma - 1| of a spectrally normalised layer after 200 steps.
    """
    x, x_fake = critics.ring_and_centre(seed=seed)
    with seeded(seed_of("lipschitz", seed)):
        linear, fresh = nn.Linear(2, 1), critics.network((2, 64, 64)).requires_grad_(False)
    absolute = absolute_value()
    trained = {name: critics.train(x, x_fake, name, seed=seed) for name in critics.CONSTRAINTS}
    networks: dict[str, nn.Module] = {"linear": linear, "absolute": absolute, "untrained": fresh, **trained}
    numbers: dict[str, float] = {}
    for name, network in networks.items():
        points = torch.cat([x, x_fake]) if name != "absolute" else torch.cat([x, x_fake])[:, :1]
        generator = torch.Generator().manual_seed(seed_of("climb", seed))
        numbers[f"{name}_lower"] = lipschitz.lower(network, points, steps=40, generator=generator).value
        numbers[f"{name}_upper"] = lipschitz.upper(network, tuple(points.shape[1:])).value
    numbers["linear_exact"] = float(linear.weight.detach().double().norm())
    numbers["absolute_patterns"] = lipschitz.upper_by_patterns(absolute)
    generator = torch.Generator().manual_seed(seed_of("lines", seed))
    lines = critics.between(x, x_fake, 1024, generator)
    numbers["penalty_on_lines"] = float(lipschitz.slopes(trained["penalty"], lines).mean())
    numbers["spectral_deviation"] = spectral_deviation(critics.train(x, x_fake, "spectral", steps=200, seed=seed))
    return Result(numbers, _draw(numbers))


def absolute_value() -> nn.Sequential:
    """|x| = relu(x) + relu(-x) on the line, as a network (n, 1) to (n, 1)."""
    first, last = nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        last.weight.fill_(1.0)
    return nn.Sequential(first, nn.ReLU(), last).requires_grad_(False)


def spectral_deviation(critic: nn.Module) -> float:
    """The greatest |sigma - 1| of the linear layers as they act, by SVD."""
    layers = [layer for layer in critic.modules() if isinstance(layer, nn.Linear)]
    return max(abs(operator_norm(layer, (layer.in_features,)) - 1) for layer in layers)


def _draw(numbers: dict[str, float]) -> chart.Figure:
    figure = chart.paper(8.4, 3.9)
    axes = figure.add_subplot()
    labels = {
        "linear": "linear map",
        "absolute": "|x| by two ReLUs",
        "untrained": "untrained critic",
        "clip": "clipped, c = 0.01",
        "penalty": "gradient penalty, λ = 10",
        "spectral": "spectral norm, LeakyReLU",
        "sorted": "spectral norm, sorted pairs",
    }
    for place, name in enumerate(labels):
        low, high = numbers[f"{name}_lower"], numbers[f"{name}_upper"]
        axes.plot([low, high], [place, place], color=chart.INK, alpha=0.35, linewidth=4, solid_capstyle="round", zorder=2)
        axes.plot(low, place, "o", color=chart.BLUE, markersize=7, label="slope found (lower)" if place == 0 else None, zorder=3)
        axes.plot(high, place, "D", color=chart.ORANGE, markersize=6, label="product of norms (upper)" if place == 0 else None)
        axes.annotate(f"{low:.4g}", (low, place), (-9, 0), textcoords="offset points", ha="right", va="center", fontsize=8)
        axes.annotate(f"{high:.4g}", (high, place), (9, 0), textcoords="offset points", ha="left", va="center", fontsize=8)
    axes.axvline(1, color=chart.INK, linewidth=1, linestyle="--", alpha=0.7)
    axes.set_xscale("log")
    axes.set_xlim(2e-4, 60)
    axes.set_yticks(range(len(labels)), list(labels.values()))
    axes.set_ylim(len(labels) - 0.4, -1.2)
    chart.dress(axes, "Where the Lipschitz constant lies (dashed: 1)", "largest slope of f")
    chart.legend(axes, "upper left", size=8)
    return figure
