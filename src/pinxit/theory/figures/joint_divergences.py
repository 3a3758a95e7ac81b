"""GAN and VAE as two divergences between the joints of data and code, each estimated and exact.

    KL(q(x) q(z|x) || p(z) p(x|z)) = -E ELBO - H(q(x))        JS(q(x) q(z|x), p(z) p(x|z)) = (V(D*) + log 4) / 2

A linear-Gaussian toy, its decoder's weight w swept past the data's own. The VAE's estimate is sampled with this library's
losses; the GAN's is a discriminator of (x, z) that learns the ratio from samples.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from pinxit.theory import chart, gaussians, joints
from pinxit.theory.chart import Result
from pinxit.theory.joints import Toy


def figure_joint_divergences(*, seed: int = 0) -> Result:
    """Both divergences over the decoder's weight.

    Numbers at w = 1.5: the exact KL of the joints, -ELBO - H by formula and by samples, KL of the marginals; the exact JS of
    the joints, the discriminator's estimate, JS of the marginals; and the greatest difference of each estimate from the exact
    value in units of its error (two standard errors), over the sweep.
    """
    sweep = np.linspace(0.4, 2.0, 9)
    toys = [dataclasses.replace(Toy(), w=float(w)) for w in sweep]
    rows = [measure(toy, seed) for toy in toys]
    shown = measure(dataclasses.replace(Toy(), w=1.5), seed)
    numbers = {name: value for name, value in shown.items() if not name.endswith("_error")}
    for name, exact in (("vae", "kl_joint"), ("gan", "js_joint")):
        numbers[f"{name}_worst_in_errors"] = max(abs(row[name] - row[exact]) / row[f"{name}_error"] for row in rows)
    numbers["identity_difference"] = max(abs(row["kl_joint"] - row["minus_elbo_minus_entropy"]) for row in rows)
    return Result(numbers, _draw(sweep, rows))


def measure(toy: Toy, seed: int) -> dict[str, float]:
    """Every divergence of one toy."""
    vae, gan = joints.vae_estimate(toy, seed=seed), joints.gan_estimate(toy, seed=seed)
    return {
        "kl_joint": joints.joint_kl(toy),
        "minus_elbo_minus_entropy": -joints.mean_elbo(toy) - gaussians.entropy(toy.s**2),
        "vae": vae.value,
        "vae_error": vae.error,
        "kl_marginal": joints.marginal_kl(toy),
        "js_joint": joints.joint_js(toy).value,
        "gan": gan.value,
        "gan_error": gan.error,
        "js_marginal": joints.marginal_js(toy).value,
    }


def _draw(sweep: np.ndarray, rows: list[dict[str, float]]) -> chart.Figure:
    figure, (left, right) = chart.panels(2, width=4.6)
    panels = (
        (left, chart.BLUE, "VAE: Kullback-Leibler", "kl", "vae", "\N{MINUS SIGN}ELBO \N{MINUS SIGN} H, sampled", "KL, nats"),
        (right, chart.GREEN, "GAN: Jensen-Shannon", "js", "gan", "learned ratio, V/2 + log 2", "JS, nats"),
    )
    for axes, colour, title, kind, estimate, label, unit in panels:
        axes.plot(sweep, [row[f"{kind}_joint"] for row in rows], color=chart.INK, label="of the joints, exact")
        axes.plot(sweep, [row[f"{kind}_marginal"] for row in rows], color=chart.INK, linestyle=":", label="of the marginals in x")
        values, errors = ([row[name] for row in rows] for name in (estimate, f"{estimate}_error"))
        axes.errorbar(sweep, values, errors, fmt="o", color=colour, markersize=5, capsize=2.5, linewidth=1.2, label=label)
        axes.set_ylim(bottom=min(0.0, min(values)) - 0.02 * max(values))
        chart.dress(axes, title, "decoder's weight w", unit)
        chart.legend(axes, "upper left")
    return figure
