"""Mixtures and quadrature against closed forms, scipy and samples; the reported error must hold."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from pinxit.core.errors import InputError
from pinxit.theory import densities, gaussians, transport
from pinxit.theory.densities import Mixture

TWO = Mixture.of([-1.5, 1.0], [0.4, 0.9], [0.3, 0.7])
ONE = Mixture.of([0.2], 1.3)


def test_densities_are_those_of_scipy():
    x = np.linspace(-5, 5, 41)
    expected = 0.3 * stats.norm.pdf(x, -1.5, 0.4) + 0.7 * stats.norm.pdf(x, 1.0, 0.9)
    np.testing.assert_allclose(TWO.prob(x[:, None]), expected, rtol=1e-12)
    covariances = np.array([[[1.0, 0.6], [0.6, 2.0]]])
    plane = Mixture(np.ones(1), np.array([[0.5, -1.0]]), covariances)
    points = np.random.default_rng(0).normal(size=(20, 2))
    expected = stats.multivariate_normal.logpdf(points, [0.5, -1.0], covariances[0])
    np.testing.assert_allclose(plane.log_prob(points), expected, rtol=1e-12)


def test_moments_and_samples_agree():
    x = TWO.sample(200_000, np.random.default_rng(0))
    assert x.shape == (200_000, 1)
    assert x.mean() == pytest.approx(TWO.mean[0], abs=0.01)
    assert x.var() == pytest.approx(TWO.covariance[0, 0], abs=0.02)
    plane = Mixture(np.ones(1), np.zeros((1, 2)), np.array([[[1.0, 0.6], [0.6, 2.0]]]))
    sampled = np.cov(plane.sample(200_000, np.random.default_rng(1)).T)
    np.testing.assert_allclose(sampled, plane.covariance[...], atol=0.03)


def test_quantiles_invert_the_distribution_in_both_tails():
    u = np.array([1e-200, 1e-30, 0.01, 0.4, 0.5])
    np.testing.assert_allclose(TWO.cdf(TWO.quantile(u)), u, rtol=1e-10)
    np.testing.assert_allclose(TWO.cdf(TWO.quantile(u, upper=True), upper=True), u, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "integrand"),
    [
        ("kl", lambda p, q: p * math.log(p / q)),
        ("js", lambda p, q: 0.5 * p * math.log(2 * p / (p + q)) + 0.5 * q * math.log(2 * q / (p + q))),
        ("total_variation", lambda p, q: 0.5 * abs(p - q)),
        ("cross_entropy", lambda p, q: -p * math.log(q)),
    ],
)
def test_divergences_are_those_of_adaptive_quadrature(name, integrand):
    def at(x: float) -> float:
        point = np.array([[x]])
        return integrand(TWO.prob(point).item(), ONE.prob(point).item())

    expected, bound = integrate.quad(at, -12, 12, points=[-2.3, -0.6, -0.1, 1.9], limit=400, epsabs=1e-12)
    found = getattr(densities, name)(TWO, ONE)
    assert found.error < 1e-6
    assert abs(found.value - expected) <= found.error + bound + 1e-11


def test_the_error_covers_a_box_too_coarse(monkeypatch):
    """With 25 points on the line the value is off in the third digit, and the error says so."""
    monkeypatch.setitem(densities.POINTS, 1, 25)
    narrow = Mixture.of([-1.0, 1.0], 0.2)
    found, truth = densities.entropy(narrow), math.log(2) + 0.5 * math.log(2 * math.pi * math.e * 0.04)
    assert abs(found.value - truth) > 5e-4
    assert found.error >= abs(found.value - truth)


@pytest.mark.parametrize(
    ("mean", "narrow", "wide"), [(0, 1e-3, 10), (0.0037, 1e-4, 10), (1.3, 1e-6, 10), (0, 1e-8, 100), (5, 1e-3, 1)]
)
def test_scales_far_apart(mean, narrow, wide):
    """Even steps over the wide one's box are up to ten million of the narrow one's deviations long."""
    p, q = Mixture.of([mean], narrow), Mixture.of([0.0], wide)
    square, round_ = narrow**2, wide**2
    for found, truth in (
        (densities.kl(p, q), gaussians.kl(mean, square, 0, round_)),
        (densities.kl(q, p), gaussians.kl(0, round_, mean, square)),
        (densities.cross_entropy(p, q), gaussians.cross_entropy(mean, square, 0, round_)),
        (densities.wasserstein2(p, q), gaussians.wasserstein2(mean, square, 0, round_)),
    ):
        assert abs(found.value - truth) <= found.error
        assert found.error <= 1e-9 * abs(truth)
    assert densities.js(p, q).value < math.log(2)
    assert densities.total_variation(p, q).value == pytest.approx(1, abs=1e-3)


def test_scales_far_apart_in_the_plane_and_in_one_mixture():
    p, q = Mixture.of([[0.5, 0.0]], 1e-3), Mixture.of([[0.0, 0.0]], 10.0)
    found = densities.kl(p, q)
    assert abs(found.value - gaussians.kl([0.5, 0], 1e-6 * np.eye(2), [0, 0], 100 * np.eye(2))) <= found.error < 1e-9
    # 0.7 of it far outside the other part: H = sum w (H_k - log w).
    both = Mixture.of([0.0, 1000.0], [10.0, 1e-4], [0.3, 0.7])
    parts = sum(w * (0.5 * math.log(2 * math.pi * math.e * s * s) - math.log(w)) for w, s in ((0.3, 10.0), (0.7, 1e-4)))
    assert densities.entropy(both).value == pytest.approx(parts, abs=1e-10)


def test_what_the_quadrature_can_t_settle_is_refused():
    thin = Mixture(np.ones(1), np.zeros((1, 2)), np.array([[[1.0, 0.999999], [0.999999, 1.0]]]))
    with pytest.raises(InputError, match=r"error of .*, above 10% of it: .*too near to singular"):
        densities.kl(thin, Mixture.of([[0.0, 0.0]], 10.0))


def test_a_ring_in_the_plane_has_the_entropy_of_its_parts():
    """Eight modes twelve deviations apart and more: log 8 + that of one, to 1e-6."""
    angles = 2 * np.pi * np.arange(8) / 8
    ring = Mixture.of(np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.06)
    found = densities.entropy(ring)
    assert found.error < 1e-6
    assert found.value == pytest.approx(math.log(8) + math.log(2 * math.pi * math.e * 0.06**2), abs=1e-6)


def test_wasserstein_distances_of_shifted_and_scaled_gaussians():
    p, shifted, scaled = Mixture.of([0.0], 1.0), Mixture.of([1.7], 1.0), Mixture.of([0.0], 2.5)
    assert densities.wasserstein1(p, shifted).value == pytest.approx(1.7, abs=1e-12)
    assert densities.wasserstein2(p, shifted).value == pytest.approx(1.7, abs=1e-12)
    # x -> 2.5 x moves |x| by 1.5 |x|: W1 = 1.5 E|x|, W2 = 1.5.
    scale = densities.wasserstein1(p, scaled)
    assert abs(scale.value - 1.5 * math.sqrt(2 / math.pi)) <= max(scale.error, 1e-12)
    assert densities.wasserstein2(p, scaled).value == pytest.approx(1.5, abs=1e-12)


def test_wasserstein_distances_of_mixtures_are_those_of_their_quantiles():
    u = (np.arange(200_000) + 0.5) / 200_000
    points = [transport.Points.of(p.quantile(u)) for p in (TWO, ONE)]
    assert densities.wasserstein1(TWO, ONE).value == pytest.approx(transport.wasserstein_line(*points), abs=2e-5)
    assert densities.wasserstein2(TWO, ONE).value == pytest.approx(transport.wasserstein_line(*points, order=2), abs=1e-4)


def test_a_distribution_is_no_distance_from_itself():
    for distance in (densities.kl, densities.js, densities.total_variation, densities.wasserstein1, densities.wasserstein2):
        assert distance(TWO, TWO).value == pytest.approx(0, abs=1e-12)


def test_mistakes():
    plane = Mixture.of([[0.0, 0.0]], 1.0)
    with pytest.raises(InputError, match="dimensions"):
        densities.kl(TWO, plane)
    with pytest.raises(InputError, match="for 1"):
        densities.wasserstein1(plane, plane)
    with pytest.raises(InputError, match="> 0"):
        Mixture.of([0.0], 0.0)
    with pytest.raises(InputError, match="sum 1"):
        Mixture.of([0.0, 1.0], 1.0, [0.5, 0.6])
    with pytest.raises(InputError, match="shape"):
        Mixture.of(np.zeros((2, 3)), 1.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Mixture.of([math.nan], 1.0), "`means` has an entry that is not finite"),
        (lambda: Mixture.of([], 1.0), "`means` has shape"),
        (lambda: Mixture.of([0.0], math.inf), "`scale` has an entry that is not finite"),
        (lambda: Mixture.of([0.0, 1.0], [1.0, 2.0, 3.0]), "one a component"),
        (lambda: Mixture(np.array([1.5, -0.5]), np.zeros((2, 1)), np.ones((2, 1, 1))), "`weights` has 2 entries, .* below 0"),
        (lambda: Mixture(np.ones(1), np.zeros((2, 1)), np.ones((2, 1, 1))), r"`weights` has shape \(1,\): it must be \(2,\)"),
        (lambda: Mixture(np.ones(1), np.zeros((1, 2)), np.ones((1, 2, 2))), "`covariances` has the eigenvalue"),
        (lambda: Mixture(np.ones(1), np.zeros((1, 2)), np.ones((1, 1, 1))), r"`covariances` has shape \(1, 1, 1\)"),
        (lambda: TWO.log_prob(np.zeros(5)), r"`x` has shape \(5,\)"),
        (lambda: TWO.sample(-1, np.random.default_rng(0)), "`n` is -1"),
        (lambda: TWO.quantile(np.array([0.5, 1.5])), r"`u` runs from 0.5 to 1.5"),
    ],
)
def test_mistakes_name_the_argument(call, said):
    with pytest.raises(InputError, match=said):
        call()


@pytest.mark.parametrize("shift", np.linspace(0.5, 4, 15))
def test_the_error_of_total_variation_holds_at_its_kink(shift):
    """Where the kink lies within a step decides what doubling the step sees of it: next to nothing, at some.

    A component that both have puts it off the middle of the box, which is a point of both grids.
    """
    found = densities.total_variation(Mixture.of([0.0, 9.0], 0.7), Mixture.of([shift, 9.0], 0.7))
    assert abs(found.value - math.erf(shift / 0.7 / math.sqrt(8)) / 2) <= found.error < 1e-5
    angle = np.array([math.cos(shift), math.sin(shift)])
    found = densities.total_variation(Mixture.of([[0.0, 0.0]], 0.7), Mixture.of([shift * angle], 0.7))
    assert abs(found.value - math.erf(shift / 0.7 / math.sqrt(8))) <= found.error < 2e-3


@pytest.mark.parametrize("mean", np.linspace(0, 0.7, 8))
def test_the_error_of_w1_holds_at_its_kink(mean):
    """Distribution functions of one mean and two scales cross there: W1 = (s - r) E |z|."""
    found = densities.wasserstein1(Mixture.of([mean, 9.0], [0.5, 1.0]), Mixture.of([mean, 9.0], [1.5, 1.0]))
    assert abs(found.value - math.sqrt(1 / (2 * math.pi))) <= found.error < 1e-5


@pytest.mark.parametrize("distance", [densities.kl, densities.total_variation, densities.wasserstein1, densities.wasserstein2])
def test_what_is_no_mixture_is_named(distance):
    with pytest.raises(InputError, match=r"`distribution` is of type float: it must be of type Mixture, as Mixture.of"):
        distance(ONE, 0.5)
