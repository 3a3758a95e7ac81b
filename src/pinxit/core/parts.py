"""The modules of a package by attribute, imported when first asked for. No torch here."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType


def part(package: str, name: str) -> ModuleType:
    """The module `name` of `package`: what a package's own `__getattr__` returns, for `pinxit.theory.gaussians.kl` to be found.

    Raises:
        AttributeError: there is no such module.
    """
    if name.startswith("_") or find_spec(f"{package}.{name}") is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return importlib.import_module(f"{package}.{name}")
