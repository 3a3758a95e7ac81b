"""Spectral norms against the SVD, their gradients against the papers' formulas, convolutions as operators."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pinxit.nn.spectral import SpectralRegulariser, matrix, operator_norm, spectral_norm


def layers():
    torch.manual_seed(0)
    return [nn.Linear(7, 5), nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1), nn.Embedding(6, 4)]


@pytest.mark.parametrize("layer", layers(), ids=lambda layer: type(layer).__name__)
def test_the_normalised_weight_has_norm_one(layer):
    """The reshaped kernel (out, in kh kw); a transposed convolution's output channels are axis 1."""
    layer = copy.deepcopy(layer).double()
    original = matrix(layer).detach().clone()
    spectral_norm(layer)
    layer.train()
    for _ in range(200):
        layer.weight  # noqa: B018  one power iteration each
    layer.eval()
    torch.testing.assert_close(torch.linalg.matrix_norm(matrix(layer), 2).item(), 1.0, rtol=1e-6, atol=0)
    torch.testing.assert_close(matrix(layer), original / torch.linalg.matrix_norm(original, 2), rtol=1e-6, atol=1e-9)


def test_the_gradient_is_the_paper_s():
    """dL/dW = (G - <G, W_bar> u v^T) / sigma, G = dL/dW_bar (Miyato et al. 2018, eq. 12 in matrix form)."""
    torch.manual_seed(1)
    layer = nn.Linear(6, 4, bias=False).double()
    weight = layer.weight.detach().clone()
    spectral_norm(layer)
    for _ in range(300):
        layer.weight  # noqa: B018
    layer.eval()
    x = torch.randn(5, 6, dtype=torch.float64)
    w_bar = layer.weight.detach().clone().requires_grad_()
    (g,) = torch.autograd.grad(F.linear(x, w_bar).sin().sum(), w_bar)
    layer(x).sin().sum().backward()
    u, s, vh = torch.linalg.svd(weight)
    expected = (g - (g * w_bar).sum() * torch.outer(u[:, 0], vh[0])) / s[0]
    torch.testing.assert_close(layer.parametrizations.weight.original.grad, expected, rtol=1e-6, atol=1e-9)


def test_power_iteration_moves_in_training_only_and_is_saved():
    layer = nn.Linear(6, 4)
    spectral_norm(layer)
    states = {k: v.clone() for k, v in layer.state_dict().items()}
    layer.eval()(torch.zeros(1, 6))
    assert all(torch.equal(v, states[k]) for k, v in layer.state_dict().items())
    layer.train()(torch.zeros(1, 6))
    assert not torch.equal(layer.state_dict()["parametrizations.weight.0._u"], states["parametrizations.weight.0._u"])


def test_the_regulariser_s_gradient_is_sigma_u_v():
    """Against the SVD: d/dW of sigma^2 / 2 is sigma_1 u_1 v_1^T, for every layer (Yoshida & Miyato 2017, eq. 5)."""
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 4)).double()
    penalty = SpectralRegulariser(network)
    penalty.double()
    for _ in range(300):
        value = penalty()
    sigmas = []
    value.backward()
    for layer in (network[0], network[2]):
        u, s, vh = torch.linalg.svd(matrix(layer).detach())
        sigmas.append(s[0])
        torch.testing.assert_close(layer.weight.grad.flatten(1), s[0] * torch.outer(u[:, 0], vh[0]), rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(value.detach(), 0.5 * torch.stack(sigmas).square().sum(), rtol=1e-6, atol=0)
    assert not list(penalty.parameters()), "the weights stay their owner's"


def test_the_regulariser_s_state_moves_in_training_only():
    penalty = SpectralRegulariser(nn.Linear(5, 4))
    penalty.eval()
    before = penalty.u0.clone()
    penalty()
    assert torch.equal(penalty.u0, before)


def test_a_copy_of_the_regulariser_penalises_the_copy():
    both = nn.ModuleDict({"network": nn.Linear(5, 4)})
    both["penalty"] = SpectralRegulariser(both["network"])
    other = copy.deepcopy(both)
    other["penalty"]().backward()
    assert other["network"].weight.grad is not None
    assert both["network"].weight.grad is None


def explicit(layer, shape):
    size = torch.Size(shape).numel()
    bias, layer.bias = layer.bias, None
    columns = layer(torch.eye(size, dtype=torch.float64).view(size, *shape)).flatten(1)
    layer.bias = bias
    return torch.linalg.svdvals(columns)[0].item()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(9, 4), (9,)),
        (nn.Conv2d(2, 3, 3, padding=1), (2, 6, 7)),
        (nn.Conv2d(2, 3, 4, stride=2, padding=1), (2, 8, 8)),
        (nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1), (3, 4, 4)),
        (nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="circular"), (2, 6, 7)),
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 6, 7)),
    ],
    ids=str,
)
def test_operator_norm_equals_the_svd_of_the_written_out_map(layer, shape, monkeypatch):
    layer = layer.double()
    expected = explicit(layer, shape)
    assert operator_norm(layer, shape) == pytest.approx(expected, rel=1e-10)
    monkeypatch.setattr("pinxit.nn.spectral.EXPLICIT", 0)
    assert operator_norm(layer, shape, tolerance=1e-14) == pytest.approx(expected, rel=1e-6)


def test_the_reshaped_kernel_is_not_the_operator():
    """A convolution's norm exceeds its kernel's, by at most sqrt(kh kw)."""
    torch.manual_seed(3)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    kernel = torch.linalg.matrix_norm(matrix(layer).detach(), 2).item()
    assert kernel < operator_norm(layer, (2, 10, 10)) <= 3 * kernel
