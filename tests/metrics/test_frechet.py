"""The Frechet distance of Gaussians that are known, and against scipy's matrix root."""

import numpy as np
import pytest
import scipy.linalg
import torch

from pinxit.core.errors import InputError
from pinxit.metrics.frechet import frechet_distance, moments


def draw(n, d, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g, dtype=torch.float64) @ torch.randn(d, d, generator=g, dtype=torch.float64)


def exact(rows, mu, root):
    """Rows changed to have exactly the mean `mu` and the covariance `root root^T`."""
    mean, s = moments(rows)
    white = (rows - mean) @ torch.linalg.inv(torch.linalg.cholesky(s)).T
    return white @ root.T + mu


def test_of_gaussians_whose_covariances_commute():
    """|mu|^2 + sum (a - b)^2 for diagonal covariances a^2 and b^2."""
    a, b = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64), torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)
    mu = torch.tensor([0.0, -2.0, 1.0], dtype=torch.float64)
    x, y = exact(draw(50, 3, 0), torch.zeros(3), a.diag()), exact(draw(70, 3, 1), mu, b.diag())
    assert frechet_distance(x, y) == pytest.approx(float(mu.square().sum() + (a - b).square().sum()), rel=1e-9)


def test_it_equals_scipys_matrix_root():
    x, y = draw(200, 6, 2), draw(300, 6, 3) + 1
    (mu_x, s_x), (mu_y, s_y) = moments(x), moments(y)
    root = scipy.linalg.sqrtm((s_x @ s_y).numpy()).real
    expected = float((mu_x - mu_y).square().sum()) + np.trace(s_x.numpy() + s_y.numpy() - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-9)


def test_a_set_is_at_distance_zero_from_itself_and_singular_covariances_are_fine():
    x = draw(5, 8, 4)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(frechet_distance(x, draw(6, 8, 5)))


def test_one_row_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))
