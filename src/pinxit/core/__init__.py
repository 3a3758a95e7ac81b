"""The engine room: games, clock, trainer, checkpoints, randomness. Imports nothing of the rest of pinxit."""

from __future__ import annotations

from types import ModuleType

from pinxit.core.parts import part


def __getattr__(name: str) -> ModuleType:
    return part(__name__, name)
