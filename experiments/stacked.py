"""Two stacked digits, a hundred modes, with a small WGAN-GP (bar SM-2); and what real stacks of three score (bar SM-3)."""

from __future__ import annotations

from typing import Any

from experiments.harness import Bar, Experiment, Measured, Run, over

SAMPLES = 10_000
CONFIG = {"width": 32, "latent": 64, "lr": 3e-4, "n_critic": 2, "betas": (0.5, 0.9), "decay": "linear", "rounds": 6000}


def measure(model: Any, real: Any, run: Run) -> Measured:
    """Modes and KL of 10,000 samples by a digit classifier in each channel, beside those of 10,000 test stacks."""
    import torch

    from pinxit import data
    from pinxit.metrics.classifier import lenet
    from pinxit.metrics.modes import stacked_modes

    judge = lenet(data.load("mnist"))
    generator = torch.Generator().manual_seed(1)
    fake = torch.cat([model.sample(500, generator=generator) for _ in range(SAMPLES // 500)])
    test = real.test().batch(torch.arange(SAMPLES)).images
    found, floor = stacked_modes(fake, judge.logits), stacked_modes(test, judge.logits)
    three = data.load("stacked-mnist").test()
    of_three = stacked_modes(three.batch(torch.arange(len(three))).images, judge.logits)
    return {
        "modes": found.captured,
        "kl": round(found.kl, 4),
        "confident": round(found.confident, 4),
        "max_softmax": round(found.max_softmax, 4),
        "floor: modes of test stacks": floor.captured,
        "floor: kl of test stacks": round(floor.kl, 4),
        "floor: confident test stacks": round(floor.confident, 4),
        "real stacks of three": {"n": len(three), "modes": of_three.captured, "kl": round(of_three.kl, 4)},
        "dropped": list(found.dropped),
        "judge": str(judge),
    }


def bars(results: list[Measured]) -> list[Bar]:
    """SM-2, and SM-3 of the test stacks of three digits."""
    (three,) = over(results, "real stacks of three", "wgan-gp")
    modes, kl = over(results, "modes", "wgan-gp"), over(results, "kl", "wgan-gp")
    holds = all(m >= 95 for m in modes) and all(k <= 0.15 for k in kl)
    real = three["modes"] == 1000 and abs(three["kl"] - 0.024) <= 0.004
    return [
        Bar("SM-2", ">= 95 of 100 modes, KL <= 0.15 at n = 10,000", {"modes": modes, "kl": kl}, holds),
        Bar("SM-3", "real stacks of three, n = 26,000: 1,000 modes, KL 0.024 +- 0.004", three, real),
    ]


EXPERIMENT = Experiment(
    "stacked",
    f"""stacked-mnist-2 (128,000 fixed pairs of training digits); WGAN-GP on DCGAN's networks, {CONFIG}; averaged generator;
    {SAMPLES} samples; the mode is the digit classifier's argmax in each channel.""",
    [Run("wgan-gp-s0", "wgan-gp", "stacked-mnist-2", "small", 0, CONFIG)],
    measure,
    bars,
)
