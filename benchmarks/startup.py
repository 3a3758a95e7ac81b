"""How long a user waits for the first word: wall time of fresh processes, against Python doing nothing."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare

TARGET = 0.5
"""Seconds that an answer may take which needs no torch."""


def run(options: Options) -> list[Section]:
    """Help, lists, a mistake, and the imports."""
    script = Path(sys.executable).with_name("pinxit")
    pinxit = [str(script)] if script.exists() else [sys.executable, "-m", "pinxit"]
    quick = {
        "pinxit --help": [*pinxit, "--help"],
        "pinxit list": [*pinxit, "list"],
        "pinxit train gan --help": [*pinxit, "train", "gan", "--help"],
        "pinxit train gann (a typo)": [*pinxit, "train", "gann"],
        "pinxit train gan --widht 3 (a typo)": [*pinxit, "train", "gan", "--widht", "3"],
        "pinxit train dcgan --size 48 (no such network)": [*pinxit, "train", "dcgan", "--size", "48"],
        "pinxit train vae --samples 5 --beta 2 (not together)": [*pinxit, "train", "vae", "--samples", "5", "--beta", "2"],
        "import pinxit": [sys.executable, "-c", "import pinxit"],
    }
    slow = {
        "import pinxit.systems.gan": [sys.executable, "-c", "import pinxit.systems.gan"],
        "import torch": [sys.executable, "-c", "import torch"],
    }
    commands = {"python -c pass": [sys.executable, "-c", "pass"], **quick, **slow}
    sides = [Side(name, partial(_process, command)) for name, command in commands.items()]
    ratios = [Ratio(f"seconds: {name}", name, at_most=TARGET) for name in quick]
    ratios.append(Ratio("pinxit.systems.gan / torch alone", "import pinxit.systems.gan", "import torch"))
    return [compare("start, in fresh processes", sides, ratios, options, rounds=11)]


def _process(command: list[str]) -> Work:
    def work() -> None:
        status = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        if status not in (0, 2):
            raise RuntimeError(f"{' '.join(command)} ended with status {status}")

    return work
