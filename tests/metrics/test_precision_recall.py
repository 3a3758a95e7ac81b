"""Precision, recall, density, coverage against the formulas written plainly in NumPy, and the bars PR-1 to PR-3."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.precision_recall import density_coverage, expected_coverage, neighbourhoods, precision_recall


def drawn(n: int, d: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def by_numpy(real: Tensor, generated: Tensor, k: int, *, closed: bool) -> tuple[float, float, float, float]:
    """The (k + 1)-th smallest including self, and shares of the matrix of distances; float64 by subtraction."""
    x, y = real.double().numpy(), generated.double().numpy()

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack([((row - b) ** 2).sum(1) for row in a])

    radius_x = np.sort(between(x, x), 1)[:, k]
    radius_y = np.sort(between(y, y), 1)[:, k]
    distance = between(x, y)
    inside = distance <= radius_x[:, None] if closed else distance < radius_x[:, None]
    reverse = distance <= radius_y[None, :] if closed else distance < radius_y[None, :]
    coverage = (distance.min(1) < radius_x).mean()
    return inside.any(0).mean(), reverse.any(1).mean(), inside.sum(0).mean() / k, coverage


@pytest.mark.parametrize(("n", "m", "d"), [(150, 120, 3), (90, 140, 40), (200, 200, 500)])
@pytest.mark.parametrize("block", [32, 1024])
def test_they_are_the_formulas(n: int, m: int, d: int, block: int) -> None:
    real, generated = drawn(n, d, 0, 5.0), drawn(m, d, 1, 5.0 + 0.3 / d**0.5, 0.97)
    found = neighbourhoods(real, generated, block=block)
    precision, recall, _, _ = by_numpy(real, generated, 3, closed=True)
    _, _, density, coverage = by_numpy(real, generated, 5, closed=False)
    assert (found.precision_recall.precision, found.precision_recall.recall) == pytest.approx((precision, recall), abs=1e-12)
    assert (found.density_coverage.density, found.density_coverage.coverage) == pytest.approx((density, coverage), abs=1e-12)
    assert precision_recall(real, generated) == found.precision_recall
    assert density_coverage(real, generated) == found.density_coverage
    assert 0 < precision < 1
    assert 0 < recall < 1


def test_ties_are_ties() -> None:
    """Generated copies of real samples lie on the very border of the balls of those whose neighbours they are."""
    real = drawn(120, 60, 2, 100.0)
    generated = torch.cat([real[:40], drawn(60, 60, 3, 100.0)])
    found = neighbourhoods(real, generated, k=4, k_density=4)
    precision, recall, _, _ = by_numpy(real, generated, 4, closed=True)
    _, _, density, coverage = by_numpy(real, generated, 4, closed=False)
    assert (found.precision_recall.precision, found.precision_recall.recall) == pytest.approx((precision, recall), abs=1e-12)
    assert (found.density_coverage.density, found.density_coverage.coverage) == pytest.approx((density, coverage), abs=1e-12)
    assert by_numpy(real, generated, 4, closed=True)[2] > density, "the border is not empty"


@pytest.mark.parametrize("d", [4, 30])
def test_copies_of_copies_and_coarse_features(d: int) -> None:
    """Whole numbers: most distances occur many times, and balls may have no extent."""
    g = torch.Generator().manual_seed(4)
    real, generated = (torch.randint(0, 2, (100, d), generator=g).float() for _ in range(2))
    real[20:40] = real[:20]
    real[40:60] = real[:20]
    real[60:80] = real[:20]
    found = neighbourhoods(real, generated)
    assert found.precision_recall.precision == pytest.approx(by_numpy(real, generated, 3, closed=True)[0])
    assert found.precision_recall.recall == pytest.approx(by_numpy(real, generated, 3, closed=True)[1])
    assert found.density_coverage.density == pytest.approx(by_numpy(real, generated, 5, closed=False)[2])
    assert found.density_coverage.coverage == pytest.approx(by_numpy(real, generated, 5, closed=False)[3])


def test_one_law_has_the_expected_coverage() -> None:
    """1 - prod (n - i)/(n + m - i): by hand 1 - (2/5)(1/4) for n = 3, m = 3, k = 2; in the mean over 60 draws for 100 and 60."""
    assert expected_coverage(3, 3, 2) == pytest.approx(1 - 2 / 5 * 1 / 4)
    assert expected_coverage(10_000, 10_000, 5) == pytest.approx(0.969, abs=0.0005)
    found = torch.tensor([density_coverage(drawn(100, 3, k), drawn(60, 3, 900 + k)).coverage for k in range(60)])
    assert abs(float(found.mean()) - expected_coverage(100, 60, 5)) < 3 * float(found.std()) / 60**0.5


@pytest.mark.parametrize("d", [3, 200])
def test_one_law_has_a_density_of_one_in_the_mean(d: int) -> None:
    """A fresh sample is among the k nearest of n others of x_i with probability k/n, so n (k/n) / k = 1 whatever the law."""
    found = torch.tensor([density_coverage(drawn(60, d, k), drawn(40, d, 500 + k)).density for k in range(150)])
    assert abs(float(found.mean()) - 1) < 3 * float(found.std()) / 150**0.5


def test_one_far_outlier_keeps_precision_and_not_density() -> None:
    """PR-2: the ball of a real outlier reaches back to the others, so the hundred fakes on it are all 'precise'."""
    real = drawn(1000, 64, 5)
    real[0] = 10.0
    generated = 10.0 + 0.1 * drawn(100, 64, 6)
    found = neighbourhoods(real, generated)
    assert found.precision_recall.precision > 0.99
    assert found.density_coverage.density == pytest.approx(1 / 5)
    assert density_coverage(real[1:], drawn(100, 64, 7)).density > 0.7


def test_dropping_half_of_the_modes_lowers_recall_and_coverage_and_not_precision() -> None:
    """PR-2."""
    centres = 4 * drawn(10, 64, 8)
    real = centres.repeat(100, 1) + 0.5 * drawn(1000, 64, 9)
    whole = centres.repeat(100, 1) + 0.5 * drawn(1000, 64, 10)
    half = centres[:5].repeat(200, 1) + 0.5 * drawn(1000, 64, 11)
    full, dropped = neighbourhoods(real, whole), neighbourhoods(real, half)
    assert dropped.precision_recall.precision > full.precision_recall.precision - 0.03
    assert dropped.precision_recall.recall < 0.6 * full.precision_recall.recall
    assert dropped.density_coverage.coverage == pytest.approx(full.density_coverage.coverage / 2, abs=0.05)


def test_the_order_of_samples_does_not_matter() -> None:
    """PR-3."""
    real, generated = drawn(300, 50, 12), drawn(250, 50, 13, 0.05)
    g = torch.Generator().manual_seed(1)
    again = neighbourhoods(real[torch.randperm(300, generator=g)], generated[torch.randperm(250, generator=g)], block=64)
    assert again == neighbourhoods(real, generated, block=1024)


def test_copies_of_the_real_set_are_precise_and_cover() -> None:
    real = drawn(200, 30, 14, 50.0)
    found = neighbourhoods(real, real.clone())
    assert (found.precision_recall.precision, found.precision_recall.recall) == (1.0, 1.0)
    assert (found.density_coverage.density, found.density_coverage.coverage) == (1.0, 1.0), "itself and the k - 1 nearer ones"


@pytest.mark.slow
def test_the_four_published_numbers() -> None:
    """PR-1: N(0, I_1000), 10,000 against 10,000, k = 5: .4772, .4705, .9735 within .02, and a density near 1.

    The published 1.0555 is one unseeded draw: the mean is exactly 1, and six draws scatter about it by 0.07, so that no other
    draw need be within .02 of it. The bound is three times that.
    """
    found = neighbourhoods(drawn(10_000, 1000, 15), drawn(10_000, 1000, 16), k=5, k_density=5)
    three = (found.precision_recall.precision, found.precision_recall.recall, found.density_coverage.coverage)
    assert three == pytest.approx((0.4772, 0.4705, 0.9735), abs=0.02)
    assert found.density_coverage.density == pytest.approx(1, abs=0.21)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="`k` is 5 with 5 samples"):
        neighbourhoods(drawn(5, 3, 0), drawn(9, 3, 1))
    with pytest.raises(InputError, match="`k` is 3 with 3 samples"):
        neighbourhoods(drawn(9, 3, 0), drawn(3, 3, 1))
    bad = drawn(9, 3, 0)
    bad[3] = math.nan
    with pytest.raises(InputError, match="1 of 9 rows"):
        neighbourhoods(drawn(9, 3, 0), bad)


def test_the_error_of_density_is_that_of_a_mean_over_generated_samples():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(300, 3, generator=generator)
    values, errors = [], []
    for _ in range(60):
        found = density_coverage(real, torch.randn(200, 3, generator=generator))
        values.append(found.density)
        errors.append(found.density_error)
    spread = float(torch.tensor(values).std())
    assert spread == pytest.approx(sum(errors) / len(errors), rel=0.25)  # 60 draws know a deviation to 9 %
