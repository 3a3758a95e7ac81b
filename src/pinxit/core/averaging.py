"""The exponential moving average of a game's weights, which is what a run samples from and publishes."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from pinxit.core.config import Average, read_file
from pinxit.core.game import AbstractGame, Player


def published(folder: Path) -> str:
    """What the weights that a run publishes are, by its config.yaml: "averaged", or "raw" where its half-life is 0.

    Of a model in a folder of its own nobody knows: they are "published".
    """
    apart = (folder / "config.json").exists()
    path = (folder.parent if apart else folder) / "config.yaml"
    if not path.exists() or (apart and folder.name != "model"):
        return "published"
    average = (read_file(path).get("settings") or {}).get("average") or {}
    return "averaged" if average.get("half_life", Average().half_life) else "raw"


class Averaged:
    """A moving average of the players' weights, by images rather than steps, with a ramp.

        w_bar <- w_bar + (1 - beta) (w - w_bar),   beta = 0.5 ** (batch / h),   h = min(half_life, ramp * images shown)

    The half-life `h` in images makes the average independent of the batch size; the ramp lets it forget the untrained
    weights (Karras et al. 2020, StyleGAN2-ADA). Buffers, and the weights of players with `average=False`, are copied.

    Args:
        game: the game in training; it is copied, never changed.
        players: its players.
        half_life: in images; 0 keeps the present weights.
        ramp: the greatest half-life as a share of the images shown; 0 for none.
    """

    def __init__(self, game: AbstractGame, players: dict[str, Player], half_life: float, ramp: float) -> None:
        self.game = copy.deepcopy(game).requires_grad_(False).eval()
        self._training, self.half_life, self.ramp = game, half_life, ramp
        moving = {p for player in players.values() if player.average for p in player.parameters()}
        pairs = list(zip(game.parameters(), self.game.parameters(), strict=True))
        self._live: list[Tensor] = [p for p, _ in pairs if p in moving]
        self._mean: list[Tensor] = [q for p, q in pairs if p in moving]
        self._copied = [(p, q) for p, q in pairs if p not in moving]

    @torch.no_grad()
    def update(self, batch: int, images: int) -> None:
        """Take in the weights after a round of `batch` images, `images` shown in all."""
        half_life = min(self.half_life, self.ramp * images) if self.ramp else self.half_life
        beta = 0.5 ** (batch / half_life) if half_life else 0.0
        torch._foreach_lerp_(self._mean, self._live, 1.0 - beta)

    @torch.no_grad()
    def refresh(self) -> AbstractGame:
        """Bring buffers and the copied weights up to date and return the averaged game, in eval mode."""
        # Looked up anew: `self.k = ...` in a game makes another tensor of its buffer.
        for live, mean in [*self._copied, *zip(self._training.buffers(), self.game.buffers(), strict=True)]:
            mean.copy_(live)
        return self.game.eval()  # an observer may have left it in training, and batch norm and dropout with it
