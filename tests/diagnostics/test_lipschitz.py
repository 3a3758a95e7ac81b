"""Lipschitz constants from above and below: exact where they can be known, refused where they can't."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.diagnostics import lipschitz
from pinxit.nn.mlp import Maxout, mlp
from pinxit.nn.spectral import spectral_norm


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def matrix(layer: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """The layer's matrix, a column an input number at a time."""
    size = math.prod(shape)
    with torch.no_grad():
        origin = layer(torch.zeros(1, *shape).double()).flatten()
        columns = [layer(torch.eye(size).double()[k].view(1, *shape)).flatten() - origin for k in range(size)]
    return torch.stack(columns, dim=1)


def absolute() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network[2].weight.fill_(1.0)
    return network


@pytest.mark.parametrize("widths", [(7, 5), (6, 9, 4), (3, 8, 8, 1)])
def test_a_linear_network_is_its_largest_singular_value_from_both_sides(widths):
    """Target LIP-1, several layers together too: their product is taken before the norm."""
    network = nn.Sequential(*(nn.Linear(i, o) for i, o in itertools.pairwise(widths))).double()
    exact = torch.linalg.svdvals(matrix(network, widths[:1]))[0].item()
    found = lipschitz.upper(network, widths[:1])
    assert found.value == pytest.approx(exact, abs=1e-10)
    assert [factor.exact for factor in found.factors] == [True]
    assert lipschitz.lower(network, draw(3, widths[0])).value == pytest.approx(exact, abs=1e-10)


def test_the_absolute_value():
    """Target LIP-2: slope 1 everywhere; the product of norms says 2, trying all patterns 1."""
    network = absolute()
    assert lipschitz.upper(network, (1,)).value == pytest.approx(2, abs=1e-12)
    assert lipschitz.upper_by_patterns(network) == pytest.approx(1, abs=1e-12)
    assert lipschitz.lower(network, draw(10, 1).float()).value == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(2, 3, 3, padding=1), (2, 7, 6)),
        (nn.Conv2d(2, 4, 4, stride=2, padding=1), (2, 8, 8)),
        (nn.Conv2d(4, 4, 3, groups=2, dilation=2), (4, 8, 8)),
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 6, 6)),
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 6, 6)),
        (nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1), (3, 5, 5)),
        (nn.Conv1d(2, 3, 5, stride=2), (2, 20)),
        (nn.AvgPool2d(2), (3, 6, 6)),
        (nn.Upsample(scale_factor=2), (2, 4, 4)),
    ],
)
def test_convolutions_are_bounded_as_operators(layer, shape, monkeypatch):
    """The explicit matrix and the iteration agree with SVD of columns gathered one by one; a reshaped kernel would not."""
    layer = layer.double()
    exact = torch.linalg.svdvals(matrix(layer, shape))[0].item()
    found = lipschitz.upper(layer, shape)
    assert found.value == pytest.approx(exact, rel=1e-9)
    assert all(factor.exact for factor in found.factors)
    monkeypatch.setattr(lipschitz, "EXPLICIT", 0)
    iterated = lipschitz.upper(layer, shape)
    assert iterated.value == pytest.approx(exact, rel=1e-6)
    assert not any(factor.exact for factor in iterated.factors)


def test_circular_convolution_is_bounded_by_its_spectrum():
    """One channel, circular padding: the operator's singular values are the moduli of the kernel's Fourier transform."""
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False).double()
    spectrum = torch.fft.fft2(layer.weight.detach()[0, 0], s=(12, 12)).abs().max().item()
    assert lipschitz.upper(layer, (1, 12, 12)).value == pytest.approx(spectrum, rel=1e-10)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * self.last(x + F.leaky_relu(self.inner(x), -2.0)).squeeze(1) / 2


def test_a_residual_adds():
    network = Residual()
    inner, last = (torch.linalg.matrix_norm(layer.weight.double(), 2).item() for layer in (network.inner, network.last))
    found = lipschitz.upper(network, (4,))
    assert found.value == pytest.approx(1.5 * (1 + 2 * inner) * last, rel=1e-6)
    assert lipschitz.lower(network, draw(50, 4).float(), steps=20).value <= found.value


class Concatenated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.tanh(self.a(x)), torch.sigmoid(self.b(x))], dim=1)


def test_parts_side_by_side_add_their_squares():
    network = Concatenated()
    a, b = (torch.linalg.matrix_norm(layer.weight.double(), 2).item() for layer in (network.a, network.b))
    assert lipschitz.upper(network, (3,)).value == pytest.approx(math.hypot(a, b / 4), rel=1e-6)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "softplus", "silu", "gelu", "selu", "elu", "hardtanh", "leaky_relu"])
