"""Errors that the command line turns into one line, and the helper that suggests the near name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A mistake of the user's: names what was wrong, the value, the constraint and the fix, in one line."""


class RunError(RuntimeError):
    """A run that can't go on for a reason outside its code (full disk, lost peer); the last checkpoint is intact."""


class LostPeerError(RunError):
    """Another process of the run ended; what it died of is its own to say."""


class NonFiniteError(ArithmeticError):
    """A loss, gradient or parameter became infinite or NaN."""


class Interrupted(KeyboardInterrupt):
    """A run stopped by SIGINT or SIGTERM after it had saved itself."""

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum


def near(name: str, choices: Iterable[str]) -> str:
    """The tail of an error line about an unknown `name`: the nearest of `choices`, or all of them."""
    choices = sorted(choices)
    match = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    return f"did you mean `{match[0]}`?" if match else f"choose from {', '.join(choices)}"
