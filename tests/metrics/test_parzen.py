"""Parzen windows against scipy's sums, and the bar PZ-1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics import parzen as module
from pinxit.metrics.parzen import SIGMAS, log_density, parzen, window


def drawn(n: int, d: int, seed: int) -> Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed))


def test_density_is_the_sum_of_the_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    x, samples = drawn(7, 5, 0), drawn(23, 5, 1)
    for sigma, found in zip((0.1, 0.7), log_density(x, samples, (0.1, 0.7)), strict=True):
        logs = [[scipy.stats.norm.logpdf(a, b, sigma).sum() for b in samples.double().numpy()] for a in x.double().numpy()]
        np.testing.assert_allclose(found.numpy(), scipy.special.logsumexp(logs, axis=1) - math.log(23), rtol=1e-10)


def test_the_density_has_mass_one() -> None:
    samples = torch.tensor([[0.2], [0.5], [0.9]], dtype=torch.float64)
    grid = torch.linspace(-6, 7, 40_001, dtype=torch.float64)[:, None]
    mass = log_density(grid, samples, (0.3,))[0].exp()
    assert float(torch.trapezoid(mass, grid[:, 0])) == pytest.approx(1, rel=1e-6)


def test_sigma_is_chosen_on_the_validation_set_and_the_error_is_of_the_mean() -> None:
    assert np.allclose(SIGMAS, np.logspace(-1, 0, 10))
    samples, validation, test = drawn(30, 3, 2), drawn(100, 3, 3), drawn(80, 3, 4)
    means = [float(log_density(validation, samples, (sigma,)).mean()) for sigma in SIGMAS]
    found = window(samples, validation, test)
    assert found.sigma == SIGMAS[int(np.argmax(means))]
    values = log_density(test, samples, (found.sigma,))[0]
    assert found.log_likelihood == pytest.approx(float(values.mean()))
    assert found.standard_error == pytest.approx(float(values.std()) / 80**0.5)
    assert 0 < int(np.argmax(means)) < 9
    far = 3 * test
    assert window(samples, validation, far).sigma == found.sigma, "the test set chooses nothing"
    assert window(samples, far, test).sigma == SIGMAS[9]


def test_the_control_is_the_training_set_and_the_caveat_says_so() -> None:
    train, validation, test = drawn(400, 4, 5), drawn(50, 4, 6), drawn(60, 4, 7)
    found = parzen(drawn(100, 4, 8) * 0.1, train, validation, test, generator=torch.Generator().manual_seed(0))
    chosen = train[torch.randperm(400, generator=torch.Generator().manual_seed(0))[:100]]
    assert found.control == window(chosen, validation, test)
    assert found.control.n == found.samples.n == 100
    assert "historical and misleading" in found.caveat
    assert f"{found.control.log_likelihood:.1f} nats" in found.caveat
    assert "ranks nothing" not in found.caveat
    above = parzen(train, train[:20], validation, test, generator=torch.Generator().manual_seed(0))
    assert "the samples score above the data" in above.caveat


def test_wrong_arguments_are_refused() -> None:
    x = drawn(5, 3, 9)
    with pytest.raises(InputError, match="each > 0"):
        window(x, x, x, sigmas=(0.1, 0.0))
    with pytest.raises(InputError, match="at least one width"):
        window(x, x, x, sigmas=())
    with pytest.raises(InputError, match="3 and 4 dimensions"):
        window(drawn(5, 4, 0), x, x)


@pytest.mark.slow
def test_the_controls_of_mnist(mnist: Any) -> None:
    """PZ-1: 10,000 real images 242.7 +- 3, a full-covariance Gaussian 64 +- 5; and blur scores far above the data."""
    pixels, labels, test = mnist.images.flatten(1).float() / 255, mnist.labels, mnist.test().images.flatten(1).float() / 255
    g = torch.Generator().manual_seed(0)
    train, validation = pixels[:50_000], pixels[50_000:][torch.randperm(10_000, generator=g)[:1000]]
    covariance = train.double().T.cov()
    root = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(784))
    gaussian = (train.mean(0) + torch.randn(10_000, 784, generator=g, dtype=torch.float64) @ root.T).clamp(0, 1).float()
    blur = []
    for k in range(10):
        rows = pixels[:50_000][labels[:50_000] == k]
        near = torch.cdist(rows[:1000], rows[1000:5000]).topk(5, largest=False).indices
        blur.append((rows[:1000] + rows[1000:5000][near].sum(1)) / 6)
    found = parzen(gaussian, train, validation, test, generator=g)
    assert found.control.log_likelihood == pytest.approx(242.7, abs=3)
    assert found.control.standard_error == pytest.approx(2.1, abs=0.5)
    assert found.samples.log_likelihood == pytest.approx(64, abs=5)
    assert window(torch.cat(blur), validation, test).log_likelihood == pytest.approx(338.7, abs=5)
