"""Boundary equilibrium GAN (Berthelot, Schumm & Metz, 2017). https://arxiv.org/abs/1703.10717

The discriminator is an auto-encoder, and the game is between the losses of reconstruction of real and generated samples, kept
in a ratio gamma by a control k in [0, 1] (section 3.4):

    l(v) = mean |v - D(v)|

    discriminator   L_D = l(x) - k_t l(G(z))
    generator       L_G = l(G(z'))
    control         k_{t+1} = clip(k_t + lambda_k (gamma l(x) - l(G(z'))), 0, 1),   k_0 = 0
    convergence     M = l(x) + |gamma l(x) - l(G(z'))|          (section 3.4.1), the stat `convergence`

gamma = E l(G(z)) / E l(x) at equilibrium: lower is sharper and less diverse.

Deviations: the networks are the chosen backbone's, without normalisation (the paper has ELU and nearest-neighbour
upsampling); the rate is halved every `halve_every` rounds, where the paper halves it when M stalls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch, Loss, Player, Stage, Stats, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig, Normalisation
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses.adversarial import absolute_error
from pinxit.nn import backbones


class Config(GANConfig):
    """BEGAN."""

    gamma: float = Field(0.5, ge=0, le=1)
    """The ratio of the losses at equilibrium (section 3.3)."""
    lambda_k: float = Field(1e-3, gt=0)
    """The gain of the control (section 4.1)."""
    code: int = Field(64, ge=1)
    """Dimensions of the auto-encoder's code (section 4.1)."""
    latent: int = Field(64, ge=1)
    """Dimensions of z (section 4.1)."""
    prior: Literal["normal", "uniform"] = "uniform"
    """Of z (section 4.1)."""
    normalisation: Normalisation = "none"
    """Of the discriminator's encoder and decoder: none in the paper (section 3.5); the generator has none."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate (section 4.1)."""
    halve_every: int = Field(100_000, ge=0)
    """Rounds after which the learning rate is halved, again and again; 0 for never."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay of the moments."""
    batch_size: int = Field(16, ge=1)
    """Images per round (section 4.1)."""
    rounds: int = Field(200_000, ge=1)
    """Updates of each player."""

    def check(self) -> None:
        """One schedule at most."""
        if self.halve_every and self.decay != "none":
            what = f"`decay` is {self.decay!r} and `halve_every` {self.halve_every}, two schedules of one rate"
            raise InputError(f"{what}: take --halve-every 0, or --decay none")


PRESETS = {
    "paper": Config(),
    "small": Config(width=32, latent=32, code=32, lr=4e-4, halve_every=1500, batch_size=32, rounds=5000),
    "points": Config(
        backbone="mlp", latent=2, prior="normal", generator=(128, 128), discriminator=(128, 128), code=1, gamma=0.9,
        lambda_k=1e-2, lr=1e-3, halve_every=3000, batch_size=128, rounds=12_000,
    ),
    "tiny": Config(
        backbone="mlp", latent=8, generator=(32,), discriminator=(32,), code=4, lambda_k=0.1, lr=1e-3, batch_size=8, rounds=6,
    ),
}  # fmt: skip


class BEGAN(AbstractGAN):
    """A generator and an auto-encoder at play, in a ratio that a control keeps."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = backbones.generator(config, spec, normalisation="none")
        self.discriminator = backbones.Autoencoder(config, spec, config.code)
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("real", torch.zeros(()))

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        return self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))

    def rates(self, lr: float) -> Callable[[Clock], Mapping[str, Any]] | None:
        """`lr`, halved every `halve_every` rounds."""
        every = self.config.halve_every
        return (lambda clock: {"lr": lr * 0.5 ** (clock.step // every)}) if every else super().rates(lr)

    def stages(self) -> tuple[Stage, ...]:
        """One update each a round, then the control's."""
        discriminator = Turn("discriminator", self.discriminator_loss, after=self.keep_real)
        generator = Turn("generator", self.generator_loss, after=self.control)
        return (Stage((discriminator, generator), self.config.rounds, self.config.batch_size),)

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D."""
        x = batch.images
        with torch.no_grad():
            x_fake = self.sample(len(x))
        x_hat, x_fake_hat = backbones.both(self.discriminator, x, x_fake)
        real, fake = absolute_error(x, x_hat).mean(), absolute_error(x_fake, x_fake_hat).mean()
        return Loss(real - self.k * fake, {"real": real, "fake": fake, "k": self.k.clone()})

    @torch.no_grad()
    def keep_real(self, stats: Stats) -> None:
        """l(x) of this round, for the control."""
        self.real.copy_(stats["real"])

    def score(self, x: Tensor) -> Tensor:
        """-l(x), (n,): greater for what D takes for real."""
        return -absolute_error(x, self.discriminator(x))

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G, and the measure of convergence."""
        x_fake = self.sample(len(batch))
        fake = absolute_error(x_fake, self.discriminator(x_fake)).mean()
        measure = self.real + (self.config.gamma * self.real - fake).abs()
        return Loss(fake, {"fake": fake, "convergence": measure})

    @torch.no_grad()
    def control(self, stats: Stats) -> None:
        """k_{t+1}."""
        balance = self.config.gamma * self.real - stats["fake"]
        self.k.add_(self.config.lambda_k * balance).clamp_(0.0, 1.0)


def build(config: Config, spec: Spec, *, seed: int = 0) -> BEGAN:
    """A BEGAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return BEGAN(config, spec)
