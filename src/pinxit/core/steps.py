"""A player's step: its hyper-parameters, its optimizer, its projection; and the size of the gradient that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError, near
from pinxit.core.game import Player, Stage, Turn


def optimizer(name: str, player: Player, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """What `player` makes of its parameters; raises InputError, naming the player, for what `step` can't use."""
    made = player.optimizer(parameters)
    if not isinstance(made, Optimizer):
        raise InputError(f"`optimizer` of player `{name}` made a {type(made).__name__}: it must make a torch.optim.Optimizer")
    asked = inspect.signature(type(made).step).parameters.get("closure")
    if asked is not None and asked.default is inspect.Parameter.empty:
        what = f"{type(made).__name__} of player `{name}` asks for a closure that computes the loss again"
        raise InputError(f"{what}: a turn is differentiated once a step; take an optimizer without one, such as Adam")
    for key in player.schedule(Clock()) if player.schedule is not None else ():
        if any(key not in group for group in made.param_groups):
            choices = sorted(set(made.param_groups[0]) - {"params"})
            what = f"`schedule` of player `{name}` sets `{key}`, which {type(made).__name__} does not have"
            raise InputError(f"{what}: {near(key, choices)}")
    return made


def step(player: Player, parameters: Sequence[nn.Parameter], optimizer: Optimizer, clock: Clock) -> None:
    """Move the weights along their gradients, drop these, project the weights.

    Args:
        player: who moves.
        parameters: its own, their gradients in `grad`.
        optimizer: the player's.
        clock: for the player's schedule.
    """
    if player.schedule is not None:
        for group in optimizer.param_groups:
            group.update(player.schedule(clock))
    optimizer.step()
    for p in parameters:  # what zero_grad does, without its profiler record
        p.grad = None
    if player.project is not None:
        player.project()


def gradient_norm(parameters: Sequence[nn.Parameter], order: float = 2.0) -> Tensor:
    """|g| of all gradients as one vector, a scalar on the device; not finite where one of their entries is not.

    Args:
        parameters: those without a gradient count as zero.
        order: 2 for the Euclidean norm, infinity for the greatest entry (which can't overflow).
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros((), device=parameters[0].device)
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients, order)), order)


def measured(stage: Stage) -> frozenset[str]:
    """The names of the turns by whose gradients a player is judged: those that it plays most often.

    A lazy regulariser is left out: its gradient, `gain` times as long, would hide that the objective's has vanished.
    """
    often: dict[str, int] = {}
    for turn in stage.turns:
        often[turn.player] = min(turn.every, often.get(turn.player, turn.every))
    return frozenset(turn.name for turn in stage.turns if turn.every == often[turn.player])


def last_of_interval(turn: Turn, clock: Clock, log_every: int, rounds: int) -> bool:
    """Whether `turn` is played for the last time before the next line of the log, `rounds` being those of the run."""
    line = min(rounds, (clock.step // log_every + 1) * log_every)
    return clock.step + turn.every >= line
