"""One Gaussian fitted to two modes: KL(p || q) covers both, KL(q || p) seeks one.

    argmin_q KL(p || q): the mean and variance of p        argmin_q KL(q || p): by quadrature and L-BFGS, from every mode

p = 0.6 N(-d/2, 0.6^2) + 0.4 N(d/2, 0.6^2). As d grows the reverse fit leaves the middle for the larger mode.
"""

from __future__ import annotations

import numpy as np

from pinxit.theory import chart, densities, fits
from pinxit.theory.chart import Result
from pinxit.theory.densities import Mixture
from pinxit.theory.fits import Fit

SCALE, WEIGHTS, SHOWN = 0.6, (0.6, 0.4), 4.0


def figure_kl_directions(*, seed: int = 0) -> Result:
    """Both fits at d = 4, and their means over d. Nothing here is random: `seed` is not used.

    Numbers: mean, scale and divergence of each fit; what each fit costs in the other direction; the mass of p within two
    scales of the reverse fit; the distance d at which the reverse fit leaves the middle.
    """
    del seed
    p = mixture(SHOWN)
    cover, seek, other = fits.forward(p), fits.best_reverse(p), fits.reverse(p, SHOWN / 2, SCALE)
    edges = np.array([seek.mean - 2 * seek.scale, seek.mean + 2 * seek.scale])
    low, high = p.cdf(edges)
    numbers = {
        "forward_mean": cover.mean,
        "forward_scale": cover.scale,
        "forward_kl": cover.divergence,
        "forward_in_reverse": densities.kl(cover.density, p).value,
        "reverse_mean": seek.mean,
        "reverse_scale": seek.scale,
        "reverse_kl": seek.divergence,
        "reverse_in_forward": densities.kl(p, seek.density).value,
        "reverse_covers": float(high - low),
        "second_mode_mean": other.mean,
        "second_mode_kl": other.divergence,
    }
    apart = np.linspace(0.5, 6, 45)
    forward = [fits.forward(mixture(d)) for d in apart]
    reverse = [fits.best_reverse(mixture(d)) for d in apart]
    left_middle = [d for d, fit in zip(apart, reverse, strict=True) if fit.mean < -0.4 * d]
    numbers["seeks_from_distance"] = float(left_middle[0])
    return Result(numbers, _draw(p, cover, seek, other, apart, forward, reverse))


def mixture(distance: float) -> Mixture:
    """p for modes `distance` apart."""
    return Mixture.of([-distance / 2, distance / 2], SCALE, WEIGHTS)


def _draw(
    p: Mixture, cover: Fit, seek: Fit, other: Fit, apart: np.ndarray, forward: list[Fit], reverse: list[Fit]
) -> chart.Figure:
    figure, (left, right) = chart.panels(2, width=4.6)
    x = np.linspace(-6, 6, 500)[:, None]
    left.fill_between(x[:, 0], p.prob(x), color=chart.INK, alpha=0.18, linewidth=0, label="p, two modes")
    curves = (
        (cover, chart.BLUE, "-", f"forward fit: KL(p ‖ q) = {cover.divergence:.3f}"),
        (seek, chart.ORANGE, "-", f"reverse fit: KL(q ‖ p) = {seek.divergence:.3f}"),
        (other, chart.ORANGE, ":", f"its other minimum: {other.divergence:.3f}"),
    )
    for fit, colour, style, label in curves:
        left.plot(x[:, 0], fit.density.prob(x), color=colour, linestyle=style, label=label)
    left.set_ylim(0, 1.0)
    chart.dress(left, "Covering and seeking", "x", "density")
    chart.legend(left, "upper right", size=8)
    right.plot(apart, -apart / 2, color=chart.INK, linewidth=0.9, linestyle="--", label="the modes of p")
    right.plot(apart, apart / 2, color=chart.INK, linewidth=0.9, linestyle="--")
    for fits_found, colour, label in ((forward, chart.BLUE, "forward fit"), (reverse, chart.ORANGE, "reverse fit (best)")):
        means, scales = np.array([f.mean for f in fits_found]), np.array([f.scale for f in fits_found])
        # The best fit jumps from one minimum to another: no line between the two.
        jumps = np.flatnonzero(np.abs(np.diff(means)) > SCALE) + 1
        for piece in np.split(np.arange(len(apart)), jumps):
            name = f"{label}: mean ± scale" if piece[0] == 0 else None
            right.plot(apart[piece], means[piece], color=colour, label=name)
            low, high = means[piece] - scales[piece], means[piece] + scales[piece]
            right.fill_between(apart[piece], low, high, color=colour, alpha=0.15, linewidth=0)
    right.set_ylim(-4, 6)
    chart.dress(right, "As the modes part, the reverse fit decides", "distance d of the modes", "x")
    chart.legend(right, "upper left", size=8)
    return figure
