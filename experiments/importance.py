"""Importance weighting beside the VAE of the same network, updates and images (bar NLL-2)."""

from __future__ import annotations

import math
from statistics import mean, stdev
from typing import Any

from experiments.harness import Bar, Experiment, Measured, Run

ROUNDS, K, IMAGES = 60_000, 5000, 2000


def measure(model: Any, real: Any, run: Run) -> Measured:
    """L_5000 of the same test images, bits and noise for both, image by image, and the active latents."""
    from pinxit.metrics import likelihood

    found = likelihood.importance_weighted(model, real.test(), k=K, at=(1,), n=IMAGES, split="test", weights="averaged")
    bound, carried = found[K], likelihood.latents(model, real.test(), n=IMAGES)
    return {
        "nats": round(bound.nats, 3),
        "error": round(bound.error, 3),
        "L_1 nats": round(found[1].nats, 3),
        "active": carried.active,
        "latents": carried.latents,
        "protocol": str(bound.protocol),
        "values": [round(value, 3) for value in bound.values.tolist()],
    }


def bars(results: list[Measured]) -> list[Bar]:
    """NLL-2; both saw the same images, so the difference has the error of a paired one."""
    iwae, vae = ({result["run"]: result for result in results}[f"{name}-s0"] for name in ("iwae", "vae"))
    gains = [a - b for a, b in zip(iwae["values"], vae["values"], strict=True)]
    gain = {"nats lower": round(mean(gains), 3), "error": round(stdev(gains) / math.sqrt(len(gains)), 3)}
    active = {"iwae": iwae["active"], "vae": vae["active"]}
    return [
        Bar("NLL-2", "L_5000 of the IWAE lower by 0.5 nats or more", gain, gain["nats lower"] >= 0.5),
        Bar("NLL-2 active", "as many active latents or more", active, active["iwae"] >= active["vae"]),
    ]


EXPERIMENT = Experiment(
    "importance",
    f"""Dynamically binarised MNIST, 784-200-200-50, tanh: the preset `iwae` (k = 5 draws of z an image) for {ROUNDS:,} rounds,
    and the same with k = 1, which is the VAE: as many updates of as many images. Averaged weights; L_{K} of {IMAGES:,} test
    images chosen by the seed, with the same bits and noise for both; a latent is active where the variance of its posterior mean
    over images is above 0.01.""",
    [
        Run(f"{name}-s0", "vae", "mnist-dynamic", "iwae", 0, {"rounds": ROUNDS, "samples": k})
        for name, k in (("iwae", 5), ("vae", 1))
    ],
    measure,
    bars,
    {"sample_every": 10**9},
)
