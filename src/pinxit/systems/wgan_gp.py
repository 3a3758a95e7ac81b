"""Wasserstein GAN with gradient penalty (Gulrajani et al., 2017). https://arxiv.org/abs/1704.00028

The critic of `wgan`, held near slope 1 by a penalty between real and generated samples instead of by clipping (equation 3):

    x_hat = epsilon x + (1 - epsilon) G(z),   epsilon ~ U[0, 1], one a sample

    critic      L_D = E f(G(z)) - E f(x) + lambda E (|grad f(x_hat)|_2 - 1)^2          `n_critic` times a round
    generator   L_G = -E f(G(z))

The norm is that of one sample's gradient over all channels and pixels. `one_sided` has lambda E max(0, |grad f(x_hat)| - 1)^2
instead (Petzka et al. 2018, https://arxiv.org/abs/1709.08894, equation 8): a critic flatter than 1 somewhere is no offence. The
stat `wasserstein` is E f(x) - E f(G(z)), an estimate of W1 as far as the penalty holds; `penalty` is what lambda weighs.

The penalty is a function of each sample's own gradient, so the critic may not have batch norm (section 4).

Deviations: the `paper` preset is algorithm 1 on DCGAN's networks without norm in the critic, as the architectures of section
5.1 differ by experiment.
"""

from __future__ import annotations

from functools import partial

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
    """WGAN-GP."""

    lambda_gp: float = Field(10.0, ge=0)
    """Weight of the penalty (algorithm 1); the authors' program for points in the plane has 0.1."""
    one_sided: bool = False
    """Penalise only slopes above 1 (Petzka et al. 2018)."""
    n_critic: int = Field(5, ge=1)
    """Critic updates per generator update (algorithm 1)."""
    normalisation: PerSample = "none"
    """Of the critic's hidden layers: no batch norm, layer norm instead (section 4)."""
    lr: float = Field(1e-4, gt=0)
    """Adam's learning rate (algorithm 1)."""
    betas: tuple[float, float] = (0.0, 0.9)
    """Adam's decay of the moments (algorithm 1)."""
    batch_size: int = Field(64, ge=1)
    """Images per critic update (algorithm 1)."""
    rounds: int = Field(200_000, ge=1)
    """Generator updates."""


PRESETS = {
    "paper": Config(),
    "small": Config(width=32, lr=2e-4, betas=(0.5, 0.9), rounds=1000),
    "points": Config(
        backbone="mlp", latent=2, generator=(128, 128), discriminator=(128, 128), lambda_gp=0.1, lr=1e-3, betas=(0.5, 0.9),
        decay="linear", batch_size=128, rounds=4000,
    ),
    "tiny": Config(backbone="mlp", latent=8, generator=(32,), discriminator=(32,), n_critic=2, lr=1e-3, batch_size=8, rounds=6),
}  # fmt: skip


class WGANGP(AbstractGAN):
    """Critic and generator at play."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = backbones.generator(config, spec)
        self.critic = backbones.score(config, spec)
        norms.refuse_batch_statistics(self.critic, "wgan-gp", "the penalty takes the gradient of each sample's own score")

    def players(self) -> dict[str, Player]:
        """Critic and generator."""
        return self.pair("critic", self.critic, partial(Adam, betas=self.config.betas, fused=True))

    def stages(self) -> tuple[Stage, ...]:
        """Algorithm 1."""
        critic = Turn("critic", self.critic_loss, repeats=self.config.n_critic)
        return (Stage((critic, Turn("generator", self.generator_loss)), self.config.rounds, self.config.batch_size),)

    def critic_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D."""
        x = batch.images
        with torch.no_grad():
            x_fake = self.sample(len(x))
        d_real, d_fake = backbones.both(self.critic, x, x_fake)
        loss = adversarial.wasserstein_critic_loss(d_real, d_fake)
        penalty = penalties.gradient_penalty(self.critic, x, x_fake, one_sided=self.config.one_sided)
        return Loss(loss + self.config.lambda_gp * penalty, {"wasserstein": -loss, "penalty": penalty})

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        return Loss(adversarial.wasserstein_generator_loss(self.critic(self.sample(len(batch)))))


def build(config: Config, spec: Spec, *, seed: int = 0) -> WGANGP:
    """A WGAN-GP for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return WGANGP(config, spec)
