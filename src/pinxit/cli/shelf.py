"""Commands that show what there is: systems, data sets, runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinxit import systems
from pinxit.cli import console, options
from pinxit.core.config import read_file
from pinxit.core.errors import InputError, near
from pinxit.core.spec import Spec

if TYPE_CHECKING:
    from pinxit.core.protocols import Data


def show_systems(_: options.Nothing) -> None:
    """Print a row a system."""
    rows = []
    for name in systems.names():
        about = systems.about(name)
        rows.append((name, about.title, about.authors, str(about.year), " ".join(systems.preset_names(name))))
    table(("system", "title", "authors", "year", "presets"), rows)


def show_data(_: options.Nothing) -> None:
    """Print a row a named data set."""
    import pinxit.data

    table(("name", "what it is", "where"), pinxit.data.listing())


def inspect_data(chosen: options.Inspect) -> None:
    """Print what a user should know of a set before training."""
    import pinxit.data

    console.say(pinxit.data.inspect(chosen.source, out=chosen.out, split=chosen.split).rstrip())


def show_run(chosen: options.Info) -> None:
    """Print what a run is, how far it got, and its figures."""
    folder = find(chosen.folder)
    about = description(folder)
    own = "." in about["system"]
    if own:
        console.say(f"{folder}: {about['system']}, a class of Python code")
    else:
        paper = systems.about(about["system"])
        console.say(f"{folder}: {paper.name}, {paper.title} ({paper.authors}, {paper.year}). {paper.link}")
    for section in ("preset", "seed", "data", "spec", "classes", "source", "config", "settings"):
        if section in about:
            console.say(f"{section:<12}{_flat(about[section])}")
    _progress(folder)
    if not own:
        _size(folder)
    _figures(folder / "figures.json")


def find(folder: Path) -> Path:
    """`folder`, if it is a run's or a saved model's; else raises InputError with the near one."""
    if _is_run(folder):
        return folder
    inside = sorted(path.name for path in folder.iterdir() if _is_run(path)) if folder.is_dir() else []
    if inside:
        raise InputError(f"`{folder}` is a folder of runs ({len(inside)}): give one of them, such as {folder / inside[0]}")
    beside = folder.parent if folder.parent.is_dir() else Path("runs")
    runs = [path.name for path in beside.iterdir() if _is_run(path)] if beside.is_dir() else []
    fix = f"in {beside}, {near(folder.name, runs)}" if runs else f"make one with {console.command('train', systems.names()[0])}"
    raise InputError(f"no run in `{folder}`: {fix}")


def description(folder: Path) -> dict[str, Any]:
    """What a run's `config.yaml` or a model's `config.json` says; the system's name as commands spell it."""
    name = "config.json" if (folder / "config.json").exists() else "config.yaml"
    about = read_file(folder / name)
    if not isinstance(about.get("system"), str):
        raise InputError(f"{folder / name} names no system: it must be one that pinxit wrote")
    return {**about, "system": systems.spelt(about["system"])}


def spec_of(folder: Path) -> Spec:
    """The shape of the samples of a run or a saved model, as its file says it."""
    about = description(folder)
    shape = about.get("spec") or about.get("data") or {}
    missing = [name for name in ("channels", "height", "width") if name not in shape]
    if missing:
        raise InputError(f"{folder} does not say the `{missing[0]}` of its samples: it must be a run or model that pinxit wrote")
    return Spec(**{field.name: shape[field.name] for field in fields(Spec) if field.name in shape})


def data_of(folder: Path, named: str | None = None) -> Data:
    """The real samples of a run as it loaded them, or those `named` in its size and channels."""
    from pinxit import data

    about = description(folder)
    own = options.Source.of(about.get("source") or {}, where=str(folder))
    source = named or source_of(folder)
    if source in data.names() and own.size is None and own.channels is None:
        return data.load(source)
    shape = about.get("spec") or about["data"]
    size = (shape["height"], shape["width"])
    if named is None and "source" not in about and source not in data.names():
        return _recognised(folder, source, size, shape["channels"])
    return data.load(source, size=size, channels=shape["channels"], crop=own.crop, skip_bad=own.skip_bad)


