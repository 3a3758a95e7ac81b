"""A lazy regulariser (Toy and Toy, 2020). https://arxiv.org/abs/1912.04958.

The R1 penalty is a turn of its own, every fourth round with gain four; the last bias gets no gradient from it.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch.nn.functional import softplus
from torch.optim import Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn, lazy
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp


class Config(config.Config):
    every: int = Field(4, ge=1)
    weight: float = Field(1.0, ge=0)
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(rounds=12)}


class LazyR1(Sampling):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = mlp(LATENT, 8, spec.dim)
        self.discriminator = mlp(spec.dim, 8, 1)

    def players(self) -> dict[str, Player]:
        lr, betas = self.config.lr, (0.5, 0.99)
        return {
            "discriminator": Player((self.discriminator,), lazy(Adam, self.config.every, lr=lr, betas=betas)),
            "generator": Player((self.generator,), partial(Adam, lr=lr, betas=betas)),
        }

    def stages(self) -> tuple[Stage, ...]:
        every = self.config.every
        turns = (
            Turn("discriminator", self.discriminator_loss),
            Turn("discriminator", self.discriminator_r1, every=every, gain=float(every)),
            Turn("generator", self.generator_loss),
        )
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        return self.discriminator(x.flatten(1))

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        x_fake = self.sample(len(batch))
        return Loss(softplus(-self.score(batch.images)).mean() + softplus(self.score(x_fake)).mean())

    def discriminator_r1(self, batch: Batch, clock: Clock) -> Loss:
        with torch.autocast(batch.images.device.type, enabled=False):
            x = batch.images.detach().float().requires_grad_()
            (slope,) = torch.autograd.grad(self.score(x).sum(), x, create_graph=True)
        return Loss(self.config.weight / 2 * slope.flatten(1).square().sum(1).mean())

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        return Loss(softplus(-self.score(self.sample(len(batch)))).mean())


def build(config: Config, spec: Spec, *, seed: int = 0) -> LazyR1:
    return built(lambda: LazyR1(config, spec), seed)
