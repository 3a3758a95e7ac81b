"""The cache of packed folders: made once, rebuilt when stale, never half there; bad files named, counted, skipped on demand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pinxit.core.errors import InputError, RunError
from pinxit.data import cache, load, pack
from pinxit.data.decode import decode


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every image that is decoded."""
    count: list[int] = []

    def counting(*args: object) -> np.ndarray:
        count.append(1)
        return decode(*args)

    monkeypatch.setattr(pack, "decode", counting)
    return count


def caches(folder: Path) -> list[Path]:
    return sorted(folder.glob(".pinxit-cache-*"))


def spoil(folder: Path) -> None:
    """Four bad files among the twelve: cut, empty, text, cut."""
    for name in ("cat/0.png", "dog/5.png"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) * 2 // 3])
    (folder / "cat" / "1.png").write_bytes(b"")
    (folder / "cat" / "2.png").write_text("hello")


def test_a_folder_is_decoded_once(pets: Path, decoded: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    first = load(pets, size=8)
    assert len(decoded) == 12
    second = load(pets, size=8)
    assert len(decoded) == 12
    assert torch.equal(first.images, second.images)
    assert first.fingerprint == second.fingerprint
    assert len(caches(pets)) == 1
    assert capfd.readouterr() == ("", "")


def test_the_cache_is_one_uint8_npy(pets: Path) -> None:
    data = load(pets, size=8)
    array = np.load(caches(pets)[0] / "images.npy")
    assert array.dtype == np.uint8
    assert np.array_equal(array, data.images.numpy())


@pytest.mark.parametrize("option", [{"size": 9}, {"size": 8, "channels": 1}, {"size": 8, "crop": "stretch"}])
def test_other_settings_are_another_cache(pets: Path, option: dict[str, int]) -> None:
    first = load(pets, size=8)
    other = load(pets, **option)
    assert first.fingerprint != other.fingerprint
    assert len(caches(pets)) == 2
    assert torch.equal(load(pets, size=8).images, first.images)


@pytest.mark.parametrize("change", ["content", "new file", "removed"])
def test_a_stale_cache_is_rebuilt_and_dropped(pets: Path, change: str) -> None:
    before = load(pets, size=8)
    path = pets / "dog" / "5.png"
    if change == "removed":
        path.unlink()
    else:
        old = path.stat()
        Image.new("RGB", (9, 9), (1, 2, 3)).save(path if change == "content" else pets / "dog" / "6.png")
        if change == "content":
            os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns + 1))
    after = load(pets, size=8)
    assert len(after) == {"content": 12, "new file": 13, "removed": 11}[change]
    assert change == "removed" or after.images[-1, :, 0, 0].tolist() == [1, 2, 3]
    assert after.fingerprint != before.fingerprint
    assert len(caches(pets)) == 1


def test_touching_files_changes_the_cache_but_not_the_fingerprint(pets: Path, decoded: list[int]) -> None:
    before = load(pets, size=8)
    os.utime(pets / "dog" / "5.png", ns=(1, 1))
    assert load(pets, size=8).fingerprint == before.fingerprint
    assert len(decoded) == 24


@pytest.mark.parametrize("damage", ["no index", "nonsense index", "no pixels", "cut pixels"])
def test_a_damaged_cache_is_rebuilt(pets: Path, damage: str) -> None:
    expected = load(pets, size=8).images.clone()
    index, pixels = caches(pets)[0] / "index.json", caches(pets)[0] / "images.npy"
    if damage == "cut pixels":
        pixels.write_bytes(pixels.read_bytes()[:500])
    elif damage == "nonsense index":
        index.write_text("[]")
    else:
        (index if damage == "no index" else pixels).unlink()
    assert torch.equal(load(pets, size=8).images, expected)
    assert torch.equal(load(pets, size=8).images, expected)


def test_a_killed_pack_leaves_nothing_that_counts(pets: Path) -> None:
    def killed(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(pets, size=8, progress=killed)
    assert not [path for path in pets.rglob("*") if path.suffix in (".npy", ".json")]
    assert len(load(pets, size=8)) == 12


def test_progress_counts_to_the_end(pets: Path) -> None:
    seen: list[tuple[int, int]] = []
    load(pets, size=8, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 12) for i in range(1, 13)]


