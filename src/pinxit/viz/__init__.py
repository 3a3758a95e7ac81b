"""Pictures of samples, latent spaces and runs. Importing this package imports neither torch nor matplotlib.

>>> pinxit.viz.grid(images).save("samples.png")                 # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pinxit.core.parts import parts

if TYPE_CHECKING:
    from pinxit.viz.charts import curves
    from pinxit.viz.comparisons import pairs, real_beside_fake
    from pinxit.viz.grids import grid
    from pinxit.viz.reports import report
    from pinxit.viz.timelines import animate, strip
    from pinxit.viz.walks import interpolation, manifold, manifolds

_HOMES = {
    "animate": "timelines",
    "curves": "charts",
    "grid": "grids",
    "interpolation": "walks",
    "manifold": "walks",
    "manifolds": "walks",
    "pairs": "comparisons",
    "real_beside_fake": "comparisons",
    "report": "reports",
    "strip": "timelines",
}

__all__ = ["animate", "curves", "grid", "interpolation", "manifold", "manifolds", "pairs", "real_beside_fake", "report", "strip"]


def __getattr__(name: str) -> Any:
    """The functions and modules, imported when first asked for."""
    if name not in _HOMES:
        return parts(__name__)(name)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
