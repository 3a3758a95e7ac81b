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


def test_the_kl_between_normals_equals_torch_s():
    (mu, logvar), (mu_p, logvar_p) = codes(), (t.flip(0) * 0.7 for t in codes())
    expected = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(mu_p, (logvar_p / 2).exp())).sum(dim=1)
    torch.testing.assert_close(variational.kl_between_normals(mu, logvar, mu_p, logvar_p), expected, rtol=1e-12, atol=1e-12)
    assert variational.kl_between_normals(mu, logvar, mu, logvar).abs().max() < 1e-12
    zero = torch.zeros_like(mu)
    plain = variational.kl_to_standard_normal(mu, logvar)
    torch.testing.assert_close(variational.kl_between_normals(mu, logvar, zero, zero), plain, rtol=1e-12, atol=1e-12)


def test_log_densities_equal_torch_s():
    mu, logvar = codes()
    noise = torch.randn(5, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    z = variational.reparameterise(mu, logvar, noise)
    log_q, log_p = (d.log_prob(z).sum(dim=-1) for d in (Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)))
    torch.testing.assert_close(variational.normal_log_prob(z, mu, logvar), log_q, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(variational.standard_normal_log_ratio(z, logvar, noise), log_p - log_q, rtol=1e-11, atol=1e-11)


def test_free_bits_take_the_mean_over_the_batch_before_the_maximum():
    """Equation 15 of Kingma et al. 2016: max(2, (4 + 0)/2) + max(2, (1 + 9)/2) = 7; a maximum a sample would give 8.5."""
    kl = torch.tensor([[4.0, 1.0], [0.0, 9.0]], requires_grad=True)
    paid = variational.free_bits(kl, 2.0)
    assert paid.item() == 7.0
    assert variational.free_bits(kl, 0.0).item() == kl.sum(dim=1).mean().item()
    (slope,) = torch.autograd.grad(variational.free_bits(kl, 3.0), kl)
    assert slope.tolist() == [[0.0, 0.5], [0.0, 0.5]]


def test_the_importance_bound_and_its_gradient():
    """L_k = log mean w; autograd gives sum w~ grad log w (Burda et al. 2016, equation 14)."""
    log_w = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).mul(3).requires_grad_()
    bound = variational.importance_bound(log_w)
    torch.testing.assert_close(bound, log_w.exp().mean(dim=0).log(), rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(bound.sum(), log_w)
    torch.testing.assert_close(slope, log_w.exp() / log_w.exp().sum(dim=0), rtol=1e-12, atol=1e-12)
    assert variational.importance_bound(log_w[:1]).equal(log_w[0])
    assert torch.isfinite(variational.importance_bound(log_w - 1e4)).all()


def test_the_bound_rises_with_k():
    log_w = torch.randn(64, 20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    bounds = [variational.importance_bound(log_w[:k]).mean().item() for k in (1, 2, 8, 64)]
    assert bounds == sorted(bounds)
    assert bounds[-1] < 0.5, "log E w of a log-normal"
