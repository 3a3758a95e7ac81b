"""Data: what a run may draw, and the shapes that it must take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinxit import systems
from pinxit.conformance.probes import GREY, Unsaved, data, folder, play, shortened, tiny
from pinxit.conformance.record import NOBODY, Measured, Mistake, Row, near
from pinxit.core.clock import Clock
from pinxit.core.config import Config
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Loss, Turn
from pinxit.core.protocols import Data
from pinxit.core.spec import Spec
from pinxit.data import load
from pinxit.data.store import Store
from pinxit.losses import adversarial, penalties
from pinxit.systems import gan, wgan_gp

# Splits

Loader = Callable[[Path], Data]
"""Loads the training set of a file that has a test split too."""


def measure_split(loader: Loader) -> Measured:
    """Which images a run of an epoch and more draws, from a file of 20 training and 12 test images, all different."""
    images = data(GREY, 32).images
    drawn: set[bytes] = set()

    class Probe(Unsaved):
        def play_turn(self, turn: Turn, batch: Batch, position: tuple[int, int]) -> None:
            drawn.update(_bytes(batch.images))
            super().play_turn(turn, batch, position)

    with folder() as place:
        path = place / "images.npz"
        np.savez(path, x_train=images[:20].numpy(), x_test=images[20:].numpy())
        source = loader(path)
        play(gan.build(gan.PRESETS["tiny"], source.spec), source, trainer=Probe)
    whole = Store("whole", images).batch(torch.arange(32)).images
    train, test = set(_bytes(whole[:20])), set(_bytes(whole[20:]))
    return {"test images drawn": len(drawn & test) / 12, "training images drawn": len(drawn & train) / 20}


def _bytes(images: Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def joined(path: Path) -> Data:
    """Both splits in one."""
    parts = [part for split in ("train", "test") if isinstance(part := load(path, split=split), Store)]
    return Store("both", torch.cat([part.images for part in parts]))


def swapped(path: Path) -> Data:
    """The test split."""
    return load(path, split="test")


SPLIT = Row[Loader](
    number=21,
    name="test-split",
    property="the test split is never drawn in training (of sets of images; pix2pix's pairs are not here yet)",
    paper="good practice",
    equation="|drawn & test| = 0 and drawn >= train, over an epoch of the trainer on what `load` gives",
    right={"test images drawn": near(0), "training images drawn": near(1)},
    measure=measure_split,
    ours=load,
    mistakes=(
        Mistake("train and test joined", "PTGAN pix2pix/datasets.py:16-17, hwalsuk utils.py:34", joined),
        Mistake("train and test swapped", NOBODY, swapped),
    ),
)

# Shapes of the data

Builders = Mapping[str, tuple[Callable[[Any, Spec], AbstractGame], Config]]
"""What makes the game of each system, with its configuration."""

SPECS = {"grey": (Spec(1, 16, 16, classes=3), Spec(1, 28, 28, classes=3)), "not square": (Spec(3, 12, 20, classes=3),)}


def every_system() -> Builders:
    """Every system in small."""
    found = {name: tiny(name) for name in systems.names()}
    return {name: (module.build, config) for name, (module, config) in found.items()}


def measure_shapes(builders: Callable[[], Builders]) -> Measured:
    """Systems that a round of the trainer breaks on data of one channel, or that is not square.

    A system may refuse images that are not square where its only networks are for squares; such ones are counted apart.
    """
    failed, refused = dict.fromkeys(SPECS, 0), 0
    for build, config in builders().values():
        for name, specs in SPECS.items():
            outcomes = [_outcome(build, config, spec) for spec in specs]
            if "played" in outcomes:
                continue
            square = name == "not square" and set(outcomes) == {"refused"} and not _takes_anything(config)
            refused += square
            failed[name] += not square
    return {f"{name}: systems that fail": float(count) for name, count in failed.items()} | {"for squares only": float(refused)}


def _outcome(build: Callable[[Any, Spec], AbstractGame], config: Config, spec: Spec) -> str:
    try:
        game = build(config, spec)
    except InputError:
        return "refused"
    try:
        play(shortened(game, 1), data(spec, 12))
    except Exception:  # whatever it is, the user's data did not run
        return "broke"
    return "played"


def _takes_anything(config: Config) -> bool:
    """Whether the system has fully connected networks, which take every shape."""
    field = type(config).model_fields.get("backbone")
    return field is None or "mlp" in str(field.annotation)


class ThreeChannels(wgan_gp.WGANGP):
    """Epsilon is written out for three channels."""

    def critic_loss(self, batch: Batch, clock: Clock) -> Loss:
        """The loss with a penalty for colour images."""
        x = batch.images
        n, _, height, width = x.shape
        with torch.no_grad():
            x_fake = self.sample(n)
        epsilon = torch.rand(n, 1).expand(n, x[0].numel()).reshape(n, 3, height, width)
        norms = penalties.gradient_norms(self.critic, epsilon * x + (1 - epsilon) * x_fake)
        loss = adversarial.wasserstein_critic_loss(self.critic(x), self.critic(x_fake))
        return Loss(loss + self.config.lambda_gp * (norms - 1).square().mean())


class Squares(gan.GAN):
    """One size says it all."""

    def decode(self, z: Tensor) -> Tensor:
        """G(z) as a square."""
        size = self.spec.height
        return super().decode(z).reshape(-1, self.spec.channels, size, size)


SHAPES = Row[Callable[[], Builders]](
    number=23,
    name="shapes",
    property="data of one channel, and data that is not square, runs",
    paper="good practice",
    equation="a round of every system on 1 x 16 x 16 (or 28 x 28) and on 3 x 12 x 20",
    right={"grey: systems that fail": near(0), "not square: systems that fail": near(0)},
    measure=measure_shapes,
    ours=every_system,
    mistakes=(
        Mistake(
            "epsilon of three channels",
            "mimicry wgan_gp_base.py:180",
            lambda: {"wgan-gp": (ThreeChannels, wgan_gp.PRESETS["tiny"])},
        ),
        Mistake("one size for height and width", "torchgan models/dcgan.py", lambda: {"gan": (Squares, gan.PRESETS["tiny"])}),
    ),
)

ROWS = (SPLIT, SHAPES)
