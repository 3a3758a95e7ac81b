"""Optimal transport: primal, dual, POT, the line and brute force give one number; the potential proves it."""

import itertools
import sys

import numpy as np
import pytest
from scipy import stats

from pinxit.core.errors import InputError
from pinxit.theory import transport
from pinxit.theory.transport import Points


def pair(seed: int, n: int = 9, m: int = 12, d: int = 2) -> tuple[Points, Points]:
    generator = np.random.default_rng(seed)
    clouds = (generator.normal(size=(n, d)), 1 + 0.5 * generator.normal(size=(m, d)))
    p, q = (Points.of(x, generator.dirichlet(np.ones(len(x)))) for x in clouds)
    return p, q


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_linear_programme_and_pot_agree(order, d):
    p, q = pair(d, d=d)
    assert transport.wasserstein(p, q, order) == pytest.approx(transport.wasserstein_pot(p, q, order), rel=1e-9)


@pytest.mark.parametrize("order", [1, 2])
def test_against_every_permutation(order):
    """For equally many equal weights the best plan is a permutation (Birkhoff)."""
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=(2, 6, 2))
    costs = np.sqrt(np.square(x[:, None] - y[None]).sum(-1)) ** order
    best = min(costs[range(6), list(order_)].mean() for order_ in itertools.permutations(range(6)))
    assert transport.wasserstein(Points.of(x), Points.of(y), order) == pytest.approx(best ** (1 / order), rel=1e-10)


def test_the_plan_has_the_marginals_and_the_dual_its_value():
    p, q = pair(0)
    found = transport.transport(p, q, 2)
    costs = transport.distances(p.x, q.x) ** 2
    np.testing.assert_allclose(found.plan.sum(1), p.weights, atol=1e-12)
    np.testing.assert_allclose(found.plan.sum(0), q.weights, atol=1e-12)
    assert found.plan.min() >= 0
    assert (found.phi[:, None] + found.psi[None, :] <= costs + 1e-9).all()
    assert p.weights @ found.phi + q.weights @ found.psi == pytest.approx(found.cost, rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_potential_is_one_lipschitz_and_reaches_the_primal(seed):
    """Weak duality makes each of primal and dual a bound of the other: equal, they are both right."""
    p, q = pair(seed)
    found = transport.potential(p, q)
    assert found.value == pytest.approx(transport.wasserstein(p, q), rel=1e-9)
    assert found.value == pytest.approx(p.weights @ found.at_p - q.weights @ found.at_q, abs=1e-12)
    assert found.slope <= 1 + 1e-9
    moved = transport.transport(p, q).plan > 1e-10
    fall = found.at_p[:, None] - found.at_q[None, :]
    np.testing.assert_allclose(fall[moved], transport.distances(p.x, q.x)[moved], atol=1e-9)


def test_the_extension_keeps_the_values_and_the_slope():
    p, q = pair(1)
    found = transport.potential(p, q)
    np.testing.assert_allclose(transport.extended(found, p, q, p.x), found.at_p, atol=1e-9)
    np.testing.assert_allclose(transport.extended(found, p, q, q.x), found.at_q, atol=1e-9)
    at = np.random.default_rng(0).uniform(-3, 3, size=(300, 2))
    assert transport.steepest(transport.extended(found, p, q, at), at) <= 1 + 1e-9


def test_the_line():
    p, q = pair(3, d=1)
    assert transport.wasserstein_line(p, q) == pytest.approx(transport.wasserstein(p, q), rel=1e-9)
    assert transport.wasserstein_line(p, q, 2) == pytest.approx(transport.wasserstein(p, q, 2), rel=1e-9)
    expected = stats.wasserstein_distance(p.x[:, 0], q.x[:, 0], p.weights, q.weights)
    assert transport.wasserstein_line(p, q) == pytest.approx(expected, rel=1e-12)


def test_a_shift_costs_its_length():
    p, _ = pair(0)
    q = Points(p.x + np.array([3.0, -4.0]), p.weights)
    assert transport.wasserstein(p, q) == pytest.approx(5, rel=1e-10)
    assert transport.wasserstein(p, q, 2) == pytest.approx(5, rel=1e-10)
    assert transport.wasserstein(p, p) == pytest.approx(0, abs=1e-12)


def test_two_values_at_one_point_have_no_slope():
    assert transport.steepest(np.array([0.0, 1.0]), np.zeros((2, 2))) == float("inf")
    assert transport.steepest(np.array([0.0, 3.0, 1.0]), np.array([[0.0], [1.0], [2.0]])) == 3.0


@pytest.mark.parametrize(("module", "call"), [("scipy", transport.potential), ("ot", transport.wasserstein_pot)])
def test_a_missing_package_is_named(monkeypatch, module, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"pip install 'pinxit\[eval\]'"):
        call(*pair(0))


def test_mistakes():
    (p, _), (_, line) = pair(0), pair(0, d=1)
    for call in (transport.transport, transport.potential, transport.wasserstein_pot):
        with pytest.raises(InputError, match="one space"):
            call(p, line)
    with pytest.raises(InputError, match="is for 1"):
        transport.wasserstein_line(p, p)
    for call in (transport.wasserstein, transport.potential, transport.wasserstein_pot, transport.wasserstein_line):
        with pytest.raises(
            InputError, match=r"`q` is of type ndarray: it must be of type Points, as Points.of\(x, weights\) gives"
        ):
            call(line, line.x)
    with pytest.raises(InputError, match=r"must be \(3,\)"):
        Points.of(np.zeros((3, 2)), [0.5, 0.5])
    with pytest.raises(InputError, match="finite"):
        Points.of([[np.nan]])
    for call in (transport.transport, transport.wasserstein, transport.wasserstein_pot):
        with pytest.raises(InputError, match="`order` is 0: it must be >= 1"):
            call(p, p, 0)
    with pytest.raises(InputError, match="`order` is 0"):
        transport.wasserstein_line(line, line, 0)
    with pytest.raises(InputError, match=">= 0"):
        Points(np.zeros((2, 1)), np.array([1.5, -0.5]))
    with pytest.raises(InputError, match="`y` has shape"):
        transport.distances(np.zeros((2, 1)), np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"`f` has shape \(3,\): it must be \(2,\)"):
        transport.steepest(np.zeros(3), np.zeros((2, 1)))
    with pytest.raises(InputError, match="`found.at_q` has shape"):
        transport.extended(transport.potential(p, p), p, Points.of(np.zeros((2, 2))), p.x)
