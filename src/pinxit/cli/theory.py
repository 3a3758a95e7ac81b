"""`pinxit theory`: the figures of the theory lab, their numbers to the screen and their pictures to files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pinxit import theory as lab
from pinxit.cli import console, options, shelf
from pinxit.core.errors import InputError, near

ALL, LIST = "all", "list"


def theory(chosen: options.Theory) -> None:
    """List the figures, make one, or make all of them."""
    if chosen.name not in (ALL, LIST, *lab.names()):
        raise InputError(f"unknown figure `{chosen.name}`: {near(chosen.name, [ALL, LIST, *lab.names()])}")
    if chosen.numbers is not None and chosen.numbers.suffix != ".json":
        raise InputError(f"`--numbers` {chosen.numbers} ends in {chosen.numbers.suffix!r}: it must end in .json")
    if chosen.name == LIST:
        shelf.table(("figure", "what it shows"), [(name, lab.title(name)) for name in lab.names()])
        return
    pictures = _pictures(chosen)
    found = {name: _make(name, path, chosen.seed) for name, path in pictures.items()}
    if chosen.numbers is not None:
        from pinxit.core import files

        files.write(chosen.numbers, json.dumps(_record(chosen.seed, found), indent=1) + "\n")
        console.say(str(chosen.numbers))


def _pictures(chosen: options.Theory) -> dict[str, Path]:
    """Which figures, and the file of each."""
    if chosen.name == ALL:
        folder = chosen.out or Path("theory")
        if folder.suffix == ".png" or folder.is_file():
            raise InputError(f"`--out` {folder} is a file: for all figures give a folder")
        return {name: folder / f"theory-{name}.png" for name in lab.names()}
    out = chosen.out or Path(f"theory-{chosen.name}.png")
    if out.suffix != ".png":
        raise InputError(f"`--out` {out} ends in {out.suffix!r}: it must end in .png")
    return {chosen.name: out}


def _make(name: str, path: Path, seed: int) -> Mapping[str, float]:
    """Compute a figure, write its picture, print its numbers."""
    from pinxit.core import files
    from pinxit.theory import chart

    result = lab.figure(name, seed=seed)
    files.write_with(path, lambda temporary: chart.save(result.figure, temporary))
    console.say(f"{name}: {lab.title(name)}")
    width = max(len(key) for key in result.numbers)
    for key, value in result.numbers.items():
        console.say(f"  {key:<{width}}  {value:.6g}")
    console.say(str(path))
    return result.numbers


def _record(seed: int, found: Mapping[str, Mapping[str, float]]) -> dict[str, object]:
    """The numbers with the command that gives them, to eight digits: the last ones differ between processors."""
    figures = {name: {key: float(f"{value:.8g}") for key, value in numbers.items()} for name, numbers in found.items()}
    name = ALL if len(found) > 1 else next(iter(found))
    return {"command": f"pinxit theory {name} --seed {seed} --numbers FILE.json", "figures": figures}
