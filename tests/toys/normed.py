"""Batch normalisation on both sides (Toy and Toy, 2016). https://arxiv.org/abs/1511.06434.

Running statistics are the one state that a forward pass changes; the last layers are convolutions, their weights in
channels_last, moved by a fused optimizer: it pairs weight and gradient by their place in memory.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.rng import normal
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built


class Config(config.Config):
    lr: float = Field(1e-2, gt=0)
    rounds: int = Field(200, ge=1)
    batch_size: int = Field(8, ge=4)


PRESETS = {"tiny": Config(rounds=8)}


class Normed(Sampling):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.base = nn.Linear(LATENT, 4 * spec.height * spec.width)
        self.paint = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, spec.channels, 3, padding=1))
        self.read = nn.Sequential(nn.Conv2d(spec.channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.Flatten())
        self.verdict = nn.Linear(4 * spec.height * spec.width, 1)
        self.to(memory_format=torch.channels_last)

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, lr=self.config.lr, betas=(0.5, 0.999), fused=True)
        return {
            "discriminator": Player((self.read, self.verdict), adam, average=False),
            "generator": Player((self.base, self.paint), adam),
        }

    def stages(self) -> tuple[Stage, ...]:
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        h = self.base(normal(n, LATENT, device=self.device, generator=generator))
        x = self.paint(h.view(n, 4, self.spec.height, self.spec.width))
        return x if self.spec.continuous else x.tanh()

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        with torch.no_grad():
            x_fake = self.sample(len(batch))
        real, fake = self.verdict(self.read(batch.images)), self.verdict(self.read(x_fake))
        return Loss(softplus(-real).mean() + softplus(fake).mean(), {"accuracy": (real > 0).float().mean()})

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        return Loss(softplus(-self.verdict(self.read(self.sample(len(batch))))).mean())


def build(config: Config, spec: Spec, *, seed: int = 0) -> Normed:
    return built(lambda: Normed(config, spec), seed)
