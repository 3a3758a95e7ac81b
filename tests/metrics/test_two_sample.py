"""Two-sample tests: their p-values where the laws are equal, their power where not, and MD-1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.two_sample import _bordered, _logistic, class_histogram, logistic_test, neighbour_test


def drawn(n: int, d: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def gen(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def valid(p: list[float]) -> None:
    """The share of p-values below a level does not exceed it, and the test is not idle."""
    for level in (0.05, 0.2, 0.5):
        share = sum(value <= level for value in p) / len(p)
        assert share <= level + 3 * math.sqrt(level * (1 - level) / len(p))
    assert sum(value <= 0.5 for value in p) / len(p) > 0.3


def test_a_classifier_is_right_half_of_the_time_where_the_laws_are_equal() -> None:
    found = [logistic_test(drawn(60, 4, k), drawn(60, 4, 1000 + k), generator=gen(k)) for k in range(200)]
    valid([one.p for one in found])
    assert sum(one.accuracy for one in found) / 200 == pytest.approx(0.5, abs=0.02)


def test_a_classifier_sees_a_shift_and_hardly_a_scale() -> None:
    """Of N(0, I) and N(2 e, I) the best rule is right with probability Phi(1) = 0.841."""
    shifted = drawn(4000, 5, 1)
    shifted[:, 2] += 2
    found = logistic_test(drawn(4000, 5, 0), shifted, generator=gen(0))
    assert found.accuracy == pytest.approx(scipy.stats.norm.cdf(1), abs=0.02)
    assert found.p < 1e-100
    assert found.n == 4000
    assert found.accuracy == pytest.approx((found.real + found.generated) / 2)
    assert logistic_test(drawn(4000, 5, 0), drawn(4000, 5, 1, 0.0, 2.0), generator=gen(0)).accuracy < 0.6


def test_its_p_value_is_the_binomials_and_apart_is_apart() -> None:
    found = logistic_test(drawn(40, 3, 2), drawn(40, 3, 3, 0.5), generator=gen(1))
    right = round(found.accuracy * found.n)
    assert found.p == pytest.approx(scipy.stats.binom.sf(right - 1, found.n, 0.5), rel=1e-9)
    apart = logistic_test(drawn(50, 200, 4), drawn(80, 200, 5, 20.0), generator=gen(2))
    assert (apart.accuracy, apart.n) == (1.0, 50)


def test_the_weights_are_the_minimum() -> None:
    """Against scipy's optimiser, on samples that a plane separates almost."""
    x = torch.cat([drawn(60, 3, 6), drawn(60, 3, 7, 2.5)]).double()
    signs = torch.cat([-torch.ones(60), torch.ones(60)]).double()
    rows = _bordered(x)

    def objective(w: np.ndarray) -> float:
        margin = signs.numpy() * (rows.numpy() @ w)
        return float(np.logaddexp(0, -margin).sum() + 0.5 * 0.7 * (w[:-1] ** 2).sum())

    best = scipy.optimize.minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(_logistic(rows, signs, 0.7).numpy(), best.x, rtol=1e-4, atol=1e-4)


def test_neighbours_where_the_laws_are_equal_apart_or_copies() -> None:
    found = [neighbour_test(drawn(40, 3, k), drawn(40, 3, 2000 + k), generator=gen(k), exchanges=99) for k in range(150)]
    valid([one.p for one in found])
    real = drawn(100, 5, 8)
    apart = neighbour_test(real, drawn(100, 5, 9, 30.0), generator=gen(3))
    assert (apart.accuracy, apart.p) == (1.0, 1 / 1000)
    copies = neighbour_test(real, real + 1e-4, generator=gen(3))
    assert copies.accuracy == 0.0
    assert copies.p == 1.0
    assert neighbour_test(drawn(200, 5, 10), drawn(200, 5, 11, 0.0, 1.7), generator=gen(4)).p < 0.05, "scale too"


def test_neighbours_tell_which_set_has_more_modes() -> None:
    real = torch.cat([drawn(100, 4, 12), drawn(100, 4, 13, 30.0)])
    found = neighbour_test(real, drawn(200, 4, 14), generator=gen(5))
    assert found.generated > 0.6
    assert found.real > 0.6
    assert found.accuracy == pytest.approx((found.real + found.generated) / 2)


