"""The engine room: games, clock, trainer, checkpoints, randomness. Imports nothing of the rest of pinxit."""

from __future__ import annotations

from pinxit.core.parts import parts

__getattr__ = parts(__name__)
