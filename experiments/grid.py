"""Twenty-five Gaussians on a grid, the best method of the ring over ten seeds (bar 2D-2)."""

from __future__ import annotations

from experiments.harness import Bar, Experiment, Measured, Run, over
from experiments.ring import measure

SEEDS = range(10)
METHODS = {"non-saturating-r1": ("gan", {"rounds": 15_000})}


def bars(results: list[Measured]) -> list[Bar]:
    """2D-2: the best method's means."""
    means = {
        name: {
            key: round(sum(over(results, key, name)) / len(SEEDS), 4) for key in ("modes", "high_quality", "reverse_kl", "spread")
        }
        for name in METHODS
    }
    best = min(means.values(), key=lambda row: row["reverse_kl"])
    holds = best["modes"] >= 24 and best["high_quality"] >= 0.70 and best["reverse_kl"] <= 0.15
    return [Bar("2D-2 grid", "best method: >= 24 modes, HQ >= 0.70, KL <= 0.15, mean of 10 seeds", means, holds)]


EXPERIMENT = Experiment(
    "grid",
    """Grid of 25 Gaussians, sigma 0.05, 100,000 fixed samples; networks, batch and measures as in `ring`; ten seeds.""",
    [
        Run(f"{name}-s{seed}", system, "grid", "points", seed, changes)
        for name, (system, changes) in METHODS.items()
        for seed in SEEDS
    ],
    measure,
    bars,
)
