"""Pre-training, then adversaries (Toy and Toy, 2017). https://arxiv.org/abs/1609.05473.

In stage 0 only the discriminator moves; in stage 1 it is replaced by both.
"""

from __future__ import annotations

from functools import partial

from pydantic import Field
from torch.nn.functional import softplus
from torch.optim import SGD, Adam

from pinxit.core import config
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.spec import Spec
from toys._nets import LATENT, Sampling, built, mlp


class Config(config.Config):
    lr: float = Field(1e-2, gt=0)
    before: int = Field(40, ge=1)
    rounds: int = Field(100, ge=1)
    batch_size: int = Field(8, ge=1)


PRESETS = {"tiny": Config(before=5, rounds=7)}


class Pretraining(Sampling):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = mlp(LATENT, 8, spec.dim)
        self.discriminator = mlp(spec.dim, 8, 1)

    def players(self) -> dict[str, Player]:
        momentum = partial(SGD, lr=self.config.lr, momentum=0.9)
        return {
            "discriminator": Player((self.discriminator,), momentum),
            "generator": Player((self.generator,), partial(Adam, lr=self.config.lr)),
        }

    def stages(self) -> tuple[Stage, ...]:
        discriminator, generator = Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss)
        size = self.config.batch_size
        return (Stage((discriminator,), self.config.before, size), Stage((discriminator, generator), self.config.rounds, size))

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        real, fake = self.discriminator(batch.images.flatten(1)), self.discriminator(self.sample(len(batch)).flatten(1))
        return Loss(softplus(-real).mean() + softplus(fake).mean())

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        return Loss(softplus(-self.discriminator(self.sample(len(batch)).flatten(1))).mean())


def build(config: Config, spec: Spec, *, seed: int = 0) -> Pretraining:
    return built(lambda: Pretraining(config, spec), seed)
