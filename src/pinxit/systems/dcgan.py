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

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.config import Config as BaseConfig
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage, Turn
from pinxit.core.rng import normal, seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.nn.dcgan import DCGANDiscriminator, DCGANGenerator


class Config(BaseConfig):
    """DCGAN."""

    latent: int = Field(100, ge=1)
    """Dimensions of z ~ N(0, I) (figure 1)."""
    width: int = Field(128, ge=1)
    """Channels of the largest hidden map; they double at each halving of the size (figure 1)."""
    lr: float = Field(2e-4, gt=0)
    """Learning rate of both players (section 4)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay of the moments (section 4)."""
    batch_size: int = Field(128, ge=2)
    """Images a round (section 4)."""
    rounds: int = Field(120_000, ge=1)
    """Updates of each player (5 epochs of LSUN's three million bedrooms)."""


PRESETS = {
    "paper": Config(),
    "small": Config(width=48, batch_size=64, rounds=3500),
    "tiny": Config(latent=8, width=4, batch_size=8, rounds=6),
}


class DCGAN(AbstractGame):
    """Two convolutional networks at play."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = DCGANGenerator(config.latent, config.width, spec)
        self.discriminator = DCGANDiscriminator(spec, config.width)
        self.to(memory_format=torch.channels_last)

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        adam = partial(Adam, lr=self.config.lr, betas=self.config.betas, fused=True)
        return {
            "discriminator": Player((self.discriminator,), adam, average=False),
            "generator": Player((self.generator,), adam),
        }

    def stages(self) -> tuple[Stage, ...]:
        """One update each a round."""
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D, real and generated images normalised apart."""
        x = batch.images.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            x_fake = self.sample(len(x))
        d_real, d_fake = self.discriminator(x), self.discriminator(x_fake)
        stats = {"D(x)": torch.sigmoid(d_real).mean(), "D(G(z))": torch.sigmoid(d_fake).mean()}
        return Loss(adversarial.discriminator_loss(d_real, d_fake), stats)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        return Loss(adversarial.non_saturating_generator_loss(self.discriminator(self.sample(len(batch)))))

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, latent)."""
        return normal(n, self.config.latent, device=self.device, generator=generator)

    def decode(self, z: Tensor) -> Tensor:
        """G(z)."""
        return self.generator(z)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """G(z), z ~ N(0, I)."""
        return self.generator(self.latents(n, generator=generator))


def build(config: Config, spec: Spec, *, seed: int = 0) -> DCGAN:
    """A DCGAN for square images of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return DCGAN(config, spec)
