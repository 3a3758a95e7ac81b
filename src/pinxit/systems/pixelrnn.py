"""Pixel Recurrent Neural Networks: PixelRNN (van den Oord, Kalchbrenner & Kavukcuoglu, 2016). https://arxiv.org/abs/1601.06759

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

from typing import Literal

from pydantic import Field

from pinxit.core.errors import InputError
from pinxit.core.pixel_config import PixelConfig, Side
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.nn.autoregressive import AbstractConditionalPixelModel, AbstractPixelModel
from pinxit.nn.lstm2d import DiagonalBiLSTM, RowLSTM
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.pixels import Head
from pinxit.nn.recurrent import RecurrentBlock, RecurrentStack


class Config(PixelConfig):
    """PixelRNN."""

    layer: Literal["row", "diagonal"] = "diagonal"
    """row: Row LSTM (section 3.1); diagonal: Diagonal BiLSTM (section 3.2)."""
    layers: int = Field(12, ge=1)
    """LSTM layers (table 1, CIFAR-10: 12; MNIST: 7, or 1 in the smallest)."""
    width: int = Field(128, ge=1)
    """h: features of the LSTM's state; 2h between layers (table 1, CIFAR-10: 128; MNIST: 16)."""
    head: int = Field(1024, ge=1)
    """Features of the two 1 x 1 layers before the output (section 5.2: 1024 for CIFAR-10, 32 for MNIST)."""
    first_kernel: Side = Field(7, ge=3)
    """k0, odd (table 1)."""
    residual: bool = True
    """Whether each layer adds its input (section 3.3)."""
    skip: bool = False
    """Whether each layer has a connection to the head (section 3.3)."""
    wide_right: bool = False
    """diagonal: close the gap at the end of the row above; not the paper's."""

    def check(self) -> None:
        """Only the diagonal layer has a gap to close."""
        if self.wide_right and self.layer == "row":
            raise InputError("`wide_right` is of the diagonal layer, this model's `layer` is row: take diagonal, or leave it out")


PRESETS = {
    "paper": Config(),
    "paper-mnist": Config(layers=7, width=16, head=32, output="bernoulli"),
    "small": Config(
        layers=2, width=32, head=64, output="logistic-mixture", components=5, optimizer="adam", lr=3e-3, decay="cosine",
        batch_size=32, rounds=2000,
    ),
    "mnist": Config(
        layers=1, width=32, head=32, output="bernoulli", optimizer="adam", lr=3e-3, decay="cosine", batch_size=32, rounds=16_000,
    ),
    "mnist-row": Config(
        layer="row", layers=2, width=32, head=32, output="bernoulli", optimizer="adam", lr=3e-3, decay="cosine", batch_size=32,
        rounds=12_000,
    ),
    "tiny": Config(
        layers=1, width=4, head=6, first_kernel=5, output="bernoulli", optimizer="adam", lr=1e-2, batch_size=8, rounds=6,
    ),
}  # fmt: skip


class PixelRNN(AbstractPixelModel):
    """The network of LSTM layers and its distribution."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec, network)


class ConditionalPixelRNN(AbstractConditionalPixelModel):
    """The same, given the class."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec, network)


def network(config: Config, spec: Spec, size: int) -> RecurrentStack:
    """Table 1; `size` numbers a sub-pixel."""
    groups, classes, width, kernel = spec.channels, spec.classes if config.conditional else 0, config.width, config.first_kernel
    lstm = RowLSTM if config.layer == "row" else DiagonalBiLSTM
    first = MaskedConv2d(groups, 2 * width, kernel, "A", groups=groups)
    wide = MaskedConv2d(groups, 2 * width, kernel, "B", groups=groups) if config.wide_right else None
    cells = [lstm(2 * width, width, groups=groups, classes=classes) for _ in range(config.layers)]
    blocks = [RecurrentBlock(cell, width, groups=groups, residual=config.residual) for cell in cells]
    return RecurrentStack(
        first, blocks, Head(2 * width, (config.head, config.head), size, groups=groups), skip=config.skip, wide=wide
    )


def build(config: Config, spec: Spec, *, seed: int = 0) -> PixelRNN | ConditionalPixelRNN:
    """A PixelRNN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return (ConditionalPixelRNN if config.conditional else PixelRNN)(config, spec)
