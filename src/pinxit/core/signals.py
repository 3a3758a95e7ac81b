"""SIGINT and SIGTERM as a request to save and stop after the present round."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

from pinxit.core.errors import LostPeerError

HANDLED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Context in which the first signal is only noted in `received`; a second one acts as if unhandled.

    A process that leaves the context because another one is lost ignores one SIGTERM from then on: with it launchers
    (torchrun) end the processes that are left, often before they have said why they end.
    """

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in HANDLED}
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        terminate = self._previous.get(signal.SIGTERM)
        self._restore()
        if terminate is not None and isinstance(error, LostPeerError):
            signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, terminate))

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
