"""Wasserstein GAN (Arjovsky, Chintala & Bottou, 2017). https://arxiv.org/abs/1701.07875

A critic f estimates the Wasserstein distance by its dual, up to the Lipschitz constant K that its clipped weights allow
(equations 2 and 3), and the generator lowers the estimate:

    K W1(p, q)  >=  max over |w| <= c of  E f(x) - E f(G(z))

    critic      L_D = E f(G(z)) - E f(x);   after each step  w <- clip(w, -c, c)          (algorithm 1)
    generator   L_G = -E f(G(z))

The critic moves `n_critic` times to the generator's once, and both by RMSprop: momentum made training unstable (section 4.2).
The stat `wasserstein` is E f(x) - E f(G(z)), an estimate of K W1 with an unknown K that depends on c and the network.

Deviations: the authors' program clips before a step instead of after it and gives the critic 100 steps a round in the first 25
rounds and in every 500th; here algorithm 1 is played as printed, so the generator never sees an unclipped critic. Its critic
has batch norm, and so has the `paper` preset; with it a score depends on the whole batch, no bound on K holds and
`wasserstein` is no distance. `small` and `points` have none.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch.optim import RMSprop

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig, Normalisation
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.nn import backbones


class Config(GANConfig):
    """WGAN."""

    clip: float = Field(0.01, gt=0)
    """c, the bound of every weight of the critic (algorithm 1)."""
    n_critic: int = Field(5, ge=1)
    """Critic updates per generator update (algorithm 1)."""
    normalisation: Normalisation = "batch"
    """Of the critic's hidden layers (the authors' program)."""
    lr: float = Field(5e-5, gt=0)
    """RMSprop's learning rate (algorithm 1)."""
    batch_size: int = Field(64, ge=1)
    """Images per critic update (algorithm 1)."""
    rounds: int = Field(200_000, ge=1)
    """Generator updates."""

    def check(self) -> None:
        """The clipped weights are those of the critic."""
        if self.normalisation == "spectral":
            what = "spectral normalisation divides the clipped weights, which c then does not bound"
            raise InputError(f"`normalisation` is 'spectral': {what}; take none, batch or layer (or sngan)")


PRESETS = {
    "paper": Config(),
    "small": Config(width=48, normalisation="none", clip=0.03, lr=1e-4, rounds=1500),
    "points": Config(
        backbone="mlp", latent=2, generator=(128, 128), discriminator=(128, 128), normalisation="none", clip=0.1,
        lr=5e-4, decay="linear", batch_size=128, rounds=6000,
    ),
    "tiny": Config(
        backbone="mlp", latent=8, generator=(32,), discriminator=(32,), normalisation="none", clip=0.05, n_critic=2, lr=1e-3,
        batch_size=8, rounds=6,
    ),
}  # fmt: skip


class WGAN(AbstractGAN):
    """Critic and generator at play."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = backbones.generator(config, spec)
        self.critic = backbones.score(config, spec)
        self.clip()

    def players(self) -> dict[str, Player]:
        """Critic and generator."""
        return self.pair("critic", self.critic, RMSprop, self.clip)

    def stages(self) -> tuple[Stage, ...]:
        """Algorithm 1."""
        critic = Turn("critic", self.critic_loss, repeats=self.config.n_critic)
        return (Stage((critic, Turn("generator", self.generator_loss)), self.config.rounds, self.config.batch_size),)

    @torch.no_grad()
    def clip(self) -> None:
        """Put every parameter of the critic into [-c, c]."""
        for w in self.critic.parameters():
            w.clamp_(-self.config.clip, self.config.clip)

    def critic_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D."""
        with torch.no_grad():
            x_fake = self.sample(len(batch))
        d_real, d_fake = backbones.both(self.critic, batch.images, x_fake)
        loss = adversarial.wasserstein_critic_loss(d_real, d_fake)
        return Loss(loss, {"wasserstein": -loss})

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        return Loss(adversarial.wasserstein_generator_loss(self.critic(self.sample(len(batch)))))


def build(config: Config, spec: Spec, *, seed: int = 0) -> WGAN:
    """A WGAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return WGAN(config, spec)
