"""The real MNIST, for the figures that were published of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pinxit.data import catalogue, load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The training images, from the data folder or from one beside the project; without them the test is left out."""
    if catalogue.located("mnist") is None:
        monkeypatch.setenv("PINXIT_DATA", str(ROOT.parent / "shared" / "data"))
    if catalogue.located("mnist") is None:
        pytest.skip(f"mnist is not on this machine: {catalogue.how_to_get('mnist')}")
    return load("mnist")
