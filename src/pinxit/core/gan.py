"""What every GAN is besides its game: a generator of samples from codes, and the schedule of its learning rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pinxit.core.clock import Clock
from pinxit.core.game import AbstractGame, Player
from pinxit.core.rng import normal, uniform


class AbstractGAN(AbstractGame):
    """An implicit generative model x = G(z), z from a fixed prior; a system adds the opponent and the objectives.

    A system sets `generator`, a network of codes (n, latent) to samples (n, c, h, w).
    """

    generator: nn.Module

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """z of the prior, (n, latent)."""
        draw = normal if self.config.prior == "normal" else uniform
        return draw(n, self.config.latent, device=self.device, generator=generator)

    def decode(self, z: Tensor) -> Tensor:
        """G(z)."""
        return self.generator(z)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """G(z), z of the prior."""
        return self.decode(self.latents(n, generator=generator))

    def rates(self, lr: float) -> Callable[[Clock], Mapping[str, Any]] | None:
        """A player's schedule: `lr`, decayed as the configuration says; None where it is constant."""
        if self.config.decay == "none":
            return None
        return lambda clock: {"lr": lr * (1 - clock.progress)}

    def pair(
        self,
        name: str,
        opponent: nn.Module,
        optimizer: Callable[..., Optimizer],
        project: Callable[[], None] | None = None,
        schedule: Callable[[float, Clock], Mapping[str, Any]] | None = None,
    ) -> dict[str, Player]:
        """The two players of a usual GAN: `opponent` under `name`, and the generator, whose weights are averaged.

        Args:
            name: discriminator or critic.
            opponent: its network.
            optimizer: takes parameters and `lr`.
            project: done to the opponent's weights after each of its steps.
            schedule: of a player's first learning rate and the clock; `rates` by default.
        """
        lr, lr_opponent = self.config.lr, self.config.lr * self.config.ttur
        its, own = (partial(schedule, rate) if schedule else self.rates(rate) for rate in (lr_opponent, lr))
        return {
            name: Player((opponent,), partial(optimizer, lr=lr_opponent), project, schedule=its, average=False),
            "generator": Player((self.generator,), partial(optimizer, lr=lr), schedule=own),
        }
