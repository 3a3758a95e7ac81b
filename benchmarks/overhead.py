"""What the trainer costs beyond the operations it plays: seeds, records, watch, clock, signals, logging.

Against it plays a bare loop of the same objectives, gradients, optimizers and average on batches of the same store.
Checkpoints are left out on both sides. The runs are short and many, so that what else the machine does meets both sides alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.gan_epoch import SIZES
from benchmarks.harness import Options, Ratio, Section, Side, compare
from benchmarks.runs import Unsaved, bare, fitted, images
from pinxit.core.game import AbstractGame
from pinxit.data.store import Store
from pinxit.systems import dcgan, gan


def run(options: Options) -> list[Section]:
    """`gan` of both sizes, and `dcgan` for images of 64 pixels."""
    real, sections = images(), []
    for size, preset in SIZES.items():
        config = preset.replace(rounds=60 if options.quick else 150)
        sections.append(_against_bare(f"gan {size}", partial(gan.build, config, real.spec), real, 1.05, options, 21))
    noise = random_images(512)
    config = dcgan.Config(width=8 if options.quick else 64, batch_size=64, rounds=2 if options.quick else 4)
    build = partial(dcgan.build, config, noise.spec)
    sections.append(_against_bare(f"dcgan 64 px, width {config.width}", build, noise, 1.01, options, 11))
    return sections


def random_images(n: int) -> Store:
    """`n` colour images of 64 pixels, of noise."""
    pixels = torch.randint(0, 256, (n, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Store("noise", pixels)


def _against_bare(
    what: str, build: Callable[[], AbstractGame], real: Store, target: float, options: Options, pairs: int
) -> Section:
    stage = build().stages()[0]
    with tempfile.TemporaryDirectory() as root:
        sides = [Side("trainer", fitted(build, real, root, Unsaved)), Side("bare loop", bare(build, real))]
        ratios = [Ratio("trainer / bare loop", "trainer", "bare loop", at_most=target)]
        title = f"{what}: {stage.rounds} rounds of {stage.batch_size} images"
        return compare(title, sides, ratios, options, rounds=pairs)
