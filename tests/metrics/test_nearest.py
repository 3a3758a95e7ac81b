"""Nearest neighbours against the plain matrix of distances, and the memorisation tests against laws that are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics import nearest as module
from pinxit.metrics.nearest import auc, authenticity, copying, lower_tail, nearest, rank_z, tail_rank


def drawn(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that neither the queries nor the bank are a multiple of."""
    monkeypatch.setattr(module, "ROWS", 7)
    monkeypatch.setattr(module, "BLOCK", 11)


@pytest.mark.parametrize("d", [2, 30])
@pytest.mark.parametrize("k", [1, 3])
def test_blocks_find_what_the_whole_matrix_finds(d: int, k: int, small_blocks: None) -> None:
    x, bank = drawn(40, d, 0), drawn(101, d, 1) + 20
    whole = (x.double()[:, None] - bank.double()).norm(dim=2)
    values, indices = whole.topk(k, largest=False)
    found, where = nearest(x, bank, k)
    assert torch.equal(where, indices)
    torch.testing.assert_close(found, values.float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("d", [2, 30])
def test_a_sample_is_not_its_own_neighbour_where_it_is_excluded(d: int, small_blocks: None) -> None:
    bank = drawn(50, d, 2)
    rows = torch.tensor([3, 49, 20, 20])
    found, where = nearest(bank[rows], bank, 2, exclude=rows)
    whole = torch.cdist(bank.double(), bank.double()).fill_diagonal_(math.inf)
    values, indices = whole[rows].topk(2, largest=False)
    assert torch.equal(where, indices)
    torch.testing.assert_close(found, values.float(), rtol=1e-5, atol=1e-6)
    assert float(nearest(bank[rows], bank)[0].max()) == 0.0


def test_a_copy_is_at_distance_zero_however_far_from_the_origin() -> None:
    """By |x|^2 - 2xb + |b|^2 alone a copy of 784 pixels is anywhere up to 0.1 away."""
    bank = drawn(300, 784, 3) * 0.1 + 5
    found, where = nearest(bank[:40], bank)
    assert float(found.max()) == 0.0
    assert torch.equal(where[:, 0], torch.arange(40))


def test_no_queries_and_too_few_to_look_among() -> None:
    found, where = nearest(drawn(0, 4, 0), drawn(5, 4, 0), 2)
    assert found.shape == where.shape == (0, 2)
    with pytest.raises(InputError, match="at least 3"):
        nearest(drawn(2, 4, 0), drawn(2, 4, 0), 2, exclude=torch.arange(2))


def test_ranks_are_mann_whitneys() -> None:
    a, b = torch.tensor([1.0, 2.0, 2.0, 5.0]), torch.tensor([2.0, 3.0, 0.0])
    expected = scipy.stats.mannwhitneyu(a.numpy(), b.numpy()).statistic
    assert auc(a, b) == pytest.approx(expected / 12)
    assert rank_z(a, b) == pytest.approx((expected - 6) / math.sqrt(12 * 8 / 12))
    assert rank_z(a - 10, b) < 0 < rank_z(a + 10, b), "below the held-out ones is copying"
    with pytest.raises(InputError, match="0 and 3"):
        auc(a[:0], b)


def test_c_t_is_standard_normal_for_one_law() -> None:
    z = [copying(drawn(200, 1, k)[:, 0], drawn(150, 1, 1000 + k)[:, 0]) for k in range(300)]
    assert scipy.stats.kstest(z, "norm").pvalue > 0.01


def test_cells_weigh_by_held_out_mass_and_skip_what_is_hardly_generated() -> None:
    generated = torch.tensor([1.0, 1.1, 9.0, 9.1, 50.0])
    held_out = torch.tensor([2.0, 2.1, 2.2, 5.0])
    cells = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 0, 0, 1])
    z0, z1 = rank_z(generated[:2], held_out[:3]), rank_z(generated[2:4], held_out[3:])
    assert z0 < 0 < z1
    assert copying(generated, held_out, cells) == pytest.approx((3 * z0 + z1) / 4)
    cells = torch.tensor([0, 0, 1, 0, 2]), cells[1]
    z0 = rank_z(generated[[0, 1, 3]], held_out[:3])
    assert copying(generated, held_out, cells, tau=0.25) == pytest.approx(z0), "cell 1 has a fifth of the generated ones"
    assert math.isnan(copying(generated, held_out, cells, tau=0.9))


def test_authenticity() -> None:
    assert authenticity(torch.tensor([1.0, 2.0, 3.0, 1.0]), torch.tensor([2.0, 1.0, 3.0, 0.5])) == 0.5


def test_the_tail_has_the_promised_rate_whatever_the_law() -> None:
    generator = torch.Generator().manual_seed(0)
    p = []
    for _ in range(2000):
        both = torch.rand(500, generator=generator).pow(3)
        p.append(lower_tail(both[:200], both[200:], quantile=0.05)[1])
    for level in (0.01, 0.1, 0.5):
        assert sum(value <= level for value in p) / 2000 <= level + 3 * math.sqrt(level * (1 - level) / 2000)
    assert sum(value <= 0.5 for value in p) / 2000 > 0.35, "the test is not idle"


