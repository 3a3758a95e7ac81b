"""Peak resident memory of every system's `small` run, each in a process of its own.

It is the peak of training, before the last figures are made, which take long and look at as many samples whatever the system. The
run is cut to 10 rounds a stage: its first and last samples, pictures, look at its health and checkpoint are in it. A
whole run also draws its timeline: it tells its own peak in its figures (`gan`: 911 MiB where this says 839). The images are the
bundled ones.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.harness import Options, Section, Side, Work, compare
from pinxit import systems

ROUNDS = 10


def run(options: Options) -> list[Section]:
    """Every system there is, and the imports alone."""
    rounds = 2 if options.quick else ROUNDS
    names = ["", *systems.names()]
    sides = [Side(name or "(imports alone)", partial(_child, name, rounds if name else 0)) for name in names]
    notes = [f"stages cut to {rounds} rounds"]
    title = "peak resident memory of the `small` runs"
    return [compare(title, sides, [], options, rounds=2, unit="MiB", notes=notes, warm=False)]


def _child(name: str, rounds: int) -> Work:
    def work() -> float:
        root = Path(__file__).parents[1]
        command = [sys.executable, "-m", "benchmarks.memory", name, str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
        if done.returncode:
            raise RuntimeError(f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return float(done.stdout.split()[-1])

    return work


def play(name: str, rounds: int) -> float:
    """Train a system's `small` preset in this process, as `pinxit train` does; return the peak in MiB."""
    from pinxit import data, training  # the trainer imports torch
    from pinxit.core.config import Settings
    from pinxit.observers.figures import Figures
    from pinxit.observers.health import Health

    if name:
        module, real = systems.load(name), data.load()
        game = module.build(module.PRESETS["small"], real.spec)
        short = tuple(replace(stage, rounds=min(stage.rounds, rounds)) for stage in game.stages())
        vars(game)["stages"] = lambda: short
        with tempfile.TemporaryDirectory() as folder:
            trainer = training.Trainer(game, real, Path(folder) / "run", settings=Settings(sample_every=10**6))
            for each in trainer.observers:
                if isinstance(each, Figures | Health):
                    vars(each)["finish"] = lambda game, clock: None  # the last look and the figures; looks on the way stay
            trainer.fit()
    return peak()


def peak() -> float:
    """The peak resident memory of this process in MiB.

    On Linux from /proc: getrusage's figure is never below the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 2**10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10


if __name__ == "__main__":
    print(play(sys.argv[1], int(sys.argv[2])))
