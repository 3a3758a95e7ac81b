"""The duality gap of games that hold the ring, of games that collapsed, and of a generator that is the data (bar DG-2)."""

from __future__ import annotations

import copy
import math
from typing import Any

from experiments import collapse, ring
from experiments.harness import Bar, Experiment, Measured, Run, over

STEPS = (100, 200, 400)
LOG_4 = 2 * math.log(2)
HEALTHY, RECIPE = (0, 1, 2), (0, 1, 2, 3, 4)
"""Seeds."""


def measure(model: Any, real: Any, run: Run) -> Measured:
    """The gap by searches of growing length; of the first healthy run also with the data's own law for the generator."""
    from pinxit.metrics.duality import duality_gap

    found = {steps: duality_gap(model, real, steps=steps, batch_size=256, n=10_000) for steps in STEPS}
    measured: Measured = {**ring.measure(model, real, run), "V": round(found[STEPS[0]].present, 4)}
    for steps, gap in found.items():
        measured |= {f"gap, {steps} steps": round(gap.gap, 4), f"max V, {steps} steps": round(gap.best_discriminator, 4)}
    if run.name == "healthy-s0":
        perfect = copy.deepcopy(model)
        perfect.generator = _of_the_data(real)
        best = duality_gap(perfect, real, steps=STEPS[-1], batch_size=256, n=10_000)
        measured["G = data: max V"] = round(best.best_discriminator, 4)
    return measured


def _of_the_data(real: Any) -> Any:
    """A map of z ~ N(0, I_2) to the data's law: the angle's sector is the mode, what is left of z two uniform numbers."""
    import torch
    from torch import nn

    class Law(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nothing = nn.Parameter(torch.zeros(()))  # to be moved by the generator's search

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            angle = (torch.atan2(z[:, 1], z[:, 0]) / (2 * math.pi)).remainder(1).double() * len(real.centres)
            mode = angle.long().clamp(max=len(real.centres) - 1)
            around, radius = 2 * math.pi * (angle - mode), z.norm(dim=1)
            offset = torch.stack((around.cos(), around.sin()), dim=1).float() * radius[:, None]
            return (real.centres[mode] + real.sigma * offset + 0 * self.nothing).view(-1, 2, 1, 1)

    return Law()


def bars(results: list[Measured]) -> list[Bar]:
    """DG-2, at each length of the search; collapsed are the runs of the recipe with four modes or fewer."""
    rows: dict[str, Any] = {}
    for steps in STEPS:
        gaps = over(results, f"gap, {steps} steps", "recipe")
        collapsed = [gap for gap, modes in zip(gaps, over(results, "modes", "recipe"), strict=True) if modes <= 4]
        rows[f"{steps} steps"] = {"healthy": over(results, f"gap, {steps} steps", "healthy"), "collapsed": collapsed}
    enough = all(len(row["collapsed"]) >= 3 for row in rows.values())
    (perfect,) = [result["G = data: max V"] for result in results if "G = data: max V" in result]
    return [
        Bar(
            "DG-2",
            "each healthy gap below half of each collapsed one, three runs of both at least",
            rows,
            enough and all(max(row["healthy"]) < min(row["collapsed"]) / 2 for row in rows.values()),
        ),
        Bar("DG-2 data", "G = data: max V = -log 4 +- 0.04", perfect, abs(perfect + LOG_4) <= 0.04),
    ]


EXPERIMENT = Experiment(
    "duality",
    """Ring of 8 Gaussians. `healthy`: `gan` with R1, the preset `points`. `recipe`: the minimax GAN of `collapse` that loses
    modes (Unrolled GAN's networks); those that keep at most four are called collapsed. The games as they are at the end, not
    averaged; V = E log D(x) + E log(1 - D(G(z))) on 9,984 test samples; each search goes on with the game's own optimizer at its
    first rate, in batches of 256. `G = data`: the first healthy game, an exact sampler of the data for its generator.""",
    [
        *(Run(f"healthy-s{seed}", "gan", "ring", "points", seed, ring.LOSSES["non-saturating-r1"][1]) for seed in HEALTHY),
        *(Run(f"recipe-s{seed}", "gan", "ring", "points", seed, collapse.UNROLLED) for seed in RECIPE),
    ],
    measure,
    bars,
    {"average": {"half_life": 0}},
)
