"""What commands print: by the first process only, results to stdout, one line of complaint to stderr."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO


def rank() -> int:
    """This process among those that a launcher started (torchrun, SLURM, or our own `--devices`); 0 when alone."""
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), 0)


def say(line: str = "") -> None:
    """Print a line, at once, in the first process."""
    if rank() == 0:
        print(line, flush=True)


def complain(line: str) -> None:
    """Print one line to stderr, whatever `line` contains; processes other than the first give their number."""
    who = "pinxit" if rank() == 0 else f"pinxit (process {rank()})"
    print(f"{who}: {' '.join(line.split())}", file=sys.stderr, flush=True)


def warn(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """Print a warning as one line to stderr: what `warnings.showwarning` is while a command runs."""
    complain(f"warning: {message}")


def program() -> str:
    """How this program was called, for commands that a user may paste."""
    return "python -m pinxit" if Path(sys.argv[0]).parts[-2:] == ("pinxit", "__main__.py") else "pinxit"


def command(*words: object) -> str:
    """A command of this program, quoted for a shell."""
    arguments: Sequence[str] = [str(word) for word in words]
    return f"{program()} {shlex.join(arguments)}"


class Progress:
    """Tells on stderr how far something is: on a terminal one line that changes, else a line every ten seconds."""

    def __init__(self) -> None:
        self.what, self.began, self.said = "", 0.0, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """`what` has `done` of its `total` parts."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if what != self.what:
            self.what, self.began, self.said = what, now, now
        if now - self.said >= (0.2 if terminal else 10.0) and done < total:
            self.said = now
            left = (now - self.began) * (total - done) / done if done else 0.0
            line = f"{what}: {done:,} of {total:,}" + (f", {left:,.0f} s left" if done else "")
            print(f"\r{line:<78}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)
        elif terminal and done >= total and self.said > self.began:
            print(f"\r{'':<78}\r", end="", file=sys.stderr, flush=True)


def quiet_launcher() -> None:
    """Silence what Fabric announces when it connects processes; its warnings stay."""
    import logging

    for name in ("distributed", "rank_zero"):
        logging.getLogger(f"lightning_fabric.utilities.{name}").setLevel(logging.WARNING)
