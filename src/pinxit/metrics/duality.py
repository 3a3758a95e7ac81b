"""The duality gap: what either side of a zero-sum game could still win (Grnarova et al. 2019, https://arxiv.org/abs/1811.05512).

    gap = max_D V(G, D) - min_G V(G, D)  >=  0,   0 at an equilibrium       (definition 1; G and D fixed where not varied)

Both extremes are sought as the paper does: a copy of the game in which one side alone goes on for some steps of its own
optimizer, on training data, and V is then taken on held-out data. A search too short makes the gap too small, and may make it
negative. Where D saturates, V is flat in G and its minimum is not found: of a collapsed game the first term tells.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Player
from pinxit.core.protocols import Data, Splits, ZeroSum
from pinxit.core.rng import seed_of, seeded

GENERATOR = "generator"


@dataclass(frozen=True)
class DualityGap:
    """What was found.

    Args:
        best_discriminator: V(G, D) of the present G and a D that went on alone.
        best_generator: V(G, D) of the present D and a G that went on alone.
        present: V of both.
        steps: of either search.
        n: held-out samples.
    """

    best_discriminator: float
    best_generator: float
    present: float
    steps: int
    n: int

    @property
    def gap(self) -> float:
        """max - min."""
        return self.best_discriminator - self.best_generator

    def __str__(self) -> str:
        return (
            f"duality gap {self.gap:.4g} ({self.best_generator:.4g} <= V = {self.present:.4g} <= {self.best_discriminator:.4g})"
        )


def duality_gap(
    game: AbstractGame, data: Data, *, steps: int = 300, batch_size: int = 64, n: int = 1000, seed: int = 0
) -> DualityGap:
    """The duality gap of a trained game, which is left as it was; batch norm and dropout as in training.

    Args:
        game: with a `generator` among its players.
        data: training data; V is taken on its test split, or else on the data itself.
        steps: of each search, with the players' optimizers at their first rate.
        batch_size: samples a step, and normalised together when V is taken.
        n: held-out samples, at most; rounded down to whole batches.
        seed: of batches and codes.

    Raises:
        InputError: the game has no common value (a non-saturating generator's does; a penalty's or an energy's has none).
    """
    if not isinstance(game, ZeroSum):
        raise InputError(f"{type(game).__name__} is no game of one value: the duality gap is defined for gan and dcgan")
    test = data.test() if isinstance(data, Splits) else None
    held = data if test is None else test
    chosen = torch.randperm(len(held), generator=torch.Generator().manual_seed(seed_of("duality", "test", seed)))
    count = max(1, min(n, len(held)) // batch_size) * batch_size
    groups = chosen[:count].split(batch_size)
    values = []
    for side in (None, False, True):  # nobody moves, the opponents, the generator
        other = copy.deepcopy(game).requires_grad_(True).train()
        with torch.enable_grad(), seeded(seed_of("duality", seed)):
            if side is not None:
                _go_on(other, data, side, steps, batch_size, seed)
        with torch.no_grad(), seeded(seed_of("duality", "value", seed)):
            found = [float(_value(other, held.batch(rows).images)) for rows in groups]
        values.append(sum(found) / len(found))
    return DualityGap(values[1], values[2], values[0], steps, min(count, len(held)))


def _go_on(game: AbstractGame, data: Data, generator: bool, steps: int, batch_size: int, seed: int) -> None:
    """The generator lowers V, or all others raise it, in place."""
    players = {name: player for name, player in game.players().items() if (name == GENERATOR) == generator}
    optimizers = {name: player.optimizer(player.parameters()) for name, player in players.items()}
    for rows in _batches(len(data), batch_size, steps, seed):
        value = _value(game, data.batch(rows).images)
        game.zero_grad(set_to_none=True)
        (value if generator else -value).backward()
        for name, optimizer in optimizers.items():
            optimizer.step()
            _project(players[name])


def _value(game: AbstractGame, x: Tensor) -> Tensor:
    assert isinstance(game, ZeroSum)
    return game.game_value(x.to(game.device))


def _project(player: Player) -> None:
    if player.project is not None:
        player.project()


def _batches(length: int, batch_size: int, steps: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed_of("duality", "order", seed))
    for _ in range(steps):
        yield torch.randint(length, (batch_size,), generator=generator)
