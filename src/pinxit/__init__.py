"""The classic deep generative models: faithful to their papers, comparable, fast, and exact to resume.

>>> import pinxit
>>> from pinxit.systems import dcgan
>>> data = pinxit.data.load()                                   # doctest: +SKIP
>>> game = dcgan.build(dcgan.PRESETS["tiny"], data.spec)        # doctest: +SKIP
>>> pinxit.Trainer(game, data, run_dir="runs/first").fit()      # doctest: +SKIP

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {"Trainer": "pinxit.training", "evaluate": "pinxit.evaluation", "from_pretrained": "pinxit.training"}
_MODULES = ("core", "data", "diagnostics", "losses", "metrics", "nn", "systems", "theory", "viz")

__all__ = [
    "Trainer", "__version__", "core", "data", "diagnostics", "evaluate", "from_pretrained", "losses", "metrics", "nn", "systems",
    "theory", "viz",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"pinxit.{name}")
    raise AttributeError(f"module 'pinxit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
