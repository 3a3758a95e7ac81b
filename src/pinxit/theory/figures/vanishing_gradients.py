"""The generator's gradient against an ever better adversary: minimax vanishes, the others do not all.

Left, two Gaussians with each loss's own exact optimum:    |dL/dt| = (t/s^2) E_q w(D*),  w = D, 1 - D, D (1 - D)^2; 1 for W1
Middle, two points and a line of growing slope a:           a sigmoid(-a t/2), a sigmoid(a t/2); 1/t; 1
Right, networks trained from scratch on the parallel lines, the generator frozen (the shift t is its only parameter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pinxit.core.rng import seed_of
from pinxit.theory import chart, critics, discriminators, lines, vanishing
from pinxit.theory.chart import Axes, Result

LABELS = {
    "minimax": ("log(1 \N{MINUS SIGN} D), minimax", chart.PINK),
    "non_saturating": ("\N{MINUS SIGN}log D, non-saturating", chart.BLUE),
    "least_squares": ("least squares", chart.AMBER),
    "wasserstein": ("Wasserstein", chart.GREEN),
}


class Shift(nn.Module):
    """A generator of one parameter: z (n, 1) in [0, 1] to the points (t, z) of a line."""

    def __init__(self, t: float) -> None:
        super().__init__()
        self.t = nn.Parameter(torch.tensor(t))

    def forward(self, z: Tensor) -> Tensor:
        """(n, 2)."""
        return torch.cat([self.t.expand(len(z), 1), z], dim=1)


def figure_vanishing_gradients(*, seed: int = 0) -> Result:
    """Exact gradients of four losses in two settings, and trained ones in a third.

    Numbers: `exact_*`, the gradient at t/s = 10 with s = 0.1; `point_*`, at a = 60, t = 0.5; `trained_*`, after 1,000 steps; and
    `trained_minimax_fall`, the greatest of the minimax gradient along the way over its last.
    """
    ratios = np.linspace(0.25, 12, 48)
    exact = [discriminators.shift_gradients(1.0, 1 / ratio) for ratio in ratios]
    sharpness = np.linspace(0.25, 60, 160)
    point = [discriminators.point_gradients(0.5, slope) for slope in sharpness]
    trace = trained(seed)
    numbers = {f"exact_{name}": value for name, value in discriminators.shift_gradients(1.0, 0.1).items()}
    numbers |= {f"point_{name}": value for name, value in discriminators.point_gradients(0.5, 60.0).items()}
    numbers |= {f"trained_{name}": getattr(trace, name)[-1] for name in LABELS}
    numbers["trained_minimax_fall"] = max(trace.minimax) / trace.minimax[-1]
    numbers["trained_accuracy"] = trace.accuracy[-1]
    figure, (left, middle, right) = chart.panels(3, width=3.9, height=3.6)
    _lines(left, ratios, {name: [g[name] for g in exact] for name in LABELS})
    chart.dress(left, "Exact optimum, two Gaussians", "distance / width, t/s (t = 1)", "|dL/dt|")
    _lines(middle, sharpness, {name: [g[name] for g in point] for name in LABELS})
    chart.dress(middle, "A line of growing slope, two points", "slope a of the logits (t = 0.5)")
    _lines(right, trace.step, {name: getattr(trace, name) for name in LABELS})
    right.set_xscale("symlog", linthresh=1)
    right.set_xlim(0, trace.step[-1])
    chart.dress(right, "Trained from scratch, two lines", "steps of the adversary (t = 1)")
    chart.legend(left, "lower left", size=7.5)
    return Result(numbers, figure)


def trained(seed: int) -> vanishing.Trace:
    """Fresh networks against the line at t = 1."""
    real = lines.points(0.0, 2048, torch.Generator().manual_seed(seed_of("real", seed)))
    plan = vanishing.Plan(steps=1000, lr=1e-2, critic_lr=1e-3, seed=seed)

    def adversary() -> nn.Module:
        return critics.network((2, 64, 64))

    return vanishing.vanishing(Shift(1.0), lambda n, draw: torch.rand(n, 1, generator=draw), real, adversary, adversary, plan)


def _lines(axes: Axes, at: Sequence[float] | np.ndarray, values: Mapping[str, Sequence[float]]) -> None:
    for name, (label, colour) in LABELS.items():
        axes.plot(at, values[name], color=colour, label=label, linewidth=1.7)
    axes.set_yscale("log")
    axes.set_ylim(1e-7, 1e3)
