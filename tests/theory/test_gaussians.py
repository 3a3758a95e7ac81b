"""Closed forms of Gaussians against torch.distributions, quadrature and optimal couplings."""

import math

import numpy as np
import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.theory import densities, gaussians
from pinxit.theory.densities import Mixture


def normal(seed: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(d, d))
    return generator.normal(size=d), root @ root.T + 0.1 * np.eye(d)


def as_torch(mean: np.ndarray, covariance: np.ndarray) -> torch.distributions.MultivariateNormal:
    return torch.distributions.MultivariateNormal(torch.from_numpy(mean), torch.from_numpy(covariance))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_against_torch(d):
    p, q = normal(d, d), normal(d + 10, d)
    expected = torch.distributions.kl_divergence(as_torch(*p), as_torch(*q)).item()
    assert gaussians.kl(*p, *q) == pytest.approx(expected, rel=1e-10)
    assert gaussians.entropy(p[1]) == pytest.approx(as_torch(*p).entropy().item(), rel=1e-12)
    assert gaussians.cross_entropy(*p, *q) == pytest.approx(gaussians.entropy(p[1]) + expected, rel=1e-10)


def test_against_quadrature_in_the_plane():
    p, q = normal(1, 2), normal(2, 2)
    found = densities.kl(*(Mixture(np.ones(1), m[None], s[None]) for m, s in (p, q)))
    assert found.error < 1e-8
    assert found.value == pytest.approx(gaussians.kl(*p, *q), abs=2 * found.error)


def test_wasserstein2_of_commuting_covariances_is_that_of_the_deviations():
    """With equal axes the optimal map scales each of them: W2^2 = |m|^2 + sum (s - t)^2."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    s, t, m = np.array([1.0, 2.0, 0.5]), np.array([0.3, 1.0, 4.0]), np.array([1.0, -2.0, 0.5])
    covariances = [rotation @ np.diag(scale**2) @ rotation.T for scale in (s, t)]
    covariances = [(c + c.T) / 2 for c in covariances]
    found = gaussians.wasserstein2(np.zeros(3), covariances[0], m, covariances[1])
    assert found**2 == pytest.approx(m @ m + np.square(s - t).sum(), rel=1e-10)


def test_wasserstein2_is_the_cost_of_the_linear_map_that_carries_one_to_the_other():
    """T = Sp^-1/2 (Sp^1/2 Sq Sp^1/2)^1/2 Sp^-1/2 is symmetric positive and T Sp T = Sq: by Brenier the optimal map."""
    (mp, sp), (mq, sq) = normal(3, 3), normal(4, 3)
    values, vectors = np.linalg.eigh(sp)
    root, inverse = (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T
    inner_values, inner = np.linalg.eigh(root @ sq @ root)
    t = inverse @ (inner * np.sqrt(inner_values)) @ inner.T @ inverse
    np.testing.assert_allclose(t @ sp @ t, sq, atol=1e-10)
    cost = np.square(mp - mq).sum() + np.trace((t - np.eye(3)) @ sp @ (t - np.eye(3)).T)
    assert gaussians.wasserstein2(mp, sp, mq, sq) ** 2 == pytest.approx(cost, rel=1e-9)


@pytest.mark.parametrize(
    ("mean", "covariance", "said"),
    [([0.0], [[1.0, 0.0]], "square"), ([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]], "eigenvalue"), ([0.0], np.eye(2), r"\(d,\)")],
)
def test_mistakes(mean, covariance, said):
    with pytest.raises(InputError, match=said):
        gaussians.kl(mean, covariance, mean, covariance)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([0.0], 1.0, [0.0, 0.0], np.eye(2)), "`mean_p` has shape .* and `mean_q`"),
        ((math.nan, 1.0, 0.0, 1.0), "`mean_p` has an entry that is not finite"),
        ((0.0, 1.0, 0.0, math.inf), "`covariance_q` has an entry that is not finite"),
        ((0.0, 1.0, 0.0, -1.0), "`covariance_q` has the eigenvalue -1"),
    ],
)
def test_mistakes_name_the_argument(given, said):
    for call in (gaussians.kl, gaussians.wasserstein2):
        with pytest.raises(InputError, match=said):
            call(*given)
