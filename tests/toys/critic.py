"""A critic with a gradient penalty (Toy and Toy, 2017). https://arxiv.org/abs/1704.00028.

The critic moves `n_critic` times to the generator's once; only the last layer's bias is left alone by the penalty.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch.optim import Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp, penalty


class Config(config.Config):
    n_critic: int = Field(3, ge=1)
    weight: float = Field(10.0, ge=0)
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(rounds=12)}


class Critic(Sampling):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = mlp(LATENT, 8, spec.dim)
        self.critic = mlp(spec.dim, 8, 1)

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, lr=self.config.lr, betas=(0.0, 0.9))
        return {"critic": Player((self.critic,), adam, average=False), "generator": Player((self.generator,), adam)}

    def stages(self) -> tuple[Stage, ...]:
        turns = (Turn("critic", self.critic_loss, repeats=self.config.n_critic), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        return self.critic(x.flatten(1))

    def critic_loss(self, batch: Batch, clock: Clock) -> Loss:
        with torch.no_grad():
            x_fake = self.sample(len(batch))
        distance = self.score(batch.images).mean() - self.score(x_fake).mean()
        steepness = penalty(self.score, batch.images, x_fake)
        return Loss(-distance + self.config.weight * steepness, {"distance": distance, "penalty": steepness})

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        return Loss(-self.score(self.sample(len(batch))).mean())


def build(config: Config, spec: Spec, *, seed: int = 0) -> Critic:
    return built(lambda: Critic(config, spec), seed)
