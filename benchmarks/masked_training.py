"""What masks cost in training: trimmed kernels against the same network with full kernels that a mask is multiplied into.

The other side is the usual way to write it: all k x k taps are parameters, the mask is multiplied each step, maps are
contiguous. A third side has full kernels too, but our layout of maps, channels last: what is left is what trimming gives.
"""

from __future__ import annotations

import copy
import time
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare
from benchmarks.runs import alone
from pinxit.core.spec import Spec
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.pixels import PixelStack
from pinxit.systems import pixelcnn

GREY = Spec(1, 28, 28)
MODELS = {"preset mnist": ({}, 32), "batch 100": ({}, 100), "5 blocks of 64": ({"layers": 5, "width": 64}, 16)}


class Full(nn.Module):
    """The same function as a trimmed layer of one group: k x k taps and a mask."""

    def __init__(self, layer: MaskedConv2d) -> None:
        super().__init__()
        height, width = 2 * layer.up + 1, 2 * layer.side + 1
        weight = torch.zeros(layer.c_out, layer.c_in, height, width)
        mask = torch.zeros_like(weight)
        weight[:, :, : layer.up + 1] = layer.kernel().detach()
        mask[:, :, : layer.up], mask[:, :, layer.up, : layer.side + (layer.mask == "B")] = 1, 1
        self.weight, self.bias = nn.Parameter(weight), layer.bias
        self.register_buffer("mask", mask)
        self.padding = (layer.up, layer.side)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The mask multiplied each time."""
        mask = self.mask
        assert isinstance(mask, Tensor)
        weight = self.weight if self.padding == (0, 0) else self.weight * mask  # no mask where no tap is closed
        return F.conv2d(x, weight, self.bias, padding=self.padding)


class Contiguous(nn.Module):
    """A stack whose maps are contiguous."""

    def __init__(self, stack: PixelStack) -> None:
        super().__init__()
        self.first, self.layers, self.head = stack.first, stack.layers, stack.head

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """As `PixelStack`, but for the layout."""
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def full(module: nn.Module) -> nn.Module:
    """A copy with every trimmed layer replaced."""
    if isinstance(module, MaskedConv2d):
        return Full(module)
    module = copy.copy(module)
    module._modules = {name: child and full(child) for name, child in module._modules.items()}
    return module


def stepping(changes: dict[str, int], batch: int, steps: int, side: str) -> Work:
    """`steps` steps: log-likelihood, gradient, Adam. All sides begin with the same function, which is checked."""
    game = pixelcnn.build(pixelcnn.PRESETS["mnist"].replace(**changes), GREY)
    x = torch.rand(batch, *GREY.shape, generator=torch.Generator().manual_seed(0)).round() * 2 - 1
    with torch.no_grad():
        want = game.log_prob(x)
    if side != "trimmed":
        stack = full(game.network)
        assert isinstance(stack, PixelStack)
        game.network = Contiguous(stack) if side == "full taps" else stack  # type: ignore[assignment]
    with torch.no_grad():
        torch.testing.assert_close(game.log_prob(x), want, rtol=1e-4, atol=1e-3)
    player = game.players()["model"]
    parameters = player.parameters()
    optimizer = player.optimizer(parameters)

    def work() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            (-game.log_prob(x).mean()).backward(inputs=parameters)
            optimizer.step()
            optimizer.zero_grad()
        return time.perf_counter() - start

    return alone(work)


def run(options: Options) -> list[Section]:
    """Three networks; the ratio to the usual way is the claim, the other says where it comes from."""
    sections = []
    for name, (changes, batch) in MODELS.items():
        steps = 1 if options.quick else 10
        names = ("trimmed", "full taps", "full taps, channels last")
        sides = [Side(side, partial(stepping, changes, batch, steps, side)) for side in names]
        ratios = [
            Ratio("full taps / trimmed", "full taps", "trimmed", at_least=1.2),
            Ratio("full taps, channels last / trimmed", "full taps, channels last", "trimmed"),
        ]
        sections.append(compare(f"{steps} steps of {batch} images, PixelCNN {name}", sides, ratios, options, rounds=5))
    return sections
