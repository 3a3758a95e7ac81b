"""Plays toys in several processes, under torchrun or by `devices`, and leaves what each process ended with.

processes.py FOLDER DEVICES SEED ACCUMULATE GAME...         each toy or system to its end
processes.py FOLDER DEVICES long TOY                        a long run, to be killed, with pids in FOLDER/pid-RANK
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from pinxit.core.config import Settings
from pinxit.core.errors import Interrupted
from pinxit.core.trainer import Trainer
from toys._nets import Tiny
from toys._play import PLANE, named

torch.set_num_threads(1)


class Keeping(Trainer):
    """Keeps every process's state at each checkpoint."""

    def save(self) -> None:
        super().save()
        kept = {f"{self.clock.step}/{name}": t.clone() for name, t in self.game.state_dict().items()}
        kept |= {f"{self.clock.step}/mean/{name}": t.clone() for name, t in self.averaged.state_dict().items()}
        self.kept = {**getattr(self, "kept", {}), **kept}


def to_the_end(folder: Path, devices: int, seed: int, accumulate: int, toys: list[str]) -> None:
    for toy in toys:
        # Process 1 starts from other weights: the first one's must count.
        game = named(toy, int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))))
        settings = Settings(devices=devices, accumulate=accumulate, save_every=5, log_every=3, average={"half_life": 50})
        trainer = Keeping(game, Tiny(game.spec), folder / toy, seed=seed, settings=settings)
        assert trainer.engine.world == 2
        trainer.fit()
        torch.save({"kept": trainer.kept, "last": trainer.records.last}, folder / f"{toy}-rank{trainer.engine.rank}.pt")


def hesitating(*error: Any) -> None:
    """What a busy machine does to a process that wants to say why it ends: a launcher ends the others meanwhile."""
    time.sleep(float(os.environ.get("HESITATES", "0")))
    sys.__excepthook__(*error)


def long(folder: Path, devices: int, toy: str) -> None:
    module = importlib.import_module(f"toys.{toy}")
    game = module.build(module.PRESETS["tiny"].replace(rounds=int(os.environ.get("ROUNDS", "3000"))), PLANE)
    settings = Settings(devices=devices, save_every=10, log_every=4)
    trainer = Trainer(game, Tiny(PLANE), folder / "run", settings=settings)
    sys.excepthook = hesitating
    (folder / f"pid-{trainer.engine.rank}").write_text(str(os.getpid()))
    try:
        trainer.fit()
    except Interrupted as stopped:
        (folder / f"said-{trainer.engine.rank}").write_text(str(stopped))
        sys.exit(128 + stopped.signum)


if __name__ == "__main__":
    folder, devices = Path(sys.argv[1]), int(sys.argv[2])
    if sys.argv[3] == "long":
        long(folder, devices, sys.argv[4])
    else:
        to_the_end(folder, devices, int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