def test_the_tail_is_the_beta_binomial() -> None:
    null = torch.arange(1.0, 101.0)
    values = torch.tensor([0.5] * 6 + [50.0] * 34)
    share, p = lower_tail(values, null, quantile=0.03)
    assert share == 6 / 40
    assert p == pytest.approx(scipy.stats.betabinom.sf(5, 40, 3, 98), rel=1e-9)
    assert lower_tail(torch.tensor([3.0]), null, quantile=0.03)[0] == 0.0, "the third smallest itself is not below it"


def test_a_quantile_that_is_tied_gives_way_to_the_next_value() -> None:
    null = torch.cat((torch.zeros(5), torch.arange(1.0, 96.0)))
    assert tail_rank(null, quantile=0.03) == 6
    share, p = lower_tail(torch.tensor([0.0] * 30 + [50.0] * 10), null, quantile=0.03)
    assert share == 0.75
    assert p == pytest.approx(scipy.stats.betabinom.sf(29, 40, 6, 95), rel=1e-9)
    assert tail_rank(torch.cat((torch.zeros(1), torch.ones(49)))) == 2, "nothing is below 0"
    assert tail_rank(torch.zeros(50)) == 50
    assert tail_rank(torch.tensor([1.0, 2.0, 2.0, 3.0]), quantile=0.5) == 4
    assert tail_rank(torch.arange(1.0, 101.0), quantile=0.03) == 3


def test_the_tail_has_the_promised_rate_where_some_values_are_0() -> None:
    generator = torch.Generator().manual_seed(0)
    p = []
    for _ in range(2000):
        both = torch.rand(500, generator=generator) * (torch.rand(500, generator=generator) > 0.03)
        p.append(lower_tail(both[:200], both[200:])[1])
    for level in (0.001, 0.01, 0.1, 0.5):
        assert sum(value <= level for value in p) / 2000 <= level + 3 * math.sqrt(level * (1 - level) / 2000)


# Pixels in [0, 1], noise clipped to them, all real images of the training split, none in two sets: Z_U, authenticity, tail.
ROWS = {
    "held-out": (0.5, 0.616, 0.012),
    "train + N(0, .05)": (-54.7, 0.0, 1.0),
    "train + N(0, .2)": (-26.5, 0.258, 0.0),
    "10 % copies": (-5.6, 0.563, 0.115),
    "mean of 5": (-2.3, 0.839, 0.0),
}


@pytest.mark.slow
def test_the_published_rows_on_the_pixels_of_mnist(mnist: Any) -> None:
    """MEM-1: 10,000 training images, 2,000 generated, 2,000 held out; Z within 2 below 10, within 10 % above."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(60_000, generator=generator)
    bank, held_out, other, rest = (mnist.images[order].flatten(1).float() / 255).split((10_000, 2000, 2000, 46_000))
    labels = mnist.labels[order]
    chosen = torch.randperm(10_000, generator=generator)[:2000]

    def noisy(scale: float) -> Tensor:
        return (bank[chosen] + scale * torch.randn(2000, 784, generator=generator)).clamp(0, 1)

    mixed = other.clone()
    mixed[:200] = bank[chosen[:200]]
    rows = [(labels[14_000:] == label).nonzero()[:, 0] for label in labels[chosen].tolist()]
    blurred = torch.stack([rest[row[torch.randint(len(row), (5,), generator=generator)]].mean(0) for row in rows])
    generated = dict(zip(ROWS, (other, noisy(0.05), noisy(0.2), mixed, blurred), strict=True))
    null = nearest(held_out, bank)[0][:, 0]
    for name, (z, genuine, tail) in ROWS.items():
        distances, hits = (found[:, 0] for found in nearest(generated[name], bank))
        own = nearest(bank[hits], bank, exclude=hits)[0][:, 0]
        found = copying(distances, null), authenticity(distances, own), lower_tail(distances, null)[0]
        assert found[0] == pytest.approx(z, abs=2 if abs(z) < 10 else 0.1 * abs(z)), name
        assert found[1] == pytest.approx(genuine, abs=0.04), name
        assert found[2] == pytest.approx(tail, abs=0.012), name


def test_neighbours_that_rounding_confuses_are_told_apart() -> None:
    """Four of a kind 0.01 apart and 3,000 from the centre: the fast distance is wrong by more than that."""
    g = torch.Generator().manual_seed(4)
    kinds, step = 100 * torch.randn(20, 1, 784, generator=g), torch.randn(784, generator=g)
    offsets = torch.tensor([0.0, 1.0, 2.1, 3.3])[:, None] * 0.02 * step / step.norm() * 28
    bank = (kinds + offsets).view(80, 784)
    _, where = nearest(bank, bank, 3)
    assert torch.equal(where[::4], torch.arange(0, 80, 4)[:, None] + torch.arange(3))
