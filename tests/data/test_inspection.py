"""What `inspect` reports: true figures, every oddity, and no failure over a bad file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pinxit.core.errors import InputError
from pinxit.data import inspect, load


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_mixed_folder_with_bad_files(pets: Path, noise: Callable[..., np.ndarray], tmp_path: Path) -> None:
    Image.fromarray(noise(20, 30, 1)).save(pets / "dog" / "grey.png")
    (pets / "cat" / "bad.png").write_text("hello")
    content = (pets / "cat" / "0.png").read_bytes()
    (pets / "cat" / "cut.png").write_bytes(content[: len(content) // 2])
    (pets / "cat" / "notes.txt").write_text("hello")
    shutil.copy(pets / "dog" / "2.png", pets / "dog" / "copy.png")
    text = inspect(pets, out=tmp_path / "out" / "sheet.png")
    assert "16 images" in text
    assert "7 different; width min / median / max 9 / 12 / 30, height 9 / 11 / 20" in text
    assert "most common: 14x9 (3), 12x11 (3)" in text
    assert "RGB 14, L 1" in text
    assert "bad files  2: cat/bad.png (it is not an image), cat/cut.png (" in text
    assert "ignored    1 files that are no images: .txt 1" in text
    assert "copies     1 images repeat another" in text
    assert "training needs one --size" in text
    assert "fewer than 10 images: `cat` (8), `dog` (8)" in text
    assert picture(tmp_path / "out" / "sheet.png").shape == (2 * 66 - 2, 8 * 66 - 2, 3)


def test_figures_are_those_of_the_pixels(folder: Callable[..., Path], tmp_path: Path) -> None:
    place = folder({f"{c}/{i}.png": (6, 7, 3) for c in "ab" for i in range(3)})
    pixels = np.stack([picture(path) for path in place.rglob("*.png")]) / 255
    text = inspect(place)
    assert f"mean, std  {pixels.mean():.4f}, {pixels.std():.4f}" in text
    assert f"values     {round(pixels.min() * 255)} to {round(pixels.max() * 255)} of 255" in text
    assert "sizes      7x6 (width x height)" in text
    sized = load(place, size=4, channels=1).images.numpy() / 255
    assert f"mean, std  {sized.mean():.4f}, {sized.std():.4f}" in inspect(place, size=4, channels=1)


def test_the_histogram_is_cut_short(folder: Callable[..., Path]) -> None:
    text = inspect(folder({f"{c:02}/{i}.png": (2, 2, 1) for c in range(25) for i in range(1 + c % 2)}))
    assert "classes    25" in text
    assert text.count("#" * 30) == 10, "the fullest classes have the longest bars"
    assert "and 5 more, of 1 to 2 images" in text


def test_named_sets_npz_and_tensors(tmp_path: Path) -> None:
    text = inspect("fashion-mini", out=tmp_path / "mini.png")
    assert "14000 images" in text
    assert "ankle boot      1400" in text
    assert picture(tmp_path / "mini.png").shape == (526, 526, 3)
    np.savez(tmp_path / "x.npz", images=np.arange(64, dtype=np.uint8).reshape(4, 4, 4), labels=np.zeros(4, int))
    assert "all 4 images have one label" in inspect(tmp_path / "x.npz")
    assert "values     7 to 7 of 255" in inspect(np.full((3, 4, 4), 7, np.uint8))


@pytest.mark.parametrize(("name", "modes", "sigma"), [("ring", 8, 0.01), ("grid", 25, 0.05)])
def test_points_are_drawn_as_points(name: str, modes: int, sigma: float, tmp_path: Path) -> None:
    text = inspect(name, out=tmp_path)
    assert f"{modes} Gaussians" in text
    found = re.search(r"sigma +([\d.]+) declared, ([\d.]+) found", text)
    assert found is not None
    assert (float(found[1]), float(found[2])) == (sigma, pytest.approx(sigma, rel=0.02))
    assert picture(tmp_path / "contact.png").std() > 10


def test_the_sheet_shows_images_whole(folder: Callable[..., Path], tmp_path: Path) -> None:
    """A wide image keeps its aspect on grey, and small ones are enlarged without smoothing."""
    place = tmp_path / "one"
    place.mkdir()
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8).repeat(2, 1)).save(place / "x.png")
    inspect(place, out=tmp_path / "sheet.png")
    sheet = picture(tmp_path / "sheet.png")[..., 0]
    assert set(np.unique(sheet)) == {0, 200, 255}
    assert (sheet == 200).mean() == pytest.approx(0.5)


def test_nothing_to_look_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        inspect(tmp_path)
    with pytest.raises(InputError, match="did you mean `ring`"):
        inspect("rinng")
    (tmp_path / "a.png").write_text("hello")
    assert "bad files  1: a.png (it is not an image)" in inspect(tmp_path)
