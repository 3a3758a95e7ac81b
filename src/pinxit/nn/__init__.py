"""Layers and the networks that systems share."""

from __future__ import annotations

from types import ModuleType

from pinxit.core.parts import part


def __getattr__(name: str) -> ModuleType:
    return part(__name__, name)
