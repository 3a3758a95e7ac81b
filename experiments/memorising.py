"""A GAN of 500 images and the same GAN of 60,000: is the first one flagged, and the second not (bar MEM-3)?"""

from __future__ import annotations

from typing import Any

from experiments.harness import Bar, Experiment, Measured, Run

FEW, SAMPLES, SEEDS = 500, 2000, (0, 1)
CONFIG = {"width": 24, "rounds": 6000}


def measure(model: Any, real: Any, run: Run) -> Measured:
    """The health check as at the end of a run, and what the samples alone say of copies in a digit classifier's features."""
    import torch

    from pinxit import data
    from pinxit.diagnostics import health, probes
    from pinxit.metrics.classifier import lenet
    from pinxit.metrics.memorisation import memorisation

    against = probes.reference(real, size=1000, bank=60_000, held=2000, seed=run.seed)
    generator, opponent = torch.Generator().manual_seed(1), probes.opponent(model)
    found = health.examine_sampler(model, against, against.size, generator=generator, judge=opponent)
    alone = health.examine_sampler(model, against, against.size, generator=generator)
    prefers = next(row.value for row in found.evidence if row.name == "D prefers training samples")
    judge = lenet(data.load("mnist"))
    drawn = torch.cat([model.sample(500, generator=generator) for _ in range(SAMPLES // 500)])
    known, held = (source.batch(torch.arange(n)).images for source, n in ((real, len(real)), (real.test(), SAMPLES)))
    copies = memorisation(*map(judge.features, (drawn, known, held)), generator=torch.Generator().manual_seed(1))
    return {
        "verdict": found.state,
        "D prefers training samples": round(prefers, 4),
        "verdict of the samples alone": alone.state,
        "copies": copies.copies,
        "copies: nearest 1 %": round(copies.tail.value, 4),
        "copies: Z_U": round(copies.z.value, 2),
        "line": found.line,
        "judge": str(judge),
    }


def bars(results: list[Measured]) -> list[Bar]:
    """MEM-3."""
    verdicts = {name: [row["verdict"] for row in results if row["run"].startswith(name)] for name in ("few", "all")}
    few, whole = ([state == "memorising" for state in verdicts[name]] for name in ("few", "all"))
    asked = f"of {FEW} images flagged as memorising, of 60,000 not, every seed"
    return [Bar("MEM-3", asked, verdicts, all(few) and not any(whole))]


EXPERIMENT = Experiment(
    "memorising",
    f"""MNIST's first {FEW} training images, and all 60,000: `dcgan`, its preset `small` with {CONFIG}. Averaged weights. The
    health check as at the end of a run: 1,000 samples, copies sought among all training images, the discriminator's scores of
    training and of test images. `copies`: what {SAMPLES:,} samples say by themselves, in the features of a classifier of all
    digits. What is flagged is the discriminator, which knows its {FEW} images by heart; its samples are no copies.""",
    [
        Run(f"{name}-s{seed}", "dcgan", source, "small", seed, CONFIG)
        for name, source in (("few", f"mnist[:{FEW}]"), ("all", "mnist"))
        for seed in SEEDS
    ],
    measure,
    bars,
)
