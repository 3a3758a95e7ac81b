"""GAN and VAE as divergences of joints: the identity, the chain rule, and both estimates against the exact values."""

import dataclasses
import math

import pytest
from scipy import integrate

from pinxit.core.errors import InputError
from pinxit.theory import gaussians, joints
from pinxit.theory.joints import Toy

TOYS = [Toy(), Toy(w=1.7), Toy(m=-1.0, s=0.5, a=-0.4, b=0.8, t=1.1, w=0.3, c=0.6, r=0.9)]


@pytest.mark.parametrize("toy", TOYS)
def test_the_joint_divergence_is_minus_elbo_minus_entropy(toy):
    assert joints.joint_kl(toy) == pytest.approx(-joints.mean_elbo(toy) - gaussians.entropy(toy.s**2), abs=1e-12)


@pytest.mark.parametrize("toy", TOYS)
def test_the_chain_rule(toy):
    """KL of the joints = KL of the marginals + E_q(x) KL(q(z|x) || p(z|x)), the latter integrated over x."""
    v = toy.w**2 + toy.r**2

    def weighted(x: float) -> float:
        density = math.exp(-0.5 * ((x - toy.m) / toy.s) ** 2) / (toy.s * math.sqrt(2 * math.pi))
        posterior = gaussians.kl(toy.a * x + toy.b, toy.t**2, toy.w * (x - toy.c) / v, toy.r**2 / v)
        return density * posterior

    gap, _ = integrate.quad(weighted, toy.m - 10 * toy.s, toy.m + 10 * toy.s)
    assert joints.joint_kl(toy) == pytest.approx(joints.marginal_kl(toy) + gap, rel=1e-7)


@pytest.mark.parametrize("toy", TOYS)
def test_with_the_true_posterior_joint_and_marginal_are_one(toy):
    best = toy.with_best_encoder()
    assert joints.joint_kl(best) == pytest.approx(joints.marginal_kl(toy), abs=1e-12)
    assert joints.joint_js(best).value == pytest.approx(joints.marginal_js(toy).value, abs=1e-9)


@pytest.mark.parametrize("toy", TOYS)
def test_marginals_tell_less_than_joints(toy):
    assert joints.marginal_js(toy).value <= joints.joint_js(toy).value + 1e-12
    assert joints.marginal_kl(toy) <= joints.joint_kl(toy)


@pytest.mark.parametrize("toy", TOYS)
def test_both_estimates_agree_with_the_truth(toy):
    """Within twice their own error of two standard errors; the discriminator is fitted on other samples than it is judged on."""
    vae, gan = joints.vae_estimate(toy, seed=1), joints.gan_estimate(toy, seed=1)
    assert 0 < vae.error < 0.02
    assert 0 < gan.error < 0.01
    assert abs(vae.value - joints.joint_kl(toy)) <= 2 * vae.error
    assert abs(gan.value - joints.joint_js(toy).value) <= 2 * gan.error


def test_equal_joints_have_no_divergence():
    """Data made by the decoder itself, codes by its posterior."""
    toy = Toy(w=0.8, c=-0.3, r=0.6)
    same = dataclasses.replace(toy, m=toy.c, s=math.sqrt(toy.w**2 + toy.r**2)).with_best_encoder()
    assert joints.joint_kl(same) == pytest.approx(0, abs=1e-12)
    assert joints.joint_js(same).value == pytest.approx(0, abs=1e-9)
    assert abs(joints.gan_estimate(same).value) < 1e-3


@pytest.mark.parametrize("changes", [{"s": 0.0}, {"t": -0.6}, {"r": math.nan}, {"a": math.inf}])
def test_a_toy_of_no_densities_is_refused(changes):
    with pytest.raises(InputError, match=f"`{next(iter(changes))}` "):
        joints.Toy(**changes)


def test_estimates_need_two_samples():
    for estimate in (joints.vae_estimate, joints.gan_estimate):
        with pytest.raises(InputError, match="`n` is 1: it must be >= 2"):
            estimate(joints.Toy(), n=1)
