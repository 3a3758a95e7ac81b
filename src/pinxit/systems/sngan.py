"""Spectral normalisation for GANs: SNGAN (Miyato et al., 2018). https://arxiv.org/abs/1802.05957

Every weight of the discriminator is divided by its largest singular value, so each layer is 1-Lipschitz (equation 8):

    W_bar = W / sigma(W),   sigma(W) = u^T W v,   v <- W^T u / |.|,   u <- W v / |.|   once a forward pass (algorithm 1)

    hinge             L_D = E max(0, 1 - d(x)) + E max(0, 1 + d(G(z)))      L_G = -E d(G(z))          (equations 16 and 17)
    non-saturating    L_D = E sp(-d(x)) + E sp(d(G(z)))                     L_G = E sp(-d(G(z)))

`regularise` is another way to hold the norms, which penalises them instead (Yoshida & Miyato 2017,
https://arxiv.org/abs/1705.10941, equation 4): L_D + lambda/2 sum of sigma(W)^2, on a discriminator without spectral
normalisation. The norm of a convolution's reshaped kernel, used by both, is not its operator norm:
`pinxit.nn.spectral.operator_norm` computes that one.

Deviations: none in the objectives. `paper` is the authors' unconditional configuration for CIFAR-10 with one width for both
networks; its generator's batch, twice the discriminator's there, is the same here.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig, Normalisation
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.nn import backbones
from pinxit.nn.spectral import SpectralRegulariser


class Config(GANConfig):
    """SNGAN."""

    objective: Literal["hinge", "non-saturating"] = "hinge"
    """The losses (equations 16 and 17, or those of gan)."""
    regularise: float = Field(0.0, ge=0)
    """lambda of spectral-norm regularisation (its paper: 0.01); not with --normalisation spectral."""
    n_critic: int = Field(5, ge=1)
    """Discriminator updates per generator update (table 1: 5 or 1)."""
    backbone: Literal["mlp", "dcgan", "resnet"] = "resnet"
    """resnet: table 4 of the paper; dcgan (Radford et al. 2016): square images; mlp: any data."""
    normalisation: Normalisation = "spectral"
    """Of the discriminator."""
    latent: int = Field(128, ge=1)
    """Dimensions of z (section 4)."""
    width: int = Field(128, ge=1)
    """Channels of every map of resnet (table 4); of the largest hidden map of dcgan."""
    lr: float = Field(2e-4, gt=0)
    """Learning rate (table 1)."""
    betas: tuple[float, float] = (0.0, 0.9)
    """Adam's decay of the moments (the authors' configuration of the residual network)."""
    decay: Literal["none", "linear"] = "linear"
    """Of the learning rates over the run (the authors' configuration)."""
    batch_size: int = Field(64, ge=1)
    """Images per discriminator update (section 4)."""
    rounds: int = Field(50_000, ge=1)
    """Generator updates (the authors' configuration)."""

    def check(self) -> None:
        """The norms are held in one way."""
        if self.regularise and self.normalisation == "spectral":
            what = f"`regularise` is {self.regularise} with spectral normalisation, whose norms are 1 already"
            raise InputError(f"{what}: take --normalisation none")


PRESETS = {
    "paper": Config(),
    "small": Config(backbone="dcgan", width=48, n_critic=1, betas=(0.5, 0.999), rounds=3500),
    "points": Config(
        backbone="mlp", latent=2, generator=(128, 128), discriminator=(128, 128), n_critic=1, lr=1e-3, betas=(0.5, 0.9),
        batch_size=128, rounds=12_000,
    ),
    "tiny": Config(backbone="mlp", latent=8, generator=(32,), discriminator=(32,), n_critic=2, lr=1e-3, batch_size=8, rounds=6),
}  # fmt: skip


class SNGAN(AbstractGAN):
    """Two networks at play, one of them held 1-Lipschitz layer by layer."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = backbones.generator(config, spec)
        self.discriminator = backbones.score(config, spec)
        self.regulariser = SpectralRegulariser(self.discriminator) if config.regularise else None

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        return self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))

    def stages(self) -> tuple[Stage, ...]:
        """Algorithm 1."""
        discriminator = Turn("discriminator", self.discriminator_loss, repeats=self.config.n_critic)
        return (Stage((discriminator, Turn("generator", self.generator_loss)), self.config.rounds, self.config.batch_size),)

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D, and the regulariser."""
        with torch.no_grad():
            x_fake = self.sample(len(batch))
        d_real, d_fake = backbones.both(self.discriminator, batch.images, x_fake)
        if self.config.objective == "hinge":
            total, stats = adversarial.hinge_discriminator_loss(d_real, d_fake), {"real": d_real.mean(), "fake": d_fake.mean()}
        else:
            total = adversarial.discriminator_loss(d_real, d_fake)
            stats = {"D(x)": torch.sigmoid(d_real).mean(), "D(G(z))": torch.sigmoid(d_fake).mean()}
        if self.regulariser is not None:
            penalty = self.regulariser()
            total, stats["penalty"] = total + self.config.regularise * penalty, penalty
        return Loss(total, stats)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        d_fake = self.discriminator(self.sample(len(batch)))
        if self.config.objective == "hinge":
            return Loss(adversarial.wasserstein_generator_loss(d_fake))
        return Loss(adversarial.non_saturating_generator_loss(d_fake))


def build(config: Config, spec: Spec, *, seed: int = 0) -> SNGAN:
    """An SNGAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return SNGAN(config, spec)
