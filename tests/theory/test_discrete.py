"""Divergences of discrete distributions against scipy, hand-made values and their inequalities."""

import math

import numpy as np
import pytest
from scipy import special
from scipy.spatial.distance import jensenshannon

from pinxit.core.errors import InputError
from pinxit.theory import discrete


def pair(seed: int, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    p, q = generator.dirichlet(np.full(n, 0.6), size=2)
    return p, q


@pytest.mark.parametrize("seed", range(5))
def test_against_scipy(seed):
    p, q = pair(seed)
    assert discrete.entropy(p) == pytest.approx(special.entr(p).sum(), rel=1e-13)
    assert discrete.kl(p, q) == pytest.approx(special.rel_entr(p, q).sum(), rel=1e-12)
    assert discrete.reverse_kl(p, q) == pytest.approx(special.rel_entr(q, p).sum(), rel=1e-12)
    assert discrete.js(p, q) == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-12)
    assert discrete.cross_entropy(p, q) == pytest.approx(discrete.entropy(p) + discrete.kl(p, q), rel=1e-13)


@pytest.mark.parametrize("seed", range(5))
def test_total_variation_is_the_greatest_difference_of_an_event(seed):
    p, q = pair(seed, n=8)
    events = np.array([[bool(number >> k & 1) for k in range(8)] for number in range(256)])
    assert discrete.total_variation(p, q) == pytest.approx((events @ (p - q)).max(), rel=1e-13)


def test_by_hand():
    p, q = [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]
    assert discrete.kl(p, q) == pytest.approx(math.log(2), abs=1e-15)
    assert discrete.reverse_kl(p, q) == math.inf
    assert discrete.cross_entropy(q, p) == math.inf
    assert discrete.total_variation(p, q) == 0.5
    assert discrete.entropy([1.0, 0.0]) == 0.0
    assert discrete.entropy(np.full((4, 4), 1 / 16)) == pytest.approx(math.log(16), abs=1e-14)


def test_disjoint_supports_are_log_two_and_one_apart_wherever_they_are():
    for place in range(1, 6):
        p, q = np.zeros(6), np.zeros(6)
        p[0], q[place] = 1, 1
        assert discrete.js(p, q) == pytest.approx(math.log(2), abs=1e-15)
        assert discrete.total_variation(p, q) == 1.0


@pytest.mark.parametrize(
    ("p", "q", "said"),
    [
        ([0.5, 0.6], [0.5, 0.5], "sums to 1.1"),
        (np.full(10, 0.1, np.float32), np.full(10, 0.1), "sums to 1.0000000149: .* divide by the sum, in float64"),
        ([1.5, -0.5], [0.5, 0.5], ">= 0"),
        ([math.nan, 1.0], [0.5, 0.5], ">= 0"),
        ([], [], "0 entries"),
        ([1.0], [0.5, 0.5], "same points"),
    ],
)
def test_mistakes(p, q, said):
    with pytest.raises(InputError, match=said):
        discrete.kl(p, q)
