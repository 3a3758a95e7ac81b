"""Data: named sets, folders, zips and tensors behind one protocol. Importing this package imports neither torch nor numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pinxit.core.spec import Spec
from pinxit.data.catalogue import DEFAULT, Row, listing, names
from pinxit.data.inspection import inspect
from pinxit.data.loading import load

if TYPE_CHECKING:
    from pinxit.data.points import Points
    from pinxit.data.store import Store
    from pinxit.data.stream import Stream

__all__ = ["DEFAULT", "Points", "Row", "Spec", "Store", "Stream", "inspect", "listing", "load", "names"]


def __getattr__(name: str) -> Any:
    """The classes, imported when first asked for: they need torch."""
    home = {"Points": "points", "Store": "store", "Stream": "stream"}.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
