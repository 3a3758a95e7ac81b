"""`pinxit train`, from the plan on: data, game, trainer, and what to do next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinxit import systems
from pinxit.cli import console
from pinxit.cli.compose import Plan

if TYPE_CHECKING:
    from pinxit.core.game import AbstractGame

PAGES = (("report", "report.html"), ("samples", "samples"), ("model", "model"))
COMMANDS = (("sample", "Samples"), ("interpolate", "HasLatents"), ("reconstruct", "Reconstructs"))


def train(plan: Plan) -> None:
    """Train, then tell where things are."""
    game = fit(plan)
    from pinxit.core import protocols

    for name, file in PAGES:
        place = newest(plan.folder / file) if name == "samples" else plan.folder / file
        if place is not None and place.exists():
            console.say(f"{name:<9}{place}")
    for word, protocol in COMMANDS:
        if isinstance(game, getattr(protocols, protocol)):
            console.say(f"{'next' if word == 'sample' else '':<9}{console.command(word, plan.folder)}")


def fit(plan: Plan) -> AbstractGame:
    """Train a system as planned, from the last checkpoint if there is one, and return the averaged model.

    Raises:
        InputError: the data, the configuration or the folder will not do; nothing was written.
    """
    from pinxit import data

    source = plan.source.model_dump(exclude={"data"})
    real = data.load(plan.source.data, seed=plan.run.seed, progress=reading, **source)
    module = systems.load(plan.system)
    game = module.build(module.Config.of(plan.config.model_dump()), real.spec, seed=plan.run.seed)
    console.quiet_launcher()
    from pinxit.training import Trainer

    trainer = Trainer(game, real, plan.folder, seed=plan.run.seed, settings=plan.settings, about=plan.origin())
    console.say(announcement(plan, real, trainer))
    for note in real.notes:
        console.say(f"note: {note}")
    return trainer.fit()


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
