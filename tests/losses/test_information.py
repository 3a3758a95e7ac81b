"""The bound on the mutual information against its closed forms, in float64."""

import math

import pytest
import torch

from pinxit.losses import information


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_a_q_that_knows_nothing_gives_nothing_and_one_that_knows_all_the_entropy():
    c = torch.arange(10)
    blind = torch.full((10, 10), 3.0, dtype=torch.float64)
    assert information.categorical_information(blind, c).item() == pytest.approx(0.0, abs=1e-14)
    sure = 80 * torch.eye(10, dtype=torch.float64)
    assert information.categorical_information(sure, c).item() == pytest.approx(math.log(10), abs=1e-14)
    wrong = 80 * torch.eye(10, dtype=torch.float64).roll(1, 0)
    assert information.categorical_information(wrong, c).item() == pytest.approx(math.log(10) - 80, abs=1e-10)


def test_the_bound_never_exceeds_the_entropy():
    generator = torch.Generator().manual_seed(0)
    for k in (2, 5, 10):
        for _ in range(20):
            logits = 5 * torch.randn(6, k, dtype=torch.float64, generator=generator)
            c = torch.randint(k, (6,), generator=generator)
            assert information.categorical_information(logits, c).item() <= math.log(k) + 1e-14


def test_the_softmax_is_taken_once():
    """Public code gives probabilities to a cross-entropy on logits: Q = (1/2, 1/4, 1/4) would become (0.391, 0.305, 0.305)."""
    logits = double([0.0, -math.log(2), -math.log(2)])
    assert information.categorical_log_prob(logits, torch.tensor([0])).item() == pytest.approx(-math.log(2), abs=1e-14)
    assert information.categorical_log_prob(logits, torch.tensor([2])).item() == pytest.approx(-math.log(4), abs=1e-14)


def test_the_bound_is_the_mutual_information_where_q_is_the_posterior():
    """c of 3, x of 4 values, p(x | c) a table: I = sum p(c, x) log p(c | x) / p(c), and less for another Q."""
    p = double([0.7, 0.1, 0.1, 0.1], [0.2, 0.2, 0.3, 0.3], [0.0, 0.5, 0.0, 0.5])
    joint = p / 3
    posterior = joint / joint.sum(0)
    expected = (joint * (posterior * 3).clamp_min(1e-300).log()).sum().item()
    counts = (joint * 30).round().long()  # each pair as often as its probability says, in thirtieths
    c, x = (counts[..., None] > torch.arange(30)).nonzero()[:, :2].unbind(1)
    logits = posterior.clamp_min(1e-300).log().T
    assert information.categorical_information(logits[x], c).item() == pytest.approx(expected, abs=1e-12)
    other = logits.clone()
    other[:, 0] += 0.3
    assert information.categorical_information(other[x], c).item() < expected


def test_the_gradient_by_the_logits():
    logits = double([1.0, -0.5, 0.2], [0.0, 2.0, 0.1]).requires_grad_()
    c = torch.tensor([2, 0])
    (slope,) = torch.autograd.grad(information.categorical_information(logits, c), logits)
    expected = (torch.eye(3, dtype=torch.float64)[c] - logits.detach().softmax(1)) / 2
    torch.testing.assert_close(slope, expected, rtol=1e-13, atol=0)


def test_numbers_at_scale_one():
    mu, c = double([0.5, -0.2], [0.0, 0.9]), double([0.1, 0.3], [-1.0, 1.0])
    expected = sum(-0.5 * math.log(2 * math.pi) * 2 - 0.5 * s for s in (0.4**2 + 0.5**2, 1 + 0.1**2)) / 2 + 2 * math.log(2)
    found = information.continuous_information(mu, torch.zeros_like(mu), c)
    assert found.item() == pytest.approx(expected, abs=1e-14)
    perfect = information.continuous_information(c, torch.zeros_like(c), c).item()
    assert perfect == pytest.approx(2 * (math.log(2) - 0.5 * math.log(2 * math.pi)), abs=1e-14)
    assert perfect == pytest.approx(-0.4515827, abs=1e-7)


def test_a_learned_scale_and_its_gradient():
    """Of errors e the best log s is log |e|: there the gradient by log s is 0, and by mu it is e / s^2."""
    mu, c = double([0.3], [-0.1]), double([0.1], [0.3])
    scale = (c - mu).abs().log().requires_grad_()
    mu.requires_grad_()
    value = information.continuous_information(mu, scale, c)
    by_mu, by_scale = torch.autograd.grad(value, (mu, scale))
    torch.testing.assert_close(by_scale, torch.zeros_like(by_scale), rtol=0, atol=1e-14)
    torch.testing.assert_close(by_mu, double([-5.0], [2.5]) / 2, rtol=1e-12, atol=0)
    expected = sum(-0.5 * math.log(2 * math.pi) - math.log(e) - 0.5 for e in (0.2, 0.4)) / 2 + math.log(2)
    assert value.item() == pytest.approx(expected, abs=1e-14)


def test_without_numbers_there_is_nothing():
    empty = torch.zeros(5, 0, dtype=torch.float64)
    assert information.continuous_information(empty, empty, empty).item() == 0.0
