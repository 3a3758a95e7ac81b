"""Image folders made on the spot, the data folder kept apart from the user's, and real sets where they are present."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pinxit.data import catalogue

ROOT = Path(__file__).parents[2]
GIVEN = os.environ.get("PINXIT_DATA")


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, so that no test reads or fills the user's; Debian's is hidden too."""
    folder = tmp_path / "data-folder"
    monkeypatch.setenv("PINXIT_DATA", str(folder))
    monkeypatch.setattr(catalogue, "DEBIAN", tmp_path / "no-such-package")
    return folder


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """Random pixels: `noise(h, w, c, seed)` is (h, w) for c = 1, else (h, w, c), uint8."""

    def make(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
        return pixels[..., 0] if channels == 1 else pixels

    return make


@pytest.fixture
def folder(tmp_path: Path, noise: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """Makes a folder of PNGs: `folder({"cat/a.png": (h, w, c), ...})`; each image is different."""

    def make(images: dict[str, tuple[int, int, int]], name: str = "images") -> Path:
        for seed, (path, shape) in enumerate(images.items()):
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(*shape, seed)).save(place)
        return tmp_path / name

    return make


@pytest.fixture
def pets(folder: Callable[..., Path]) -> Path:
    """Twelve colour images of two classes and mixed sizes."""
    return folder({f"{kind}/{i}.png": (9 + i, 14 - i, 3) for kind in ("dog", "cat") for i in range(6)})


def real(name: str, monkeypatch: pytest.MonkeyPatch, *where: Path) -> None:
    """Point PINXIT_DATA at the first of the usual places that holds a real set, or skip saying so."""
    usual = [Path(GIVEN)] if GIVEN else []
    for place in (*usual, ROOT.parent / "shared" / "data", *where):
        monkeypatch.setenv("PINXIT_DATA", str(place))
        if catalogue.located(name) is not None:
            return
    pytest.skip(f"{name} is not on this machine: {catalogue.how_to_get(name)}")


@pytest.fixture
def mnist(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real MNIST."""
    real("mnist", monkeypatch)


@pytest.fixture
def fashion(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real Fashion-MNIST, Debian's or the data folder's."""
    monkeypatch.setattr(catalogue, "DEBIAN", Path("/usr/share/datasets/fashion-mnist"))
    real("fashion-mnist", monkeypatch)
