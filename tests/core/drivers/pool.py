"""A pool of earlier samples (Toy and Toy, 2017). https://arxiv.org/abs/1612.07828.

`after` puts samples of the generator's turn into a buffer, at places that it draws; the discriminator sees the pool. Played
by several processes it stays equal only if `after` gets the samples of all of them, and draws alike in each.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Stats, Turn
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp


class Config(config.Config):
    size: int = Field(24, ge=1)
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(rounds=8)}


class Pool(Sampling):
    pool: Tensor

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = mlp(LATENT, 8, spec.dim)
        self.discriminator = mlp(spec.dim, 8, 1)
        self.register_buffer("pool", torch.zeros(config.size, *spec.shape))

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, lr=self.config.lr)
        return {"generator": Player((self.generator,), adam), "discriminator": Player((self.discriminator,), adam)}

    def stages(self) -> tuple[Stage, ...]:
        turns = (Turn("generator", self.generator_loss, after=self.keep), Turn("discriminator", self.discriminator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def keep(self, stats: Stats) -> None:
        places = torch.randperm(len(self.pool))[: len(stats["x_fake"])]
        self.pool[places] = stats["x_fake"]

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        x_fake = self.sample(len(batch))
        return Loss(-self.discriminator(x_fake.flatten(1)).mean(), {"x_fake": x_fake})

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        real, fake = self.discriminator(batch.images.flatten(1)), self.discriminator(self.pool.flatten(1))
        return Loss((real - 1).square().mean() + fake.square().mean())


def build(config: Config, spec: Spec, *, seed: int = 0) -> Pool:
    return built(lambda: Pool(config, spec), seed)
