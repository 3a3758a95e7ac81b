"""Measures of samples against data: modes, transport, neighbours, classifiers; each says its protocol and its floor."""

from __future__ import annotations

from pinxit.core.parts import parts

__getattr__ = parts(__name__)
