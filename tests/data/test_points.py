"""The ring and the grid, as the literature draws them."""

from __future__ import annotations

import math

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.data import Points, load
from pinxit.data.points import centres_of


def test_the_ring_has_eight_distinct_means() -> None:
    """An end-inclusive linspace, as in two reference codes, has seven."""
    ring = centres_of("ring")
    assert torch.pdist(ring).min() == pytest.approx(2 * math.sin(math.pi / 8), abs=1e-6)
    assert ring.shape == (8, 2)
    torch.testing.assert_close(ring[:3], torch.tensor([[1.0, 0.0], [0.5**0.5, 0.5**0.5], [0.0, 1.0]]), atol=1e-7, rtol=0)


def test_the_grid_is_every_pair() -> None:
    assert {tuple(c) for c in centres_of("grid").tolist()} == {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}


@pytest.mark.parametrize(("name", "sigma", "modes"), [("ring", 0.01, 8), ("grid", 0.05, 25)])
def test_samples_are_the_declared_mixture(name: str, sigma: float, modes: int) -> None:
    data = load(name)
    assert data.spec == Spec(2, 1, 1, levels=0, classes=modes)
    assert (len(data), data.sigma, len(data.centres)) == (100_000, sigma, modes)
    batch = data.batch(torch.arange(len(data)))
    assert batch.images.shape == (100_000, 2, 1, 1)
    assert batch.images.dtype == torch.float32
    distance = torch.cdist(batch.images.flatten(1), data.centres)
    assert batch.labels is not None
    assert torch.equal(distance.argmin(1), batch.labels), "the labels are the modes"
    nearest = distance.min(1).values
    assert (nearest < 3 * sigma).float().mean().item() == pytest.approx(1 - math.exp(-4.5), abs=0.0015)
    assert nearest.square().mean().item() == pytest.approx(2 * sigma**2, rel=0.02)
    assert batch.labels.bincount().min() > 0.9 * 100_000 / modes


def test_the_seed_and_the_split_decide_the_samples() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, again, other, test = (
        Points("ring", split, seed=s) for split, s in [("train", 1), ("train", 1), ("train", 2), ("test", 1)]
    )
    assert torch.equal(one.points, again.points)
    assert len({one.fingerprint, other.fingerprint, test.fingerprint}) == 3
    assert torch.equal(torch.get_rng_state(), state), "the run's generator is not touched"


def test_batches_follow_the_order() -> None:
    data = load("grid", split="test")
    order = [torch.tensor([5, 99_999]), torch.tensor([0, 5])]
    for batch, indices in zip(data.batches(order), order, strict=True):
        assert torch.equal(batch.images.flatten(1), data.points[indices])


@pytest.mark.parametrize("option", [{"size": 32}, {"channels": 1}, {"mirror": True}])
def test_points_are_no_images(option: dict[str, int]) -> None:
    with pytest.raises(InputError, match="points in the plane"):
        load("ring", **option)
