"""How results are to be read: by how much and why a suite's bar was missed, and what is recorded of the rings that lack modes.

Numbers are taken from the results, so that they follow them; the words say what such numbers mean.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from experiments.conditional import WHY
from experiments.harness import Measured

HOW_RINGS_DIFFER = {
    "ring": "This experiment and the suite `rings` train the same presets from the same seeds by the same settings, on one "
    "thread, and judge 2,500 samples of the averaged generator. They differ in the data: here all runs learn the same 100,000 "
    "points (data seed 0), in `rings` a run's seed draws its points as well. The samples judged are drawn by other seeds, and "
    "the last interval is one of 200 rounds here and of 50 there. So runs of seed 0 are the same in both but for the draw of the "
    "samples, and runs of seeds 1 and 2 had other points to learn: a loss that holds the ring in one and not in the other "
    "depends on such a draw.",
    "rings": "A run's seed draws its 100,000 points as well, while in the experiment `ring` all runs learn the same: there it is "
    "said how else the two differ.",
}
"""By the name of the experiment or suite."""
NORMALISED = "with spectral norm its slope is at most 1, so across the 3 sigma = 0.03 of a mode its logit moves by 0.03 at most"
RECORDED: dict[str, str] = {
    "dragan": "in balance the loss is 2 ln 2 = 1.386, D is 1/2 and the penalty, (slope - 1)^2 about the data, small, as in the "
    "runs with all modes; where modes are missing the penalty is many times as large and the loss off the balance",
    "sngan-hinge": "a hinge loss of 2 with scores alike for data and samples is that of a discriminator that does not tell them "
    f"apart, though hardly a sample lies within 3 sigma of a mode; {NORMALISED}",
    "sngan-non-saturating": "a loss of 2 ln 2 = 1.386 with D near 1/2 for data and samples is that of a discriminator that does "
    f"not tell them apart, though hardly a sample lies within 3 sigma of a mode; {NORMALISED}",
    "sngan-regularised": "where the loss is 2 ln 2 = 1.386, D is 1/2 everywhere and the penalty is near 0, the discriminator has "
    "become flat and the generator is taught nothing; where the penalty is not small, the modes are held",
    "ebgan": "the samples' energy stays above the data's, so the discriminator still tells them apart at the end; the data's own "
    "is not near 0, so the auto-encoder does not render the data (its code is one number, of which the pulling-away measure is "
    "always 1; its weight here is 0)",
    "began": "the energies of data and samples are near 0 and near the ratio asked for (gamma 0.9), and the measure of "
    "convergence is as small: the loss's own figures are those of success, and do not show that modes are gone",
}
"""What the last interval's figures mean, by loss."""


def of_seeds(result: Measured, metric: str) -> dict[str, list[float]]:
    """A metric's values by run, a seed each."""
    found: dict[str, list[float]] = {}
    for run in result["runs"]:
        found.setdefault(run["run"].rpartition("-s")[0], []).append(run[metric])
    return found


def precision(result: Measured) -> str:
    """Of FM-2's second half."""
    means = {name: statistics.fmean(values) for name, values in of_seeds(result, "precision").items()}
    vae = means.pop("vae")
    below = sorted((name for name in means if means[name] < vae), key=means.__getitem__)
    listed = ", ".join(f"{name} {means[name]:.3f}" for name in below)
    recalls = {name: statistics.fmean(values) for name, values in of_seeds(result, "recall").items()}
    others = [name for name in means if name not in below]
    above = ", ".join(f"{name} {means[name]:.3f}" for name in others)
    recall = max(recalls[name] for name in others)
    run = result["runs"][0]
    return (
        f"the VAE's mean of {vae:.3f} is {vae - means[below[0]]:.3f} above the least, and above {listed}; only runs without "
        f"recall ({above}; recall at most {recall:.4f}) are more precise. In these features precision is no measure of "
        f"sharpness: real images have {run['precision/floor']:.3f}, the same blurred {run['precision/blurred']:.3f}"
    )


def noisy(result: Measured) -> str:
    """Of the distance of images with noise."""
    bound = result["runs"][0]["frechet distance/noisy"]
    found = of_seeds(result, "frechet distance")
    over = {name: [value - bound for value in values] for name, values in found.items()}
    listed = ", ".join(f"{name} {min(v):.0f} to {max(v):.0f}" for name, v in over.items() if min(v) > 0)
    within = ", ".join(name for name, values in over.items() if max(values) <= 0)
    return (
        f"the images with noise are at {bound:.1f}, and only {within} is nearer in every seed; above it by {listed}. 2,000 "
        "updates are few: minimax saturates, clipped WGAN and BEGAN have hardly begun, and WGAN and WGAN-GP spend four in five "
        "on the critic"
    )


MISSED: dict[tuple[str, str], Callable[[Measured], str]] = {
    ("conditional", "acgan TSTR"): lambda _: WHY,
    ("fashion", "FM-2 the VAE is the least precise"): precision,
    ("fashion", "nearer to the data than its images with noise"): noisy,
}
"""By suite and bar."""


def rings(result: Measured) -> str:
    """How `ring` and `rings` differ, and what was recorded at the end of every run of a loss that lacks modes; else nothing."""
    name = result.get("experiment") or result.get("suite")
    if name not in HOW_RINGS_DIFFER:
        return ""
    told = [
        f"\n{HOW_RINGS_DIFFER[name]}\n\nLosses of which a run lacks modes, with the last interval's figures in seed order:\n\n"
    ]
    losses: dict[str, list[Measured]] = {}
    for run in result["runs"]:
        losses.setdefault(run["run"].rpartition("-s")[0], []).append(run)
    for loss, runs in losses.items():
        if min(run["modes"] for run in runs) >= 8:
            continue
        last = [ended(run) for run in runs]
        figures = {"modes": [run["modes"] for run in runs]} | {key: [one.get(key) for one in last] for key in last[0]}
        listed = "; ".join(f"{key} {', '.join(map(short, values))}" for key, values in figures.items())
        told.append(f"- {loss}: {listed}" + (f". Read: {RECORDED[loss]}\n" if loss in RECORDED else "\n"))
    return "".join(told)


def ended(run: Measured) -> Measured:
    """The players' figures of a run's last interval."""
    if "last interval" in run:
        return run["last interval"]
    players = ("log/discriminator/", "log/generator/", "log/critic/")
    return {key.removeprefix("log/"): value for key, value in run.items() if key.startswith(players)}


def short(value: float | None) -> str:
    """Three digits."""
    return "none" if value is None else f"{value:.3g}"
