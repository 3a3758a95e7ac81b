"""Clipping drives the weights to their bounds, a gradient penalty does not.

    clip: w <- min(c, max(-c, w)) after every step        penalty: + 10 E (|grad f| - 1)^2

(Gulrajani et al. 2017, section 3 and figure 1b.) The critics of `trained-critics`; biases are left out.
"""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from pinxit.theory import chart, critics
from pinxit.theory.chart import Axes, Result


def figure_clipped_weights(*, seed: int = 0) -> Result:
    """The weights of a clipped and of a penalised critic.

    Numbers: the share of |w| > 0.99 c under clipping; for the penalty the share beyond 99 % of its own greatest weight, and
    the share of its weights that a clipped critic could not have.
    """
    x, x_fake = critics.ring_and_centre(seed=seed)
    clipped = critics.weights(critics.train(x, x_fake, "clip", seed=seed))
    penalised = critics.weights(critics.train(x, x_fake, "penalty", seed=seed))
    numbers = {
        "clip_at_bound": critics.at_the_bound(clipped, critics.CLIP),
        "penalty_at_greatest": critics.at_the_bound(penalised, float(penalised.abs().max())),
        "penalty_beyond_c": float((penalised.abs() > critics.CLIP).double().mean()),
        "penalty_greatest": float(penalised.abs().max()),
    }
    figure, (left, right) = chart.panels(2)
    share = numbers["clip_at_bound"]
    _histogram(left, clipped, critics.CLIP, chart.PINK, "Weight clipping, c = 0.01")
    chart.note(left, f"{share:.1%} of the weights\nhave |w| > 0.99 c", (0.5, 0.6), align="center")
    _histogram(right, penalised, float(penalised.abs().max()), chart.GREEN, "Gradient penalty, λ = 10")
    chart.note(right, f"{numbers['penalty_at_greatest']:.2%} beyond 99 %\nof the greatest", (0.03, 0.85))
    return Result(numbers, figure)


def _histogram(axes: Axes, weights: Tensor, edge: float, colour: str, title: str) -> None:
    edges = np.linspace(-edge, edge, 62)
    counts = np.histogram(weights.clamp(-edge, edge).numpy(), edges)[0] / len(weights)
    axes.bar((edges[1:] + edges[:-1]) / 2, counts, width=np.diff(edges) * 0.92, color=colour)
    axes.set_xlim(-1.06 * edge, 1.06 * edge)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    chart.dress(axes, title, "weight", "share of weights")
