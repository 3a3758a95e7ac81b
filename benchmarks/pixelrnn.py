"""The layers of PixelRNN on MNIST: painting images, and a training step of the Diagonal BiLSTM, against the usual way of each.

Painting: incremental, the state of every pixel kept, against a forward pass of the whole image for each pixel. The passes are
timed over some pixels and scaled to all of them.

Step: one scan over the image's own pixels with a gradient by hand, against a map skewed row by row, the input convolution on
the skewed map, and a scan in autograd for each direction; both give the same loss.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare
from pinxit.core.rng import seeded
from pinxit.core.spec import Spec
from pinxit.nn.lstm2d import DiagonalBiLSTM
from pinxit.systems import pixelrnn

SPEC = Spec(1, 28, 28, levels=2, binarised="fixed")
IMAGES = 16
PASSES = 12
"""Pixels that the naive painter is timed on."""
STEPS = 4


def game(preset: str = "mnist") -> pixelrnn.PixelRNN:
    """A preset as it is built."""
    return pixelrnn.build(pixelrnn.PRESETS[preset], SPEC)


def painted(engine: pixelrnn.Engine, images: int, preset: str) -> Work:
    """`images` images by an engine."""
    model = game(preset).eval()
    generator = torch.Generator().manual_seed(0)

    def work() -> None:
        model.sample(images, generator=generator, engine=engine)

    return work


def passes(images: int, preset: str) -> Work:
    """Seconds of a pass a pixel, for all pixels: PASSES of them, scaled."""
    model = game(preset).eval()
    x = torch.zeros(images, *SPEC.shape)

    def work() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            for pixel in range(PASSES):
                row, column = divmod(pixel, SPEC.width)
                numbers = model.network(x)[:, :, row, column]
                index, _ = model.output.draw(numbers, torch.rand(images, dtype=torch.float64))
                x[:, 0, row, column] = index.float() * 2 - 1
        return (time.perf_counter() - start) * SPEC.height * SPEC.width / PASSES

    return work


def skewed(x: Tensor) -> Tensor:
    """(n, c, H, W) to (n, c, H, W + H - 1), a row at a time."""
    n, c, height, width = x.shape
    out = x.new_zeros(n, c, height, width + height - 1)
    for row in range(height):
        out[:, :, row, row : row + width] = x[:, :, row]
    return out


def unskewed(x: Tensor, width: int) -> Tensor:
    """Its inverse."""
    return torch.stack([x[:, :, row, row : row + width] for row in range(x.shape[2])], dim=2)


class Usual(DiagonalBiLSTM):
    """The same layer as it is mostly written. It runs through the padding, so it is the same where biases and states are zero."""

    def forward(self, x: Tensor, labels: Tensor | None = None, right: Tensor | None = None) -> Tensor:
        """Both directions, one after the other."""
        left, turned = self._scan(x, 0), self._scan(x.flip(3), 1).flip(3)
        return left + F.pad(turned, (0, 0, 1, 0))[:, :, :-1]

    def _scan(self, x: Tensor, direction: int) -> Tensor:
        width = x.shape[3]
        given = F.conv2d(skewed(x), self.weight_is[direction].t()[..., None, None], self.bias[direction])
        beside, above = self.weight_ss[direction]
        kernel = torch.stack((above.t(), beside.t()), dim=2)
        h = self.h0[direction][:, None].expand(len(x), -1, x.shape[2])
        c = self.c0[direction][:, None].expand(len(x), -1, x.shape[2])
        columns = []
        for t in range(given.shape[3]):
            o, f, i, g = (given[..., t] + F.conv1d(F.pad(h, (1, 0)), kernel)).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            columns.append(h)
        return unskewed(torch.stack(columns, dim=3), width)


def step(model: pixelrnn.PixelRNN, batch: int) -> Work:
    """STEPS times loss, gradient and Adam."""
    x = torch.bernoulli(torch.full((batch, *SPEC.shape), 0.3), generator=torch.Generator().manual_seed(1)) * 2 - 1
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def work() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            (-model.log_prob(x).mean()).backward()
            optimizer.step()

    return work


def usual() -> pixelrnn.PixelRNN:
    """The model with `Usual` layers and the weights of ours, checked to give the same loss."""
    model, ours = game(), game()
    for block in model.network.layers:
        with seeded(0):
            layer = Usual(block.lstm.weight_is.shape[1], block.lstm.size)
        layer.load_state_dict(block.lstm.state_dict())
        block.lstm = layer
    with torch.inference_mode():
        x = torch.ones(2, *SPEC.shape)
        torch.testing.assert_close(model.log_prob(x), ours.log_prob(x), rtol=1e-5, atol=1e-3)
    return model


def run(options: Options) -> list[Section]:
    """Painting with either layer, and the diagonal one's step."""
    torch.set_num_threads(1)
    images, batch = (2, 2) if options.quick else (IMAGES, IMAGES)
    notes = [f"{images} images; a pass a pixel is timed on {PASSES} of 784 pixels and scaled"]
    ratio = Ratio("a pass a pixel / cached", "a pass a pixel", "cached", at_least=20)
    sections = []
    for layer, preset in (("Diagonal BiLSTM", "mnist"), ("Row LSTM", "mnist-row")):
        sides = [
            Side("cached", lambda preset=preset: painted("cached", images, preset)),
            Side("a pass a pixel", lambda preset=preset: passes(images, preset)),
        ]
        sections.append(compare(f"painting with the {layer}", sides, [ratio], options, rounds=5, notes=notes))
    builds: dict[str, Callable[[], pixelrnn.PixelRNN]] = {"one scan, by hand": game, "skewed, two scans": usual}
    sides = [Side(name, lambda build=build: step(build(), batch)) for name, build in builds.items()]
    ratio = Ratio("skewed / by hand", "skewed, two scans", "one scan, by hand", at_least=1.2)
    sections.append(compare(f"{STEPS} training steps of {batch} images", sides, [ratio], options))
    return sections
