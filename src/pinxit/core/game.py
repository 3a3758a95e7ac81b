"""A system is a declared game: players own parameters, turns say which objective they minimise and when.

A stage is turns that are played together for a number of rounds. A VAE is a game of one player, a GAN of two, ProGAN a
game of many stages; one trainer plays them all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pinxit.core.clock import Clock
from pinxit.core.config import Config, check_whole
from pinxit.core.errors import InputError
from pinxit.core.shares import Share
from pinxit.core.spec import Spec, specified

Stats = Mapping[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Real data: `images` (n, c, h, w) float32 in [-1, 1], points as they are; `labels` (n,) int64, -1 if unknown, or None."""

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        labels = None if self.labels is None else self.labels.to(device, non_blocking=True)
        return Batch(self.images.to(device, non_blocking=True), labels)

    def split(self, parts: int) -> tuple[Batch, ...]:
        """`parts` equal micro-batches; raises InputError where the size is not a multiple of `parts`."""
        if len(self) % parts:
            raise InputError(f"a share of {len(self)} images can't be split into `accumulate`={parts} equal parts")
        labels = [None] * parts if self.labels is None else self.labels.chunk(parts)
        return tuple(Batch(x, y) for x, y in zip(self.images.chunk(parts), labels, strict=True))


@dataclass(frozen=True)
class Loss:
    """What an objective returns: `total` is a differentiable scalar, `stats` are scalars to log."""

    total: Tensor
    stats: Stats = field(default_factory=dict)


@dataclass(frozen=True)
class Player:
    """Who moves.

    Args:
        modules: the networks whose parameters the player owns.
        optimizer: makes the optimizer from the parameters; called anew at the start of every stage.
        project: done to the weights after each of the player's steps (WGAN's clipping).
        schedule: hyper-parameters as a function of the clock, written into the optimizer's groups before each step.
        average: whether the averaged model keeps a moving average of these weights, or their present values.
    """

    modules: tuple[nn.Module, ...]
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    project: Callable[[], None] | None = None
    schedule: Callable[[Clock], Mapping[str, Any]] | None = None
    average: bool = True

    def parameters(self) -> list[nn.Parameter]:
        """The trainable parameters, each once, in module order."""
        return list(dict.fromkeys(p for module in self.modules for p in module.parameters() if p.requires_grad))


@dataclass(frozen=True)
class Turn:
    """What a player minimises, and when.

    Args:
        player: the player's name.
        objective: a pure function of a batch and the clock.
        every: played in rounds whose number is a multiple of this (lazy regularisation).
        repeats: times it is played in a round, each on a batch of its own (n_critic).
        gain: factor of the loss; a lazy regulariser has `gain` = `every`.
        after: called with the turn's stats after the step: for state that is no gradient; the same in every process, draws too.
    """

    player: str
    objective: Callable[[Batch, Clock], Loss]
    every: int = 1
    repeats: int = 1
    gain: float = 1.0
    after: Callable[[Stats], None] | None = None

    def __post_init__(self) -> None:
        check_whole(self, f"the turn of `{self.player}`", "every", "repeats")
        if not math.isfinite(self.gain):
            raise InputError(f"`gain` of the turn of `{self.player}` is {self.gain}: it must be a number")

    @property
    def name(self) -> str:
        """`player/objective`, the player's name not repeated: `critic_loss` of `critic` is `critic/loss`."""
        objective = getattr(self.objective, "__name__", type(self.objective).__name__)
        return f"{self.player}/{objective.removeprefix(self.player + '_')}"


@dataclass(frozen=True)
class Stage:
    """Turns played together: `rounds` rounds, each drawing `batch_size` images over all processes."""

    turns: tuple[Turn, ...]
    rounds: int
    batch_size: int

    def __post_init__(self) -> None:
        check_whole(self, "a stage", "rounds", "batch_size")


class AbstractGame(nn.Module, ABC):
    """A system at work: its networks as sub-modules, its players and stages as declarations.

    `shared` names the parameters that two players may both move, `share` is what the objectives ask of one process's images,
    `class_names` are those of the data that it was trained on, in the order of the labels; () where nothing says them.
    """

    shared: frozenset[str] = frozenset()
    share: Share = Share()
    class_names: tuple[str, ...] = ()

    def __init__(self, config: Any, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, specified(spec)
        if isinstance(config, Config):
            config.check_data(spec)

    @abstractmethod
    def players(self) -> dict[str, Player]:
        """The players by name."""

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order."""

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` and `model.safetensors`, from which `pinxit.from_pretrained` rebuilds this model."""
        from pinxit.core.checkpoint import save_model

        save_model(self, Path(directory))


def owners(game: AbstractGame) -> dict[str, Player]:
    """The players of `game`, checked: every trainable parameter has one owner, or several if declared in `shared`.

    Raises:
        InputError: naming the parameter without a player, moved twice undeclared, or declared but not in the game.
    """
    players = game.players()
    names = {p: name for name, p in game.named_parameters()}
    if missing := game.shared - set(names.values()):
        raise InputError(f"`shared` names {sorted(missing)}, which are not parameters of {type(game).__name__}")
    held: dict[str, list[str]] = {name: [] for name, p in game.named_parameters() if p.requires_grad}
    for player, declared in players.items():
        if not (parameters := declared.parameters()):
            raise InputError(f"player `{player}` has no trainable parameter: after loading, call game.requires_grad_(True)")
        for p in parameters:
            if p not in names:
                raise InputError(f"player `{player}` owns a parameter that is not part of {type(game).__name__}")
            held[names[p]].append(player)
    for name, by in held.items():
        if not by:
            raise InputError(f"parameter `{name}` has no player: add its module to one")
        if len(by) > 1 and name not in game.shared:
            raise InputError(f"parameter `{name}` is moved by {by}: declare it in `shared` or give it one player")
    for turn in (turn for stage in game.stages() for turn in stage.turns):
        if turn.player not in players:
            raise InputError(f"turn `{turn.name}` names no player: choose from {sorted(players)}")
    return players


def lazy(optimizer: Callable[..., Optimizer], every: int, *, lr: float, betas: tuple[float, float]) -> Callable[..., Optimizer]:
    """Adam for a player with a regulariser played every `every` rounds, of gain `every` (Karras et al. 2020, appendix B).

    c = every / (every + 1);  lr -> lr * c,  beta -> beta**c: the moments see one extra step in `every`.
    """
    c = every / (every + 1)
    return partial(optimizer, lr=lr * c, betas=(betas[0] ** c, betas[1] ** c))
