"""The generator's gradient under an ever better discriminator, at three moments of a DCGAN's training (bar VAN-2)."""

from __future__ import annotations

from typing import Any

from experiments.harness import Bar, Experiment, Measured, Run

EPOCHS = (1, 3, 6)
NETWORKS: dict[str, Any] = {"width": 24, "latent": 64, "batch_size": 64}
ADVERSARY = 64
"""Width of the fresh adversaries."""
ROUNDS = 14_000 // 64


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

    return [
        Bar("VAN-2 accuracy", "D >= 0.99 within 200 steps", each("accuracy_at_200"), min(each("accuracy_at_200")) >= 0.99),
        Bar("VAN-2 minimax", "falls >= 100 times by step 1000", each("minimax_fall"), min(each("minimax_fall")) >= 100),
        Bar("VAN-2 non-saturating", "does not fall", each("non_saturating_change"), min(each("non_saturating_change")) >= 1),
        Bar("VAN-2 critic", "WGAN-GP within 3 times", each("wasserstein_range"), max(each("wasserstein_range")) <= 3),
    ]


EXPERIMENT = Experiment(
    "vanishing",
    """DCGAN of width 24 on fashion-mini after 1, 3 and 6 epochs; the generator frozen as it was in training,
    not its average; fresh discriminators (logistic
    and least squares, batch norm) and a fresh critic with gradient penalty (no norm), all of width 64, trained 1,000 steps at
    batch 64; the critic is compared with itself from a mean slope of 0.9 on; norms of the generator's gradient on 256 fixed
    codes; accuracy on 256 held-out images and as many samples.""",
    [
        Run(f"epochs-{epochs}-s0", "dcgan", "fashion-mini", "small", 0, {**NETWORKS, "rounds": ROUNDS * epochs})
        for epochs in EPOCHS
    ],
    measure,
    bars,
    settings={"average.half_life": 0},
)
