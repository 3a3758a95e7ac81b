"""What `pinxit train` is told, put together: defaults, then the preset, then a file, then flags. No torch here."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinxit import systems
from pinxit.cli import options, parse
from pinxit.core.config import Config, Settings, check_share, merge, read_file
from pinxit.core.errors import InputError, near
from pinxit.data.catalogue import expected, names

SECTIONS = ("system", "preset", "run", "seed", "source", "data", "config", "settings")
_CONTENT = ("size", "channels", "crop", "mirror", "skip_bad")
_NUMERICS = ("precision", "accumulate", "average")


@dataclass(frozen=True)
class Plan:
    """A training command in full.

    Args:
        system: its name.
        run: preset, folder and seed.
        source: the data.
        config: the system's own options; made without torch, so not yet of its module's class.
        settings: how to execute.
    """

    system: str
    run: options.Run
    source: options.Source
    config: Config
    settings: Settings

    @property
    def folder(self) -> Path:
        """The run's folder: the one given, or one that follows from everything that decides the result."""
        if self.run.run is not None:
            return self.run.run
        name = f"{self.system}-{_slug(self.source.data)}-{self.run.preset}-s{self.run.seed}"
        changes = self.changes()
        if not changes:
            return Path("runs") / name
        code = hashlib.blake2b(json.dumps(changes, sort_keys=True).encode(), digest_size=3).hexdigest()
        return Path("runs") / f"{name}-{code}"

    @property
    def processes(self) -> int:
        """How many play; under torchrun that is the launcher's to say."""
        launched = os.environ.get("WORLD_SIZE") if "TORCHELASTIC_RUN_ID" in os.environ else None
        return int(launched or self.settings.devices * self.settings.num_nodes)

    def check(self) -> Plan:
        """This plan; raises InputError where the networks do not take the data, or the batch does not split, so far as known."""
        check_share(vars(self.config)["batch_size"], self.processes, self.settings.accumulate)
        if spec := expected(self.source.data, self.source.size, self.source.channels):
            self.config.check_data(spec)
        return self

    def changes(self) -> dict[str, Any]:
        """Every option that changes the numbers and is not what the preset and the defaults say."""
        pairs = (
            (self.config, systems.preset(self.system, self.run.preset), type(self.config).model_fields),
            (self.source, options.Source(), _CONTENT),
            (self.settings, Settings(), _NUMERICS),
        )
        out = {}
        for model, default, names_ in pairs:
            new, old = model.model_dump(mode="json"), default.model_dump(mode="json")
            out.update({name: new[name] for name in names_ if new[name] != old[name]})
        return out if self.processes == 1 else {**out, "processes": self.processes}

    def origin(self) -> dict[str, Any]:
        """Preset and source as `config.yaml` keeps them; a path is absolute there, so that it holds from anywhere."""
        source = self.source.model_dump(mode="json")
        if self.source.data not in names() and Path(self.source.data).exists():
            source["data"] = str(Path(self.source.data).resolve())
        return {"preset": self.run.preset, "source": source}

    def to_yaml(self) -> str:
        """The complete configuration, a file for `--config`."""
        import yaml

        origin = self.origin()
        where = {} if self.run.run is None else {"run": str(self.run.run)}
        values = {
            "system": self.system,
            "preset": origin["preset"],
            **where,
            "seed": self.run.seed,
            "source": origin["source"],
            "config": self.config.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
        }
        return yaml.safe_dump(values, sort_keys=False)


def groups(system: str, preset: str = options.DEFAULT_PRESET, said: Mapping[str, Any] = {}, file: str = "") -> list[parse.Group]:
    """The options of `pinxit train SYSTEM`, with the defaults that the preset and what a `file` has `said` give them."""
    base = systems.preset(system, preset)
    run = {"preset": preset, **{key: said[key] for key in ("run", "seed") if key in said}}
    parts = (
        ("run", options.Run(), run),
        ("data", options.Source(), said.get("source", {})),
        (system, base, said.get("config", {})),
        ("settings", Settings(), said.get("settings", {})),
    )
    return [
        parse.Group(title, type(model), type(model).of(merge(model.model_dump(), changes), where=file, partly=True).model_dump())
        for title, model, changes in parts
    ]


def compose(system: str, argv: Sequence[str]) -> Plan:
    """The plan of `pinxit train SYSTEM *argv`; raises InputError for whatever is wrong with it."""
    systems.presets(system)
    prog = f"pinxit train {system}"
    parse.check_flags(argv, groups(system), prog)
    file = parse.value_of("--config", argv)
    said = {} if file is None else _sections(Path(file), system)
    preset = parse.value_of("--preset", argv) or str(said.get("preset", options.DEFAULT_PRESET))
    chosen = groups(system, preset, said, file or "")
    paper = systems.about(system)
    head = f"{paper.title} ({paper.authors}, {paper.year}). {paper.link}"
    run, source, config, settings = parse.parse(chosen, argv, prog, head)
    return Plan(system, run, source, config, settings).check()  # type: ignore[arg-type]


def _sections(path: Path, system: str) -> dict[str, Any]:
    """A configuration file, checked as far as its sections go."""
    said = read_file(path)
    data = said.get("data")
    # What a run wrote of itself may say more than can be asked for: which paper, which version.
    written_by_a_run = isinstance(data, dict) and "fingerprint" in data
    for key in said:
        if key not in SECTIONS and not written_by_a_run:
            if key in type(next(iter(systems.presets(system).values()))).model_fields:
                raise InputError(f"`{key}` in {path} stands alone: put it under `config:`")
            raise InputError(f"unknown section `{key}` in {path}: {near(str(key), SECTIONS)}")
    if said.get("system", system) != system:
        raise InputError(f"{path} is for the system `{said['system']}`, not `{system}`: run pinxit train {said['system']}")
    for key in ("source", "config", "settings"):
        said[key] = said.get(key) or {}
        if not isinstance(said[key], dict):
            raise InputError(f"`{key}` in {path} is {said[key]!r}: it must map names to values")
    # A run that Python code made has no `source`; the data's name is then all there is.
    name = data.get("name") if isinstance(data, dict) else data
    if name is not None:
        said["source"] = {"data": name, **said["source"]}
    return said


def _slug(data: str) -> str:
    """What a folder's name says of the data."""
    path = Path(data)
    name = data if data in names() else path.stem if path.suffix in (".zip", ".npy", ".npz") else path.resolve().name
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.") or "data"
