"""The generator's gradient under an ever better discriminator, at three moments of a DCGAN's training (bar VAN-2)."""

from __future__ import annotations

from typing import Any

from experiments.harness import Bar, Experiment, Measured, Run

EPOCHS = (1, 3, 6)
NETWORKS: dict[str, Any] = {"width": 24, "latent": 64, "batch_size": 64}
ADVERSARY = 64
"""Width of the fresh adversaries."""
ROUNDS = 14_000 // 64
WHY = {
    "accuracy": "after 6 epochs 6 of 512 samples are misjudged at step 200, one more than the bar allows",
    "minimax": "the better the generator, the later a fresh discriminator is certain of its samples: 4 and 57 times too little "
    "after 3 and 6 epochs at step 1,000",
    "critic": "at step 100 the critic's mean slope is 0.7 after 3 and 6 epochs: it has not yet risen to what the penalty allows, "
    "and what is measured is its growth",
}
"""Of the bars that are missed."""


def measure(model: Any, real: Any, run: Run) -> Measured:
    """Fresh discriminators and a fresh critic against the frozen generator, 1,000 steps each."""
    import torch

    from pinxit.core.gan_config import GANConfig
    from pinxit.nn import backbones
    from pinxit.theory.vanishing import Plan, vanishing

    config = GANConfig(width=ADVERSARY)
    images = real.batch(torch.arange(len(real))).images
    generator = model.generator.requires_grad_(True)
    with torch.enable_grad():
        trace = vanishing(
            generator,
            lambda n, g: model.latents(n, generator=g),
            images,
            lambda: backbones.score(config.replace(normalisation="batch"), real.spec),
            lambda: backbones.score(config, real.spec),
            Plan(),
        )
    return {"figures": {key: float(f"{value:.4g}") for key, value in trace.bars().items()}, "trace": trace.to_dict()}


def bars(results: list[Measured]) -> list[Bar]:
    """VAN-2, at every moment."""
    rows = {result["run"]: result["figures"] for result in results}

    def each(key: str) -> list[float]:
        return [row[key] for row in rows.values()]

    accuracy, fall, range_ = each("accuracy_at_200"), each("minimax_fall"), each("wasserstein_range")
    whole = [_range(result["trace"], 100) for result in results]
    return [
        Bar("VAN-2 accuracy", "D >= 0.99 within 200 steps", accuracy, min(accuracy) >= 0.99, WHY["accuracy"]),
        Bar("VAN-2 minimax", "falls >= 100 times by step 1000", fall, min(fall) >= 100, WHY["minimax"]),
        Bar("VAN-2 non-saturating", "does not fall", each("non_saturating_change"), min(each("non_saturating_change")) >= 1),
        Bar("VAN-2 critic", "WGAN-GP within 3 times, from step 100 on", whole, max(whole) <= 3, WHY["critic"]),
        Bar("VAN-2 settled critic", "WGAN-GP within 3 times, once its slope is 0.9", range_, max(range_) <= 3),
    ]


def _range(trace: dict[str, list[float]], first: int) -> float:
    """The critic's greatest gradient over its least, from a step on."""
    values = [value for step, value in zip(trace["step"], trace["wasserstein"], strict=True) if step >= first]
    return float(f"{max(values) / min(values):.4g}")


EXPERIMENT = Experiment(
    "vanishing",
    """DCGAN of width 24 on fashion-mini after 1, 3 and 6 epochs; its averaged generator frozen; fresh discriminators (logistic
    and least squares, batch norm) and a fresh critic with gradient penalty (no norm), all of width 64, trained 1,000 steps at
    batch 64; the critic is compared with itself from a mean slope of 0.9 on; norms of the generator's gradient on 256 fixed
    codes; accuracy on 256 held-out images and as many samples.""",
    [
        Run(f"epochs-{epochs}-s0", "dcgan", "fashion-mini", "small", 0, {**NETWORKS, "rounds": ROUNDS * epochs})
        for epochs in EPOCHS
    ],
    measure,
    bars,
)