def test_the_slopes_of_activations_are_bounds_and_tight(name):
    """The greatest slope on a fine line is within 1 % below the table's."""
    activation = getattr(F, name)
    x = torch.linspace(-8, 8, 400_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(activation(x).sum(), x)

    class One(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return activation(x)

    bound = lipschitz.upper(One(), (1,)).value
    assert slope.abs().max().item() <= bound <= slope.abs().max().item() * 1.01


def test_batch_norm_in_eval_mode_is_a_scale():
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    for _ in range(5):
        network(draw(20, 4).float())
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([1.0, -3.0, 0.5]))
    network.eval()
    scale = (network[1].weight / (network[1].running_var + network[1].eps).sqrt()).abs().max().item()
    linear = torch.linalg.matrix_norm(network[0].weight.double(), 2).item()
    assert lipschitz.upper(network, (4,)).value == pytest.approx(scale * linear, rel=1e-5)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (mlp((4, 16, 16, 1)), (4,)),
        (nn.Sequential(nn.Flatten(), mlp((12, 8, 3), nn.LeakyReLU, negative_slope=0.2)), (3, 2, 2)),
        (nn.Sequential(Maxout(6, 5, 3), nn.Linear(5, 2)), (6,)),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 16, 1)), (1, 6, 6)),
    ],
)
def test_upper_is_above_lower(network, shape):
    network = network.double()
    above = lipschitz.upper(network, shape).value
    below = lipschitz.lower(network, draw(64, *shape), steps=30, generator=torch.Generator().manual_seed(0))
    assert 0.05 * above < below.value <= above * (1 + 1e-9)
    assert below.value >= below.on_points
    at = below.at[None].requires_grad_()
    jacobian = torch.autograd.functional.jacobian(network, at).reshape(-1, math.prod(shape))
    assert torch.linalg.matrix_norm(jacobian, 2).item() == pytest.approx(below.value, rel=1e-9)


def test_climbing_finds_the_steepest_place():
    """f = sin(x) + 0.1 y has its greatest slope at x = 0 (mod pi), sqrt(1.01), and a smooth way up; |x|^3 / 3 has none."""

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x[:, 0]) + 0.1 * x[:, 1]

    start = torch.tensor([[1.2, 0.0], [1.4, 3.0]], dtype=torch.float64)
    found = lipschitz.lower(f, start, steps=60, generator=torch.Generator().manual_seed(0))
    assert found.on_points == pytest.approx(math.hypot(math.cos(1.2), 0.1), rel=1e-12)
    assert found.value == pytest.approx(math.sqrt(1.01), rel=1e-3)
    assert math.sin(float(found.at[0])) == pytest.approx(0, abs=0.05)


def test_random_steps_cross_the_kinks_of_a_relu():
    """max(0, x - 1) is flat where the points are: only a random step finds the slope."""
    network = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.fill_(-1.0)
    x = torch.linspace(-1, 0.5, 16)[:, None]
    found = lipschitz.lower(network, x, steps=40, generator=torch.Generator().manual_seed(0))
    assert (found.on_points, found.value) == (0.0, 1.0)


def test_patterns_are_never_above_the_product_and_never_below_a_slope():
    for seed in range(3):
        torch.manual_seed(seed)
        network = mlp((3, 6, 5, 2)).double()
        patterns, product = lipschitz.upper_by_patterns(network), lipschitz.upper(network, (3,)).value
        assert lipschitz.lower(network, draw(200, 3)).value <= patterns <= product * (1 + 1e-9)


def test_spectral_normalisation_is_bounded_by_one_and_not_moved():
    """In training mode a forward pass steps u and v: measuring must not."""
    network = mlp((5, 16, 16, 1))
    spectral_norm(network)
    for _ in range(200):
        network(draw(4, 5).float())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert lipschitz.upper(network, (5,)).value == pytest.approx(1, abs=0.05)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training


class Gated(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


class Reading(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x[0, 0].item()


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), "`layer_norm`, whose slope has no bound"),
        (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), "`1` is BatchNorm1d in training mode.*network.eval"),
        (nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)), "Dropout in training mode"),
        (Gated(), "two functions of its input"),
        (Reading(), "takes a number out"),
    ],
)
def test_what_is_not_known_is_refused(network, said):
    with pytest.raises(InputError, match=said):
        lipschitz.upper(network, (4,))


def test_patterns_refuse_what_they_can_not_try():
    with pytest.raises(InputError, match="17 ReLU units"):
        lipschitz.upper_by_patterns(mlp((2, 17, 1)))
    with pytest.raises(InputError, match="Tanh"):
        lipschitz.upper_by_patterns(mlp((2, 3, 1), nn.Tanh))


def test_the_shared_networks_can_be_bounded():
    from pinxit.nn.mlp import MLPTrunk

    trunk = MLPTrunk(Spec(1, 6, 6), (16, 8)).eval()
    assert 0 < lipschitz.upper(trunk, (1, 6, 6)).value < 100
