"""Weight clipping (Toy and Toy, 2017). https://arxiv.org/abs/1701.07875.

After each of its steps the critic's weights are clipped, by `Player.project`.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch.optim import RMSprop

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp


class Config(config.Config):
    clip: float = Field(0.05, gt=0)
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(rounds=8)}


class Clipping(Sampling):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = mlp(LATENT, 8, spec.dim)
        self.critic = mlp(spec.dim, 8, 1)

    def players(self) -> dict[str, Player]:
        rmsprop = partial(RMSprop, lr=self.config.lr)
        return {
            "critic": Player((self.critic,), rmsprop, project=self.clip),
            "generator": Player((self.generator,), rmsprop),
        }

    def stages(self) -> tuple[Stage, ...]:
        turns = (Turn("critic", self.critic_loss, repeats=2), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    @torch.no_grad()
    def clip(self) -> None:
        for p in self.critic.parameters():
            p.clamp_(-self.config.clip, self.config.clip)

    def critic_loss(self, batch: Batch, clock: Clock) -> Loss:
        x_fake = self.sample(len(batch))
        return Loss(self.critic(x_fake.flatten(1)).mean() - self.critic(batch.images.flatten(1)).mean())

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        return Loss(-self.critic(self.sample(len(batch)).flatten(1)).mean())


def build(config: Config, spec: Spec, *, seed: int = 0) -> Clipping:
    return built(lambda: Clipping(config, spec), seed)
