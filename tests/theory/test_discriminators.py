"""D* = p/(p + q), its value, and the generator's gradients against derivatives taken independently."""

import math

import numpy as np
import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.losses import adversarial
from pinxit.theory import densities, discrete, discriminators
from pinxit.theory.densities import Mixture

P, Q = np.array([0.1, 0.4, 0.0, 0.5]), np.array([0.3, 0.1, 0.6, 0.0])


def test_the_value_of_the_optimum_is_two_js_minus_log_four():
    best = discriminators.optimal_discriminator(P, Q)
    assert best.tolist() == pytest.approx([0.25, 0.8, 0.0, 1.0])
    assert discriminators.value(best, P, Q) == pytest.approx(2 * discrete.js(P, Q) - math.log(4), abs=1e-14)


def test_no_other_discriminator_is_better():
    generator = np.random.default_rng(0)
    p, q = generator.dirichlet(np.ones(6), size=2)
    best = discriminators.optimal_discriminator(p, q)
    top = discriminators.value(best, p, q)
    for _ in range(200):
        other = np.clip(best + 0.1 * generator.normal(size=6), 1e-6, 1 - 1e-6)
        assert discriminators.value(other, p, q) < top
    assert discriminators.value(np.full(6, 0.5), p, q) == pytest.approx(-math.log(4), abs=1e-14)
    assert discriminators.value(np.zeros(6), p, q) == -math.inf


def test_a_place_without_mass_is_undecided():
    assert discriminators.optimal_discriminator([0.0, 1.0], [0.0, 0.0]).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("q", [Mixture.of([0.3], 1.4), Mixture.of([6.0], 0.5)])
def test_the_identity_on_densities(q):
    p = Mixture.of([-1.5, 1.5], [0.5, 0.8])
    found, js = discriminators.optimal_value(p, q), densities.js(p, q)
    assert found.value == pytest.approx(2 * js.value - math.log(4), abs=1e-9)


@pytest.mark.parametrize("ratio", [0.5, 2.0, 4.0])
def test_the_minimax_gradient_is_that_of_the_divergence_itself(ratio):
    """By the envelope theorem d/dt (2 JS - log 4) is the gradient at D* held fixed."""
    scale, step = 1 / ratio, 1e-4
    p = Mixture.of([0.0], scale)
    up, down = (densities.js(p, Mixture.of([1.0 + shift], scale)).value for shift in (step, -step))
    assert discriminators.shift_gradients(1.0, scale)["minimax"] == pytest.approx((up - down) / step, rel=1e-5)


@pytest.mark.parametrize("ratio", [0.5, 2.0, 4.0])
def test_the_other_gradients_are_those_of_the_losses_on_samples(ratio):
    """The library's losses at exact logits of 400,000 samples, differentiated by t through x = t + s z."""
    scale = 1 / ratio
    z = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    d = (0.5 - (t + scale * z)) / scale**2
    losses = {
        "minimax": adversarial.minimax_generator_loss(d),
        "non_saturating": adversarial.non_saturating_generator_loss(d),
        "least_squares": adversarial.least_squares_generator_loss(torch.sigmoid(d)),
    }
    expected = discriminators.shift_gradients(1.0, scale)
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, t, retain_graph=True)
        assert gradient.item() == pytest.approx(expected[name], rel=0.03)
    assert expected["wasserstein"] == 1.0


def test_far_apart_minimax_and_the_optimal_least_squares_vanish_and_the_others_do_not():
    far = discriminators.shift_gradients(1.0, 0.05)
    assert far["minimax"] < 1e-15
    assert far["least_squares"] < 1e-15
    assert far["non_saturating"] == pytest.approx(400, rel=1e-9)
    assert far["wasserstein"] == 1.0


@pytest.mark.parametrize(("distance", "slope"), [(0.5, 3.0), (2.0, 10.0)])
def test_gradients_of_two_points(distance, slope):
    t = torch.tensor([distance], dtype=torch.float64, requires_grad=True)
    d = slope * (distance / 2 - t)
    found = discriminators.point_gradients(distance, slope)
    raw = 1 - t / distance  # the line through 1 at the data and 0 at the sample
    losses = {
        "minimax": adversarial.minimax_generator_loss(d),
        "non_saturating": adversarial.non_saturating_generator_loss(d),
        "least_squares": adversarial.least_squares_generator_loss(raw),
        "wasserstein": adversarial.wasserstein_generator_loss(-t),
    }
    for name, loss in losses.items():
        assert torch.autograd.grad(loss, t, retain_graph=True)[0].item() == pytest.approx(found[name], rel=1e-12)


def test_gradients_by_the_output():
    d = torch.tensor([-30.0, -1.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    found = discriminators.logit_gradients(d.detach().numpy())
    losses = {
        "minimax": adversarial.minimax_generator_loss,
        "non_saturating": adversarial.non_saturating_generator_loss,
        "least_squares": adversarial.least_squares_generator_loss,
        "wasserstein": adversarial.wasserstein_generator_loss,
    }
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss(d), d)
        np.testing.assert_allclose(found[name], 4 * gradient.abs().numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: discriminators.value([1.5, 0.5], [0.5, 0.5], [0.5, 0.5]), r"`discriminator` is 1.5: it must be in \[0, 1\]"),
        (lambda: discriminators.value([-0.1, 0.5], [0.5, 0.5], [0.5, 0.5]), "`discriminator` is -0.1"),
        (lambda: discriminators.value([math.nan, 0.5], [0.5, 0.5], [0.5, 0.5]), "not finite"),
        (lambda: discriminators.value([0.5], [0.5, 0.5], [0.5, 0.5]), r"`discriminator` has shape \(1,\) and `p` \(2,\)"),
        (lambda: discriminators.value([0.5, 0.5], [0.5, 0.5], [1.0]), r"and `q` \(1,\): both must live on the same points"),
        (lambda: discriminators.value([0.5, 0.5], [0.5, 0.5], [0.7, 0.7]), "`q` sums to 1.4"),
        (lambda: discriminators.optimal_discriminator([-0.5, 1.5], [0.5, 0.5]), "`p` is -0.5: it must be >= 0"),
        (lambda: discriminators.optimal_discriminator([0.5, 0.5], [1.0]), "same points"),
        (lambda: discriminators.shift_gradients(-1.0, 0.5), "`distance` is -1.0: it must be > 0"),
        (lambda: discriminators.shift_gradients(1.0, 0.0), "`scale` is 0.0"),
        (lambda: discriminators.point_gradients(0.0, 1.0), "`distance` is 0.0"),
        (lambda: discriminators.point_gradients(1.0, -2.0), "`slope` is -2.0"),
    ],
)
def test_mistakes(call, said):
    with pytest.raises(InputError, match=said):
        call()
