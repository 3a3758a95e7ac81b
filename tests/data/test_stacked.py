"""Stacked MNIST: which digits are where, what a mode is called, and the floors of its histogram."""

from __future__ import annotations

import math

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.core.protocols import Splits
from pinxit.core.spec import Spec
from pinxit.data import load
from pinxit.data.catalogue import expected
from pinxit.data.stacked import Stacked
from pinxit.metrics.modes import kl_to


@pytest.fixture
def digits(mnist: None) -> tuple[torch.Tensor, torch.Tensor]:
    """MNIST's training images (60000, 28, 28) and labels, read by the ordinary loader."""
    data = load("mnist")
    return data.images[:, 0], data.labels


@pytest.mark.parametrize(("name", "stacks"), [("stacked-mnist-2", 2), ("stacked-mnist", 3)])
def test_every_channel_is_a_digit_of_its_label(name: str, stacks: int, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    data = Stacked(name)
    assert data.spec == Spec(stacks, 28, 28, levels=256, classes=10**stacks) == expected(name)
    assert (len(data), len(data.test())) == (128_000, 26_000)
    indices = torch.tensor([127_999, 0, 5])
    batch = data.batch(indices)
    assert (batch.images.shape, batch.images.dtype) == ((3, stacks, 28, 28), torch.float32)
    pixels, labels = digits
    for image, label, index in zip(batch.images, batch.labels, indices, strict=True):
        which = data.chosen[index]
        torch.testing.assert_close(image, pixels[which].float() / 127.5 - 1)
        assert data.class_names[label] == "-".join(str(int(labels[k])) for k in which)
    assert batch.images.min() == -1.0
    assert batch.images.max() == 1.0


def test_names_are_the_digits_first_channel_first(mnist: None) -> None:
    data = Stacked("stacked-mnist", samples=10)
    assert (data.class_names[73], data.class_names[0], data.class_names[999]) == ("0-7-3", "0-0-0", "9-9-9")
    assert len(data.class_names) == 1000


@pytest.mark.parametrize(("name", "n", "floor", "within"), [
    ("stacked-mnist", 26_000, 0.0237, 0.0011), ("stacked-mnist", 2_500, 0.227, 0.02), ("stacked-mnist", 100_000, 0.0093, 0.001),
    ("stacked-mnist-2", 2_600, 0.0221, 0.004), ("stacked-mnist-2", 10_000, 0.0079, 0.002),
])  # fmt: skip
def test_a_true_sampler_is_at_the_published_floor(name: str, n: int, floor: float, within: float, mnist: None) -> None:
    data = Stacked(name, samples=n, seed=3)
    modes = data.spec.classes
    counts = data.labels.bincount(minlength=modes)
    assert kl_to(counts, torch.full((modes,), 1 / modes)) == pytest.approx(floor, abs=within)
    if n == 2_500:
        assert int((counts > 0).sum()) == pytest.approx(916, abs=15)
    else:
        assert int((counts > 0).sum()) == modes


def test_channels_are_independent(mnist: None) -> None:
    """A channel drawn from the one before, or all from one permutation, would tell the second digit from the first."""
    counts = Stacked("stacked-mnist-2").labels.bincount(minlength=100).view(10, 10).double()
    p = counts / counts.sum()
    independent = p.sum(1, keepdim=True) * p.sum(0, keepdim=True)
    information = float((p * (p / independent).log()).sum())
    assert information == pytest.approx(81 / (2 * 128_000), abs=2e-4)  # (10 - 1)^2 / 2n is what chance gives
    assert math.isclose(float(p.sum()), 1.0)


def test_the_variant_with_all_digits_draws_beyond_the_split(mnist: None) -> None:
    usual, wide = Stacked("stacked-mnist"), Stacked("stacked-mnist", all_digits=True)
    assert (len(usual.digits), len(wide.digits)) == (60_000, 70_000)
    assert int(usual.chosen.max()) < 60_000 < int(wide.chosen.max())
    assert (len(usual.test().digits), len(wide.test().digits)) == (10_000, 70_000)
    assert wide.test().fingerprint not in (wide.fingerprint, usual.test().fingerprint)


def test_the_seed_decides_the_stacks_and_nothing_else_is_touched(mnist: None) -> None:
    state = torch.get_rng_state()
    one, again, other = (Stacked("stacked-mnist-2", seed=s, samples=500) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.chosen, again.chosen)
    assert one.fingerprint == again.fingerprint
    assert len({one.fingerprint, other.fingerprint, one.test().fingerprint, Stacked("stacked-mnist", seed=1).fingerprint}) == 4
    assert isinstance(one, Splits)
    assert one.test() is one.test()
    assert one.test().test() is None


def test_batches_follow_the_order(mnist: None) -> None:
    data = Stacked("stacked-mnist-2", samples=100)
    order = [torch.tensor([5, 99]), torch.tensor([0, 5])]
    for batch, indices in zip(data.batches(order), order, strict=True):
        assert torch.equal(batch.images, data.batch(indices).images)
        assert torch.equal(batch.labels, data.labels[indices])


def test_memory_is_that_of_the_digits(mnist: None) -> None:
    """128,000 images of three channels would be 300 MB."""
    data = Stacked("stacked-mnist")
    held = data.digits.nbytes + data.chosen.nbytes + data.labels.nbytes + data.digit_labels.nbytes
    assert data._flat.data_ptr() == data.digits.data_ptr()
    assert held < 55e6


def test_unknown_names_are_refused() -> None:
    for name, split in (("stacked-mnist-4", "train"), ("stacked-mnist", "all")):
        with pytest.raises(InputError, match="choose from stacked-mnist-2, stacked-mnist"):
            Stacked(name, split)
