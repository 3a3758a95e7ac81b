"""The game of a model that paints pixel by pixel, whatever its network: exact likelihood, and samples by any engine.

One player raises log p(x) = sum_i log p(x_i | x_<i), in nats an image, every sub-pixel given those before it: rows from the top,
pixels from the left, then R, G, B (van den Oord et al. 2016, equations 1 and 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, RMSprop

from pinxit.core import bits
from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage, Turn
from pinxit.core.pixel_config import PixelConfig
from pinxit.core.spec import Spec
from pinxit.losses.precision import widened
from pinxit.nn.conditioning import checked, draw_labels
from pinxit.nn.outputs import output
from pinxit.nn.sampling import Engine, Progress, paint


class AbstractPixelModel(AbstractGame):
    """A network of what comes before each pixel, and the distribution of a sub-pixel.

    Args:
        config: of the distribution and the training.
        spec: of the data.
        network: from (config, spec, numbers a sub-pixel) to the network.

    Raises:
        InputError: continuous data, or a conditional model of data without labels.
    """

    config: PixelConfig

    def __init__(self, config: PixelConfig, spec: Spec, network: Callable[[Any, Spec, int], nn.Module]) -> None:
        super().__init__(config, spec)
        bernoulli = config.output == "bernoulli"
        self.how = bits.drawing(spec, config.binarise if bernoulli else "none")
        self.output = output(config.output, 2 if bernoulli else spec.levels, config.components)
        self.network = network(config, spec, self.output.size)

    def players(self) -> dict[str, Player]:
        """The model alone."""
        config = self.config
        optimizer = partial(Adam, fused=True) if config.optimizer == "adam" else RMSprop
        schedule = self.schedule if config.decay == "cosine" else None
        return {"model": Player((self,), partial(optimizer, lr=config.lr), schedule=schedule)}

    def schedule(self, clock: Clock) -> dict[str, Any]:
        """The learning rate: lr (1 + cos(pi t)) / 2, t the share of the run."""
        share = min(1.0, clock.step / self.config.rounds)
        return {"lr": self.config.lr * 0.5 * (1 + math.cos(math.pi * share))}

    def stages(self) -> tuple[Stage, ...]:
        """Maximum likelihood."""
        return (Stage((Turn("model", self.model_loss),), self.config.rounds, self.config.batch_size),)

    def model_loss(self, batch: Batch, clock: Clock) -> Loss:
        """-log p(x) in nats an image."""
        nll = -self.log_prob(batch.images, batch.labels if self.config.conditional else None).mean()
        return Loss(nll, {"nll": nll, "bits_per_dim": nll / (self.spec.dim * math.log(2))})

    def log_prob(self, x: Tensor, labels: Tensor | None = None, *, generator: torch.Generator | None = None) -> Tensor:
        """log p(x), or log p(x|y), in nats per image, (n,).

        Args:
            x: images (n, c, h, w) in [-1, 1]; bits are drawn from grey levels as `binarise` or the data says.
            labels: classes (n,) int64 of a conditional model, and of no other.
            generator: of the bits.
        """
        x = self.target(x, generator)
        return self.output.log_prob(x, widened(self.network(x, self.told(labels, len(x)))))

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What is scored and completed: the images, or their bits as -1 and 1, drawn as `binarise` or the data says."""
        return bits.binarised(x, self.how, generator)

    def told(self, labels: Tensor | None, n: int) -> Tensor | None:
        """The labels of `n` images, where the model is; InputError where it needs some or can't use any."""
        if self.config.conditional != (labels is not None):
            raise InputError(
                "a conditional model needs `labels`, one an image"
                if labels is None
                else "`labels` are given to a model of no classes: train it with `conditional`"
            )
        if labels is None:
            return None
        if len(labels) != n:
            raise InputError(f"{len(labels)} `labels` for {n} images: give one an image")
        return checked(labels, self.spec.classes).to(self.device)

    @property
    def measure(self) -> str:
        """What p(x), or p(x|y), is a probability of."""
        return bits.measure(self.spec, self.how)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, engine: Engine = "auto", progress: Progress | None = None
    ) -> Tensor:
        """`n` samples (n, c, h, w) of exact levels; of a conditional model, of uniform classes.

        Args:
            n: how many.
            generator: of the noise; the same state gives the same samples with every engine.
            engine: how they are painted, see `pinxit.nn.sampling`.
            progress: called with (done, total).
        """
        labels = draw_labels(n, self.spec.classes, device=self.device, generator=generator) if self.config.conditional else None
        return self.painted(n, labels, generator, engine, progress)

    def painted(
        self, n: int, labels: Tensor | None, generator: torch.Generator | None, engine: Engine, progress: Progress | None
    ) -> Tensor:
        """`n` samples, of classes or of none."""
        x = torch.zeros(n, *self.spec.shape, device=self.device)
        return paint(
            self.network, self.output, x, labels=self.told(labels, n), generator=generator, engine=engine, progress=progress
        )

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        labels: Tensor | None = None,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
        progress: Progress | None = None,
    ) -> Tensor:
        """`x` with its unknown pixels drawn, each given all those before it, known and drawn: exact where the known come first.

        Args:
            x: images (n, c, h, w) in [-1, 1]; a model of bits makes bits of them first.
            known: bool, (h, w) or (n, h, w).
            labels: classes of a conditional model.
            generator: of the noise.
            engine: how they are painted.
            progress: called with (done, total).
        """
        x = self.target(x, generator)
        labels = self.told(labels, len(x))
        return paint(self.network, self.output, x, known, labels=labels, generator=generator, engine=engine, progress=progress)


class AbstractConditionalPixelModel(AbstractPixelModel):
    """The same of images given their class: it draws the class that is asked for."""

    def log_prob_of_class(self, x: Tensor, labels: Tensor) -> Tensor:
        """log p(x|y) in nats per image, (n,)."""
        return self.log_prob(x, labels)

    def sample_class(
        self,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
        progress: Progress | None = None,
    ) -> Tensor:
        """One sample a label, (n,) int64 to (n, c, h, w)."""
        return self.painted(len(labels), labels, generator, engine, progress)
