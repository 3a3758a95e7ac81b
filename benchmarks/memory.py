"""Peak resident memory of every system's `small` run, each in a process of its own.

The run is cut to 20 rounds a stage: memory does not grow after the first rounds, the last picture and the last checkpoint,
and all of these are in it. The images are the bundled ones.
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

ROUNDS = 20


def run(options: Options) -> list[Section]:
    """Every system there is, and the imports alone; a system that can't be run so is named."""
    rounds = 10 if options.quick else ROUNDS
    sides, notes = (
        [Side("(imports alone)", partial(_child, "", 0))],
        [f"stages cut to {rounds} rounds: memory is flat after the first"],
    )
    for name in systems.names():
        try:
            _child(name, rounds)()
            sides.append(Side(name, partial(_child, name, rounds)))
        except RuntimeError as error:
            notes.append(f"{name} left out: {error}")
    return [compare("peak resident memory of the `small` runs", sides, [], options, rounds=3, unit="MiB", notes=notes)]


def _child(name: str, rounds: int) -> Work:
    def work() -> float:
        root = Path(__file__).parents[1]
        command = [sys.executable, "-m", "benchmarks.memory", name, str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        return float(done.stdout.split()[-1])

    return work


def play(name: str, rounds: int) -> float:
    """Train a system's `small` preset in this process, as `pinxit train` does; return the peak in MiB."""
    from pinxit import data, training  # the trainer imports torch

    if name:
        module, real = systems.load(name), data.load()
        game = module.build(module.PRESETS["small"], real.spec)
        short = tuple(replace(stage, rounds=min(stage.rounds, rounds)) for stage in game.stages())
        vars(game)["stages"] = lambda: short
        with tempfile.TemporaryDirectory() as folder:
            training.Trainer(game, real, Path(folder) / "run").fit()
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
