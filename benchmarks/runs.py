"""What several benchmarks need: the images, a fresh trainer, and the same game played by a bare loop."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness import Work
from pinxit import data
from pinxit.core.clock import Clock
from pinxit.core.config import Settings
from pinxit.core.engine import Engine
from pinxit.core.game import AbstractGame, Batch, Turn, owners
from pinxit.core.trainer import Trainer
from pinxit.data import catalogue
from pinxit.data.store import Store

SETTINGS = Settings(save_every=10**9)
"""Ordinary ones, but for checkpoints between the first and the last."""


def images() -> Store:
    """MNIST's 60,000, from PINXIT_DATA or ../shared/data; where there is none, the bundled images, said aloud."""
    os.environ.setdefault("PINXIT_DATA", str(Path(__file__).parents[2] / "shared" / "data"))
    name = "mnist" if catalogue.located("mnist") else catalogue.DEFAULT
    found = data.load(name)
    if name != "mnist":
        print(f"  no MNIST in {os.environ['PINXIT_DATA']}: the bundled {name} ({len(found):,} images), shown more than once")
    assert isinstance(found, Store)
    return found


class Unsaved(Trainer):
    """The trainer without checkpoints, against loops that write none."""

    def save(self) -> None:
        """Write nothing."""


def fitted(build: Callable[[], AbstractGame], real: Store, root: str, kind: type[Trainer] = Trainer) -> Callable[[], Work]:
    """A side's `make`: a fresh trainer in a folder of its own under `root`; what is timed is `fit` alone."""

    def make() -> Work:
        trainer = kind(build(), real, tempfile.mkdtemp(dir=root), settings=SETTINGS)

        def work() -> None:
            trainer.fit()

        return work

    return make


def alone(work: Work) -> Work:
    """`work` as it runs where pinxit is not imported.

    Lightning Fabric's import sets a variable for the whole process, by which `torch.cuda.is_available` asks NVML anew each time;
    torch's optimizers call it at every step. Those who never import Fabric do not pay for that.
    """
    variable = "PYTORCH_NVML_BASED_CUDA_CHECK"

    def inner() -> float | None:
        given = os.environ.pop(variable, None)
        try:
            return work()
        finally:
            if given is not None:
                os.environ[variable] = given

    return inner


def endless(n: int, size: int) -> Iterator[Tensor]:
    """Shuffled indices, epoch after epoch."""
    while True:
        yield from (indices for indices in torch.randperm(n).split(size) if len(indices) == size)


class Bare:
    """The operations of a game's first stage in the plainest loop: no seeds, no records, no watch, no clock."""

    def __init__(self, game: AbstractGame, real: Store) -> None:
        Engine(SETTINGS)  # sets the process up, its memory above all, as for training
        players = owners(game)
        self.game, self.real, self.stage = game.train(), real, game.stages()[0]
        self.parameters = {name: player.parameters() for name, player in players.items()}
        self.optimizers = {name: player.optimizer(self.parameters[name]) for name, player in players.items()}
        self.live: list[Tensor] = [p for name, player in players.items() if player.average for p in self.parameters[name]]
        self.mean = [p.detach().clone() for p in self.live]
        self.order = endless(len(real), self.stage.batch_size)
        self.clock = Clock()

    def turn(self, turn: Turn, batch: Batch) -> None:
        """Objective, gradient of the player's own parameters, step."""
        turn.objective(batch, self.clock).total.backward(inputs=self.parameters[turn.player])
        self.optimizers[turn.player].step()
        self.optimizers[turn.player].zero_grad()

    def average(self) -> None:
        """One step of the moving average."""
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, self.live, 0.01)

    def play(self) -> None:
        """All rounds of the stage."""
        for _ in range(self.stage.rounds):
            batch = self.real.batch(next(self.order))
            for turn in self.stage.turns:
                self.turn(turn, batch)
            self.average()


def bare(build: Callable[[], AbstractGame], real: Store) -> Callable[[], Work]:
    """A side's `make`: a fresh bare loop."""
    return lambda: alone(Bare(build(), real).play)
