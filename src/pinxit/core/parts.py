"""The modules of a package by attribute, imported when first asked for. No torch here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType


def parts(package: str) -> Callable[[str], ModuleType]:
    """What a package takes for its `__getattr__`, for `pinxit.theory.gaussians.kl` to be found after `import pinxit`.

    It raises AttributeError where `package` has no module of that name.
    """

    def part(name: str) -> ModuleType:
        if name.startswith("_") or find_spec(f"{package}.{name}") is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    return part
