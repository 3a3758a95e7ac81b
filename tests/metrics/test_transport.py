"""Sliced Wasserstein: exact on a line, against scipy and against what geometry says."""

from __future__ import annotations

import math

import ot
import pytest
import scipy.stats
import torch

from pinxit.core.errors import InputError
from pinxit.metrics.transport import directions, sliced_wasserstein, wasserstein_1d


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
