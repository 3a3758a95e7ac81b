"""Generative adversarial networks (Goodfellow et al., 2014). https://arxiv.org/abs/1406.2661

Two players, fully connected. D = sigmoid(d) tells data from samples, G deceives it (equation 1):

    min_G max_D  V = E_x log D(x) + E_z log(1 - D(G(z)))

    discriminator     L_D = -E log D(x) - E log(1 - D(G(z))) = E sp(-d(x)) + E sp(d(G(z)))
    minimax           L_G =  E log(1 - D(G(z)))              = -E sp(d(G(z)))
    non-saturating    L_G = -E log D(G(z))                   =  E sp(-d(G(z)))        (section 3)

with sp(t) = log(1 + e^t). `k` updates of D for one of G (algorithm 1). At the optimum D = 1/2 and L_D = log 4.

Two options came later: `pack` lets D judge several samples at once (PacGAN, Lin et al. 2018), `r1` adds to L_D a penalty
gamma/2 E |grad d(x)|^2 on real samples (Mescheder et al. 2018).

Deviations: the `paper` preset is the authors' MNIST configuration with images in [-1, 1] (tanh for the sigmoid) and
torch's initialisation for its narrow uniform one. `small` has LeakyReLU and Adam, as is usual since.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import SGD, Adam

from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig, check_pack
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import adversarial, penalties
from pinxit.nn import backbones
from pinxit.nn.mlp import MLPTrunk


class Config(GANConfig):
    """The GAN."""

    objective: Literal["minimax", "non-saturating"] = "non-saturating"
    """The generator's loss (section 3)."""
    k: int = Field(1, ge=1)
    """Discriminator updates per generator update (algorithm 1; the experiments use 1)."""
    backbone: Literal["mlp", "dcgan", "resnet"] = "mlp"
    """mlp: the paper's, any data; dcgan (Radford et al. 2016) and resnet (Miyato et al. 2018): square images."""
    generator: tuple[int, ...] = (1200, 1200)
    """mlp: widths of the generator's hidden layers."""
    discriminator: tuple[int, ...] = (240, 240)
    """mlp: widths of the discriminator's hidden layers."""
    maxout: int = Field(5, ge=0)
    """mlp: linear maps per maxout unit of the discriminator; 0 for `activation`."""
    dropout_input: float = Field(0.2, ge=0, lt=1)
    """mlp: share of the discriminator's input that is dropped."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """mlp: share of the discriminator's hidden units that is dropped."""
    pack: int = Field(1, ge=1)
    """Samples that the discriminator judges together (PacGAN)."""
    r1: float = Field(0.0, ge=0)
    """gamma, the weight of the penalty on the discriminator's gradient at real samples."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """sgd: with momentum and the decays below; adam: with `decay`."""
    lr: float = Field(0.1, gt=0)
    """Learning rate of the generator, and of the discriminator times `ttur`."""
    lr_decay: float = Field(1.000004, ge=1)
    """sgd: divides the learning rate at every round."""
    lr_floor: float = Field(1e-6, ge=0)
    """sgd: least learning rate."""
    momentum: tuple[float, float] = (0.5, 0.7)
    """sgd: momentum at the first round and from `momentum_rounds` on, linear between."""
    momentum_rounds: int = Field(125_000, ge=1)
    """sgd: rounds until the final momentum (250 epochs of 500)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """adam: decay of the moments."""
    batch_size: int = Field(100, ge=1)
    """Images per round."""
    rounds: int = Field(500_000, ge=1)
    """Generator updates."""

    def check(self) -> None:
        """Packs fill the batch, what is penalised is each sample's own, and there is one schedule."""
        self.check_sgd(self.optimizer)
        check_pack(self.pack, self.batch_size)
        if self.r1:
            self.check_penalty()


PRESETS = {
    "paper": Config(),
    "small": Config(
        generator=(256, 512, 1024), discriminator=(512, 256), maxout=0, dropout_input=0.0, dropout=0.0,
        optimizer="adam", lr=2e-4, rounds=8000,
    ),
    "points": Config(
        latent=2, generator=(128, 128), discriminator=(128, 128), maxout=0, dropout_input=0.0, dropout=0.0,
        optimizer="adam", lr=1e-3, decay="linear", r1=1.0, batch_size=128, rounds=12_000,
    ),
    "tiny": Config(
        latent=8, generator=(32,), discriminator=(32,), maxout=2, optimizer="adam", lr=1e-3, batch_size=8, rounds=6,
    ),
}  # fmt: skip


class GAN(AbstractGAN):
    """Two networks at play."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.share = backbones.pack_share(config.pack)
        self.generator = backbones.generator(config, spec)
        self.discriminator = _discriminator(config, spec)

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        config = self.config
        if config.optimizer == "adam":
            return self.pair("discriminator", self.discriminator, partial(Adam, betas=config.betas, fused=True))
        sgd = partial(SGD, momentum=config.momentum[0], fused=True)
        return self.pair("discriminator", self.discriminator, sgd, schedule=self.schedule)

    def stages(self) -> tuple[Stage, ...]:
        """Algorithm 1."""
        discriminator = Turn("discriminator", self.discriminator_loss, repeats=self.config.k)
        generator = Turn("generator", self.generator_loss)
        return (Stage((discriminator, generator), self.config.rounds, self.config.batch_size),)

    def schedule(self, lr: float, clock: Clock) -> dict[str, Any]:
        """Learning rate and momentum of the authors' configuration."""
        config = self.config
        first, last = config.momentum
        share = min(1.0, clock.step / config.momentum_rounds)
        return {"lr": max(lr / config.lr_decay**clock.step, config.lr_floor), "momentum": first + share * (last - first)}

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D, and the penalty."""
        x = batch.images
        with torch.no_grad():
            x_fake = self.sample(len(x))
        d_real, d_fake = backbones.both(self.discriminator, x, x_fake)
        stats = {"D(x)": torch.sigmoid(d_real).mean(), "D(G(z))": torch.sigmoid(d_fake).mean()}
        total = adversarial.discriminator_loss(d_real, d_fake)
        if self.config.r1:
            penalty = penalties.r1_penalty(self.discriminator, x)
            total, stats["penalty"] = total + self.config.r1 * penalty, penalty
        return Loss(total, stats)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        d_fake = self.discriminator(self.sample(len(batch)))
        if self.config.objective == "minimax":
            return Loss(adversarial.minimax_generator_loss(d_fake))
        return Loss(adversarial.non_saturating_generator_loss(d_fake))

    def game_value(self, x: Tensor) -> Tensor:
        """V = E log D(x) + E log(1 - D(G(z))), of the minimax game."""
        return -adversarial.discriminator_loss(self.discriminator(x), self.discriminator(self.sample(len(x))))


def _discriminator(config: Config, spec: Spec) -> backbones.Score:
    if config.backbone != "mlp":
        return backbones.score(config, spec, pack=config.pack)
    trunk = MLPTrunk(
        replace(spec, channels=spec.channels * config.pack),
        config.discriminator,
        activation=config.activation,
        normalisation=config.normalisation,
        pieces=config.maxout,
        dropout_input=config.dropout_input,
        dropout=config.dropout,
    )
    return backbones.Score(trunk, config, pack=config.pack)


def build(config: Config, spec: Spec, *, seed: int = 0) -> GAN:
    """A GAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return GAN(config, spec)
