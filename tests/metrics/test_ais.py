"""Annealed importance sampling is exact where the truth is known, and its gap encloses it."""

import math
from itertools import pairwise

import pytest
import torch

from metrics.gaussians import D, Drawn, drawn, ppca
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.metrics import ais
from pinxit.metrics.ais import GaussianObservation, Plan, annealed, bidirectional
from pinxit.systems import cvae, gan, vae


def test_the_schedule_is_a_sigmoid_from_0_to_1():
    b = Plan(distributions=10).temperatures()
    assert (b[0], b[-1], len(b)) == (0.0, 1.0, 11)
    assert b[5] == pytest.approx(0.5)
    assert b[1] == pytest.approx(
        (1 / (1 + math.exp(3.2)) - 1 / (1 + math.exp(4))) / (1 / (1 + math.exp(-4)) - 1 / (1 + math.exp(4)))
    )
    assert all(low < high for low, high in pairwise(b))


def test_one_distribution_is_importance_sampling_from_the_prior():
    model, marginal = ppca()
    data = drawn(marginal, 2)
    found = annealed(model, data, plan=Plan(distributions=1, chains=20_000), n=0)
    torch.testing.assert_close(found.values, marginal.log_prob(data.x.flatten(1).double()), rtol=0, atol=0.15)


@pytest.mark.slow
def test_it_is_exact_for_probabilistic_pca():
    """Bar AIS-1: within 0.1 nat of the truth, and the gap of both chains within 0.2."""
    model, marginal = ppca()
    plan = Plan(distributions=600, leapfrogs=5)
    data = drawn(marginal, 8)
    found = annealed(model, data, plan=plan, n=0)
    truth = marginal.log_prob(data.x.flatten(1).double())
    assert abs(found.nats + truth.mean().item()) < 0.1
    # An image's error has a deviation of 0.08 with this plan, measured over 24 images.
    assert (found.values - truth).abs().max() < 0.3
    gap = bidirectional(model, plan=plan, n=8)
    assert gap.gap < 0.2
    assert gap.gap > -3 * gap.error


def test_the_backward_chain_bounds_from_above_and_the_forward_one_from_below():
    """With few distributions both bounds are loose, the truth lies between: a reversed sign would put them elsewhere."""
    model, marginal = ppca()
    plan = Plan(distributions=3, chains=2, leapfrogs=2)
    gap = bidirectional(model, plan=plan, n=64)
    assert gap.gap > 0.5
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        x = model.observe(model.latents(4000, generator=g), g).flatten(1)
    truth = marginal.log_prob(x.double()).mean().item()
    assert gap.lower < truth < gap.upper


def test_the_backward_weights_are_averaged_as_reciprocals(monkeypatch):
    """Weights 1 and 3: forward log 2; backward -log((1 + 1/3)/2) = log 1.5, and not log 2."""
    monkeypatch.setattr(ais, "_run", lambda *args, **options: torch.tensor([[0.0], [math.log(3)]], dtype=torch.float64))
    gap = bidirectional(ppca()[0], plan=Plan(distributions=2, chains=2), n=1)
    assert gap.lower == pytest.approx(math.log(2))
    assert gap.upper == pytest.approx(math.log(1.5))


def test_a_transition_keeps_its_distribution():
    """Chains that start in the posterior stay in it: mean and variance of many chains against the exact ones."""
    model, marginal = ppca()
    x = drawn(marginal, 1).x
    with torch.no_grad():
        w, b = model.decoder[0].weight.double(), model.decoder[0].bias.double()
    covariance = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + w.T @ w / 0.49)
    mean = covariance @ w.T @ (x.flatten().double() - b) / 0.49
    g = torch.Generator().manual_seed(0)
    start = mean + torch.randn(8000, 2, dtype=torch.float64, generator=g) @ torch.linalg.cholesky(covariance).T
    chains = ais._Chains(model, x, Plan(chains=8000, leapfrogs=3), [("test",)])
    chains.z = start.float()[:, None]
    chains.log_prob, chains.slope = chains.evaluate(chains.z)
    accepted = [chains.move(1.0, torch.tensor([0.3], dtype=torch.float64)).item() for _ in range(10)]
    assert 0.3 < sum(accepted) / 10 < 0.99, "the test sees rejections"
    z = chains.z[:, 0].double()
    torch.testing.assert_close(z.mean(dim=0), mean, rtol=0, atol=5 * covariance.max().sqrt().item() / 8000**0.5)
    torch.testing.assert_close(z.T.cov(), covariance, rtol=0.08, atol=0.003)


def test_a_result_is_a_function_of_the_seed_and_not_of_the_company():
    model, marginal = ppca()
    data, plan = drawn(marginal, 5), Plan(distributions=8, chains=3, leapfrogs=2)
    state = torch.get_rng_state()
    a, b, c = (annealed(model, data, plan=plan, n=0, seed=s, at_once=k).values for s, k in ((0, 5), (0, 2), (1, 5)))
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-3)
    assert not torch.allclose(a, c, atol=1e-2)


def test_a_generator_with_noise_has_the_likelihood_of_probabilistic_pca():
    """The linear decoder as a generator: the same truth through `GaussianObservation`."""
    model, marginal = ppca()
    noisy = GaussianObservation(model, 0.7)
    data = drawn(marginal, 4)
    z = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(noisy.log_prob_given(data.x, z), model.log_prob_given(data.x, z), rtol=1e-5, atol=1e-4)
        assert noisy.observe(z[0], torch.Generator().manual_seed(0)).shape == (4, D, 1, 1)
    assert "sigma 0.7" in noisy.measure
    assert annealed(noisy, data, plan=Plan(distributions=4, chains=2), n=2).protocol.measure == noisy.measure


def test_what_can_not_be_annealed_is_refused():
    spec = Spec(1, 4, 4, classes=3)
    uniform = gan.build(gan.PRESETS["tiny"].replace(prior="uniform"), spec)
    with pytest.raises(InputError, match="--prior normal"):
        GaussianObservation(uniform, 0.1)
    normal = gan.build(gan.PRESETS["tiny"].replace(prior="normal"), spec)
    with pytest.raises(InputError, match="`sigma` is 0.0"):
        GaussianObservation(normal, 0.0)
    with pytest.raises(InputError, match="GaussianObservation"):
        bidirectional(normal)
    with pytest.raises(InputError, match="prior of each class"):
        bidirectional(cvae.build(cvae.PRESETS["tiny"], spec))
    with pytest.raises(InputError, match="--binarise dynamic"):
        bidirectional(vae.build(vae.PRESETS["tiny"].replace(binarise="none"), spec))
    with pytest.raises(InputError, match="distributions"):
        Plan(distributions=0)


@pytest.mark.parametrize("other", [Spec(1, 4, 4), Spec(1, 4, 4, levels=2, binarised="fixed"), Spec(1, 5, 4, levels=2)])
def test_data_that_the_model_is_not_of_is_refused(other):
    """Other bits than it was trained on, or another shape."""
    dynamic = Spec(1, 4, 4, levels=2, binarised="dynamic")
    model = vae.build(vae.PRESETS["tiny"], dynamic).eval()
    generator = GaussianObservation(gan.build(gan.PRESETS["tiny"].replace(prior="normal"), dynamic).eval(), 0.1)
    ais.suits(model, Drawn(torch.zeros(2, 16), dynamic))
    for asked in (model, generator):
        with pytest.raises(InputError, match="take the data it was trained on"):
            annealed(asked, Drawn(torch.zeros(2, other.dim), other), n=1)