def _recognised(folder: Path, name: str, size: tuple[int, int], channels: int) -> Data:
    """What lies here under the name of a run's data, if it is they: a run made by Python code says a name and no place."""
    from pinxit import data

    trained = (description(folder).get("data") or {}).get("fingerprint")
    for crop in ("centre", "stretch"):
        for mirror in (False, True):
            if data.load(name, size=size, channels=channels, crop=crop, mirror=mirror).fingerprint == trained:
                return data.load(name, size=size, channels=channels, crop=crop)
    raise InputError(f"{folder} was trained on data named {name}, and `{name}` here are others: give --data")


def source_of(folder: Path) -> str:
    """The name or path of the data that a run was trained on; raises InputError where it does not say."""
    about = description(folder)
    own = options.Source.of(about.get("source") or {}, where=str(folder))
    source = ("source" in about and own.data) or (about.get("data") or {}).get("name")
    if not source:
        raise InputError(f"{folder} does not say on what it was trained: give --data")
    return source


def class_names(folder: Path) -> tuple[str, ...]:
    """The names of the classes of a run or a saved model, in the order of its labels; () where its file does not say them."""
    names = description(folder).get("classes") or ()
    if names and len(names) != (classes := spec_of(folder).classes):
        raise InputError(f"{folder} names {len(names)} classes and has {classes}: its file must be as pinxit wrote it")
    return tuple(map(str, names))


def note_classes(folder: Path, data: Data) -> None:
    """Say where a label of `data` has another name than in the training of the run or saved model: it may be another thing."""
    own, now = class_names(folder), tuple(map(str, getattr(data, "class_names", ())))
    if own and len(own) == len(now) and own != now:
        k = next(k for k, pair in enumerate(zip(own, now, strict=True)) if pair[0] != pair[1])
        console.say(f"note: label {k} is {own[k]} to {folder} and {now[k]} in {data.name}: labels are taken by number")


def unfinished(folder: Path) -> str | None:
    """The round that a run has reached, `round 1,200`, if it is not complete; None for a complete run or a saved model."""
    if (folder / "config.json").exists() or (folder / "model").exists():
        return None
    from pinxit.core import checkpoint

    found = checkpoint.every(folder / "checkpoints")
    return f"round {int(found[-1].name.rpartition('-')[2]):,}" if found else None


def json_of(path: Path) -> Any:
    """What a file beside a run holds; None where it is missing or damaged: it is nothing that a score depends on."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns: wrapped to a terminal's width; in a pipe whole and without a rule."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    lines = [tuple(row) for row in rows]
    natural = sum(max(len(row[k]) for row in (head, *lines)) + 3 for k in range(len(head)))
    screen = Console(markup=False, highlight=False)
    if not screen.is_terminal:
        screen.width = natural
    drawn = Table(box=SIMPLE_HEAD if screen.is_terminal else None, show_edge=False)
    for title in head:
        drawn.add_column(title, overflow="fold")
    for line in lines:
        drawn.add_row(*line)
    # Not printed by rich itself, which ends the process on a closed pipe.
    with screen.capture() as captured:
        screen.print(drawn)
    console.say("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").exists() or (folder / "config.json").exists()


def _progress(folder: Path) -> None:
    """The clock of the last checkpoint."""
    from pinxit.core import checkpoint

    found = checkpoint.every(folder / "checkpoints")
    if not found:
        return
    import torch

    clock = torch.load(found[-1] / "resume.pt", weights_only=True, map_location="cpu")["clock"]
    done = "finished" if (folder / "model").is_dir() else "not finished: its training command goes on with it"
    console.say(f"{'clock':<12}{_flat(clock)} ({done})")


def _size(folder: Path) -> None:
    """The parameters of each player."""
    from pinxit.core.game import owners
    from pinxit.training import from_pretrained

    game = from_pretrained(folder).requires_grad_(True)
    counts = {name: sum(p.numel() for p in player.parameters()) for name, player in owners(game).items()}
    console.say(f"{'parameters':<12}{_flat(counts)}")


def _figures(path: Path) -> None:
    """The figures of a finished run, each with its protocol."""
    if not path.exists():
        return
    try:
        rows = [(f["name"], _flat(f["value"]), f["unit"], f["protocol"]) for f in json.loads(path.read_text())]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise InputError(
            f"{path} does not hold figures: delete it and repeat the training command, which measures anew"
        ) from None
    table(("figure", "value", "unit", "how it was measured"), rows)


def _flat(value: Any) -> str:
    """Values on one line; those of nested mappings under dotted names."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_flat(inner)}" for name, inner in _leaves(value))
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
