"""Sliced Wasserstein: exact on a line, against scipy and against what geometry says."""

from __future__ import annotations

import math
import sys

import ot
import pytest
import scipy.optimize
import scipy.stats
import torch

from pinxit.core.errors import InputError
from pinxit.metrics.transport import directions, sliced, sliced_wasserstein, wasserstein, wasserstein_1d


def drawn(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "m"), [(7, 7), (7, 5), (1, 9), (12, 18), (1000, 999)])
def test_each_column_is_the_distance_on_the_line(n: int, m: int) -> None:
    a, b = drawn(n, 3, 0), 0.5 + 2 * drawn(m, 3, 1)
    expected = [scipy.stats.wasserstein_distance(a[:, k].numpy(), b[:, k].numpy()) for k in range(3)]
    torch.testing.assert_close(wasserstein_1d(a, b), torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)


def test_sorting_is_for_each_direction() -> None:
    """Unsorted, two orders of one sample would be at a distance."""
    a = drawn(50, 4, 2)
    assert float(wasserstein_1d(a, a.flip(0)).abs().max()) == 0.0
    assert sliced_wasserstein(a, a[torch.randperm(50, generator=torch.Generator().manual_seed(0))]) < 1e-15


@pytest.mark.parametrize("d", [1, 2, 5])
def test_two_points(d: int) -> None:
    """E|<v, theta>| = |v| Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)): 1 on the line, 2/pi in the plane."""
    v = torch.zeros(1, d, dtype=torch.float64)
    v[0, 0] = 3.0
    expected = 3 * math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    assert sliced_wasserstein(torch.zeros(1, d, dtype=torch.float64), v, count=20_000) == pytest.approx(expected, rel=0.015)


def test_it_is_what_pot_computes() -> None:
    x, y = drawn(60, 3, 3), 1 + drawn(60, 3, 4)
    theta = directions(3, 40, 7)
    each = [ot.emd2_1d((x @ theta)[:, k].numpy(), (y @ theta)[:, k].numpy(), metric="euclidean") for k in range(40)]
    assert sliced_wasserstein(x, y, count=40, seed=7) == pytest.approx(sum(each) / 40, rel=1e-9)


def test_directions_are_unit_seeded_and_leave_the_generator_alone() -> None:
    state = torch.get_rng_state()
    theta = directions(6, 100, 3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(theta.norm(dim=0), torch.ones(100, dtype=torch.float64))
    assert torch.equal(theta, directions(6, 100, 3))
    assert not torch.equal(theta, directions(6, 100, 4))


def test_a_dropped_mode_is_farther_than_a_second_real_sample() -> None:
    from pinxit.data.points import Points

    x, y = Points("ring").points[:2500], Points("ring", "test").points[:2500]
    floor = sliced_wasserstein(x, y)
    kept = Points("ring").points[Points("ring").labels > 0][:2500]
    assert floor < 0.04
    assert sliced_wasserstein(kept, y) > 2 * floor


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="2 and 3 dimensions"):
        sliced_wasserstein(drawn(4, 2, 0), drawn(4, 3, 0))
    with pytest.raises(InputError, match="0 and 4 samples"):
        wasserstein_1d(drawn(4, 2, 0)[:0], drawn(4, 2, 0))


def test_the_error_over_directions_is_that_of_other_directions() -> None:
    x, y = drawn(40, 5, 5), 1 + 2 * drawn(30, 5, 6)
    found = [sliced(x, y, count=50, seed=k) for k in range(200)]
    assert found[3].value == sliced_wasserstein(x, y, count=50, seed=3)
    spread = float(torch.tensor([one.value for one in found]).std())
    assert sum(one.standard_error for one in found) / 200 == pytest.approx(spread, rel=0.15)
    assert math.isnan(sliced(x, y, count=1).standard_error)
    with pytest.raises(InputError, match="at least one direction"):
        sliced(x, y, count=0)


def test_exact_transport_is_a_matching_for_equal_sizes() -> None:
    x, y = drawn(40, 3, 7), 0.5 + drawn(40, 3, 8)
    cost = (x[:, None] - y).norm(dim=2).numpy()
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    assert wasserstein(x, y) == pytest.approx(cost[rows, columns].mean(), rel=1e-9)
    rows, columns = scipy.optimize.linear_sum_assignment(cost**2)
    assert wasserstein(x, y, p=2) == pytest.approx((cost**2)[rows, columns].mean() ** 0.5, rel=1e-9)


def test_exact_transport_on_a_line_and_of_translates() -> None:
    x, y = drawn(25, 1, 9), drawn(40, 1, 10)
    assert wasserstein(x, y) == pytest.approx(float(wasserstein_1d(x, y)), rel=1e-9)
    z, v = drawn(30, 4, 11), torch.tensor([3.0, 0.0, 4.0, 0.0], dtype=torch.float64)
    assert wasserstein(z, z + v) == pytest.approx(5, rel=1e-9)
    assert wasserstein(z, z + v, p=2) == pytest.approx(5, rel=1e-9)
    assert wasserstein(z, z) == pytest.approx(0, abs=1e-12)
    assert sliced_wasserstein(z, z + v) < 5


def test_exact_transport_refuses() -> None:
    with pytest.raises(InputError, match="`p` is 0.5"):
        wasserstein(drawn(4, 2, 0), drawn(4, 2, 0), p=0.5)
    with pytest.raises(InputError, match="0 rows"):
        wasserstein(drawn(4, 2, 0)[:0], drawn(4, 2, 0))


def test_exact_transport_without_pot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(InputError, match=r"pip install 'pinxit\[eval\]'"):
        wasserstein(drawn(4, 2, 0), drawn(4, 2, 0))
