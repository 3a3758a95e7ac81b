"""log p(x|z) of the decoders: against torch.distributions, and each sums or integrates to one."""

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from pinxit.losses import likelihood


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_bernoulli_equals_torch_and_is_summed_over_pixels():
    x, logits = (draw(3, 2, 4, seed=1) > 0).double(), draw(3, 2, 4)
    expected = Bernoulli(logits=logits).log_prob(x).sum(dim=(1, 2))
    torch.testing.assert_close(likelihood.bernoulli_log_prob(x, logits), expected, rtol=1e-12, atol=1e-12)


def test_bernoulli_sums_to_one_over_all_images():
    logits = draw(1, 2, 3)
    images = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6)), dtype=torch.float64).view(-1, 2, 3)
    total = likelihood.bernoulli_log_prob(images, logits.expand_as(images)).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-12)


def test_gaussian_equals_torch():
    x, mean, log_scale = draw(3, 5), draw(3, 5, seed=1), torch.tensor(-0.7, dtype=torch.float64)
    expected = Normal(mean, log_scale.exp()).log_prob(x).sum(dim=1)
    torch.testing.assert_close(likelihood.gaussian_log_prob(x, mean, log_scale), expected, rtol=1e-12, atol=1e-12)


def test_the_gaussian_scale_that_fits_best_is_the_root_mean_square_error():
    x, mean = draw(50, 8), torch.zeros(50, 8, dtype=torch.float64)
    log_scale = (x.square().mean().log() / 2).requires_grad_()
    (slope,) = torch.autograd.grad(likelihood.gaussian_log_prob(x, mean, log_scale).mean(), log_scale)
    assert slope.item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("levels", [2, 4, 256])
@pytest.mark.parametrize("mean", [-1.4, -1.0, 0.1, 0.93, 3.0])
@pytest.mark.parametrize("log_scale", [-7.0, -2.0, 1.0])
def test_the_discretised_logistic_sums_to_one_over_its_levels(levels, mean, log_scale):
    x = torch.linspace(-1, 1, levels, dtype=torch.float64).view(-1, 1)
    scale = torch.tensor(log_scale, dtype=torch.float64)
    total = likelihood.discretised_logistic_log_prob(x, torch.full_like(x, mean), scale, levels).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-9)


def test_the_discretised_logistic_is_a_difference_of_distribution_functions():
    x, mean, scale = torch.tensor([[0.2]], dtype=torch.float64), torch.tensor([[0.05]], dtype=torch.float64), 0.3
    half = 1 / 10
    expected = 1 / (1 + math.exp(-(0.2 + half - 0.05) / scale)) - 1 / (1 + math.exp(-(0.2 - half - 0.05) / scale))
    got = likelihood.discretised_logistic_log_prob(x, mean, torch.tensor(math.log(scale), dtype=torch.float64), 11)
    assert got.exp().item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("x", [-1.0, 0.0, 1.0])
def test_the_discretised_logistic_is_finite_with_finite_gradients_far_in_the_tail(x):
    """The difference of two sigmoids underflows to log 0 there in float32."""
    mean, log_scale = torch.tensor([[40.0]], requires_grad=True), torch.tensor(-5.0, requires_grad=True)
    value = likelihood.discretised_logistic_log_prob(torch.tensor([[x]]), mean, log_scale, 256)
    assert torch.isfinite(value).all()
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(value.sum(), (mean, log_scale)))


def test_float32_images_from_bytes_hit_the_first_and_the_last_bin():
    """The bins of black and white reach to infinity: found by value, which must survive x / 127.5 - 1 in float32."""
    x = (torch.tensor([[0.0], [255.0]]) / 127.5 - 1).requires_grad_(False)
    value = likelihood.discretised_logistic_log_prob(x, torch.tensor([[-9.0], [9.0]]), torch.tensor(-2.0), 256)
    assert value.exp().tolist() == pytest.approx([1.0, 1.0], abs=1e-6)


