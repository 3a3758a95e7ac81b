"""Growth in three stages (Toy and Toy, 2018). https://arxiv.org/abs/1710.10196.

The size doubles and the batch halves from stage to stage; the stage a sample is drawn at is a buffer, moved in `after`.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, softplus
from torch.optim import Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Stats, Turn
from pinxit.core.rng import normal
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp

STAGES = 3


class Config(config.Config):
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(60, ge=1)
    batch_size: int = Field(16, ge=1)


PRESETS = {"tiny": Config(rounds=5)}


class Growth(Sampling):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.sizes = [(-(-spec.height // 2**k), -(-spec.width // 2**k)) for k in reversed(range(STAGES))]
        dims = [spec.channels * h * w for h, w in self.sizes]
        self.generator = mlp(LATENT, 8, 8)
        self.painters = nn.ModuleList(nn.Linear(8, dim) for dim in dims)
        self.readers = nn.ModuleList(nn.Linear(dim, 8) for dim in dims)
        self.discriminator = mlp(8, 8, 1)
        self.register_buffer("grown", torch.zeros((), dtype=torch.long))

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, lr=self.config.lr)
        return {
            "discriminator": Player((self.discriminator, self.readers), adam),
            "generator": Player((self.generator, self.painters), adam),
        }

    def stages(self) -> tuple[Stage, ...]:
        turns = (Turn("discriminator", self.discriminator_loss, after=self.grow), Turn("generator", self.generator_loss))
        return tuple(Stage(turns, self.config.rounds + k, max(1, self.config.batch_size // 2**k)) for k in range(STAGES))

    def grow(self, stats: Stats) -> None:
        self.grown.fill_(round(float(stats["stage"])))

    def paint(self, n: int, stage: int, generator: torch.Generator | None = None) -> Tensor:
        h = self.generator(normal(n, LATENT, device=self.device, generator=generator))
        x = self.painters[stage](h).view(n, self.spec.channels, *self.sizes[stage])
        return x if self.spec.continuous else x.tanh()

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        x = self.paint(n, int(self.grown), generator)
        return interpolate(x, size=(self.spec.height, self.spec.width))

    def judge(self, x: Tensor, clock: Clock) -> Tensor:
        fade = min(1.0, 2 * clock.progress)
        return self.discriminator(torch.tanh(self.readers[clock.stage](x.flatten(1)))) * (1 + fade)

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        x = adaptive_avg_pool2d(batch.images, self.sizes[clock.stage])
        x_fake = self.paint(len(batch), clock.stage).detach()
        total = softplus(-self.judge(x, clock)).mean() + softplus(self.judge(x_fake, clock)).mean()
        return Loss(total, {"stage": torch.tensor(float(clock.stage))})

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        return Loss(softplus(-self.judge(self.paint(len(batch), clock.stage), clock)).mean())


def build(config: Config, spec: Spec, *, seed: int = 0) -> Growth:
    return built(lambda: Growth(config, spec), seed)
