"""Parity with torch-fidelity on the same features: an implementation that none of ours was made from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from pinxit.metrics.frechet import frechet_distance
from pinxit.metrics.inception_score import inception_score
from pinxit.metrics.kernel import kernel_distance, mmd2
from pinxit.metrics.precision_recall import precision_recall


def features(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    """Correlated and not negative, as a network's activations are."""
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / d**0.5
    return ((torch.randn(n, d, generator=g, dtype=torch.float64) + shift) @ mix).relu()


PAIRS = [(features(400, 32, 1), features(400, 32, 2, 0.2)), (features(900, 100, 3), features(700, 100, 4, 0.1))]


@pytest.mark.parametrize(("x", "y"), PAIRS)
def test_frechet(x: Tensor, y: Tensor) -> None:
    theirs = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), False)
    assert frechet_distance(x, y) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


def test_frechet_of_fewer_samples_than_dimensions() -> None:
    x, y = features(60, 100, 5), features(80, 100, 6, 0.2)
    theirs = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), False)
    assert frechet_distance(x, y) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


@pytest.mark.parametrize(("x", "y"), PAIRS)
def test_kernel(x: Tensor, y: Tensor) -> None:
    """Their subsets are drawn by NumPy, so each is drawn here as they draw it."""
    options = {"kid_subsets": 5, "kid_subset_size": 100, "rng_seed": 3, "verbose": False}
    theirs = kid_features_to_metric(x, y, **options)
    g = np.random.RandomState(3)
    ours = [mmd2(*(rows[torch.from_numpy(g.choice(len(rows), 100, replace=False))] for rows in (x, y))) for _ in range(5)]
    assert np.mean(ours) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert np.std(ours) == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)
    n = min(len(x), len(y))
    whole = kid_features_to_metric(x[:n], y[:n], **{**options, "kid_subsets": 1, "kid_subset_size": n})
    assert kernel_distance(x[:n], y[:n]).value == pytest.approx(whole["kernel_inception_distance_mean"], rel=1e-6)


@pytest.mark.parametrize(("real", "generated"), PAIRS)
@pytest.mark.parametrize("k", [3, 5])
def test_precision_and_recall(real: Tensor, generated: Tensor, k: int) -> None:
    theirs = prc_features_to_metric(generated, real, prc_neighborhood=k, prc_batch_size=10_000, save_cpu_ram=False, verbose=False)
    ours = precision_recall(real, generated, k=k)
    assert (ours.precision, ours.recall) == pytest.approx((theirs["precision"], theirs["recall"]), rel=1e-6)
    assert 0.05 < ours.precision < 1


@pytest.mark.parametrize("splits", [1, 10])
def test_inception_score(splits: int) -> None:
    logits = 3 * torch.randn(503, 20, generator=torch.Generator().manual_seed(7))
    theirs = isc_features_to_metric(logits, splits, shuffle=False)
    ours = inception_score(logits.double().softmax(1), classifier="inception-2015", splits=splits)
    assert ours.score == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert ours.error == pytest.approx(theirs["inception_score_std"], rel=1e-6, abs=1e-12)
