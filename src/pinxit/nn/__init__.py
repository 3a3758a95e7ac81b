"""Layers and the networks that systems share."""

from __future__ import annotations

from pinxit.core.parts import parts

__getattr__ = parts(__name__)