@pytest.mark.parametrize("reason", ["forbidden", "full"])
def test_where_the_folder_cannot_be_written_the_users_cache_is(
    pets: Path, reason: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int]
) -> None:
    if reason == "forbidden":
        real_access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != pets and real_access(path, mode))
    else:
        real_write = cache.whole.write_with

        def full(path: Path, writer: Callable[[Path], object]) -> None:
            if pets in path.parents:
                raise RunError("no space left")
            real_write(path, writer)

        monkeypatch.setattr(cache.whole, "write_with", full)
    first = load(pets, size=8)
    assert not caches(pets)
    assert len(caches(data_folder / "packed")) == 1
    assert torch.equal(load(pets, size=8).images, first.images)
    assert len(decoded) == 12


def test_two_folders_that_differ_in_their_pixels_alone_are_two_in_the_users_cache(
    tmp_path: Path, noise: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages have one time for all their files, and raw formats one size."""
    places = [tmp_path / "s1", tmp_path / "s2"]
    for seed, place in enumerate(places):
        place.mkdir()
        Image.fromarray(noise(8, 8, 3, seed)).save(place / "1.bmp")
        os.utime(place / "1.bmp", (0, 0))
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in places)
    one, two = (load(place).images for place in places)
    assert not torch.equal(one, two)
    assert torch.equal(load(places[0]).images, one)


def test_where_nothing_can_be_written_it_is_held_in_memory(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load(pets, size=8)
    shutil.rmtree(caches(pets)[0])

    def refuse(*args: object) -> None:
        raise RunError("no space left")

    monkeypatch.setattr(cache.whole, "write_with", refuse)
    data = load(pets, size=8)
    assert torch.equal(data.images, expected.images)
    assert data.fingerprint == expected.fingerprint


def test_a_zips_cache_lies_beside_it(pets: Path, decoded: list[int]) -> None:
    def zipped(name: str) -> Path:
        return Path(shutil.make_archive(str(pets.with_name(name)), "zip", pets))

    path = zipped("one")
    load(path, size=8)
    assert len(caches(path.parent)) == 1
    (pets / "dog" / "5.png").unlink()
    other = zipped("other")
    load(other, size=8)
    (pets / "dog" / "4.png").unlink()
    zipped("one")
    assert len(load(path, size=8)) == 10
    assert len(caches(path.parent)) == 2, "the stale one is gone"
    decoded.clear()
    assert len(load(other, size=8)) == 11
    assert not decoded, "a zip's new cache leaves its neighbours' alone"


@pytest.mark.parametrize("stream", [False, True])
def test_bad_files_are_counted_and_named(pets: Path, stream: bool) -> None:
    spoil(pets)
    with pytest.raises(InputError, match=r"of 12 files .*cat/1\.png \(.*--skip-bad to leave them out") as caught:
        load(pets, size=8, stream=stream)
    assert "\n" not in str(caught.value)
    assert stream or "4 of 12" in str(caught.value), "those without a header and those that break off, told at once"
    data = load(pets, size=8, stream=stream, skip_bad=True)
    assert len(data) == 8
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert any(note.startswith("4 of 12 files were left out: cat/0.png (") and "1 more" in note for note in data.notes)
    with pytest.raises(InputError, match="4 of 12 files"):
        load(pets, size=8)  # the cache made while skipping does not lift the refusal


def test_skipping_gives_the_files_that_are_left(pets: Path, decoded: list[int]) -> None:
    whole = load(pets, size=8)
    spoil(pets)
    data = load(pets, size=8, skip_bad=True)
    decoded.clear()
    left = [3, 4, 5, 6, 7, 8, 9, 10]
    for again in (data, load(pets, size=8, skip_bad=True)):
        assert torch.equal(again.images, whole.images[left])
        assert again.images.is_contiguous()
    assert not decoded, "the second time it comes from the cache"


def test_nothing_readable_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("hello")
    for stream in (False, True):
        with pytest.raises(InputError, match=r"none of the 2 files in .*a\.png \(it is not an image\)"):
            load(tmp_path, skip_bad=True, stream=stream)


def test_the_cache_is_not_taken_for_images(pets: Path) -> None:
    load(pets, size=8)
    Image.new("RGB", (4, 4)).save(caches(pets)[0] / "x.png")
    assert len(load(pets, size=8)) == 12


def test_training_on_the_pack_does_not_write_to_it(pets: Path) -> None:
    data = load(pets, size=8)
    content = (caches(pets)[0] / "images.npy").read_bytes()
    data.batch(torch.arange(12)).images.zero_()
    data.images.zero_()
    assert (caches(pets)[0] / "images.npy").read_bytes() == content
