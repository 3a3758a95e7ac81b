"""Distributions of a sub-pixel: probabilities that sum to one, draws that invert them, margins that hold."""

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.losses.levels import level_value
from pinxit.nn.outputs import output

KINDS = [
    ("bernoulli", 2),
    *(("softmax", levels) for levels in (2, 7, 256)),
    *(("logistic-mixture", levels) for levels in (2, 5, 16, 17, 256)),
]


def mass(kind, numbers):
    """p of every level, (..., levels), by log_prob; numbers (s, size)."""
    values = torch.linspace(-1, 1, kind.levels, dtype=torch.float64)
    x = values.repeat(len(numbers))[:, None, None, None]
    parameters = numbers.repeat_interleave(kind.levels, dim=0)[:, :, None, None]
    return kind.log_prob(x, parameters).exp().view(len(numbers), kind.levels)


@pytest.mark.parametrize(("name", "levels"), KINDS)
def test_probabilities_sum_to_one_and_draws_invert_them(name, levels):
    generator = torch.Generator().manual_seed(0)
    kind = output(name, levels, 4)
    numbers = 2 * torch.randn(40, kind.size, dtype=torch.float64, generator=generator)
    p = mass(kind, numbers)
    torch.testing.assert_close(p.sum(-1), torch.ones(40, dtype=torch.float64), rtol=1e-9, atol=0)
    u = torch.rand(40, 500, dtype=torch.float64, generator=generator)
    index, margin = kind.draw(numbers[:, None].expand(-1, 500, -1), u)
    edges = p.cumsum(-1)[:, None, :-1]
    assert torch.equal(index, (edges <= u[..., None]).sum(-1))
    assert (margin > 0).all()
    assert index.amin() == 0
    assert index.amax() == levels - 1


@pytest.mark.parametrize(("name", "levels"), KINDS)
def test_the_margin_is_a_bound_and_not_a_loose_one(name, levels):
    """Numbers that move by less than the margin give the same draw; in the worst direction some four times as much changes it."""
    generator = torch.Generator().manual_seed(1)
    kind = output(name, levels, 3)
    count = 300 if levels == 256 else 3000
    numbers = torch.randn(count, kind.size, dtype=torch.float64, generator=generator)
    u = torch.rand(count, dtype=torch.float64, generator=generator)
    # Bring u close to a value of F: the bound is one of first order.
    edges = mass(kind, numbers).cumsum(-1)[:, :-1]
    nearest = edges.gather(1, (edges - u[:, None]).abs().argmin(1, keepdim=True))[:, 0]
    u = nearest + 1e-6 * (u - 0.5)
    index, margin = kind.draw(numbers, u)
    near = margin < 1e-3
    assert near.sum() > count / 3
    index, margin, numbers, u = index[near], margin[near], numbers[near], u[near]
    for _ in range(20):
        signs = torch.randint(0, 2, numbers.shape, generator=generator).double() * 2 - 1
        assert torch.equal(kind.draw(numbers + 0.99 * margin[:, None] * signs, u)[0], index)
    leaf = numbers.clone().requires_grad_()
    below = torch.minimum(index, torch.tensor(levels - 2))
    values = mass(kind, leaf).cumsum(-1)
    sides = torch.stack([values.gather(1, (below - shift).clamp(min=0)[:, None])[:, 0] for shift in (0, 1)])
    closest = (sides - u).abs().argmin(0)
    (gradient,) = torch.autograd.grad(sides.gather(0, closest[None]).sum(), leaf)
    toward = ((u - sides.gather(0, closest[None])[0]).sign())[:, None] * gradient.sign()
    changed = kind.draw(numbers + 4.1 * margin[:, None] * toward, u)[0] != index
    assert changed.double().mean() > 0.5


def test_draws_at_the_ends():
    kind = output("bernoulli", 2)
    certain = torch.tensor([[800.0], [-800.0]], dtype=torch.float64)
    assert kind.draw(certain, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64))[0].tolist() == [1, 0]


def test_the_numbers_of_a_channel_are_its_group():
    kind = output("softmax", 3)
    x = level_value(torch.tensor([[0, 2]]), 3)[:, :, None, None]
    parameters = torch.zeros(1, 6, 1, 1)
    parameters[0, 0], parameters[0, 5] = 50, 50
    assert kind.log_prob(x, parameters).item() == pytest.approx(0, abs=1e-6)
    assert kind.log_prob(x.flip(1), parameters).item() == pytest.approx(-100, abs=1e-4)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="did you mean `softmax`"):
        output("sofmax", 4)
    with pytest.raises(InputError, match="binarise"):
        output("bernoulli", 256)
    with pytest.raises(InputError, match="continuous"):
        output("softmax", 0)
