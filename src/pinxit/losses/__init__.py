"""The equations: pure functions of tensors. Losses take logits; sums run over dimensions, means over the batch."""

from __future__ import annotations

from types import ModuleType

from pinxit.core.parts import part


def __getattr__(name: str) -> ModuleType:
    return part(__name__, name)
