"""A collapse that can be reproduced, and whether the health check names it (bar 2D-3)."""

from __future__ import annotations

from typing import Any

from experiments import ring
from experiments.harness import Bar, Experiment, Measured, Run, over

SEEDS = (0, 1, 2)
UNROLLED = {
    "objective": "minimax", "latent": 256, "generator": (128, 128), "discriminator": (128, 128), "activation": "tanh",
    "orthogonal": 1.4, "lr": 1e-3, "ttur": 0.1, "betas": (0.5, 0.999), "decay": "none", "r1": 0.0,
    "batch_size": 512, "rounds": 25_000,
}  # fmt: skip


def measure(model: Any, real: Any, run: Run) -> Measured:
    """The ring's measures, and the health check's verdict on the averaged generator."""
    import torch

    from pinxit.diagnostics.health import examine_sampler
    from pinxit.diagnostics.probes import reference

    verdict = examine_sampler(model, reference(real), 1000, generator=torch.Generator().manual_seed(1))
    return {**ring.measure(model, real, run), "verdict": verdict.state, "named": list(verdict.dropped), "line": verdict.line}


def bars(results: list[Measured]) -> list[Bar]:
    """2D-3: the recipe that was to collapse, one that does, and whether the verdict says so."""
    minimax, began = over(results, "modes", "minimax"), over(results, "modes", "began")
    flagged = [(result["modes"], result["verdict"]) for result in results]
    return [
        Bar("2D-3 minimax", "<= 4 modes in at least 2 of 3 seeds", minimax, sum(modes <= 4 for modes in minimax) >= 2),
        Bar("2D-3 began", "the same, by another recipe", began, sum(modes <= 4 for modes in began) >= 2),
        Bar(
            "2D-3 flagged",
            "the health check says collapsed wherever modes <= 4, and healthy nowhere here",
            flagged,
            all(verdict == "collapsed" if modes <= 4 else verdict != "healthy" for modes, verdict in flagged),
        ),
    ]


EXPERIMENT = Experiment(
    "collapse",
    """Ring of 8 Gaussians. `minimax`: the minimax GAN with the networks of Unrolled GAN (2 x 128 tanh, orthogonal 1.4, z of 256),
    Adam beta1 0.5, rates 1e-4 of the discriminator and 1e-3 of the generator, batch 512, 25,000 rounds, no unrolling; it was
    played from one seed, and spread over the ring instead of collapsing. `began`: the `points` preset of `ring`, which
    collapses onto one mode. The generators as they are at the end, not averaged; measures as in `ring`; the health check sees
    1,000 samples.""",
    [
        Run("minimax-s0", "gan", "ring", "points", 0, UNROLLED),
        *(Run(f"began-s{seed}", "began", "ring", "points", seed) for seed in SEEDS),
    ],
    measure,
    bars,
    {"average": {"half_life": 0}},
)
