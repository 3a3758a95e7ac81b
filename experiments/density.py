"""Annealing of a VAE and a GAN of one decoder, and what Parzen windows make of them (bar AIS-2)."""

from __future__ import annotations

import math
from typing import Any

from experiments.harness import Bar, Experiment, Measured, Run

TRAIN = 50_000
SIGMA = math.sqrt(0.025)
"""Of the Gaussian on the decoder's image, pixels in [0, 1]: what Wu et al. 2017 found best for ten dimensions."""
ANNEALED, SIMULATED = 100, 16
"""Test images, and images drawn from the model for the gap of bidirectional Monte Carlo."""
RUNS = (
    Run(
        "gan-10-s0", "gan", f"mnist[:{TRAIN}]", "small", 0,
        {"latent": 10, "generator": (128, 128), "r1": 10.0, "decay": "linear", "rounds": 25_000},
    ),
    Run(
        "vae-10-s0", "vae", f"mnist[:{TRAIN}]", "small", 0,
        {"latent": 10, "hidden": (128, 128), "decoder": "gaussian", "decay": "linear", "rounds": 25_000},
    ),
)  # fmt: skip


def measure(model: Any, real: Any, run: Run) -> Measured:
    """Parzen windows of 10,000 samples and of as many training images, and annealing."""
    import torch

    from pinxit import data
    from pinxit.metrics.parzen import parzen

    def pixels(images: torch.Tensor) -> torch.Tensor:
        return ((images + 1) / 2).flatten(1)

    whole, generator = data.load("mnist"), torch.Generator().manual_seed(1)
    samples = torch.cat([model.sample(500, generator=generator) for _ in range(20)])
    train, chooses, test = (
        pixels(source.batch(torch.arange(*rows)).images)
        for source, rows in ((real, (0, TRAIN)), (whole, (TRAIN, TRAIN + 1000)), (real.test(), (0, 10_000)))
    )
    found = parzen(pixels(samples), train, chooses, test, generator=generator)
    measured: Measured = {
        "parzen": round(found.samples.log_likelihood, 2),
        "parzen error": round(found.samples.standard_error, 2),
        "parzen sigma": round(found.samples.sigma, 4),
        "parzen: training images": round(found.control.log_likelihood, 2),
    }
    return measured | _annealed(model, real.test())


def _annealed(model: Any, test: Any) -> Measured:
    from pinxit.metrics.ais import GaussianObservation, annealed, bidirectional

    observed = GaussianObservation(model, 2 * SIGMA)  # of pixels in [-1, 1]
    found, gap = annealed(observed, test, n=ANNEALED, split="test"), bidirectional(observed, n=SIMULATED)
    density = -found.nats + test.spec.dim * math.log(2)  # of pixels in [0, 1], twice as dense in each
    return {
        "ais": round(density, 2),
        "ais error": round(found.error, 2),
        "bdmc gap": round(gap.gap, 3),
        "bdmc error": round(gap.error, 3),
    }


def bars(results: list[Measured]) -> list[Bar]:
    """AIS-2."""
    by = {result["run"].removesuffix("-s0"): result for result in results}
    vae, gan = by["vae-10"], by["gan-10"]
    above = {name: round(row["ais"] - row["parzen"], 2) for name, row in (("vae", vae), ("gan", gan))}
    ais, gaps = {"vae": vae["ais"], "gan": gan["ais"]}, {"vae": vae["bdmc gap"], "gan": gan["bdmc gap"]}
    return [
        Bar("AIS-2 windows", "annealing more than 50 nats above Parzen windows", above, min(above.values()) > 50),
        Bar("AIS-2 order", "the VAE above the GAN", ais, vae["ais"] > gan["ais"]),
        Bar("AIS-2 gap", "bidirectional Monte Carlo within 2 nats", gaps, max(gaps.values()) <= 2),
    ]


EXPERIMENT = Experiment(
    "density",
    f"""MNIST's first {TRAIN:,} training images; nats of pixels in [0, 1]. Parzen windows (historical and misleading: see the
    column of training images, which a perfect sampler would reach): 10,000 samples, sigma chosen on 1,000 of the other training
    images, mean over the 10,000 test images. One decoder 10-128-128-784, of a GAN with R1 (gamma 10: without it this one drew
    ones only) and of a VAE; annealing with Gaussian noise of variance 0.025 on it, 1,000 distributions, 16 chains, {ANNEALED}
    test images without dequantisation, the gap on {SIMULATED} images drawn from the model. Averaged weights.""",
    RUNS,
    measure,
    bars,
)
