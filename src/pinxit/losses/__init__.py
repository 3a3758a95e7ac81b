"""The equations: pure functions of tensors. Losses take logits; sums run over dimensions, means over the batch."""

from __future__ import annotations

from pinxit.core.parts import parts

__getattr__ = parts(__name__)
