"""Measures of samples against data: modes, transport, neighbours, classifiers; each says its protocol and its floor."""

from __future__ import annotations

from types import ModuleType

from pinxit.core.parts import part


def __getattr__(name: str) -> ModuleType:
    return part(__name__, name)
