"""The theory lab: exact divergences of known distributions, and what trained networks make of them.

The registry of figures is the folder `figures`: its module `foo_bar.py` is the figure `foo-bar`, whose function is
`figure_foo_bar(*, seed=0) -> Result`. Names and titles are read without importing torch.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from pinxit.core.errors import InputError, near
from pinxit.core.parts import parts

if TYPE_CHECKING:
    from pinxit.theory.chart import Result

__getattr__ = parts(__name__)

_FOLDER = Path(__file__).parent / "figures"


def names() -> list[str]:
    """The figures there are, in alphabetical order."""
    return sorted(path.stem.replace("_", "-") for path in _FOLDER.glob("[a-z]*.py"))


def title(name: str) -> str:
    """The first line of a figure's docstring."""
    docstring = ast.get_docstring(ast.parse(_path(name).read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


def figure(name: str, *, seed: int = 0) -> Result:
    """Compute a figure: its numbers and its picture.

    Raises:
        InputError: naming the figure near to an unknown `name`, or the package that it needs.
    """
    stem = _path(name).stem
    module = importlib.import_module(f"pinxit.theory.figures.{stem}")
    return getattr(module, f"figure_{stem}")(seed=seed)


def _path(name: str) -> Path:
    if name not in names():
        raise InputError(f"unknown figure `{name}`: {near(name, names())}")
    return _FOLDER / f"{name.replace('-', '_')}.py"
