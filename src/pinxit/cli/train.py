"""`pinxit train`, from the plan on: data, game, trainer, and what to do next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinxit import systems
from pinxit.cli import console
from pinxit.cli.compose import Plan
from pinxit.core.errors import InputError

if TYPE_CHECKING:
    from pinxit.core.game import AbstractGame

PAGES = (("report", "report.html"), ("samples", "samples"), ("model", "model"))
COMMANDS = (("sample", "Samples"), ("interpolate", "HasLatents"), ("reconstruct", "Reconstructs"), ("complete", "Completes"))
"""What may be done with a run, and the capability that it takes; all but the first are of images alone."""
MARKS = ("config.yaml", "checkpoints", "metrics.jsonl")
"""What tells a run's folder."""


def train(plan: Plan) -> None:
    """Train, then tell where things are."""
    game = fit(plan)
    from pinxit.core import protocols

    for name, file in PAGES:
        place = newest(plan.folder / file) if name == "samples" else plan.folder / file
        if place is not None and place.exists():
            console.say(f"{name:<9}{place}")
    offered = COMMANDS[:1] if game.spec.continuous else COMMANDS
    words = [word for word, protocol in offered if isinstance(game, getattr(protocols, protocol))]
    for number, word in enumerate(words):
        console.say(f"{'' if number else 'next':<9}{console.command(word, plan.folder)}")


def fit(plan: Plan) -> AbstractGame:
    """Train a system as planned, from the last checkpoint if there is one, and return the averaged model.

    Raises:
        InputError: the data, the configuration or the folder will not do; nothing was written.
    """
    from pinxit import data

    check_folder(plan)
    source = plan.source.model_dump(exclude={"data"})
    real = data.load(plan.source.data, seed=plan.run.seed, progress=reading, **source)
    module = systems.load(plan.system)
    game = module.build(module.Config.of(plan.config.model_dump()), real.spec, seed=plan.run.seed)
    console.quiet_launcher()
    from pinxit.training import Trainer

    trainer = Trainer(game, real, plan.folder, seed=plan.run.seed, settings=plan.settings, about=plan.origin())
    trainer.keep_config()  # first: a folder that holds another run is refused before anything is announced
    console.say(announcement(plan, real, trainer))
    for note in real.notes:
        console.say(f"note: {note}")
    return trainer.fit()


def check_folder(plan: Plan) -> None:
    """Refuse to mix a run with other files: its folder must be new, empty or a run's, and not within the data."""
    folder, data = plan.folder, Path(plan.source.data)
    if console.rank() or not folder.exists():
        parts: list[str] = []
    elif not folder.is_dir():
        raise InputError(f"`--run` {folder} is a file: give the name of a folder")
    else:
        parts = sorted(part.name for part in folder.iterdir() if not part.name.startswith("."))
    if parts and not any(mark in parts for mark in MARKS):
        raise InputError(f"`--run` {folder} holds {parts[0]} and is no run's folder: give a new one, or one that is empty")
    if data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
        raise InputError(f"`--run` {folder} is within the data {data}: its pictures would be taken for samples; put it elsewhere")


def announcement(plan: Plan, real: Any, trainer: Any) -> str:
    """One line: what is trained on what, where, for how long."""
    from pinxit.core import checkpoint

    spec, engine = real.spec, trainer.engine
    what = f"{plan.system} ({plan.run.preset}) on {real.name}, {len(real):,} samples {spec.channels}x{spec.height}x{spec.width}"
    device = engine.device.type if engine.world == 1 else f"{engine.world} processes on {engine.device.type}"
    found = checkpoint.every(plan.folder / "checkpoints")
    step = int(found[-1].name.removeprefix("step-")) if found else 0
    since = f", from round {step:,}" if 0 < step < trainer.rounds else " done before" if step else ""
    return f"{what}; {trainer.rounds:,} rounds{since} on {device}; in {plan.folder}"


def newest(folder: Path) -> Path | None:
    """The last picture of a folder, by name."""
    return max(folder.glob("*.png"), default=None)


def reading(done: int, total: int) -> None:
    """Count decoded files, where somebody watches."""
    if console.rank() == 0 and sys.stderr.isatty():
        print(f"\rreading images: {done:,} of {total:,}", end="\n" if done == total else "", file=sys.stderr, flush=True)
