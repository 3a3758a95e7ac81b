"""A learning rate that falls to zero (Toy, 2017). https://arxiv.org/abs/1703.10593.

One player that reconstructs through a bottleneck; its schedule is a function of the clock.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.optim import Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp, shaped


class Config(config.Config):
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(rounds=10)}


class Scheduled(Sampling):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.encoder = mlp(spec.dim, 8, LATENT)
        self.generator = mlp(LATENT, 8, spec.dim)

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, lr=self.config.lr)
        return {"model": Player((self.encoder, self.generator), adam, schedule=self.fall)}

    def stages(self) -> tuple[Stage, ...]:
        return (Stage((Turn("model", self.model_loss),), self.config.rounds, self.config.batch_size),)

    def fall(self, clock: Clock) -> dict[str, float]:
        return {"lr": self.config.lr * min(1.0, 2 - 2 * clock.progress)}

    def model_loss(self, batch: Batch, clock: Clock) -> Loss:
        x = batch.images.flatten(1)
        z: Tensor = self.encoder(x)
        x_hat = shaped(self.generator(z + 0.1 * torch.randn_like(z)), self.spec).flatten(1)
        return Loss(mse_loss(x_hat, x))


def build(config: Config, spec: Spec, *, seed: int = 0) -> Scheduled:
    return built(lambda: Scheduled(config, spec), seed)
