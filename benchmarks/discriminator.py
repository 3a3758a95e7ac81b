"""What a discriminator's step costs: one pass against two, spectral norms against none, torch's LeakyReLU against ours.

Torch's LeakyReLU has a zero second derivative that runs back through a penalised critic. One pass of real and generated images
is legal where the discriminator has no batch statistics; `pinxit.nn.backbones.both` chooses. The step is the whole of it:
generator's samples without a graph, passes, gradient, optimizer.
"""

from __future__ import annotations

import time
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare
from benchmarks.runs import Bare, alone, images
from pinxit.core.game import AbstractGame
from pinxit.data.store import Store
from pinxit.nn import backbones
from pinxit.nn.activations import LeakyReLU
from pinxit.systems import gan, sngan, wgan_gp

NETWORKS = {
    "mlp 512-256": gan.Config(
        backbone="mlp", generator=(256, 512), discriminator=(512, 256), maxout=0, dropout_input=0.0, dropout=0.0,
        optimizer="adam", lr=2e-4, batch_size=64,
    ),
    "dcgan width 64": gan.Config(backbone="dcgan", width=64, optimizer="adam", lr=2e-4, batch_size=64),
}  # fmt: skip


def two_passes(network: nn.Module, x: Tensor, x_fake: Tensor) -> tuple[Tensor, Tensor]:
    """What `both` does where there are batch statistics."""
    return network(x), network(x_fake)


def stepping(game: AbstractGame, real: Store, turns: slice, steps: int, *, apart: bool = False) -> Work:
    """`steps` times the chosen turns of a round."""
    bare = Bare(game, real)
    batch = real.batch(torch.arange(bare.stage.batch_size))

    def work() -> float:
        together = backbones.both
        if apart:
            backbones.both = two_passes
        try:
            start = time.perf_counter()
            for _ in range(steps):
                for turn in bare.stage.turns[turns]:
                    bare.turn(turn, batch)
            return time.perf_counter() - start
        finally:
            backbones.both = together

    return alone(work)


def penalised(real: Store, like: gan.Config, steps: int, kind: str) -> Work:
    """Critic steps of WGAN-GP on the networks of `like`."""
    same = {name: getattr(like, name) for name in ("backbone", "generator", "discriminator", "width", "lr", "batch_size")}
    game = wgan_gp.build(wgan_gp.Config(**same), real.spec)
    for parent in list(game.modules()) if kind == "torch's" else ():
        for name, child in parent.named_children():
            if isinstance(child, LeakyReLU):
                setattr(parent, name, nn.LeakyReLU(child.negative_slope))
    return stepping(game, real, slice(0, 1), steps)


def run(options: Options) -> list[Section]:
    """One pass against two on both networks; a whole round of dcgan with spectral norms and without; penalised critics."""
    real, sections = images(), []
    for name, config in NETWORKS.items():
        steps = 3 if options.quick else 300 if config.backbone == "mlp" else 30
        make = partial(gan.build, config, real.spec)
        sides = [
            Side("one pass", lambda make=make, steps=steps: stepping(make(), real, slice(0, 1), steps)),
            Side("two passes", lambda make=make, steps=steps: stepping(make(), real, slice(0, 1), steps, apart=True)),
        ]
        ratios = [Ratio("two passes / one pass", "two passes", "one pass", at_least=1.0)]
        sections.append(compare(f"{name}: {steps} discriminator steps of {config.batch_size} images", sides, ratios, options))
    steps = 3 if options.quick else 30
    config = sngan.PRESETS["small"].replace(width=64)

    def side(normalisation: str) -> Work:
        return stepping(sngan.build(config.replace(normalisation=normalisation), real.spec), real, slice(0, 2), steps)

    sides = [Side("spectral", lambda: side("spectral")), Side("none", lambda: side("none"))]
    ratios = [Ratio("spectral / none", "spectral", "none", at_most=1.05)]
    sections.append(compare(f"dcgan width 64: {steps} rounds of sngan with and without spectral norms", sides, ratios, options))
    for name, config in NETWORKS.items():
        steps = 3 if options.quick else 200 if config.backbone == "mlp" else 20
        sides = [Side(kind, partial(penalised, real, config, steps, kind)) for kind in ("ours", "torch's")]
        ratios = [Ratio("torch's / ours", "torch's", "ours", at_least=1.0)]
        sections.append(compare(f"wgan-gp, {name}: {steps} critic steps, LeakyReLU of", sides, ratios, options))
    return sections
