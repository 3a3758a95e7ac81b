"""How far a run is: two lines that renew themselves on a terminal, plain lines elsewhere; on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.control import Control
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from pinxit.core.clock import Clock

if TYPE_CHECKING:
    from pinxit.core.game import AbstractGame

PAUSE_ON_TERMINAL = 0.1
PAUSE = 10.0


class Progress:
    """Shows round, rate, time left and the losses.

    On a terminal every drawing ends below itself and the next one goes back up. So the terminal is whole at any moment,
    and an exception leaves nothing to restore.

    Args:
        rounds: of the run.
        often: rounds between looks at a terminal.
        log_every: rounds between lines elsewhere, if ten seconds have passed too.
        note: what to say besides the losses: the verdict on the run's health.
        console: where to write; standard error by default.
        now: the time in seconds.
    """

    def __init__(
        self,
        rounds: int,
        *,
        often: int,
        log_every: int,
        note: Callable[[], str] = str,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rounds, self.note, self.console, self.now = rounds, note, console or Console(stderr=True), now
        self.every = often if self.console.is_terminal else log_every
        self.first: tuple[float, Clock] | None = None
        self.shown = float("-inf")
        self.drawn = False

    def __call__(self, game: AbstractGame, clock: Clock, stats: Mapping[str, float]) -> None:
        """Show, unless it was shown a moment ago."""
        now, live = self.now(), self.console.is_terminal
        if self.first is None:
            # A resumed run starts here: what was done before says nothing of today's rate.
            self.first = (now, clock)
            self.shown = float("-inf") if live else now
        last = clock.step == self.rounds
        if not last and now - self.shown < (PAUSE_ON_TERMINAL if live else PAUSE):
            return
        self.shown = now
        if live:
            self.draw(clock, now, stats)
        else:
            self.console.print(Text(self.line(clock, now, stats)), soft_wrap=True)

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Nothing: the last line stays."""

    def line(self, clock: Clock, now: float, stats: Mapping[str, float]) -> str:
        """One plain line."""
        share = 100 * clock.step / self.rounds
        parts = [f"round {clock.step:,} of {self.rounds:,} ({share:.0f} %)", f"{clock.images:,} images", *self.pace(clock, now)]
        return "  ".join([*parts, *(f"{name} {value:.4g}" for name, value in stats.items()), *filter(None, [self.note()])])

    def draw(self, clock: Clock, now: float, stats: Mapping[str, float]) -> None:
        """The bar, and the losses below it."""
        if self.drawn:
            up = (ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)
            self.console.control(Control(ControlType.CARRIAGE_RETURN, *up, *up))
        row = Table.grid(padding=(0, 2))
        about = "  ".join([f"{clock.step:,}/{self.rounds:,}", *self.pace(clock, now)])
        row.add_row(ProgressBar(self.rounds, clock.step, width=24), Text(f"{100 * clock.step / self.rounds:3.0f} %"), Text(about))
        self.console.print(row, no_wrap=True, overflow="crop", crop=True, height=1)
        # The verdict first: of a line too long for the terminal the end is cut off.
        values = "  ".join([*filter(None, [self.note()]), *(f"{name} {value:.4g}" for name, value in shortened(stats).items())])
        self.console.print(Text(values, style="dim"), no_wrap=True, overflow="ellipsis", crop=True, height=1)
        self.drawn = True

    def pace(self, clock: Clock, now: float) -> list[str]:
        """Images a second and the time left, measured since this process began; nothing before there is a rate."""
        assert self.first is not None
        began, start = self.first
        elapsed, images, rounds = now - began, clock.images - start.images, clock.step - start.step
        if elapsed <= 0 or rounds <= 0:
            return []
        left = (self.rounds - clock.step) * elapsed / rounds
        return [f"{images / elapsed:,.0f} images/s", f"{clock_time(left)} left" if left else f"{clock_time(elapsed)}"]


def shortened(stats: Mapping[str, float]) -> dict[str, float]:
    """Values by names that fit a terminal: the player is named where the name alone would not tell."""
    names = [key.partition("/")[2] for key in stats]
    plain = {key for key, name in zip(stats, names, strict=True) if name and name != "loss" and names.count(name) == 1}
    return {key.partition("/")[2] if key in plain else key.replace("/", " "): value for key, value in stats.items()}


def clock_time(seconds: float) -> str:
    """75 as 1:15, 4000 as 1:06:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
