"""How much of the machine's rate of matrix products a `dcgan` of 64 pixels reaches, by turn and by layer.

A turn's FLOPs are counted by torch on the real objective and its gradient, and once more by hand from the layers' shapes.
Rates are FLOPs by time; the machine's is that of a float32 product of 2048 x 2048 matrices, the best of several, measured
among the others. The layers are timed one by one, alone; the operators as they run, by torch's profiler.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare
from benchmarks.overhead import random_images
from benchmarks.runs import Bare, Unsaved, fitted
from pinxit.core.game import Batch
from pinxit.data.store import Store
from pinxit.systems import dcgan

TARGET = 0.75
PASSES = ("forward", "by input", "by weights")


@dataclass(frozen=True)
class Layer:
    """A convolution or product: its module, one input and output of it, and how often a round does each pass."""

    name: str
    module: nn.Module
    x: Tensor
    y: Tensor
    calls: tuple[int, int, int]

    @property
    def flops(self) -> int:
        """Of one pass, by hand: two for each weight and position it is applied at; all three passes have as many."""
        weight = self.module.get_parameter("weight")
        applied = self.x if isinstance(self.module, nn.ConvTranspose2d) else self.y
        return 2 * weight.numel() * applied.shape[0] * applied.shape[2:].numel()

    def run(self, which: str) -> Callable[[], object]:
        """One pass."""
        weight, module = self.module.get_parameter("weight"), self.module
        if which == "forward":
            return lambda: module(self.x)
        if isinstance(module, nn.Linear):
            return (lambda: self.y @ weight) if which == "by input" else (lambda: self.y.t() @ self.x)
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        geometry = (module.stride, module.padding, module.dilation, module.transposed, module.output_padding, module.groups)
        mask = [which == "by input", which == "by weights", False]
        return lambda: torch.ops.aten.convolution_backward(self.y, self.x, weight, None, *geometry, mask)


def layers(game: dcgan.DCGAN) -> list[Layer]:
    """Every convolution and product of both networks.

    A round's calls, on batches of one size: G forward in both turns, backward in its own; D forward on real and fake and in
    G's turn, by its weights on real and fake, by its input in all three, but for the first layer in G's turn alone.
    """
    n, found = game.config.batch_size, []
    images = torch.randn(n, *game.spec.shape).contiguous(memory_format=torch.channels_last)
    generator = game.generator.get_submodule("layers").named_children()
    trunk = game.discriminator.get_submodule("trunk.layers").named_children()
    judged = (*trunk, ("head", game.discriminator.get_submodule("head")))
    for player, network, x in (("G", generator, game.latents(n)), ("D", judged, images)):
        first = True
        for name, module in network:
            y = module(x)
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                calls = (2, 0 if first else 1, 1) if player == "G" else (3, 1 if first else 3, 2)
                label = f"{player}.{name} {tuple(x.shape[1:])} -> {tuple(y.shape[1:])}"
                found.append(Layer(label, module, x.clone(), y.clone(), calls))
                first = False
            x = y
    return found


def counted(bare: Bare, batch: Batch) -> list[int]:
    """FLOPs of each turn, counted by torch."""
    found = []
    for turn in bare.stage.turns:
        with FlopCounterMode(display=False) as counter:
            bare.turn(turn, batch)
        found.append(counter.get_total_flops())
    return found


def best_product(side: int, times: int) -> Work:
    """The time of a float32 matrix product, the best of several."""
    a, b, out = torch.randn(side, side), torch.randn(side, side), torch.empty(side, side)
    return lambda: best(lambda: torch.mm(a, b, out=out), times)


def best(work: Callable[[], object], times: int) -> float:
    """The least time of several runs."""
    work()
    marks = [time.perf_counter()]
    for _ in range(times):
        work()
        marks.append(time.perf_counter())
    return min(b - a for a, b in itertools.pairwise(marks))


@torch.no_grad()
def by_layer(game: dcgan.DCGAN, rate: float, times: int) -> list[str]:
    """A line for every layer and pass: calls a round, rate, and share of all layers' time."""
    rows = [(layer, *row) for layer in layers(game) for row in zip(PASSES, layer.calls, strict=True) if row[1]]
    spent = [calls * best(layer.run(which), times) for layer, which, calls in rows]
    total = sum(spent)
    lines = [f"layers alone, best of {times}: {total * 1e3:.1f} ms a round"]
    for (layer, which, calls), seconds in zip(rows, spent, strict=True):
        speed = calls * layer.flops / seconds
        lines.append(
            f"  {layer.name:<36}{which:<11} x{calls}  {speed / 1e9:7.1f} GFLOP/s  {speed / rate:5.2f}  {seconds / total:6.1%}"
        )
    return lines


def by_operator(bare: Bare, batch: Batch, rows: int = 14) -> list[str]:
    """A line for every costly operator of a round as it runs: its share of the round's time in operators, and calls."""
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for turn in bare.stage.turns:
            bare.turn(turn, batch)
        bare.average()
    events = sorted(record.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    named = [
        f"  {e.key:<58} x{e.count:<4}{e.self_cpu_time_total / 1e3:9.1f} ms {e.self_cpu_time_total / total:6.1%}" for e in events
    ]
    return [f"operators in one round, by torch's profiler: {total / 1e3:.1f} ms", *named[:rows]]


def run(options: Options) -> list[Section]:
    """Both widths, the paper's being 128."""
    real = random_images(256)
    return [_width(width, real, options) for width in ((8, 16) if options.quick else (64, 128))]


def _width(width: int, real: Store, options: Options) -> Section:
    side = 512 if options.quick else 2048
    config = dcgan.Config(width=width, batch_size=64, rounds=2 if options.quick else 4)
    build = partial(dcgan.build, config, real.spec)
    bare = Bare(build(), real)
    batch = real.batch(next(bare.order))
    flops = counted(bare, batch)
    by_hand = sum(layer.flops * sum(layer.calls) for layer in layers(build()))
    product = 2 * side**3
    parts = {"round": config.rounds * sum(flops), "D turn": flops[0], "G turn": flops[1]}
    notes = [f"FLOPs a round: {sum(flops) / 1e9:.2f} G counted by torch, {by_hand / 1e9:.2f} G by hand"]
    with tempfile.TemporaryDirectory() as root:
        sides = [
            Side(f"product {side}", partial(best_product, side, 5)),
            Side("round", fitted(build, real, root, Unsaved)),
            *(
                Side(name, lambda turn=turn: partial(bare.turn, turn, batch))
                for name, turn in zip(("D turn", "G turn"), bare.stage.turns, strict=True)
            ),
        ]
        ratios = [
            Ratio(f"{name}: share of the machine's rate", f"product {side}", name, at_least=TARGET, factor=count / product)
            for name, count in parts.items()
        ]
        title = f"dcgan 64 px, width {width}, batch {config.batch_size}; round = {config.rounds} rounds of the trainer"
        section = compare(title, sides, ratios, options, notes=notes)
    rate = product / min(section.measures[f"product {side}"])
    rates = {name: parts[name] / sorted(section.measures[name])[len(section.measures[name]) // 2] for name in parts}
    after = [f"rates: product {rate / 1e9:.1f} GFLOP/s (best); " + ", ".join(f"{n} {r / 1e9:.1f}" for n, r in rates.items())]
    after += by_layer(build(), rate, 3) + by_operator(bare, batch)
    print("\n".join(f"  {line}" for line in after))
    section.notes.extend(after)
    return section
