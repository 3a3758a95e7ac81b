"""What it is worth that a run keeps freed memory (`pinxit.core.engine`): training in fresh processes, with it and without.

A process each, because glibc can't be told to forget the setting. What is timed is `fit` alone, after two rounds.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare

ROUNDS = {"vae": 800, "gan": 300, "dcgan": 30, "wgan-gp": 15, "pixelcnn": 30, "began": 40}
"""Of the presets `small`: some two seconds each."""

CHILD = """
import sys, tempfile, time
from pinxit import data, systems
from pinxit.core import engine
from pinxit.core.config import Settings
from pinxit.core.trainer import Trainer

system, rounds, kept = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "kept"
if not kept:
    engine._keep_freed_memory = lambda: None
module, real = systems.load(system), data.load()

class Unsaved(Trainer):
    def save(self):
        pass

def fit(rounds):
    game = module.build(module.PRESETS["small"].replace(rounds=rounds), real.spec)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Unsaved(game, real, folder, settings=Settings(accelerator="cpu"))
        start = time.perf_counter()
        trainer.fit()
        return time.perf_counter() - start

fit(2)
print(fit(rounds))
"""


def trained(system: str, rounds: int, how: str) -> Work:
    """Seconds of `rounds` rounds in a process of its own."""

    def work() -> float:
        command = [sys.executable, "-c", CHILD, system, str(rounds), how]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])

    return work


def run(options: Options) -> list[Section]:
    """Each system, given back against kept."""
    sections = []
    for system, rounds in ROUNDS.items():
        count = 2 if options.quick else rounds
        sides = [Side(how, partial(trained, system, count, how)) for how in ("kept", "given back")]
        ratios = [Ratio("given back / kept", "given back", "kept", at_least=1.0)]
        sections.append(compare(f"{system} small: {count} rounds", sides, ratios, options, rounds=5))
    return sections
