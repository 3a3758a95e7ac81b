"""A weak discriminator drops most of a thousand modes; one that sees two samples at a time holds more (bar SM-1)."""

from __future__ import annotations

from typing import Any

from experiments import stacked
from experiments.harness import Bar, Experiment, Measured, Run, over

SAMPLES = 25_600
CONFIG = {
    "backbone": "dcgan",
    "latent": 256,
    "width": 16,
    "discriminator_width": 4,
    "normalisation": "batch",
    "optimizer": "adam",
    "lr": 1e-4,
    "ttur": 2.0,
    "betas": (0.5, 0.99),
    "batch_size": 128,
    "rounds": 10_000,
}


def measure(model: Any, real: Any, run: Run) -> Measured:
    """Modes and KL of 25,600 samples, beside those of as many test stacks."""
    found = stacked.counted(model, real, SAMPLES)
    del found["dropped"]  # up to a thousand
    return found


def bars(results: list[Measured]) -> list[Bar]:
    """SM-1, on means over seeds."""
    modes = {name: over(results, "modes", name) for name in ("alone", "packed")}
    kl = {name: over(results, "kl", name) for name in ("alone", "packed")}
    mean = {name: sum(values) / len(values) for name, values in modes.items()}
    fall = sum(kl["alone"]) / len(kl["alone"]) - sum(kl["packed"]) / len(kl["packed"])
    asked = "packs of two: at least twice the modes, KL lower by a nat or more, means of two seeds"
    return [Bar("SM-1", asked, {"modes": modes, "kl": kl}, mean["packed"] >= 2 * mean["alone"] and fall >= 1)]


EXPERIMENT = Experiment(
    "packing",
    f"""stacked-mnist (128,000 fixed stacks of three training digits, 1,000 modes), after Metz et al. 2017: `gan` on DCGAN's
    networks, the discriminator a quarter of the generator's width, the rates and moments of that paper, 10,000 rounds: {CONFIG};
    `packed` differs in `pack` 2 alone. Averaged generator; {SAMPLES:,} samples; the mode is the digit classifier's argmax in each
    channel. Their networks had a layer more and their stacks were drawn anew for each batch, so only the two are compared.""",
    [
        Run(f"{name}-s{seed}", "gan", "stacked-mnist", "small", seed, {**CONFIG, "pack": pack})
        for name, pack in (("alone", 1), ("packed", 2))
        for seed in (0, 1)
    ],
    measure,
    bars,
)
