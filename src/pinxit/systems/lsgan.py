"""Least squares GAN (Mao et al., 2017). https://arxiv.org/abs/1611.04076

The game of `gan` with squared distances from targets instead of cross-entropies, on raw scores d (equation 2):

    L_D = 1/2 E (d(x) - b)^2 + 1/2 E (d(G(z)) - a)^2          L_G = 1/2 E (d(G(z)) - c)^2

A sample far on the right side of the boundary is still pulled to it, so the generator's gradient d - c does not vanish. With
b - c = 1 and b - a = 2 the game minimises a Pearson chi-square divergence (section 3.2.2), as for (a, b, c) = (-1, 1, 0); the
default (0, 1, 1), the 0-1 coding of equation 9 (section 3.2.3), is not of these. Two options came later: `pack` (PacGAN, Lin et
al. 2018) and `r1` (Mescheder et al. 2018).

Deviations: the paper's networks for 112 pixels are those of DCGAN here (their batch norm, LeakyReLU and sizes); the losses
are means over the batch, where the authors' program has sums.
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
from pinxit.core.gan_config import GANConfig, Normalisation, check_pack
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import adversarial, penalties
from pinxit.nn import backbones


class Config(GANConfig):
    """LSGAN."""

    targets: tuple[float, float, float] = (0.0, 1.0, 1.0)
    """a, b, c: of generated samples, of real samples, and what the generator wants (equation 9); (-1, 1, 0) for equation 8."""
    normalisation: Normalisation = "batch"
    """Of the discriminator's hidden layers (figure 3)."""
    pack: int = Field(1, ge=1)
    """Samples that the discriminator judges together (PacGAN)."""
    r1: float = Field(0.0, ge=0)
    """gamma, the weight of the penalty on the discriminator's gradient at real samples."""
    latent: int = Field(1024, ge=1)
    """Dimensions of z (figure 3)."""
    prior: Literal["normal", "uniform"] = "uniform"
    """Of z (the authors' program)."""
    lr: float = Field(1e-3, gt=0)
    """Learning rate (section 4.1)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay of the moments (section 4.1)."""
    batch_size: int = Field(64, ge=1)
    """Images per round (the authors' program)."""
    rounds: int = Field(240_000, ge=1)
    """Updates of each player (5 epochs of LSUN's three million bedrooms)."""

    def check(self) -> None:
        """Packs fill the batch, and what is penalised is each sample's own."""
        check_pack(self.pack, self.batch_size)
        if self.r1:
            self.check_penalty()


PRESETS = {
    "paper": Config(),
    "small": Config(latent=100, width=48, lr=2e-4, rounds=3500),
    "points": Config(
        backbone="mlp", latent=2, prior="normal", generator=(128, 128), discriminator=(128, 128), normalisation="none",
        decay="linear", r1=1.0, batch_size=128, rounds=12_000,
    ),
    "tiny": Config(backbone="mlp", latent=8, generator=(32,), discriminator=(32,), normalisation="none", batch_size=8, rounds=6),
}  # fmt: skip


class LSGAN(AbstractGAN):
    """Two networks at play."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.share = backbones.pack_share(config.pack)
        self.generator = backbones.generator(config, spec)
        self.discriminator = backbones.score(config, spec, pack=config.pack)

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        return self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))

    def stages(self) -> tuple[Stage, ...]:
        """One update each a round."""
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D, and the penalty."""
        x, (a, b, _) = batch.images, self.config.targets
        with torch.no_grad():
            x_fake = self.sample(len(x))
        d_real, d_fake = backbones.both(self.discriminator, x, x_fake)
        total = adversarial.least_squares_discriminator_loss(d_real, d_fake, a=a, b=b)
        stats = {"real": d_real.mean(), "fake": d_fake.mean()}
        if self.config.r1:
            penalty = penalties.r1_penalty(self.discriminator, x)
            total, stats["penalty"] = total + self.config.r1 * penalty, penalty
        return Loss(total, stats)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        d_fake = self.discriminator(self.sample(len(batch)))
        return Loss(adversarial.least_squares_generator_loss(d_fake, c=self.config.targets[2]))


def build(config: Config, spec: Spec, *, seed: int = 0) -> LSGAN:
    """An LSGAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return LSGAN(config, spec)
