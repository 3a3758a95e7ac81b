"""What the measurements share: stand-ins for networks, a data set in memory, every system in small, and runs of the trainer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor, nn

from pinxit import systems
from pinxit.core.clock import Clock
from pinxit.core.config import Config, Settings
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Stage
from pinxit.core.protocols import Data
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.data.store import Store

GREY = Spec(1, 16, 16, classes=3)
"""Square images that every backbone takes."""
SMALL = {"width": 4, "latent": 8}
"""Fields that keep any system small."""


class Fixed(nn.Module):
    """A generator that gives the same samples whatever its code; they are a parameter, so that a loss can be differentiated."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(x)

    def forward(self, z: Tensor) -> Tensor:
        """The samples."""
        return self.x * 1.0


class Slope(nn.Module):
    """The linear critic a . x + b, whose gradient is a everywhere; it keeps the points at which its gradient was taken."""

    def __init__(self, a: Tensor, b: float = 0.0) -> None:
        super().__init__()
        self.a = nn.Parameter(a)
        self.b = b
        self.points: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (n,)."""
        if x.is_leaf and x.requires_grad:
            self.points.append(x.detach().clone())
        return (x * self.a).flatten(1).sum(dim=1) + self.b


class Curved(nn.Module):
    """A smooth critic whose gradient differs from sample to sample."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        size = torch.Size(shape).numel()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(size, 7), nn.Tanh(), nn.Linear(7, 1), nn.Flatten(0)).double()

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (n,)."""
        return self.layers(3 * x)


def unit(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A random direction: the gradient of a critic of slope 1."""
    a = torch.randn(*shape, dtype=dtype)
    return a / a.norm()


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """N(0, 1)."""
    return torch.randn(*shape, dtype=dtype)


def data(spec: Spec, n: int = 24) -> Store:
    """Random grey levels, all different, as a data set in memory."""
    generator = torch.Generator().manual_seed(n)
    images = torch.randint(256, (n, *spec.shape), dtype=torch.uint8, generator=generator)
    labels = torch.arange(n) % spec.classes if spec.classes else None
    return Store("noise", images, labels, class_names=tuple(map(str, range(spec.classes))))


def batch(spec: Spec, n: int = 8) -> Batch:
    """`n` of them."""
    return data(spec).batch(torch.arange(n))


def tiny(name: str) -> tuple[ModuleType, Config]:
    """A system's module and its smallest preset."""
    module = systems.load(name)
    return module, module.PRESETS["tiny"]


def built(module: ModuleType, config: Config, changes: Mapping[str, Any], spec: Spec = GREY) -> AbstractGame | None:
    """The game of a configuration with `changes`, or None where the system refuses them in one line."""
    fields = type(config).model_fields
    small = {name: value for name, value in SMALL.items() if name in fields and name not in changes}
    try:
        return module.build(config.replace(**small, **changes), spec)
    except InputError:
        return None


def options(config: Config) -> Iterator[dict[str, Any]]:
    """Changes that lead to every network a system can have: each choice of a field alone, backbones with normalisations."""
    choices = {
        name: get_args(f.annotation) for name, f in type(config).model_fields.items() if get_origin(f.annotation) is Literal
    }
    pairs = [choices.pop(name, ()) for name in ("backbone", "normalisation")]
    yield {}
    for name, values in choices.items():
        yield from ({name: value} for value in values)
    for backbone in pairs[0]:
        yield from ({"backbone": backbone, "normalisation": normalisation} for normalisation in pairs[1])
    if "r1" in type(config).model_fields:
        yield {"r1": 1.0}


def variants() -> Iterator[tuple[str, AbstractGame]]:
    """Every system with every option that changes its networks, in small."""
    for name in systems.names():
        module, config = tiny(name)
        for changes in options(config):
            game = built(module, config, changes)
            if game is not None:
                yield " ".join((name, *map(str, changes.values()))), game


@cache
def home(name: str) -> Spec:
    """A kind of data that the system takes: grey images of 16 pixels, or of 28, or points."""
    module, config = tiny(name)
    for spec in (GREY, Spec(1, 28, 28, classes=3), Spec(2, 1, 1, levels=0)):
        if built(module, config, {}, spec) is not None:
            return spec
    raise InputError(f"the tiny preset of {name} takes neither images of 16 or 28 pixels nor points: give it one that does")


def opponents(game: AbstractGame) -> list[str]:
    """The players besides the generator: discriminators and critics; none in a game of one player."""
    players = list(game.players())
    return [name for name in players if name != "generator"] if "generator" in players else []


def shortened(game: AbstractGame, rounds: int) -> AbstractGame:
    """`game` with stages of at most `rounds` rounds."""
    short = tuple(replace(stage, rounds=min(stage.rounds, rounds)) for stage in game.stages())
    stages: Callable[[], tuple[Stage, ...]] = lambda: short  # noqa: E731
    object.__setattr__(game, "stages", stages)
    return game


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pinxit-conformance-") as name:
        yield Path(name)


SETTINGS = Settings(accelerator="cpu", log_every=2, save_every=3)
"""Of the runs; a checkpoint falls between two lines of the log."""


class Unsaved(Trainer):
    """The trainer, which writes no checkpoint."""

    def save(self) -> None:
        """Nothing: nobody resumes."""


def play(game: AbstractGame, source: Data, *, trainer: type[Trainer] = Unsaved) -> Trainer:
    """The trainer after a whole run in a folder of its own."""
    with folder() as run:
        player = trainer(game, source, run, settings=SETTINGS)
        player.fit()
    return player


def loss_of(game: AbstractGame, name: str, real: Tensor, labels: Tensor | None = None) -> Tensor:
    """The total of the first turn of player `name` in the last stage, on real samples."""
    turn = next(turn for turn in game.stages()[-1].turns if turn.player == name)
    return turn.objective(Batch(real, labels), Clock()).total
