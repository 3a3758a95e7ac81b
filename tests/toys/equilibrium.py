"""An equilibrium held by a controller (Toy and Toy, 2017). https://arxiv.org/abs/1703.10717.

k balances the two sides; it is a buffer, made anew (not in place) in `after` from the averaged stats.
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
    gamma: float = Field(0.7, gt=0)
    rate: float = Field(0.05, gt=0)
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(rounds=8)}


class Equilibrium(Sampling):
    k: Tensor

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = mlp(LATENT, 8, spec.dim)
        self.autoencoder = mlp(spec.dim, 8, spec.dim)
        self.register_buffer("k", torch.tensor(0.1))

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, lr=self.config.lr)
        return {"discriminator": Player((self.autoencoder,), adam), "generator": Player((self.generator,), adam)}

    def stages(self) -> tuple[Stage, ...]:
        turns = (
            Turn("discriminator", self.discriminator_loss, after=self.balance),
            Turn("generator", self.generator_loss),
        )
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def balance(self, stats: Stats) -> None:
        self.k = (self.k + self.config.rate * (self.config.gamma * stats["real"] - stats["fake"])).clamp(0.0, 1.0)

    def error(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return (self.autoencoder(x) - x).abs().mean()

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        real, fake = self.error(batch.images), self.error(self.sample(len(batch)).detach())
        return Loss(real - self.k * fake, {"real": real, "fake": fake, "k": self.k})

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        return Loss(self.error(self.sample(len(batch))))


def build(config: Config, spec: Spec, *, seed: int = 0) -> Equilibrium:
    return built(lambda: Equilibrium(config, spec), seed)
