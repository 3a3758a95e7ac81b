"""The registry is this folder: a module here is a system, `gan_foo.py` the system `gan-foo`.

A system's file reads like its paper: docstring (title, authors, year, link, objectives, deviations), `Config`,
`PRESETS`, the game, `build(config, spec, *, seed=0)`. `names`, `about` and `presets` read that file without importing
torch, so that a typo is answered at once; so does `able`, which says what a system can do.
"""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pinxit.core.config import Config
from pinxit.core.errors import InputError, near
from pinxit.core.parts import parts

__getattr__ = parts(__name__)

_LIGHT = (
    "__future__", "typing", "collections", "enum", "math", "pydantic", "pinxit.core.config", "pinxit.core.errors",
    "pinxit.core.gan_config", "pinxit.core.pixel_config", "pinxit.core.shapes", "pinxit.core.spec",
)  # fmt: skip


@dataclass(frozen=True)
class About:
    """The head of a system's docstring: `Title (Authors, year). link`."""

    name: str
    title: str
    authors: str
    year: int
    link: str


def names() -> list[str]:
    """The systems there are, in alphabetical order."""
    files = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(file.stem.replace("_", "-") for file in files)


def load(name: str) -> ModuleType:
    """The module of a system (this imports torch); raises InputError naming the near one."""
    return importlib.import_module(f"pinxit.systems.{_path(name).stem}")


def name_of(game: object) -> str:
    """What records call the system of `game`: its name here, or `module.Class` where it is none of this folder.

    A file of the user's may have the name of one of ours, and the class in it is another for all that.
    """
    kind = type(game)
    package, _, module = kind.__module__.rpartition(".")
    return module.replace("_", "-") if package == __name__ else f"{kind.__module__}.{kind.__qualname__}"


def spelt(recorded: str) -> str:
    """The name of a system as commands spell it, from how files do: `wgan_gp` is `wgan-gp`; those of Python code stay."""
    return recorded if "." in recorded else recorded.replace("_", "-")


def about(name: str) -> About:
    """Title, authors, year and link of a system."""
    head = " ".join((ast.get_docstring(_tree(name)) or "").split())
    match = re.match(r"(.+?) \((.+?), (\d{4})\)\.\s+(https?://\S+)", head)
    if match is None:
        raise ValueError(f"the docstring of system {name!r} must begin 'Title (Authors, year). link'")
    title, authors, year, link = match.groups()
    return About(name, title, authors, int(year), link.rstrip("."))


@cache
def presets(name: str) -> dict[str, Config]:
    """The presets of a system, as configurations equal to those of its module but made without importing it.

    `Config` and `PRESETS` of a system use nothing but pydantic and the modules in `_LIGHT`, so they can be run alone.
    """
    body = [node for node in _tree(name).body if _is_light(node)]
    scope: dict[str, Any] = {"__name__": f"pinxit.systems._{name}_config"}
    exec(compile(ast.Module(body, type_ignores=[]), str(_path(name)), "exec", dont_inherit=True), scope)
    return scope["PRESETS"]


def preset_names(name: str) -> list[str]:
    """The names of a system's presets, read off its file: a list of all systems need not build their configurations."""
    for node in _tree(name).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and _is_light(node):
            return [key.value for key in node.value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return list(presets(name))


def preset(name: str, which: str) -> Config:
    """One preset of a system; raises InputError naming the near one."""
    choices = presets(name)
    if which not in choices:
        raise InputError(f"unknown preset `{which}` of {name}: {near(which, choices)}")
    return choices[which]


def able(name: str, protocol: type) -> bool:
    """Whether a game of a system has what `protocol`, of `pinxit.core.protocols`, asks for; read off the sources."""
    wanted = {member for kind in protocol.__mro__ for member in vars(kind) if not member.startswith("_")}
    found = (_members(_tree(name), node.name) for node in _tree(name).body if isinstance(node, ast.ClassDef))
    return any("AbstractGame" in members and wanted <= members for members in found)


def _members(tree: ast.Module, name: str) -> set[str]:
    """The names of a class in `tree`, of its methods, and the same of its ancestors, as far as they are of pinxit."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            own = {name, *(part.name for part in node.body if isinstance(part, ast.FunctionDef))}
            return own.union(*(_members(tree, base.id) for base in node.bases if isinstance(base, ast.Name)))
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            package, *parts = str(node.module).split(".")
            home = Path(__file__).parents[1].joinpath(*parts).with_suffix(".py")
            return _members(_parsed(home), name) if package == "pinxit" else set()
    return set()


def _is_light(node: ast.stmt) -> bool:
    match node:
        case ast.ImportFrom(module=str(module)):
            return any(module == light or module.startswith(light + ".") for light in _LIGHT)
        case ast.ClassDef(name=name):
            return name.endswith("Config")
        case ast.Assign(targets=[ast.Name(id="PRESETS")]):
            return True
        case ast.AnnAssign(target=ast.Name(id="PRESETS")):
            return True
    return False


def _path(name: str) -> Path:
    if "." in name:
        fix = "build it in Python and fill it with `pinxit.core.checkpoint.read_weights(path, game)`"
        raise InputError(f"`{name}` is a class of Python code and no system of pinxit's own: {fix}")
    if name not in names():
        raise InputError(f"unknown system `{name}`: {near(name, names())}")
    return Path(__file__).parent / f"{name.replace('-', '_')}.py"


def _tree(name: str) -> ast.Module:
    return _parsed(_path(name))


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())  # which Python decodes as it does its own files, whatever the locale
