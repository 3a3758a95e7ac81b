"""Precision-recall curves of histograms that can be done by hand, and k-means."""

from __future__ import annotations

import math

import pytest
import scipy.cluster.vq
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.prd import f_beta, kmeans, prd, prd_curve


def blobs(n: int, which: list[int], seed: int) -> Tensor:
    """Narrow clusters on a line, 10 apart, equally many of each."""
    g = torch.Generator().manual_seed(seed)
    return torch.tensor(which, dtype=torch.float32).repeat(n // len(which))[:, None] * 10 + 0.01 * torch.randn(n, 3, generator=g)


def test_a_curve_by_hand() -> None:
    """P = (1/2, 1/2), Q = (1, 0): alpha = min(lambda/2, 1), beta = alpha/lambda: full precision to recall 1/2, none beyond."""
    precision, recall = prd_curve(torch.tensor([5.0, 5.0]), torch.tensor([3.0, 0.0]), angles=7)
    slopes = torch.linspace(0, math.pi / 2, 7, dtype=torch.float64)[1:-1].tan()
    torch.testing.assert_close(precision[1:-1], (slopes / 2).clamp(max=1))
    torch.testing.assert_close(recall[1:-1], (slopes / 2).clamp(max=1) / slopes)
    assert float(precision.max()) == pytest.approx(1)
    assert float(recall.max()) == pytest.approx(0.5)


def test_equal_and_disjoint_histograms() -> None:
    p = torch.tensor([0.2, 0.3, 0.5])
    precision, recall = prd_curve(p, p)
    assert len(precision) == 1001
    assert f_beta(precision, recall, 8.0) == pytest.approx(1, abs=1e-3)
    assert f_beta(precision, recall, 1 / 8) == pytest.approx(1, abs=1e-3)
    apart = prd_curve(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert f_beta(*apart, 8.0) == f_beta(*apart, 1 / 8) == 0.0


def test_exchanging_the_sets_exchanges_precision_and_recall() -> None:
    p, q = torch.tensor([0.1, 0.2, 0.7]), torch.tensor([0.5, 0.5, 0.0])
    precision, recall = prd_curve(p, q)
    other_precision, other_recall = prd_curve(q, p)
    torch.testing.assert_close(precision.flip(0), other_recall, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(recall.flip(0), other_precision, rtol=1e-6, atol=1e-9)


def test_f_beta_weighs_recall_where_beta_is_great() -> None:
    precision, recall = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.5, 0.0], dtype=torch.float64)
    assert f_beta(precision, recall, 8.0) == pytest.approx(65 * 0.5 / (64 + 0.5))
    assert f_beta(precision, recall, 1 / 8) == pytest.approx((1 + 1 / 64) * 0.5 / (1 / 64 + 0.5))


def test_dropped_modes_lower_recall_and_invented_ones_precision() -> None:
    """Of ten modes five are kept: greatest F_8 at precision 1, recall 1/2; with twice the modes it is the other way round."""
    real, half = blobs(1000, list(range(10)), 0), blobs(1000, list(range(5)), 1)
    fewer = prd(real, half, generator=torch.Generator().manual_seed(0))
    more = prd(half, real, generator=torch.Generator().manual_seed(0))
    assert fewer.f_8 == pytest.approx(65 * 0.5 / (64 + 0.5), abs=0.03)
    assert fewer.f_eighth > 0.95
    assert more.f_eighth == pytest.approx(fewer.f_8, abs=0.03)
    assert more.f_8 > 0.95
    assert max(fewer.precision) > 0.95
    assert max(fewer.recall) == pytest.approx(0.5, abs=0.05)


def test_sets_are_cut_to_equal_sizes_and_the_generator_decides() -> None:
    real, generated = (torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) for n in (400, 1000))
    found = prd(real, generated, generator=torch.Generator().manual_seed(1), runs=3)
    assert found.n == 400
    assert found == prd(real, generated, generator=torch.Generator().manual_seed(1), runs=3)
    assert found != prd(real, generated, generator=torch.Generator().manual_seed(2), runs=3)
    with pytest.raises(InputError, match="from 1 to 18 clusters"):
        prd(real[:9], generated, generator=torch.Generator())
    with pytest.raises(InputError, match="without samples"):
        prd_curve(torch.zeros(2), torch.ones(2))


def test_kmeans_is_lloyds_fixed_point_from_any_start() -> None:
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + 1000
    centres, cell = kmeans(x, 5, generator=torch.Generator().manual_seed(5))
    means = torch.stack([x[cell == k].mean(0) for k in range(5)])
    torch.testing.assert_close(centres, means, rtol=1e-12, atol=1e-9)
    assert torch.equal(torch.cdist(x, centres).argmin(1), cell)
    again, labels = scipy.cluster.vq.kmeans2(x.numpy() - 1000, centres.numpy() - 1000, minit="matrix")
    assert torch.equal(torch.from_numpy(labels).long(), cell), "scipy moves nothing"
    torch.testing.assert_close(torch.from_numpy(again) + 1000, centres, rtol=1e-9, atol=1e-9)


def test_kmeans_finds_clusters_apart_and_takes_the_best_start() -> None:
    x = blobs(200, list(range(8)), 6)
    _, cell = kmeans(x, 8, generator=torch.Generator().manual_seed(0), starts=5)
    assert len({(int(c), int(k)) for c, k in zip(cell, torch.arange(8).repeat(25), strict=True)}) == 8
    assert torch.equal(kmeans(x[:4], 4, generator=torch.Generator().manual_seed(0))[1].sort().values, torch.arange(4))
    state = torch.get_rng_state()
    kmeans(torch.zeros(9, 2), 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(state, torch.get_rng_state())
    with pytest.raises(InputError, match="6 cells of 5 rows"):
        kmeans(x[:5], 6, generator=torch.Generator())
