"""Generative adversarial networks (Goodfellow et al., 2014). https://arxiv.org/abs/1406.2661

Two players, fully connected. D = sigmoid(d) tells data from samples, G deceives it (equation 1):

    min_G max_D  V = E_x log D(x) + E_z log(1 - D(G(z)))

    discriminator     L_D = -E log D(x) - E log(1 - D(G(z))) = E sp(-d(x)) + E sp(d(G(z)))
    minimax           L_G =  E log(1 - D(G(z)))              = -E sp(d(G(z)))
    non-saturating    L_G = -E log D(G(z))                   =  E sp(-d(G(z)))        (section 3)

with sp(t) = log(1 + e^t). `k` updates of D for one of G (algorithm 1). At the optimum D = 1/2 and L_D = log 4.

Deviations: the `paper` preset is the authors' MNIST configuration with images in [-1, 1] (tanh for the sigmoid) and
torch's initialisation for its narrow uniform one. `small` has LeakyReLU and Adam, as is usual since.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import SGD, Adam

from pinxit.core.clock import Clock
from pinxit.core.config import Config as BaseConfig
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage, Turn
from pinxit.core.rng import normal, seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.nn.mlp import MLPDiscriminator, MLPGenerator


class Config(BaseConfig):
    """The MLP GAN."""

    objective: Literal["minimax", "non-saturating"] = "non-saturating"
    """The generator's loss (section 3)."""
    k: int = Field(1, ge=1)
    """Discriminator updates a generator update (algorithm 1; the experiments use 1)."""
    latent: int = Field(100, ge=1)
    """Dimensions of z ~ N(0, I)."""
    generator: tuple[int, ...] = (1200, 1200)
    """Widths of the generator's hidden layers."""
    discriminator: tuple[int, ...] = (240, 240)
    """Widths of the discriminator's hidden layers."""
    maxout: int = Field(5, ge=0)
    """Linear maps a maxout unit of the discriminator; 0 for LeakyReLU."""
    dropout_input: float = Field(0.2, ge=0, lt=1)
    """Share of the discriminator's input that is dropped."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of the discriminator's hidden units that is dropped."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """sgd: with momentum and the decays below; adam: constant rate."""
    lr: float = Field(0.1, gt=0)
    """Learning rate, of both players."""
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
    """Images a round."""
    rounds: int = Field(500_000, ge=1)
    """Generator updates."""


PRESETS = {
    "paper": Config(),
    "small": Config(
        generator=(256, 512, 1024), discriminator=(512, 256), maxout=0, dropout_input=0.0, dropout=0.0,
        optimizer="adam", lr=2e-4, rounds=8000,
    ),
    "tiny": Config(
        latent=8, generator=(32,), discriminator=(32,), maxout=2, optimizer="adam", lr=1e-3, batch_size=8, rounds=6,
    ),
}  # fmt: skip


class GAN(AbstractGame):
    """Two multilayer perceptrons at play."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = MLPGenerator(config.latent, config.generator, spec)
        self.discriminator = MLPDiscriminator(
            spec, config.discriminator, pieces=config.maxout, dropout_input=config.dropout_input, dropout=config.dropout
        )

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        config = self.config
        if config.optimizer == "adam":
            optimizer, schedule = partial(Adam, lr=config.lr, betas=config.betas, fused=True), None
        else:
            optimizer, schedule = partial(SGD, lr=config.lr, momentum=config.momentum[0], fused=True), self.schedule
        return {
            "discriminator": Player((self.discriminator,), optimizer, schedule=schedule, average=False),
            "generator": Player((self.generator,), optimizer, schedule=schedule),
        }

    def stages(self) -> tuple[Stage, ...]:
        """Algorithm 1."""
        discriminator = Turn("discriminator", self.discriminator_loss, repeats=self.config.k)
        generator = Turn("generator", self.generator_loss)
        return (Stage((discriminator, generator), self.config.rounds, self.config.batch_size),)

    def schedule(self, clock: Clock) -> dict[str, Any]:
        """Learning rate and momentum of the authors' configuration."""
        config = self.config
        first, last = config.momentum
        share = min(1.0, clock.step / config.momentum_rounds)
        return {"lr": max(config.lr / config.lr_decay**clock.step, config.lr_floor), "momentum": first + share * (last - first)}

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D. Without batch statistics, real and fake share one pass."""
        x = batch.images
        with torch.no_grad():
            x_fake = self.sample(len(x))
        d_real, d_fake = self.discriminator(torch.cat((x, x_fake))).chunk(2)
        stats = {"D(x)": torch.sigmoid(d_real).mean(), "D(G(z))": torch.sigmoid(d_fake).mean()}
        return Loss(adversarial.discriminator_loss(d_real, d_fake), stats)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        d_fake = self.discriminator(self.sample(len(batch)))
        if self.config.objective == "minimax":
            return Loss(adversarial.minimax_generator_loss(d_fake))
        return Loss(adversarial.non_saturating_generator_loss(d_fake))

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, latent)."""
        return normal(n, self.config.latent, device=self.device, generator=generator)

    def decode(self, z: Tensor) -> Tensor:
        """G(z)."""
        return self.generator(z)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """G(z), z ~ N(0, I)."""
        return self.generator(self.latents(n, generator=generator))


def build(config: Config, spec: Spec, *, seed: int = 0) -> GAN:
    """A GAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return GAN(config, spec)
