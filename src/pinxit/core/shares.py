"""How a batch splits: over the processes, then over micro-batches; and what a game asks of the parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from pinxit.core.config import check_share
from pinxit.core.errors import InputError

if TYPE_CHECKING:
    from pinxit.core.game import AbstractGame


@dataclass(frozen=True)
class Share:
    """What a game asks of a share: the images that one process sees at a time.

    Args:
        least: the fewest there may be.
        multiple: their number is a multiple of this.
        why: the reason, a clause about a share that falls short.
    """

    least: int = 1
    multiple: int = 1
    why: str = ""


def check(game: AbstractGame, batch_size: int, *, processes: int, accumulate: int) -> None:
    """Raise InputError for a batch that does not split evenly, or whose shares the game or batch norm can't do with."""
    check_share(batch_size, processes, accumulate)
    parts = processes * accumulate
    share, asked = batch_size // parts, game.share
    samples = "one sample" if share == 1 else f"{share} samples"
    what = f"`batch_size` {batch_size} over {parts} shares is {samples} each ({processes} processes x `accumulate` {accumulate})"
    if share % asked.multiple:
        raise InputError(f"{what}, {asked.why}: take a multiple of {asked.multiple * parts}")
    if share < asked.least:
        raise InputError(f"{what}, {asked.why}: take {asked.least * parts} or more")
    if share == 1 and any(isinstance(module, nn.BatchNorm1d) for module in game.modules()):
        raise InputError(f"{what}, which has no statistics for batch norm: take {2 * parts} or more, or another normalisation")
