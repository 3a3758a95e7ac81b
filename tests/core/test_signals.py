"""Signals: noted once, then as if unhandled; and what a launcher sends to the processes that are left."""

import os
import signal

import pytest

from pinxit.core.errors import LostPeerError, RunError
from pinxit.core.signals import Signals


@pytest.fixture
def came():
    """The signals that reached the handlers of the caller."""
    numbers: list[int] = []
    before = {n: signal.signal(n, lambda number, frame: numbers.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_a_second_acts(came, number):
    with Signals() as signals:
        send(number)
        assert (signals.received, came) == (number, [])
        send(number)
        assert came == [number]


@pytest.mark.parametrize("error", [None, RunError])
def test_outside_they_act(came, error):
    try:
        with Signals():
            if error:
                raise error
    except RunError:
        pass
    send(signal.SIGTERM)
    assert came == [signal.SIGTERM]


def test_a_lost_process_is_told_before_a_launcher_ends_the_others(came):
    with pytest.raises(LostPeerError), Signals():
        raise LostPeerError
    send(signal.SIGTERM)
    assert came == []
    send(signal.SIGTERM)
    send(signal.SIGINT)
    assert came == [signal.SIGTERM, signal.SIGINT]


def test_the_launchers_signal_counts_once(came):
    with pytest.raises(LostPeerError), Signals():
        send(signal.SIGTERM)
        raise LostPeerError
    send(signal.SIGTERM)
    assert came == [signal.SIGTERM]
