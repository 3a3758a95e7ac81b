"""How much of the machine's rate of matrix products the extraction of EfficientNet-Lite0's features reaches, and why.

FLOPs are counted by torch on one pass and once more by hand from the layers' shapes. Rates are FLOPs by time; the machine's is
that of a float32 product, the best of several, measured among the others. Each further side undoes one choice.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.dcgan_flops import best, best_product
from benchmarks.harness import Options, Ratio, Section, Side, Work, compare
from benchmarks.overhead import random_images
from pinxit.metrics import extraction
from pinxit.metrics.features import efficientnet

TARGET = 0.5


def by_hand(network: efficientnet.EfficientNetLite0, x: Tensor) -> dict[str, int]:
    """FLOPs of each kind of layer in one pass: two for each weight and position it is applied at."""
    found: dict[str, int] = {}

    def count(module: nn.Module, given: tuple[Tensor, ...], y: Tensor, kind: str) -> None:
        found[kind] = found.get(kind, 0) + 2 * module.get_parameter("weight").numel() * len(y) * y.shape[2:].numel()

    hooks = [
        module.register_forward_hook(
            partial(count, kind="depthwise" if module.groups > 1 else f"{module.kernel_size[0]}x{module.kernel_size[0]}")
        )
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.inference_mode():
        network(x)
    for hook in hooks:
        hook.remove()
    return found


def norms_apart(network: efficientnet.EfficientNetLite0) -> efficientnet.EfficientNetLite0:
    """The network as it would be without folding: a batch norm after every convolution."""
    apart = copy.deepcopy(network)
    for module in list(apart.modules()):
        if isinstance(module, efficientnet.Conv):
            module.conv = nn.Sequential(module.conv, nn.BatchNorm2d(module.conv.out_channels))
    return apart.requires_grad_(False).eval()


def passes(network: nn.Module, x: Tensor, at_once: int, times: int, *, inference: bool = True) -> Work:
    """The time that all images of `x` take, `at_once` a pass: the best pass of several, times their number.

    One pass is about as long as one matrix product, so that a busy machine disturbs both alike.
    """
    part = x[:at_once]

    def timed() -> float:
        with torch.inference_mode(inference):
            return best(lambda: network(part), times * len(x) // at_once) * len(x) / at_once

    return timed


def run(options: Options) -> list[Section]:
    features = efficientnet.EfficientNetFeatures()
    network, at_once, n = features.network, efficientnet.AT_ONCE, extraction.UNIT
    times = 1 if options.quick else 3
    data = random_images(n)
    source = extraction.DataSource(data)
    source.key()  # read once for its hash, which is not what is measured
    x = torch.randn(n, 3, features.size, features.size).contiguous(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(x[:1])
    flops, hand = counter.get_total_flops(), by_hand(network, x[:1])
    side = 1024
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    trained = copy.deepcopy(network).requires_grad_(True)
    whole = partial(extraction.extract, features, source, cache=False)
    sides = [
        Side(f"product {side}", partial(best_product, side, 5)),
        Side("extraction", lambda: lambda: best(whole, times)),
        Side("network", lambda: passes(network, x, at_once, times)),
        Side(f"{n} at once", lambda: passes(network, x, n, times)),
        Side("norms apart", lambda: passes(norms_apart(network), x, at_once, times)),
        Side("with a graph", lambda: passes(trained, x, at_once, times, inference=False)),
        Side("channels first", lambda: passes(plain, x.contiguous(), at_once, times)),
    ]
    factor = n * flops / (2 * side**3)
    names = ("extraction", "network")
    ratios = [
        Ratio(f"{name}: share of the machine's rate", f"product {side}", name, at_least=TARGET, factor=factor) for name in names
    ] + [Ratio(f"{other.name} / network", other.name, "network", at_least=1.0) for other in sides[3:]]
    kinds = ", ".join(f"{kind} {count / 1e6:.1f}" for kind, count in hand.items())
    notes = [f"MFLOPs an image: {flops / 1e6:.1f} counted by torch, {sum(hand.values()) / 1e6:.1f} by hand ({kinds})"]
    title = f"efficientnet_lite0 at {features.size} px, {n} images of {data.spec.width}x{data.spec.height}, {at_once} a pass"
    section = compare(title, sides, ratios, options, notes=notes)
    images = [f"{name} {n / min(section.measures[name]):.0f}" for name in names]
    section.notes.append(f"images a second at best: {', '.join(images)}")
    print(f"  {section.notes[-1]}")
    return [section]
