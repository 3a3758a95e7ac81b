"""What drawing images from a pixel model costs: a pass a sub-pixel, kept maps, a wavefront, a fixed point, against one pass.

The naive side is timed on its first pixels only, each of which costs the same, and scaled to all: its full time would be that of
hundreds of passes. The networks are untrained: that changes nothing for the others, but the fixed point needs as many passes as
the model's pixels depend on each other, and those of a trained one depend more.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare
from pinxit.core.spec import Spec
from pinxit.systems import pixelcnn
from pinxit.systems.pixelcnn import PixelCNN

GREY = Spec(1, 28, 28, classes=10)
MODELS = {
    "8 blocks of 64": ({"layers": 8, "width": 64}, 64),
    "preset mnist": ({}, 100),
    "gated, 5 layers of 32": ({"layers": 5, "width": 32, "gated": True}, 64),
}
PIXELS = 8
"""That the naive side is timed on."""


def one_pass(model: PixelCNN, n: int) -> Work:
    x = torch.rand(n, *model.spec.shape) * 2 - 1

    def work() -> None:
        with torch.inference_mode():
            model.network(x)

    return work


def naive(model: PixelCNN, n: int) -> Work:
    """The median time from one pixel to the next, times their number. The rest is known, which costs the naive engine nothing."""
    known = torch.ones(model.spec.height * model.spec.width, dtype=torch.bool)
    known[: PIXELS + 1] = False
    x = torch.ones(n, *model.spec.shape)

    def work() -> float:
        times: list[float] = []
        model.complete(
            x, known.view(model.spec.height, -1), generator=torch.Generator().manual_seed(0), engine="naive",
            progress=lambda *_: times.append(time.perf_counter()),
        )  # fmt: skip
        return statistics.median(after - before for before, after in pairwise(times[: PIXELS + 1])) * len(known)

    return work


def drawing(model: PixelCNN, n: int, engine: str) -> Work:
    def work() -> None:
        model.sample(n, generator=torch.Generator().manual_seed(0), engine=engine)

    return work


def passes(model: PixelCNN, n: int) -> int:
    """How many the fixed point needs."""
    network: nn.Module = model.network
    seen: list[nn.Module] = []
    hook = network.register_forward_hook(lambda module, *_: seen.append(module))
    model.sample(n, generator=torch.Generator().manual_seed(0), engine="fixed-point")
    hook.remove()
    return (
        seen.count(network) - 2
    )  # one measures what a tie is, in float32 here and in float64 by a copy, one what an image needs


def run(options: Options) -> list[Section]:
    """Each model with every engine; ratios to the naive one, and to one pass of the same batch."""
    sections = []
    for name, (changes, n) in MODELS.items():
        n = 2 if options.quick else n
        model = pixelcnn.build(pixelcnn.PRESETS["mnist"].replace(**changes), GREY).eval()
        engines = ("cached", "wavefront", "fixed-point")
        sides = [
            Side("one pass", partial(one_pass, model, n)),
            Side(f"naive ({PIXELS} pixels, scaled to 784)", partial(naive, model, n)),
            *(Side(engine, partial(drawing, model, n, engine)) for engine in engines),
        ]
        first = name == "8 blocks of 64"
        least = {"cached": 200.0, "wavefront": 200.0} if first else {}
        ratios = [Ratio(f"naive / {engine}", sides[1].name, engine, at_least=least.get(engine)) for engine in engines]
        most = 3.0 if first else None
        ratios += [Ratio(f"{engine} / one pass", engine, "one pass", at_most=most) for engine in engines[:2]]
        steps = 28 + (model.network.slope or 28) * 27
        notes = [f"steps: cached 784, wavefront {steps}, fixed point {passes(model, n)} passes"]
        title = f"{n} images of 28 x 28, PixelCNN {name}"
        sections.append(compare(title, sides, ratios, options, rounds=5, notes=notes))
    return sections
