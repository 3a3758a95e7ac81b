"""Checkpoints: a folder a checkpoint, complete or absent; weights in safetensors, the rest loaded with `weights_only`."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from pinxit.core import files
from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame

FORMAT = 1
KEEP = 2


def save(folder: Path, clock: Clock, game: nn.Module, averaged: nn.Module, resume: dict[str, Any]) -> Path:
    """Write the checkpoint of `clock` into `folder` and drop all but the last two.

    Args:
        folder: `checkpoints/` of a run.
        clock: names the checkpoint and is stored in it.
        game: in training.
        averaged: its moving average.
        resume: plain values and tensors: optimizer states, log sums, what must agree on resuming.

    Raises:
        RunError: the disk is full or the folder can't be written; earlier checkpoints are untouched.
    """
    path = folder / f"step-{clock.step:09d}"
    with files.new_folder(path) as new:
        # As bytes, because the writers of safetensors and torch report a full disk as an error of another kind.
        (new / "game.safetensors").write_bytes(to_bytes(_state(game)))
        (new / "averaged.safetensors").write_bytes(to_bytes(_state(averaged)))
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, "clock": asdict(clock), **resume}, buffer)
        (new / "resume.pt").write_bytes(buffer.getbuffer())
    for old in every(folder)[:-KEEP]:
        files.remove(old)
    return path


def every(folder: Path) -> list[Path]:
    """The complete checkpoints, oldest first; remains of interrupted writes are not among them."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def clean(run_dir: Path) -> None:
    """Remove what killed writes left in a run's folder: half checkpoints, half files."""
    for path in (run_dir / "checkpoints").glob(".tmp-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in [*run_dir.rglob(".*.tmp[0-9]*")]:
        path.unlink(missing_ok=True)


def load(path: Path, game: nn.Module, averaged: nn.Module) -> tuple[Clock, dict[str, Any]]:
    """Put the weights of a checkpoint into `game` and `averaged`; return its clock and resume values."""
    read_weights(path / "game.safetensors", game)
    read_weights(path / "averaged.safetensors", averaged)
    try:
        resume = torch.load(path / "resume.pt", weights_only=True, map_location="cpu")
        found, clock = resume["format"], resume["clock"]
    except Exception as error:  # a damaged pickle fails in every way
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path / 'resume.pt'} is damaged: {reason}; delete {path} to go on from the checkpoint before"
        ) from error
    if found != FORMAT:
        raise InputError(f"checkpoint {path} has format {found}: this version reads {FORMAT}; start a new --run")
    return Clock(**clock), resume


def read_weights(path: Path, module: nn.Module) -> None:
    """Load a safetensors file strictly; raises InputError where the file or its names and shapes don't fit."""
    try:
        state = load_file(path)
        for alias, name in _tied(module).items():
            state[alias] = state[name]
        module.load_state_dict(state, strict=True)
    except (RuntimeError, KeyError, SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        damaged = f"{path} does not hold the weights of this {type(module).__name__}: {reason}"
        of_run = path.parent.parent.name == "checkpoints"
        fix = f"delete {path.parent} to go on from the checkpoint before" if of_run else "give another model"
        raise InputError(f"{damaged}; {fix}") from error


def save_model(game: AbstractGame, directory: Path) -> None:
    """`config.json` (system, configuration, data spec, names of the classes) and `model.safetensors`, each written whole."""
    kind = type(game)
    package, _, module = kind.__module__.rpartition(".")
    system = module if package == "pinxit.systems" else f"{kind.__module__}.{kind.__qualname__}"
    about = {"system": system, "config": game.config.model_dump(mode="json"), "spec": game.spec.to_dict()}
    about |= {"classes": list(game.class_names)} if game.class_names else {}
    files.write(directory / "model.safetensors", to_bytes(_state(game)))
    files.write(directory / "config.json", json.dumps(about, indent=2) + "\n")


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict as safetensors wants it: contiguous, no views of one storage, and tensors under two names once."""
    tied = _tied(module)
    whole = {name: t.detach().contiguous() for name, t in module.state_dict().items() if name not in tied}
    return {name: t if t.untyped_storage().nbytes() == t.nbytes else t.clone() for name, t in whole.items()}


def _tied(module: nn.Module) -> dict[str, str]:
    """Names of tensors that are stored under an earlier name."""
    first: dict[tuple[Any, ...], str] = {}
    tied = {}
    for name, tensor in module.state_dict().items():
        # A square matrix and its transpose begin at one place and have one shape, and are two tensors all the same.
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and first.setdefault(key, name) != name:
            tied[name] = first[key]
    return tied
