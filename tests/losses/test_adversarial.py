"""The two-player objectives against their closed forms, in float64."""

import math

import pytest
import torch

from pinxit.losses import adversarial


def logits(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_a_guessing_discriminator_pays_log_four():
    d = logits(0, 0, 0)
    assert adversarial.discriminator_loss(d, d).item() == pytest.approx(math.log(4), abs=1e-15)
    assert adversarial.non_saturating_generator_loss(d).item() == pytest.approx(math.log(2), abs=1e-15)
    assert adversarial.minimax_generator_loss(d).item() == pytest.approx(-math.log(2), abs=1e-15)


def test_the_losses_are_the_paper_s_on_probabilities():
    d_real, d_fake = logits(0.3, -1.2, 2.0), logits(-0.7, 0.1)
    p_real, p_fake = torch.sigmoid(d_real), torch.sigmoid(d_fake)
    expected = -p_real.log().mean() - (1 - p_fake).log().mean()
    torch.testing.assert_close(adversarial.discriminator_loss(d_real, d_fake), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(adversarial.minimax_generator_loss(d_fake), (1 - p_fake).log().mean(), rtol=0, atol=1e-14)
    torch.testing.assert_close(adversarial.non_saturating_generator_loss(d_fake), -p_fake.log().mean(), rtol=0, atol=1e-14)


def test_the_minimax_gradient_vanishes_where_the_discriminator_is_sure_and_the_non_saturating_one_does_not():
    """Public code takes -log(sigmoid + 1e-8), whose gradient is lost below a logit of -18, or labels minimax what is not."""
    d = logits(-50.0)
    (saturated,) = torch.autograd.grad(adversarial.minimax_generator_loss(d), d)
    (alive,) = torch.autograd.grad(adversarial.non_saturating_generator_loss(d), d)
    assert -1e-20 < saturated.item() < 0
    assert alive.item() == pytest.approx(-1.0, abs=1e-15)


def test_gradients_are_those_of_the_sigmoid():
    d = logits(-2.0, 0.5, 3.0)
    (mm,) = torch.autograd.grad(adversarial.minimax_generator_loss(d), d)
    (ns,) = torch.autograd.grad(adversarial.non_saturating_generator_loss(d), d)
    torch.testing.assert_close(mm, -torch.sigmoid(d.detach()) / 3, rtol=1e-12, atol=0)
    torch.testing.assert_close(ns, -(1 - torch.sigmoid(d.detach())) / 3, rtol=1e-12, atol=0)


def test_the_optimal_discriminator_s_value_is_the_jensen_shannon_divergence():
    """max_D V = 2 JS(p, q) - log 4, for two densities on five points (theorem 1)."""
    p = torch.tensor([0.1, 0.2, 0.3, 0.25, 0.15], dtype=torch.float64)
    q = torch.tensor([0.3, 0.3, 0.1, 0.1, 0.2], dtype=torch.float64)
    best = (p / (p + q)).logit()
    value = -(p * torch.nn.functional.softplus(-best)).sum() - (q * torch.nn.functional.softplus(best)).sum()
    middle = (p + q) / 2
    js = 0.5 * (p * (p / middle).log()).sum() + 0.5 * (q * (q / middle).log()).sum()
    # the loss takes means over samples: give it each point as often as its probability says, in twentieths
    counts_p, counts_q = (p * 20).round().long(), (q * 20).round().long()
    loss = adversarial.discriminator_loss(best.repeat_interleave(counts_p), best.repeat_interleave(counts_q))
    assert value.item() == pytest.approx(2 * js.item() - math.log(4), abs=1e-14)
    assert -loss.item() == pytest.approx(value.item(), abs=1e-14)


def test_extreme_logits_stay_finite():
    d = logits(-1e4, 1e4)
    for loss in (
        adversarial.discriminator_loss(d, d),
        adversarial.minimax_generator_loss(d),
        adversarial.non_saturating_generator_loss(d),
    ):
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, d)[0]).all()
