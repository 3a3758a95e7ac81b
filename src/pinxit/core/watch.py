"""Stops a run that has gone wrong before it is saved, and says which turn did it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pinxit.core.clock import Clock
from pinxit.core.engine import Engine
from pinxit.core.errors import InputError, NonFiniteError, RunError
from pinxit.core.game import AbstractGame, Loss, Player, Turn
from pinxit.core.steps import gradient_norm


class Watch:
    """Sees every loss; reads them back every round on a CPU, every logging interval elsewhere.

    A gradient that is not finite poisons its player's weights, and the next loss that uses them is not finite either; so
    when a loss is bad, the weights tell whether the loss itself or the last step of a player is to blame. A projection
    may hide that (clipping makes an infinite weight finite): the gradients of a player that has one are seen as well.
    """

    def __init__(self, game: AbstractGame, players: dict[str, Player], *, every: int) -> None:
        self.game, self.players, self.every = game, players, every
        self._seen: list[tuple[str, Turn, Clock, Tensor]] = []
        self._moved: dict[str, tuple[Turn, Clock]] = {}

    def see(self, turn: Turn, clock: Clock, loss: Loss) -> None:
        """Note a loss before it is differentiated; raises InputError for what is none, naming the turn."""
        if wrong := _no_loss(loss):
            raise InputError(f"the objective of turn `{turn.name}` returned {wrong}")
        self._seen.append(("loss", turn, clock, loss.total.detach()))
        if self.every == 1:
            self.check()

    def gradient(self, turn: Turn, clock: Clock, parameters: Sequence[nn.Parameter]) -> None:
        """Note the greatest entry of a gradient that a projection could hide; it is read back with the losses.

        Raises:
            InputError: no parameter of the player has a gradient, so the turn would move nothing.
        """
        if all(p.grad is None for p in parameters):
            how = "its total is computed from none of that player's parameters, or they were detached on the way to it"
            raise InputError(f"turn `{turn.name}` gives player `{turn.player}` no gradient: {how}")
        if self.players[turn.player].project is not None:
            self._seen.append(("gradient", turn, clock, gradient_norm(parameters, math.inf)))

    def moved(self, turn: Turn, clock: Clock) -> None:
        """Note that the turn's player has taken a step."""
        self._moved[turn.player] = (turn, clock)

    def check(self, *, thoroughly: bool = False) -> None:
        """Read the noted values back; `thoroughly` looks at all weights too.

        Raises:
            NonFiniteError: naming player, objective, stage and round.
        """
        seen, self._seen = self._seen, []
        for what, turn, clock, value in seen:
            if not math.isfinite(value):
                if what == "gradient":
                    raise _gradient_of(turn, clock)
                self._blame()
                raise NonFiniteError(_line(f"the loss of `{turn.name}` is {float(value)}", turn, clock))
        if thoroughly:
            self._blame()
            # Of the buffers, those that are saved: a mask of minus infinity is none of them.
            bad = [name for name, tensor in self.game.state_dict().items() if not torch.isfinite(tensor).all()]
            if bad:
                raise NonFiniteError(f"buffer `{bad[0]}` is not finite: nothing of this state was saved")

    def _blame(self) -> None:
        for name, player in self.players.items():
            if name in self._moved and not all(torch.isfinite(p).all() for p in player.parameters()):
                raise _gradient_of(*self._moved[name])

    def replicas(self, engine: Engine, clock: Clock) -> None:
        """Refuse to save replicas that are no longer equal."""
        if engine.drift(self.game):
            raise RunError(
                f"the processes' replicas differ at round {clock.step}: an objective changed a weight or buffer itself"
            )


def _no_loss(loss: object) -> str:
    """What is wrong with what an objective returned; "" where nothing is."""
    if not isinstance(loss, Loss):
        return f"a {type(loss).__name__}: it must be a Loss(total, stats)"
    total = loss.total
    if not isinstance(total, Tensor) or total.numel() != 1:
        got = f"of shape {tuple(total.shape)}" if isinstance(total, Tensor) else f"that is a {type(total).__name__}"
        return f"a total {got}: it must be a scalar tensor, such as a mean over the batch"
    if not total.requires_grad:
        return "a total without a gradient: it was detached, or computed from no parameter, or under no_grad"
    bad = [f"`{name}`, a {type(value).__name__}" for name, value in loss.stats.items() if not isinstance(value, Tensor)]
    return f"the stat {bad[0]}: stats are tensors, which stay on the device" if bad else ""


def _gradient_of(turn: Turn, clock: Clock) -> NonFiniteError:
    return NonFiniteError(_line(f"the gradient of `{turn.name}` is not finite", turn, clock))


def _line(what: str, turn: Turn, clock: Clock) -> str:
    where = f"player `{turn.player}`, objective `{turn.name}`, stage {clock.stage}, round {clock.round}"
    return f"{what} ({where}): the last good checkpoint is kept; try a lower learning rate or --precision 32-true"
