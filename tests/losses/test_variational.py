"""The pieces of the bound: closed forms, Monte Carlo, torch.distributions, gradcheck."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pinxit.losses import variational


def codes(n: int = 4, d: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=g, dtype=torch.float64), torch.randn(n, d, generator=g, dtype=torch.float64)


def test_the_kl_is_zero_at_the_prior_and_only_there():
    zero = torch.zeros(2, 5, dtype=torch.float64)
    assert variational.kl_to_standard_normal(zero, zero).tolist() == [0.0, 0.0]
    mu, logvar = codes()
    assert (variational.kl_to_standard_normal(mu, logvar) > 0).all()


def test_the_kl_equals_torch_s_summed_over_latents():
    """A mean over latents, a common error, would be `d` times smaller."""
    mu, logvar = codes()
    expected = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(variational.kl_to_standard_normal(mu, logvar), expected, rtol=1e-12, atol=1e-12)


def test_the_kl_equals_monte_carlo():
    mu, logvar = codes(1, 3)
    noise = torch.randn(400_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z = variational.reparameterise(mu.expand(400_000, 3), logvar.expand(400_000, 3), noise)
    log_ratio = (Normal(mu, (logvar / 2).exp()).log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(dim=1)
    error = log_ratio.std() / math.sqrt(len(z))
    assert abs(log_ratio.mean() - variational.kl_to_standard_normal(mu, logvar)).item() < 4 * error.item()


def test_reparameterised_draws_have_the_stated_mean_and_variance():
    """exp(logvar) for exp(logvar / 2) is the classic slip: the variance would be squared."""
    mu, logvar = torch.tensor([[1.5, -2.0]]), torch.tensor([[-1.0, 1.0]])
    noise = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(2))
    z = variational.reparameterise(mu.expand(200_000, 2), logvar.expand(200_000, 2), noise)
    torch.testing.assert_close(z.mean(dim=0), mu[0], rtol=0, atol=0.02)
    torch.testing.assert_close(z.var(dim=0), logvar[0].exp(), rtol=0.02, atol=0)


def test_gradients():
    mu, logvar = (t.requires_grad_() for t in codes())
    noise = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert torch.autograd.gradcheck(variational.kl_to_standard_normal, (mu, logvar))
    assert torch.autograd.gradcheck(lambda m, v: variational.reparameterise(m, v, noise), (mu, logvar))


@pytest.mark.parametrize("logvar", [-30.0, 20.0])
def test_the_clamped_range_of_the_log_variance_is_finite_in_float32(logvar):
    v = torch.full((1, 2), logvar, requires_grad=True)
    kl = variational.kl_to_standard_normal(torch.zeros(1, 2), v)
    assert torch.isfinite(kl).all()
    assert torch.isfinite(torch.autograd.grad(kl.sum(), v)[0]).all()
