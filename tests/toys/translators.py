"""Two generators in one player (Toy and Toy, 2017). https://arxiv.org/abs/1703.10593.

There and back again: one optimizer moves both directions, each judged by a critic of its own, of tied weights.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim import Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp, shaped


class Config(config.Config):
    cycle: float = Field(2.0, ge=0)
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(rounds=8)}


class There(Sampling):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = mlp(LATENT, 8, spec.dim)
        self.back = mlp(spec.dim, 8, LATENT)
        self.critic_x = nn.Sequential(mlp(spec.dim, 8), nn.Tanh(), nn.Linear(8, 1))
        self.critic_z = nn.Sequential(mlp(LATENT, 8), nn.Tanh(), self.critic_x[2])

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, lr=self.config.lr, betas=(0.5, 0.999))
        return {
            "critics": Player((self.critic_x, self.critic_z), adam),
            "generators": Player((self.generator, self.back), adam),
        }

    def stages(self) -> tuple[Stage, ...]:
        turns = (Turn("generators", self.generators_loss), Turn("critics", self.critics_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def there(self, z: Tensor) -> Tensor:
        return shaped(self.generator(z), self.spec).flatten(1)

    def generators_loss(self, batch: Batch, clock: Clock) -> Loss:
        x, z = batch.images.flatten(1), torch.randn(len(batch), LATENT, device=self.device)
        x_fake, z_fake = self.there(z), self.back(x)
        cycle = l1_loss(self.there(z_fake), x) + l1_loss(self.back(x_fake), z)
        adversarial = (self.critic_x(x_fake) - 1).square().mean() + (self.critic_z(z_fake) - 1).square().mean()
        return Loss(adversarial + self.config.cycle * cycle, {"cycle": cycle})

    def critics_loss(self, batch: Batch, clock: Clock) -> Loss:
        x, z = batch.images.flatten(1), torch.randn(len(batch), LATENT, device=self.device)
        real = (self.critic_x(x) - 1).square().mean() + (self.critic_z(z) - 1).square().mean()
        return Loss(real + self.critic_x(self.there(z)).square().mean() + self.critic_z(self.back(x)).square().mean())


def build(config: Config, spec: Spec, *, seed: int = 0) -> There:
    return built(lambda: There(config, spec), seed)
