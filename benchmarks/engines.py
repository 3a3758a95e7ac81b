"""Where whole passes paint faster than many small steps: the fixed point against the best incremental engine, by batch.

What `pinxit.nn.sampling.plan` chooses by. The models are trained for `TRAINED` rounds on the bundled images: the fixed point
needs as many passes as the pixels depend on each other, and those of an untrained model hardly do.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare
from pinxit import data
from pinxit.systems import pixelcnn, pixelrnn

BATCHES = (1, 2, 4, 8, 64)
TRAINED, IMAGES = 100, 16
MODELS = {
    "plain": (pixelcnn, pixelcnn.PRESETS["mnist"]),
    "gated, 5 layers, 7 x 7": (pixelcnn, pixelcnn.PRESETS["mnist-gated"].replace(first_kernel=7, layers=5)),
    "gated": (pixelcnn, pixelcnn.PRESETS["mnist-gated"]),
    "row": (pixelrnn, pixelrnn.PRESETS["mnist-row"]),
    "diagonal": (pixelrnn, pixelrnn.PRESETS["mnist"]),
}


def trained(module: Any, config: Any, rounds: int) -> Any:
    """A model after `rounds` updates."""
    real = data.load("fashion-mini-dynamic")
    game = module.build(config, real.spec)
    adam, generator = torch.optim.Adam(game.parameters(), lr=config.lr), torch.Generator().manual_seed(0)
    for _ in range(rounds):
        loss = -game.log_prob(real.batch(torch.randint(len(real), (IMAGES,), generator=generator)).images).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return game.eval()


def drawing(game: Any, n: int, engine: str) -> Work:
    def work() -> None:
        game.sample(n, generator=torch.Generator().manual_seed(0), engine=engine)

    return work


def run(options: Options) -> list[Section]:
    """Each model with each batch."""
    torch.set_num_threads(1)
    sections = []
    for name, (module, config) in MODELS.items():
        game = trained(module, config, 1 if options.quick else TRAINED)
        engine = "cached" if game.network.slope is None else "wavefront"
        for n in BATCHES[:1] if options.quick else BATCHES:
            sides = [Side(each, partial(drawing, game, n, each)) for each in ("fixed-point", engine)]
            ratio = Ratio(f"fixed-point / {engine}", "fixed-point", engine)
            title = f"{n} images of 28 x 28, {name}, slope {game.network.slope}"
            sections.append(compare(title, sides, [ratio], options, rounds=2 if n == 64 else 5))
    return sections
