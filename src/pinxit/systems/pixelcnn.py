"""Pixel Recurrent Neural Networks: PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu, 2016). https://arxiv.org/abs/1601.06759

The PixelCNN of section 3.5 and table 1; `gated` is that of Conditional Image Generation with PixelCNN Decoders (van den Oord et
al. 2016, https://arxiv.org/abs/1606.05328). One player raises the exact log-likelihood, in nats an image, every sub-pixel given
those before it: rows from the top, pixels from the left, then R, G, B (equations 1 and 2):

    log p(x) = sum_i log p(x_i,R | x_<i) + log p(x_i,G | x_<i, x_i,R) + log p(x_i,B | x_<i, x_i,R, x_i,G)

    plain    k0 x k0 mask A to 2h; `layers` blocks x + f(x), f: 1 x 1 to h, k x k, 1 x 1 to 2h, mask B;
             relu and 1 x 1 mask B twice; 1 x 1 to the numbers of each sub-pixel's distribution
    gated    y = tanh(a) sigmoid(b), a and b convolutions (2016b, equation 2), in a stack v of the rows above and a stack h of the
             pixel's row that sees v: no blind spot. Each layer has a skip connection to the head

`conditional`: p(x|y), a learned bias per class before the last ReLU of each block (plain) or in both gates of each layer (gated;
2016b, equation 4).

Deviations: the papers give no learning rate and no length; ours are measured. Blocks begin with their ReLU. `paper` is the
CIFAR-10 network of table 1; `mnist` is h = 16 with Adam for some half an hour on one thread, `mnist-gated` the gated model of the
same h for as long, its first layer wide enough to see where in the image a pixel is.
"""

from __future__ import annotations

from pydantic import Field

from pinxit.core.pixel_config import PixelConfig, Side
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.nn.autoregressive import AbstractConditionalPixelModel, AbstractPixelModel
from pinxit.nn.gated import GatedStack
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.pixels import Head, PixelStack, ResidualBlock


class Config(PixelConfig):
    """PixelCNN."""

    layers: int = Field(15, ge=0)
    """Blocks after the first layer (table 1, CIFAR-10: 15)."""
    width: int = Field(128, ge=1)
    """h: features inside a block; 2h between blocks, and h in the gated model (table 1, CIFAR-10: 128)."""
    head: int = Field(1024, ge=1)
    """Features of the two 1 x 1 layers before the output (section 5.2: 1024 for CIFAR-10, 32 for MNIST)."""
    first_kernel: Side = Field(7, ge=3)
    """k0, odd (table 1)."""
    kernel: Side = Field(3, ge=3)
    """k of the blocks, odd (table 1)."""
    gated: bool = False
    """Gated PixelCNN: two stacks without a blind spot."""


PRESETS = {
    "paper": Config(),
    "small": Config(
        layers=5, width=32, head=64, output="logistic-mixture", components=5, optimizer="adam", lr=2e-3, decay="cosine",
        batch_size=32, rounds=2000,
    ),
    "mnist": Config(
        layers=7, width=16, head=32, output="bernoulli", optimizer="adam", lr=3e-3, decay="cosine", batch_size=32, rounds=24_000,
    ),
    "mnist-gated": Config(
        gated=True, layers=7, width=16, head=32, first_kernel=27, output="bernoulli", optimizer="adam", lr=3e-3, decay="cosine",
        batch_size=16, rounds=12_000,
    ),
    "tiny": Config(
        layers=1, width=4, head=6, first_kernel=5, output="bernoulli", optimizer="adam", lr=1e-2, batch_size=8, rounds=6,
    ),
}  # fmt: skip


class PixelCNN(AbstractPixelModel):
    """The network of masked convolutions and its distribution."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec, network)


class ConditionalPixelCNN(AbstractConditionalPixelModel):
    """The same, given the class."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec, network)


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


def build(config: Config, spec: Spec, *, seed: int = 0) -> PixelCNN | ConditionalPixelCNN:
    """A PixelCNN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return (ConditionalPixelCNN if config.conditional else PixelCNN)(config, spec)
