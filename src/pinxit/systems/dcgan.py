"""Deep convolutional GAN (Radford, Metz & Chintala, 2016). https://arxiv.org/abs/1511.06434

The game of `gan`, non-saturating, on convolutional networks that train stably (section 3): strided and fractionally
strided convolutions instead of pooling, batch normalisation in both networks except the generator's output and the
discriminator's input, ReLU in the generator with tanh at its end, LeakyReLU in the discriminator, no hidden dense layer.

    L_D = E sp(-d(x)) + E sp(d(G(z)))          L_G = E sp(-d(G(z)))          sp(t) = log(1 + e^t)

Deviations: of the authors' two programs this has the Torch one's 4x4 kernels and Gaussian z, and the Theano one's
separate batches of real and generated images for batch normalisation. Sizes other than 64 have as many layers as
halvings lead from the image to 4 pixels (7 for 28).
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig, Normalisation
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.nn import backbones


class Config(GANConfig):
    """DCGAN."""

    backbone: Literal["dcgan"] = "dcgan"
    """The paper's; the system gan plays the same game on others."""
    normalisation: Normalisation = "batch"
    """Of the discriminator's hidden layers (section 3)."""
    width: int = Field(128, ge=1)
    """Channels of the largest hidden map; they double at each halving of the size (figure 1)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay of the moments (section 4)."""
    batch_size: int = Field(128, ge=2)
    """Images per round (section 4)."""
    rounds: int = Field(120_000, ge=1)
    """Updates of each player (5 epochs of LSUN's three million bedrooms)."""


PRESETS = {
    "paper": Config(),
    "small": Config(width=48, batch_size=64, rounds=3500),
    "tiny": Config(latent=8, width=4, batch_size=8, rounds=6),
}


class DCGAN(AbstractGAN):
    """Two convolutional networks at play."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = backbones.generator(config, spec)
        self.discriminator = backbones.score(config, spec)

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        return self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))

    def stages(self) -> tuple[Stage, ...]:
        """One update each a round."""
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D, real and generated images normalised apart."""
        with torch.no_grad():
            x_fake = self.sample(len(batch))
        d_real, d_fake = backbones.both(self.discriminator, batch.images, x_fake)
        stats = {"D(x)": torch.sigmoid(d_real).mean(), "D(G(z))": torch.sigmoid(d_fake).mean()}
        return Loss(adversarial.discriminator_loss(d_real, d_fake), stats)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        return Loss(adversarial.non_saturating_generator_loss(self.discriminator(self.sample(len(batch)))))

    def game_value(self, x: Tensor) -> Tensor:
        """V = E log D(x) + E log(1 - D(G(z))), of the minimax game."""
        return -adversarial.discriminator_loss(self.discriminator(x), self.discriminator(self.sample(len(x))))


def build(config: Config, spec: Spec, *, seed: int = 0) -> DCGAN:
    """A DCGAN for square images of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return DCGAN(config, spec)