def test_gradients():
    x = torch.linspace(-1, 1, 5, dtype=torch.float64).repeat(2, 1)
    mean, log_scale = draw(2, 5).requires_grad_(), torch.tensor(-0.5, dtype=torch.float64, requires_grad=True)
    for function in (likelihood.gaussian_log_prob, lambda *a: likelihood.discretised_logistic_log_prob(*a, 5)):
        assert torch.autograd.gradcheck(lambda m, s, f=function: f(x, m, s), (mean, log_scale))
    assert torch.autograd.gradcheck(lambda m: likelihood.bernoulli_log_prob((x > 0).double(), m), (mean,))


@pytest.mark.parametrize("size", [3, 100, 101, 784])
def test_bernoulli_equals_torch_s_cross_entropy_whatever_the_number_of_pixels(size):
    """The logarithms are taken of products of 100 factors: a lost rest, or an overflow, would show."""
    for scale in (0.01, 3.0, 60.0):
        x, logits = (draw(5, size, seed=1) > 0).double(), draw(5, size) * scale
        expected = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)
        torch.testing.assert_close(likelihood.bernoulli_log_prob(x, logits), expected, rtol=1e-12, atol=1e-10)
        single = likelihood.bernoulli_log_prob(x.float(), logits.float()).double()
        torch.testing.assert_close(single, expected, rtol=2e-6, atol=1e-4)


def test_logits_of_few_bits_are_summed_in_float32():
    """Of 784 pixels a sum in bfloat16 would be a multiple of 4 nats."""
    x, logits = (draw(5, 784, seed=1) > 0).float(), draw(5, 784).bfloat16()
    expected = likelihood.bernoulli_log_prob(x.double(), logits.double())
    for found in (
        likelihood.bernoulli_log_prob(x, logits),
        likelihood.decoder_log_prob("bernoulli", x * 2 - 1, logits[None], None, 2)[0],
    ):
        torch.testing.assert_close(found, expected.float(), rtol=2e-6, atol=0)


def test_bernoulli_is_differentiable_in_both_arguments_and_twice():
    x, logits = torch.rand(2, 5, dtype=torch.float64).requires_grad_(), draw(2, 5).requires_grad_()
    assert torch.autograd.gradcheck(likelihood.bernoulli_log_prob, (x, logits))
    assert torch.autograd.gradgradcheck(likelihood.bernoulli_log_prob, (x, logits))
    assert torch.autograd.gradcheck(lambda y, out: likelihood.decoder_log_prob("bernoulli", y, out[None], None, 2), (x, logits))


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "logistic"])
def test_several_draws_of_z_are_scored_as_each_alone(kind):
    x, out, scale = draw(3, 4).sign(), draw(2, 3, 4, seed=2), torch.tensor(-1.0, dtype=torch.float64)
    both = likelihood.decoder_log_prob(kind, x, out, scale, 256)
    assert both.shape == (2, 3)
    for k in range(2):
        torch.testing.assert_close(both[k], likelihood.decoder_log_prob(kind, x, out[k], scale, 256))


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "logistic"])
def test_draws_of_a_decoder_have_its_law(kind):
    """log p of its own draws averages to minus the entropy; grey levels and bits are those of the data."""
    from pinxit.core.spec import Spec

    spec = Spec(1, 1, 1, levels=9)
    out, scale = torch.full((50_000, 1), 0.3), torch.tensor(-1.2)
    x = likelihood.decoder_draw(kind, out, scale, spec, torch.Generator().manual_seed(0))
    if kind == "gaussian":
        assert x.mean().item() == pytest.approx(0.3, abs=0.01)
        assert x.std().item() == pytest.approx(math.exp(-1.2), rel=0.02)
        return
    levels = torch.tensor([-1.0, 1.0]) if kind == "bernoulli" else torch.linspace(-1, 1, 9)
    p = likelihood.decoder_log_prob(kind, levels[:, None], torch.full((len(levels), 1), 0.3), scale, 9).exp()
    share = torch.stack([(x - level).abs().lt(1e-5).float().mean() for level in levels])
    assert share.sum().item() == pytest.approx(1.0, abs=1e-6)
    torch.testing.assert_close(share, p, rtol=0, atol=0.01)
