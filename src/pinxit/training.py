"""A run as users know it: the core trainer with the standard observers and a folder that explains itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml

from pinxit import systems
from pinxit.core import checkpoint, files, trainer
from pinxit.core.arriving import data_set
from pinxit.core.config import Settings, read_file
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame
from pinxit.core.protocols import Data, Observer
from pinxit.core.spec import Spec

PICTURES = 16
"""Pictures a run where `sample_every` is 0."""


class Trainer(trainer.Trainer):
    """Trains a game and keeps its folder: configuration, metrics, samples, checkpoints, report, model.

    One run at a time in a process: all draw from torch's default generators, so two threads that train disturb each other.

    Args:
        game: what `build(config, spec)` of a system returns; it is trained itself, so build another for another run.
        data: real samples.
        run_dir: the folder; a run found there goes on, a finished one is only reported again.
        seed: decides every random number of the run.
        settings: devices, precision, logging.
        observers: further observers, besides the standard ones.
        about: what `config.yaml` says besides (the data's source and options).

    Raises:
        InputError: the folder holds a run with another configuration, data or seed.
    """

    def __init__(
        self,
        game: AbstractGame,
        data: Data,
        run_dir: str | Path,
        *,
        seed: int = 0,
        settings: Settings = Settings(),
        observers: Sequence[Observer] = (),
        about: dict[str, Any] | None = None,
    ) -> None:
        from pinxit.observers import standard

        if data_set(data).spec != game.spec:
            raise InputError(f"the game was built for {game.spec}, the data {data.name} has {data.spec}: build it with data.spec")
        game.class_names = tuple(map(str, getattr(data, "class_names", ()))) if data.spec.classes else ()
        super().__init__(game, data, run_dir, seed=seed, settings=settings)
        system = systems.name_of(game)
        self.about = {
            "system": system,
            "paper": asdict(systems.about(system)) if system in systems.names() else {},
            "config": game.config.model_dump(mode="json"),
            **({"classes": list(game.class_names)} if game.class_names else {}),
            "data": {"name": data.name, "fingerprint": data.fingerprint, "samples": len(data), **data.spec.to_dict()},
            "seed": seed,
            "settings": settings.model_dump(mode="json"),
            **(about or {}),
        }
        if self.engine.rank == 0:
            every = settings.sample_every or max(1, self.rounds // PICTURES)
            self.observers = [*standard(self.run_dir, data, every, settings.log_every, self.rounds, seed), *observers]

    def fit(self) -> AbstractGame:
        """Train to the end, from the last checkpoint if there is one; see `core.trainer.Trainer.fit` for what is raised."""
        with files.alone(self.run_dir) if self.engine.rank == 0 else nullcontext():
            self.keep_config()
            game = super().fit()
            if self.engine.rank == 0:
                game.save_pretrained(self.run_dir / "model")
            self.engine.barrier()
        return game

    def keep_config(self) -> None:
        """Write `config.yaml`, or refuse a folder whose run was another one."""
        path = self.run_dir / "config.yaml"
        if path.exists():
            old = read_file(path)
            for section in ("system", "config", "data", "seed"):
                if old.get(section) != self.about[section]:
                    what = _difference(section, old.get(section), self.about[section])
                    raise InputError(f"{self.run_dir} holds another run: {what}; take another folder (--run), or delete that one")
        if self.engine.rank == 0:
            files.write(path, yaml.safe_dump(self.about, sort_keys=False))
        self.engine.barrier()


def from_pretrained(path: str | Path) -> AbstractGame:
    """The averaged model of a run folder, or the model that `save_pretrained` wrote, in eval mode on the CPU.

    Raises:
        InputError: there is no model at `path`, or its weights do not fit its configuration or are not finite.
    """
    path = Path(path)
    if (path / "config.json").exists():
        about = read_file(path / "config.json")
        weights = path / "model.safetensors"
    else:
        about, weights = _of_run(path)
    module = systems.load(systems.spelt(about["system"]))
    game = module.build(module.Config.of(about["config"], where=str(path)), Spec(**about["spec"]))
    game.class_names = tuple(map(str, about.get("classes") or ()))
    checkpoint.read_weights(weights, game)
    for name, tensor in game.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise InputError(f"{path} holds weights that are not finite (`{name}`): it diverged; take an earlier checkpoint")
    return game.requires_grad_(False).eval()


def _of_run(path: Path) -> tuple[dict[str, Any], Path]:
    """What a run folder says of its model, and the weights of its last checkpoint."""
    found = checkpoint.every(path / "checkpoints")
    if not (path / "config.yaml").exists() or not found:
        raise InputError(f"no model in {path}: give a run folder (config.yaml, checkpoints/) or one written by save_pretrained")
    run = read_file(path / "config.yaml")
    spec = {field.name: run["data"][field.name] for field in fields(Spec) if field.name in run["data"]}
    return {**run, "spec": spec}, found[-1] / "averaged.safetensors"


def _difference(section: str, old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *old]:
            if old.get(key) != new.get(key):
                return _difference(f"{section}.{key}", old.get(key), new.get(key))
    return f"`{section}` was {old!r}, now {new!r}"
