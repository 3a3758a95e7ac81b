"""A head that two players move (Toy and Toy, 2016). https://arxiv.org/abs/1606.03657.

Discriminator and generator both move the head that guesses the code: an overlap, declared in `shared`.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus
from torch.optim import Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.rng import normal
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp, shaped


class Config(config.Config):
    weight: float = Field(0.5, ge=0)
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(rounds=8)}


class SharedHead(Sampling):
    shared = frozenset({"guess.weight", "guess.bias"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = mlp(LATENT, 8, spec.dim)
        self.trunk = mlp(spec.dim, 8, 8)
        self.verdict = nn.Linear(8, 1)
        self.guess = nn.Linear(8, LATENT)

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, lr=self.config.lr)
        return {
            "discriminator": Player((self.trunk, self.verdict, self.guess), adam),
            "generator": Player((self.generator, self.guess), adam),
        }

    def stages(self) -> tuple[Stage, ...]:
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def fakes(self, n: int) -> tuple[Tensor, Tensor]:
        z = normal(n, LATENT, device=self.device)
        return z, self.trunk(shaped(self.generator(z), self.spec).flatten(1))

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        real = self.verdict(self.trunk(batch.images.flatten(1)))
        with torch.no_grad():
            z = normal(len(batch), LATENT, device=self.device)
            x_fake = shaped(self.generator(z), self.spec)
        h = self.trunk(x_fake.flatten(1))
        information = mse_loss(self.guess(h), z)
        total = softplus(-real).mean() + softplus(self.verdict(h)).mean() + self.config.weight * information
        return Loss(total, {"information": information})

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        z, h = self.fakes(len(batch))
        return Loss(softplus(-self.verdict(h)).mean() + self.config.weight * mse_loss(self.guess(h), z))


def build(config: Config, spec: Spec, *, seed: int = 0) -> SharedHead:
    return built(lambda: SharedHead(config, spec), seed)
