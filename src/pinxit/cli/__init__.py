"""The command line. A mistake is answered with one line, at once: nothing here imports torch before it is needed."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from pinxit.core.errors import InputError, Interrupted, NonFiniteError, RunError

USAGE, FAILED, SIGINT, SIGPIPE = 2, 1, 128 + 2, 128 + 13
RESUMED = ("evaluate", "compare", "suite")
"""Besides `train`: the same command goes on where it was cut off, whatever it was doing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 1 for a run that diverged, 2 for a mistake, 128 + n for signal n.

    Args:
        argv: the words after the program's name; by default those of this process.
    """
    from pinxit.cli import console

    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = console.warn
            status = _run(words)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read us has seen enough; without this Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGPIPE
    except (InputError, RunError, NonFiniteError) as error:
        if debug:
            raise
        # Every process sees the same mistake in its input; trouble of one's own must be said by oneself.
        if console.rank() == 0 or not isinstance(error, InputError):
            console.complain(str(error))
        return FAILED if isinstance(error, NonFiniteError) else USAGE
    except KeyboardInterrupt as stop:
        known = isinstance(stop, Interrupted) or (bool(words) and words[0] in RESUMED)
        if console.rank() == 0:
            console.complain(f"{str(stop) or 'interrupted'}; go on with: {console.command(*words)}" if known else "interrupted")
        return 128 + stop.signum if isinstance(stop, Interrupted) else SIGINT


def _run(words: list[str]) -> int:
    from pinxit.cli import commands

    try:
        commands.run(words)
    except SystemExit as end:  # tyro's, after it printed the help
        return int(end.code or 0)
    return 0
