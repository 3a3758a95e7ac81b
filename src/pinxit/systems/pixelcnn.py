"""Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016). https://arxiv.org/abs/1601.06759

The PixelCNN of section 3.5 and table 1; `gated` is that of Conditional Image Generation with PixelCNN Decoders (van den Oord et
al. 2016, https://arxiv.org/abs/1606.05328). One player raises the exact log-likelihood, in nats an image, every sub-pixel given
those before it: rows from the top, pixels from the left, then R, G, B (equations 1 and 2):

    log p(x) = sum_i log p(x_i,R | x_<i) + log p(x_i,G | x_<i, x_i,R) + log p(x_i,B | x_<i, x_i,R, x_i,G)

    plain    k0 x k0 mask A to 2h; `layers` blocks x + f(x), f: 1 x 1 to h, k x k, 1 x 1 to 2h, mask B;
             relu and 1 x 1 mask B twice; 1 x 1 to the numbers of each sub-pixel's distribution
    gated    y = tanh(a) sigmoid(b), a and b convolutions (2016b, equation 2), in a stack v of the rows above and a stack h of the
             pixel's row that sees v: no blind spot. Each layer has a skip connection to the head

`conditional`: p(x|y), a learned bias a class before each nonlinearity of a block (plain) or gate (2016b, equation 4).

Deviations: the papers give no learning rate and no length; ours are measured. Blocks begin with their ReLU. `paper` is the
CIFAR-10 network of table 1; `mnist` is h = 16 with Adam for some fifty minutes on one thread.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Adam, RMSprop

from pinxit.core import bits
from pinxit.core.clock import Clock
from pinxit.core.config import Config as BaseConfig
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage, Turn
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.nn.conditioning import checked, draw_labels, refuse_unlabelled
from pinxit.nn.gated import GatedStack
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.outputs import output
from pinxit.nn.pixels import Head, PixelStack, ResidualBlock
from pinxit.nn.sampling import Progress, paint


class Config(BaseConfig):
    """PixelCNN."""

    layers: int = Field(15, ge=0)
    """Blocks after the first layer (table 1, CIFAR-10: 15)."""
    width: int = Field(128, ge=1)
    """h: features inside a block; 2h between blocks, and h in the gated model (table 1, CIFAR-10: 128)."""
    head: int = Field(1024, ge=1)
    """Features of the two 1 x 1 layers before the output (section 5.2: 1024 for CIFAR-10, 32 for MNIST)."""
    first_kernel: int = Field(7, ge=3)
    """k0, odd (table 1)."""
    kernel: int = Field(3, ge=3)
    """k of the blocks, odd (table 1)."""
    gated: bool = False
    """Gated PixelCNN: two stacks without a blind spot."""
    conditional: bool = False
    """A model of the images given their class."""
    output: Literal["bernoulli", "softmax", "logistic-mixture"] = "softmax"
    """Distribution of a sub-pixel: of bits, of levels without order (section 3.1), or logistics on the levels (PixelCNN++)."""
    components: int = Field(10, ge=1)
    """logistic-mixture: logistics a sub-pixel."""
    binarise: Literal["dynamic", "threshold"] = "dynamic"
    """bernoulli on grey levels: bits drawn anew each time with the grey level's probability, or by the threshold 1/2."""
    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    """RMSProp in section 5.2."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate at first."""
    decay: Literal["none", "cosine"] = "none"
    """Of the learning rate: none, or along half a cosine to zero over the run."""
    batch_size: int = Field(16, ge=1)
    """Images a round (section 5.2: 16 for MNIST and CIFAR-10)."""
    rounds: int = Field(500_000, ge=1)
    """Updates."""


PRESETS = {
    "paper": Config(),
    "small": Config(
        layers=5, width=32, head=64, output="logistic-mixture", components=5, optimizer="adam", lr=2e-3, decay="cosine",
        batch_size=32, rounds=2000,
    ),
    "mnist": Config(
        layers=7, width=16, head=32, output="bernoulli", optimizer="adam", lr=3e-3, decay="cosine", batch_size=32, rounds=24_000,
    ),
    "tiny": Config(
        layers=1, width=4, head=6, first_kernel=5, output="bernoulli", optimizer="adam", lr=1e-2, batch_size=8, rounds=6,
    ),
}  # fmt: skip


class PixelCNN(AbstractGame):
    """The network of masked convolutions and its distribution."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        if spec.continuous:
            raise InputError(
                "PixelCNN is a model of grey levels or bits, this data is continuous: take a VAE with `decoder` gaussian"
            )
        if config.conditional:
            refuse_unlabelled(spec, "a conditional PixelCNN")
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
        x = bits.binarised(x, self.how, generator)
        return self.output.log_prob(x, self.network(x, self.told(labels, len(x))))

    def told(self, labels: Tensor | None, n: int) -> Tensor | None:
        """The labels of `n` images, or InputError where the model needs some or can't use any."""
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
        return checked(labels, self.spec.classes)

    @property
    def measure(self) -> str:
        """What p(x) is a probability of."""
        of = bits.measure(self.spec, self.how)
        return f"{of}, given the class" if self.config.conditional else of

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        engine: str = "auto",
        progress: Progress | None = None,
    ) -> Tensor:
        """`n` samples (n, c, h, w) of exact levels; of a conditional model, of uniform classes.

        Args:
            n: how many.
            generator: of the noise; the same state gives the same samples with every engine.
            engine: how they are painted, see `pinxit.nn.sampling`.
            progress: called with (done, total).
        """
        labels = draw_labels(n, self.spec.classes, device=self.device, generator=generator) if self.config.conditional else None
        x = torch.zeros(n, *self.spec.shape, device=self.device)
        return paint(self.network, self.output, x, labels=labels, generator=generator, engine=engine, progress=progress)

    def sample_class(
        self,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        engine: str = "auto",
        progress: Progress | None = None,
    ) -> Tensor:
        """One sample a label, (n,) int64 to (n, c, h, w)."""
        self.told(labels, len(labels))
        x = torch.zeros(len(labels), *self.spec.shape, device=self.device)
        return paint(self.network, self.output, x, labels=labels, generator=generator, engine=engine, progress=progress)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        labels: Tensor | None = None,
        generator: torch.Generator | None = None,
        engine: str = "auto",
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
        x = bits.binarised(x, self.how, generator)
        labels = self.told(labels, len(x))
        return paint(self.network, self.output, x, known, labels=labels, generator=generator, engine=engine, progress=progress)


def network(config: Config, spec: Spec, size: int) -> PixelStack | GatedStack:
    """Table 1, or the gated model; `size` numbers a sub-pixel."""
    groups, classes, width = spec.channels, spec.classes if config.conditional else 0, config.width
    if config.gated:
        return GatedStack(
            groups,
            width,
            config.layers,
            size,
            head=config.head,
            first_kernel=config.first_kernel,
            kernel=config.kernel,
            classes=classes,
        )
    first = MaskedConv2d(groups, 2 * width, config.first_kernel, "A", groups=groups)
    blocks = [ResidualBlock(width, config.kernel, groups=groups, classes=classes) for _ in range(config.layers)]
    return PixelStack(first, blocks, Head(2 * width, (config.head, config.head), size, groups=groups))


def build(config: Config, spec: Spec, *, seed: int = 0) -> PixelCNN:
    """A PixelCNN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return PixelCNN(config, spec)
