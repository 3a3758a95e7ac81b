"""Sets in memory: what a batch is, in any order, mirrored, and what identifies a set."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinxit.core.rng import Order
from pinxit.data import Store, load
from pinxit.data import store as store_module


@pytest.fixture
def made() -> Store:
    """Twenty colour images of 5 x 4 pixels whose labels are their index modulo 3."""
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (20, 3, 5, 4), dtype=np.uint8))
    return Store("made", pixels, torch.arange(20) % 3, class_names=("a", "b", "c"))


def test_a_batch_is_the_definition(made: Store) -> None:
    indices = torch.tensor([7, 0, 19, 7])
    batch = made.batch(indices)
    naive = torch.stack([made.images[i].double() / 127.5 - 1 for i in indices.tolist()])
    assert batch.images.dtype == torch.float32
    torch.testing.assert_close(batch.images.double(), naive, rtol=0, atol=2e-7)  # 2 ulp of float32 at 1
    assert batch.labels is not None
    assert batch.labels.tolist() == [1, 0, 1, 1]
    assert batch.labels.dtype == torch.int64


def test_black_and_white_are_exactly_the_ends() -> None:
    data = load(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1))
    assert data.batch(torch.tensor([0, 1])).images.flatten().tolist() == [-1.0, 1.0]


def test_every_level_survives_the_round_trip() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(((store_module.to_float(levels) + 1) * 127.5).round().to(torch.uint8), levels)


def test_changing_a_batch_does_not_change_the_set(made: Store) -> None:
    before = made.batch(torch.arange(20)).images
    batch = made.batch(torch.arange(20))
    batch.images.zero_()
    assert batch.labels is not None
    batch.labels.zero_()
    assert torch.equal(made.batch(torch.arange(20)).images, before)
    assert made.batch(torch.tensor([1])).labels == 1


def test_changing_the_source_does_not_change_the_set() -> None:
    source = torch.full((4, 1, 2, 2), 7, dtype=torch.uint8)
    data = load(source)
    source.zero_()
    assert (data.images == 7).all()


def test_read_only_arrays_are_taken() -> None:
    array = np.arange(16, dtype=np.uint8).reshape(4, 1, 2, 2)
    array.flags.writeable = False
    assert load(array).images.flatten().tolist() == list(range(16))


def test_mirror_doubles_the_set_with_flipped_images(made: Store) -> None:
    both = Store("made", made.images, made.labels, class_names=made.class_names, mirror=True)
    assert len(both) == 40
    batch = both.batch(torch.tensor([3, 23, 39, 0]))
    plain = made.batch(torch.tensor([3, 3, 19, 0]))
    assert torch.equal(batch.images[[0, 3]], plain.images[[0, 3]])
    assert torch.equal(batch.images[[1, 2]], plain.images[[1, 2]].flip(-1))
    assert batch.labels is not None
    assert plain.labels is not None
    assert torch.equal(batch.labels, plain.labels)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("whole", [0, 2**31])
def test_on_a_device_it_is_the_same_batch(made: Store, mirror: bool, whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An accelerator is played by a `cpu:0` that is not the plain cpu; moved whole or batch by batch."""

    class Accelerator:
        type = "cuda"

    data = Store("made", made.images, made.labels, class_names=made.class_names, mirror=mirror)
    monkeypatch.setattr(store_module, "MOVED_WHOLE", whole)
    real_to = torch.Tensor.to
    moved = []

    def to(self: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        if args and isinstance(args[0], Accelerator):
            moved.append(self.nbytes)
            return self.clone()
        return real_to(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", to)
    order = [torch.tensor([1, 5, 19]), torch.tensor([len(data) - 1, 0, 2])]
    for batch, indices in zip(data.batches(order, Accelerator()), order, strict=True):
        expected = data.batch(indices)
        assert torch.equal(batch.images, expected.images)
        assert batch.labels is not None
        assert expected.labels is not None
        assert torch.equal(batch.labels, expected.labels)
    assert moved.count(data.images.nbytes) == (1 if whole else 0), "the set is moved once if it fits, else never"


@settings(max_examples=40)
@given(n=st.integers(1, 30), start=st.integers(0, 100), world=st.integers(1, 4), share=st.integers(1, 6), mirror=st.booleans())
def test_each_index_once_an_epoch_from_any_start(n: int, start: int, world: int, share: int, mirror: bool) -> None:
    """Through the batches of every rank; the ranks' parts make up the whole batch."""
    pixels = torch.arange(n * 2, dtype=torch.uint8).view(n, 1, 1, 2)
    data = Store("numbers", pixels, mirror=mirror)
    size, batch_size = len(data), world * share
    rounds = -(-3 * size // batch_size)
    parts = [
        list(islice(data.batches(Order(size, 5, start=start, batch_size=batch_size, rank=r, world=world)), rounds))
        for r in range(world)
    ]
    shown = []
    for number in range(rounds):
        dealt = torch.stack([parts[r][number].images for r in range(world)], dim=1)  # position p of a batch is rank p % world's
        shown += [tuple(x) for x in ((dealt.reshape(-1, 2) + 1) * 127.5).round().int().tolist()]
    everything = Counter({(2 * i, 2 * i + 1): 1 for i in range(n)})
    if mirror:
        everything.update({(2 * i + 1, 2 * i): 1 for i in range(n)})
    first = -start % size  # the next epoch begins here
    assert Counter(shown[first : first + size]) == everything
    assert all(count == 1 for count in Counter(shown[:first]).values())


def test_the_fingerprint_is_of_the_content(made: Store) -> None:
    def with_(images: torch.Tensor = made.images, labels: torch.Tensor | None = made.labels, mirror: bool = False) -> str:
        return Store("other name", images, labels, class_names=made.class_names, mirror=mirror).fingerprint

    changed = made.images.clone()
    changed[19, 2, 4, 3] ^= 1
    assert with_() == made.fingerprint
    relabelled = (made.labels + 1) % 3
    reshaped = made.images.view(20, 3, 4, 5)
    others = {with_(changed), with_(labels=relabelled), with_(labels=None), with_(mirror=True), with_(reshaped)}
    assert len({made.fingerprint, *others}) == 6


def test_the_default_is_bundled_and_balanced() -> None:
    train, test = load(), load(split="test")
    assert (len(train), len(test)) == (14_000, 2_000)
    assert train.labels.bincount().tolist() == [1400] * 10
    assert test.labels.bincount().tolist() == [200] * 10
    assert train.spec == test.spec
    assert (train.spec.shape, train.spec.classes, train.has_test, train.notes) == ((1, 28, 28), 10, True, ())
    assert len({x.numpy().tobytes() for x in (*train.images, *test.images)}) > 15_980, "train and test do not overlap"