def test_histograms_are_scipys_g_test() -> None:
    a, b = torch.tensor([30, 12, 50, 8]), torch.tensor([100, 90, 140, 20])
    found = class_histogram(a, b)
    statistic, p, freedom, _ = scipy.stats.chi2_contingency([a.tolist(), b.tolist()], correction=False, lambda_="log-likelihood")
    assert (found.statistic, found.p, found.freedom) == (pytest.approx(statistic), pytest.approx(p), freedom)
    shares = torch.tensor([0.3, 0.2, 0.4, 0.1])
    known = class_histogram(a, shares)
    expected = scipy.stats.power_divergence(a.numpy(), 100 * shares.double().numpy() / float(shares.double().sum()), lambda_=0)
    assert (known.statistic, known.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert known.statistic == pytest.approx(2 * 100 * known.kl)
    assert known.floor == pytest.approx(3 / 200)
    assert found.floor == pytest.approx(1.5 * (1 / 100 + 1 / 350))


def test_the_floor_is_the_mean_kl_of_equal_laws() -> None:
    g = gen(6)
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    found = [
        class_histogram(*(torch.multinomial(shares, n, True, generator=g).bincount(minlength=4) for n in (300, 500)))
        for _ in range(400)
    ]
    assert sum(one.kl for one in found) / 400 == pytest.approx(found[0].floor, rel=0.15)
    valid([one.p for one in found])


def test_missing_and_unheard_of_classes() -> None:
    gone = class_histogram(torch.tensor([500, 0, 500]), torch.tensor([300, 300, 300]))
    assert gone.missing == (1,)
    assert gone.differs
    strange = class_histogram(torch.tensor([5, 5, 1]), torch.tensor([10, 10, 0]))
    assert strange.kl == math.inf
    assert 0.1 < strange.p < 1, "one sample of a class unseen among twenty proves nothing"
    assert class_histogram(torch.tensor([5, 5, 1]), torch.tensor([0.5, 0.5, 0.0])).p == 0.0
    with pytest.raises(InputError, match="of 1 classes"):
        class_histogram(torch.tensor([5, 0]), torch.tensor([10, 0]))
    with pytest.raises(InputError, match="0 and 10 samples"):
        class_histogram(torch.tensor([0, 0]), torch.tensor([5, 5]))


def test_wrong_samples_are_refused() -> None:
    with pytest.raises(InputError, match="3 rows of features are too few"):
        logistic_test(drawn(3, 2, 0), drawn(9, 2, 0), generator=gen(0))
    with pytest.raises(InputError, match="`ridge` is 0"):
        logistic_test(drawn(9, 2, 0), drawn(9, 2, 0), generator=gen(0), ridge=0.0)


@pytest.mark.parametrize("lost", range(10))
def test_nine_of_ten_classes_are_seen_at_two_thousand(lost: int) -> None:
    """MD-1, with the shares of MNIST's training set and its rarest class (9 %) as well as its most frequent."""
    shares = torch.tensor([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949], dtype=torch.float64)
    kept = shares.clone()
    kept[lost] = 0
    generated = torch.multinomial(kept, 2000, True, generator=gen(lost)).bincount(minlength=10)
    real = torch.multinomial(shares, 2000, True, generator=gen(100 + lost)).bincount(minlength=10)
    found = class_histogram(generated, real)
    assert found.p < 0.01
    assert found.differs
    assert found.missing == (lost,)


def test_false_alarms_over_two_hundred_splits_of_the_real_data(mnist: Any) -> None:
    """MD-1: 2,000 real labels against 2,000 others, 200 times: at most 1 % differ."""
    labels = mnist.labels
    g = gen(7)
    alarms = 0
    for _ in range(200):
        a, b = labels[torch.randperm(len(labels), generator=g)[:4000]].split(2000)
        alarms += class_histogram(a.bincount(minlength=10), b.bincount(minlength=10)).differs
    assert alarms <= 2
