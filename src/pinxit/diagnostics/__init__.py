"""What a trained network really does, measured; `causality` asks whether a pixel model sees its past and nothing else."""

from __future__ import annotations

from typing import Any

from pinxit.core.parts import parts

__all__ = ["causality"]


def __getattr__(name: str) -> Any:
    if name == "causality":  # torch comes with its first use
        from pinxit.diagnostics.certificate import causality

        return causality
    return parts(__name__)(name)
