"""On convergence and stability of GANs: DRAGAN (Kodali et al., 2017). https://arxiv.org/abs/1705.07215

The game of `gan`, non-saturating, with a penalty that keeps the discriminator's slope near 1 around the data alone, where its
sharp gradients are the sign of a bad local equilibrium (section 2.4):

    L_D = E sp(-d(x)) + E sp(d(G(z))) + lambda E (|grad d(x + delta)|_2 - 1)^2          L_G = E sp(-d(G(z)))

    delta = alpha noise std(x) u,   alpha ~ U[0, 1] a sample,   u ~ U[0, 1] a pixel,   sp(t) = log(1 + e^t)

No generated sample enters the penalty. The gradient is each sample's own, so the discriminator may not have batch norm.

Deviations: the noise is that of the authors' program, where the paper has delta ~ N(0, c I); the networks are DCGAN's
without norm in the discriminator.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig, PerSample
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import adversarial, penalties
from pinxit.nn import backbones, norms


class Config(GANConfig):
    """DRAGAN."""

    lambda_gp: float = Field(10.0, ge=0)
    """Weight of the penalty (the authors' program)."""
    noise: float = Field(0.5, gt=0)
    """Greatest perturbation of a sample in standard deviations of the batch (the authors' program): it must leave the data."""
    normalisation: PerSample = "none"
    """Of the discriminator's hidden layers."""
    prior: Literal["normal", "uniform"] = "uniform"
    """Of z (the authors' program)."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate (the authors' program)."""
    betas: tuple[float, float] = (0.5, 0.9)
    """Adam's decay of the moments (the authors' program)."""
    batch_size: int = Field(128, ge=1)
    """Images per round (the authors' program)."""
    rounds: int = Field(100_000, ge=1)
    """Updates of each player."""


PRESETS = {
    "paper": Config(),
    "small": Config(width=48, lr=2e-4, batch_size=64, rounds=3000),
    "points": Config(
        backbone="mlp", latent=2, prior="normal", generator=(128, 128), discriminator=(128, 128), lambda_gp=1.0, noise=0.1,
        lr=1e-3, decay="linear", batch_size=128, rounds=12_000,
    ),
    "tiny": Config(backbone="mlp", latent=8, generator=(32,), discriminator=(32,), lr=1e-3, batch_size=8, rounds=6),
}  # fmt: skip


class DRAGAN(AbstractGAN):
    """Two networks at play."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = backbones.generator(config, spec)
        self.discriminator = backbones.score(config, spec)
        norms.refuse_batch_statistics(self.discriminator, "dragan", "the penalty takes the gradient of each sample's own logit")

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        return self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))

    def stages(self) -> tuple[Stage, ...]:
        """One update each a round."""
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D."""
        x = batch.images
        with torch.no_grad():
            x_fake = self.sample(len(x))
        d_real, d_fake = backbones.both(self.discriminator, x, x_fake)
        penalty = penalties.dragan_penalty(self.discriminator, x, noise=self.config.noise)
        stats = {"D(x)": torch.sigmoid(d_real).mean(), "D(G(z))": torch.sigmoid(d_fake).mean(), "penalty": penalty}
        return Loss(adversarial.discriminator_loss(d_real, d_fake) + self.config.lambda_gp * penalty, stats)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        return Loss(adversarial.non_saturating_generator_loss(self.discriminator(self.sample(len(batch)))))


def build(config: Config, spec: Spec, *, seed: int = 0) -> DRAGAN:
    """A DRAGAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return DRAGAN(config, spec)
