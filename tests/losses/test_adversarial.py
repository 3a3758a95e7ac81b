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


def test_the_wasserstein_estimate_of_scores_of_few_bits_is_no_difference_of_rounded_means():
    """Nothing holds a critic's scores near zero; a mean near 300 would be a multiple of 2 in bfloat16."""
    d_real, d_fake = (torch.arange(8.0) * 3 + offset for offset in (301.0, 296.0))
    expected = adversarial.wasserstein_critic_loss(d_real.bfloat16().double(), d_fake.bfloat16().double())
    assert adversarial.wasserstein_critic_loss(d_real.bfloat16(), d_fake.bfloat16()).item() == pytest.approx(expected.item())


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


REAL, FAKE = (0.3, -1.2, 2.0, 0.9), (-0.7, 0.1, 1.4, -2.5)
SIGMA = {d: 1 / (1 + math.exp(-d)) for d in (*REAL, *FAKE)}

# The derivative of n times each loss by each score, worked out by hand.
TWO_PLAYERS = {
    "logistic": (adversarial.discriminator_loss, lambda d: SIGMA[d] - 1, lambda d: SIGMA[d]),
    "least squares": (
        lambda a, b: adversarial.least_squares_discriminator_loss(a, b, a=-1.0, b=1.5), lambda d: d - 1.5, lambda d: d + 1,
    ),
    "wasserstein": (adversarial.wasserstein_critic_loss, lambda d: -1, lambda d: 1),
    "hinge": (adversarial.hinge_discriminator_loss, lambda d: -(d < 1), lambda d: d > -1),
    "energy": (lambda a, b: adversarial.energy_loss(a, b, 0.5), lambda d: 1, lambda d: -(d < 0.5)),
}  # fmt: skip
GENERATORS = {
    "minimax": (adversarial.minimax_generator_loss, lambda d: -SIGMA[d]),
    "non-saturating": (adversarial.non_saturating_generator_loss, lambda d: SIGMA[d] - 1),
    "least squares": (lambda d: adversarial.least_squares_generator_loss(d, c=0.25), lambda d: d - 0.25),
    "wasserstein": (adversarial.wasserstein_generator_loss, lambda d: -1),
}


@pytest.mark.parametrize("name", TWO_PLAYERS)
def test_a_discriminator_s_gradient_is_its_closed_form(name):
    loss, by_real, by_fake = TWO_PLAYERS[name]
    d_real, d_fake = logits(*REAL), logits(*FAKE)
    found = torch.autograd.grad(loss(d_real, d_fake), (d_real, d_fake))
    expected = ([by_real(d) / 4 for d in REAL], [by_fake(d) / 4 for d in FAKE])
    for gradient, numbers in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, torch.tensor(numbers, dtype=torch.float64), rtol=1e-12, atol=0)
    assert torch.autograd.gradcheck(loss, (logits(*REAL), logits(*FAKE)))


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_s_gradient_is_its_closed_form(name):
    loss, by_fake = GENERATORS[name]
    d_fake = logits(*FAKE)
    (found,) = torch.autograd.grad(loss(d_fake), d_fake)
    torch.testing.assert_close(found, torch.tensor([by_fake(d) / 4 for d in FAKE], dtype=torch.float64), rtol=1e-12, atol=0)


def test_the_gradient_of_gan_cls_is_its_closed_form():
    parts = logits(*REAL), logits(*FAKE), logits(*FAKE)
    found = torch.autograd.grad(adversarial.matching_discriminator_loss(*parts, weight=0.3), parts)
    shares = [(SIGMA[d] - 1) / 4 for d in REAL], [0.7 * SIGMA[d] / 4 for d in FAKE], [0.3 * SIGMA[d] / 4 for d in FAKE]
    for gradient, numbers in zip(found, shares, strict=True):
        torch.testing.assert_close(gradient, torch.tensor(numbers, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("error", ["energy", "absolute"])
def test_a_reconstruction_error_s_gradient_is_its_closed_form(error):
    draw = torch.Generator().manual_seed(0)
    x, x_hat = (torch.randn(3, 2, 2, 2, dtype=torch.float64, generator=draw).requires_grad_() for _ in range(2))
    values = (adversarial.energy if error == "energy" else adversarial.absolute_error)(x, x_hat)
    by_x, by_hat = torch.autograd.grad(values.sum(), (x, x_hat))
    apart = (x_hat - x).detach()
    expected = apart / apart.flatten(1).norm(dim=1).view(-1, 1, 1, 1) if error == "energy" else apart.sign() / 8
    torch.testing.assert_close(by_hat, expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(by_x, -expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", TWO_PLAYERS)
def test_a_batch_s_loss_is_the_mean_of_its_samples(name):
    loss, *_ = TWO_PLAYERS[name]
    each = [loss(logits(a), logits(b)) for a, b in zip(REAL, FAKE, strict=True)]
    assert loss(logits(*REAL), logits(*FAKE)).item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-12)
