"""Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016). https://arxiv.org/abs/1601.06759

The Row LSTM and the Diagonal BiLSTM of sections 3.1 and 3.2. One player raises the exact log-likelihood, in nats an image, every
sub-pixel given those before it: rows from the top, pixels from the left, then R, G, B (equations 1 and 2):

    log p(x) = sum_i log p(x_i,R | x_<i) + log p(x_i,G | x_<i, x_i,R) + log p(x_i,B | x_<i, x_i,R, x_i,G)

    k0 x k0 mask A to 2h;  `layers` blocks x + W lstm(x), the LSTM from 2h to h, W 1 x 1 mask B back to 2h (table 1, figure 5);
    relu and 1 x 1 mask B twice;  1 x 1 to the numbers of each sub-pixel's distribution

    row         sees, of the rows above, a triangle; never what is k0//2 + u or more columns to the right u rows above
    diagonal    sees all before it but one: the last pixel of the row above, if its own column is before W - 1 - k0//2

`conditional`: p(x|y), a learned bias a class for every gate (van den Oord et al. 2016b, https://arxiv.org/abs/1606.05328, eq. 4).

Deviations: the paper gives no learning rate and no length; ours are measured. `wide_right` (off) gives the second direction of
the first Diagonal BiLSTM features that include their own pixel: it is shifted down a row, so no pixel sees itself, and the gap is
closed. The multi-scale PixelRNN of section 3.6 is not here. `paper` is the Diagonal BiLSTM of table 1 for CIFAR-10,
`paper-mnist` the one of 7 layers for MNIST; `mnist` and `mnist-row` take less than an hour on one thread.
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
from pinxit.nn.lstm2d import DiagonalBiLSTM, RowLSTM
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.outputs import output
from pinxit.nn.pixels import Head
from pinxit.nn.recurrent import RecurrentBlock, RecurrentStack
from pinxit.nn.sampling import Engine, Progress, paint


class Config(BaseConfig):
    """PixelRNN."""

    layer: Literal["row", "diagonal"] = "diagonal"
    """row: Row LSTM (section 3.1); diagonal: Diagonal BiLSTM (section 3.2)."""
    layers: int = Field(12, ge=1)
    """LSTM layers (table 1, CIFAR-10: 12; MNIST: 7, or 1 in the smallest)."""
    width: int = Field(128, ge=1)
    """h: features of the LSTM's state; 2h between layers (table 1, CIFAR-10: 128; MNIST: 16)."""
    head: int = Field(1024, ge=1)
    """Features of the two 1 x 1 layers before the output (section 5.2: 1024 for CIFAR-10, 32 for MNIST)."""
    first_kernel: int = Field(7, ge=3)
    """k0, odd (table 1)."""
    residual: bool = True
    """Whether each layer adds its input (section 3.3)."""
    skip: bool = False
    """Whether each layer has a connection to the head (section 3.3)."""
    wide_right: bool = False
    """diagonal: close the gap at the end of the row above; not the paper's."""
    conditional: bool = False
    """A model of the images given their class."""
    output: Literal["bernoulli", "softmax", "logistic-mixture"] = "softmax"
    """Distribution of a sub-pixel: of bits, of levels without order (section 3.5), or logistics on the levels (PixelCNN++)."""
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
    "paper-mnist": Config(layers=7, width=16, head=32, output="bernoulli"),
    "small": Config(
        layers=2, width=32, head=64, output="logistic-mixture", components=5, optimizer="adam", lr=3e-3, decay="cosine",
        batch_size=32, rounds=2000,
    ),
    "mnist": Config(
        layers=1, width=32, head=32, output="bernoulli", optimizer="adam", lr=3e-3, decay="cosine", batch_size=32, rounds=20_000,
    ),
    "mnist-row": Config(
        layer="row", layers=2, width=32, head=32, output="bernoulli", optimizer="adam", lr=3e-3, decay="cosine", batch_size=32,
        rounds=20_000,
    ),
    "tiny": Config(
        layers=1, width=4, head=6, first_kernel=5, output="bernoulli", optimizer="adam", lr=1e-2, batch_size=8, rounds=6,
    ),
}  # fmt: skip


class PixelRNN(AbstractGame):
    """The network of LSTM layers and its distribution."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        if spec.continuous:
            raise InputError(
                "PixelRNN is a model of grey levels or bits, this data is continuous: take a VAE with `decoder` gaussian"
            )
        if config.conditional:
            refuse_unlabelled(spec, "a conditional PixelRNN")
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
        x = torch.zeros(n, *self.spec.shape, device=self.device)
        return paint(self.network, self.output, x, labels=labels, generator=generator, engine=engine, progress=progress)

    def sample_class(
        self,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        engine: Engine = "auto",
        progress: Progress | None = None,
    ) -> Tensor:
        """One sample a label, (n,) int64 to (n, c, h, w)."""
        x = torch.zeros(len(labels), *self.spec.shape, device=self.device)
        told = self.told(labels, len(labels))
        return paint(self.network, self.output, x, labels=told, generator=generator, engine=engine, progress=progress)

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
        x = bits.binarised(x, self.how, generator)
        labels = self.told(labels, len(x))
        return paint(self.network, self.output, x, known, labels=labels, generator=generator, engine=engine, progress=progress)


def network(config: Config, spec: Spec, size: int) -> RecurrentStack:
    """Table 1; `size` numbers a sub-pixel."""
    groups, classes, width, kernel = spec.channels, spec.classes if config.conditional else 0, config.width, config.first_kernel
    if config.wide_right and config.layer == "row":
        raise InputError("`wide_right` is of the diagonal layer, this model's `layer` is row: take diagonal, or leave it out")
    lstm = RowLSTM if config.layer == "row" else DiagonalBiLSTM
    first = MaskedConv2d(groups, 2 * width, kernel, "A", groups=groups)
    wide = MaskedConv2d(groups, 2 * width, kernel, "B", groups=groups) if config.wide_right else None
    cells = [lstm(2 * width, width, groups=groups, classes=classes) for _ in range(config.layers)]
    blocks = [RecurrentBlock(cell, width, groups=groups, residual=config.residual) for cell in cells]
    return RecurrentStack(
        first, blocks, Head(2 * width, (config.head, config.head), size, groups=groups), skip=config.skip, wide=wide
    )


def build(config: Config, spec: Spec, *, seed: int = 0) -> PixelRNN:
    """A PixelRNN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return PixelRNN(config, spec)
