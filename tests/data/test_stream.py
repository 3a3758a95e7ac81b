"""Streaming gives what packing gives, bit for bit, in order, from anywhere; and its workers leave no trace."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import random
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pinxit.core.errors import InputError
from pinxit.core.rng import Order
from pinxit.data import Stream, load
from pinxit.data.filelist import Reader, scan
from pinxit.data.stream import AHEAD


@pytest.fixture
def mixed(pets: Path, noise: Callable[..., np.ndarray]) -> Path:
    """The pets with modes mixed in."""
    Image.fromarray(noise(12, 10, 4)).save(pets / "cat" / "rgba.png")
    Image.fromarray(noise(12, 10, 1)).save(pets / "cat" / "grey.png")
    Image.fromarray(noise(10, 12)).save(pets / "dog" / "photo.jpg")
    Image.fromarray(noise(10, 12)).quantize(16).save(pets / "dog" / "palette.gif")
    return pets


def workers_left() -> int:
    gc.collect()
    deadline = time.monotonic() + 60
    while (left := len(multiprocessing.active_children())) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start", [0, 37])
@pytest.mark.parametrize("as_zip", [False, True])
def test_the_same_images_in_the_same_order(mixed: Path, workers: int, start: int, as_zip: bool) -> None:
    where = Path(shutil.make_archive(str(mixed), "zip", mixed)) if as_zip else mixed
    packed = load(where, size=8, mirror=True)
    stream = load(where, size=8, mirror=True, stream=True, workers=workers)
    assert isinstance(stream, Stream)
    assert (stream.spec, stream.fingerprint, len(stream)) == (packed.spec, packed.fingerprint, len(packed))
    assert (stream.class_names, stream.notes, stream.has_test) == (packed.class_names, packed.notes, packed.has_test)
    order = Order(len(packed), 3, start=start, batch_size=5)
    for one, other in islice(zip(stream.batches(order), packed.batches(order), strict=True), 16):
        assert torch.equal(one.images, other.images)
        assert one.labels is not None
        assert other.labels is not None
        assert torch.equal(one.labels, other.labels)
    assert torch.equal(stream.batch(torch.tensor([31, 0])).images, packed.batch(torch.tensor([31, 0])).images)
    assert workers_left() == 0


def test_without_labels(folder: Callable[..., Path]) -> None:
    place = folder({"a.png": (4, 4, 1), "b.png": (4, 4, 1)})
    batch = next(load(place, stream=True, workers=1).batches([torch.tensor([1])]))
    assert batch.labels is None
    assert torch.equal(batch.images, load(place).batch(torch.tensor([1])).images)


def test_skipped_files_are_the_same_in_both(mixed: Path) -> None:
    (mixed / "cat" / "3.png").write_bytes((mixed / "cat" / "3.png").read_bytes()[:200])
    (mixed / "dog" / "0.png").write_text("hello")
    stream, packed = load(mixed, size=8, skip_bad=True, stream=True), load(mixed, size=8, skip_bad=True)
    assert (len(stream), stream.fingerprint, stream.notes) == (14, packed.fingerprint, packed.notes)
    assert torch.equal(stream.batch(torch.arange(14)).images, packed.batch(torch.arange(14)).images)


def test_mirror_is_part_of_the_fingerprint(mixed: Path) -> None:
    assert load(mixed, size=8, stream=True).fingerprint != load(mixed, size=8, stream=True, mirror=True).fingerprint


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_end_when_the_iterator_is_dropped(mixed: Path, workers: int) -> None:
    batches = load(mixed, size=8, stream=True, workers=workers).batches(Order(16, 0, batch_size=4))
    next(batches)
    assert len(multiprocessing.active_children()) == workers
    del batches
    assert workers_left() == 0


def test_reading_ahead_is_bounded(mixed: Path) -> None:
    drawn = 0

    def order() -> Iterator[torch.Tensor]:
        nonlocal drawn
        for indices in Order(16, 0, batch_size=4):
            drawn += 1
            yield indices

    batches = load(mixed, size=8, stream=True, workers=2).batches(order())
    for taken in range(1, 11):
        next(batches)
        time.sleep(0.01)
        assert drawn <= taken + 2 * AHEAD


@pytest.mark.parametrize("workers", [0, 2])
def test_no_random_number_is_drawn(mixed: Path, workers: int) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    list(islice(load(mixed, size=8, stream=True, workers=workers).batches(Order(16, 0, batch_size=4)), 6))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_breaks_on_the_way_is_one_line(mixed: Path, workers: int) -> None:
    """Its header is sound, so only decoding it shows that it is cut."""
    path = mixed / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:200])
    data = load(mixed, size=8, stream=True, workers=workers)
    with pytest.raises(InputError, match=r"can't read .*cat/3\.png \(.*--skip-bad") as caught:
        for _ in data.batches([torch.arange(16)]):
            pass
    assert "\n" not in str(caught.value)
    assert workers_left() == 0


def test_a_finite_order_ends(mixed: Path) -> None:
    data = load(mixed, size=8, stream=True, workers=2)
    assert [len(batch) for batch in data.batches([torch.arange(3), torch.arange(5)])] == [3, 5]


def test_streaming_holds_no_pixels(mixed: Path) -> None:
    load(mixed, size=8, stream=True)
    assert not list(mixed.rglob("*.npy"))


@pytest.mark.parametrize("stream", [False, True])
def test_an_index_beyond_the_end_is_an_error(mixed: Path, stream: bool) -> None:
    """Rather than a wrapped one."""
    with pytest.raises(IndexError):
        load(mixed, size=8, stream=stream).batch(torch.tensor([16]))


def test_what_headers_alone_have_shown_does_not_count_when_skipping(mixed: Path) -> None:
    """The first survey saw sound headers; --skip-bad, as the error advises, must look at every file."""
    path = mixed / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:200])
    assert len(load(mixed, size=8, stream=True)) == 16
    assert len(load(mixed, size=8, stream=True, skip_bad=True)) == 15


def test_a_forked_process_opens_the_zip_anew(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inherited handle shares its position with the parent's: both would read garbage, now and then."""
    reader = Reader(scan(Path(shutil.make_archive(str(mixed), "zip", mixed)), "train"))
    content, handle = reader(0), reader._zip
    monkeypatch.setattr(os, "getpid", lambda: -2)
    assert reader(0) == content
    assert reader._zip is not handle
    again = pickle.loads(pickle.dumps(reader))
    assert again(0) == content
