"""LeakyReLU with a second derivative that is nothing instead of zeros."""

import pytest
import torch
from torch import nn

from pinxit.losses.penalties import gradient_penalty
from pinxit.nn.activations import LeakyReLU


def network(activation, *, conv: bool, dtype=torch.float32) -> nn.Module:
    torch.manual_seed(0)
    if conv:
        layers = [
            nn.Conv2d(2, 8, 4, 2, 1),
            activation(0.2),
            nn.Conv2d(8, 8, 4, 2, 1),
            activation(0.2),
            nn.Flatten(),
            nn.Linear(32, 1),
        ]
    else:
        layers = [nn.Flatten(), nn.Linear(128, 64), activation(0.2), nn.Linear(64, 32), activation(0.2), nn.Linear(32, 1)]
    return nn.Sequential(*layers, nn.Flatten(0)).to(dtype)


def penalised(activation, *, conv: bool, dtype=torch.float32):
    """The gradients of a WGAN-GP critic's loss, and the matrix products and convolutions that it took."""
    critic = network(activation, conv=conv, dtype=dtype)
    draw = torch.Generator().manual_seed(1)
    x, x_fake = (torch.randn(6, 2, 8, 8, generator=draw, dtype=dtype) for _ in range(2))
    torch.manual_seed(2)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        loss = critic(x_fake).mean() - critic(x).mean() + 10 * gradient_penalty(critic, x, x_fake)
        loss.backward()
    products = ("aten::mm", "aten::addmm", "aten::convolution_backward", "aten::convolution")
    return [p.grad for p in critic.parameters()], sum(e.count for e in profile.key_averages() if e.key in products)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("conv", [False, True])
def test_a_penalised_critic_has_the_gradients_of_torchs_activation_for_fewer_products(conv, dtype):
    ours, fewer = penalised(LeakyReLU, conv=conv, dtype=dtype)
    theirs, more = penalised(nn.LeakyReLU, conv=conv, dtype=dtype)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    assert fewer < more


def test_derivatives_of_first_and_second_order():
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(LeakyReLU(0.3), (x,))
    assert torch.autograd.gradgradcheck(lambda t: LeakyReLU(0.3)(t).square(), (x,))


def test_values_are_torchs_at_zero_and_without_a_gradient_too():
    x = torch.tensor([-2.0, -0.0, 0.0, 3.0], requires_grad=True)
    for given in (x, x.detach()):
        assert torch.equal(LeakyReLU()(given), nn.functional.leaky_relu(given, 0.2))
    (ours,) = torch.autograd.grad(LeakyReLU()(x).sum(), x)
    (theirs,) = torch.autograd.grad(nn.functional.leaky_relu(x, 0.2).sum(), x)
    assert torch.equal(ours, theirs)
