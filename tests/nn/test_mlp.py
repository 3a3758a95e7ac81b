"""The fully connected networks."""

import pytest
import torch

from pinxit.core.spec import Spec
from pinxit.nn.activations import LeakyReLU
from pinxit.nn.mlp import Maxout, MLPGenerator, MLPTrunk, mlp, orthogonal


def test_maxout_is_the_greatest_of_its_pieces_unit_by_unit():
    layer = Maxout(4, 3, 5).double()
    x = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight, bias = layer.linear.weight.view(3, 5, 4), layer.linear.bias.view(3, 5)
    expected = torch.stack([(x @ weight[:, piece].T + bias[:, piece]) for piece in range(5)]).max(dim=0).values
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_an_mlp_has_no_activation_at_its_end():
    net = mlp((2, 8, 3))
    assert [type(layer).__name__ for layer in net] == ["Linear", "ReLU", "Linear"]


def test_images_are_bounded_and_points_are_not():
    z = 100 * torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    image, point = Spec(3, 4, 6), Spec(2, 1, 1, levels=0)
    x = MLPGenerator(5, (16,), image)(z)
    assert x.shape == (64, 3, 4, 6)
    assert x.abs().max() <= 1
    p = MLPGenerator(5, (16,), point)(z)
    assert p.shape == (64, 2, 1, 1)
    assert p.abs().max() > 1


def test_dropout_acts_in_training_only_and_on_the_input_at_its_own_rate():
    net = MLPTrunk(Spec(1, 4, 4), (8,), dropout_input=0.2, dropout=0.5)
    rates = [layer.p for layer in net.layers if isinstance(layer, torch.nn.Dropout)]
    assert rates == [0.2, 0.5]
    x = torch.ones(1, 1, 4, 4)
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize(("activation", "expected"), [("relu", LeakyReLU), ("tanh", torch.nn.Tanh)])
def test_activation_and_normalisation_of_a_trunk(activation, expected):
    net = MLPTrunk(Spec(1, 4, 4), (8, 8, 8), activation=activation, normalisation="batch")
    kinds = [type(layer) for layer in net.layers]
    assert kinds.count(expected) == 3
    assert kinds.count(torch.nn.BatchNorm1d) == 2, "the first layer sees the data and has none"
    assert net.features == 8


def test_orthogonal_weights_have_equal_singular_values():
    net = mlp((6, 6, 4))
    orthogonal(net, 1.4)
    for layer in (net[0], net[2]):
        torch.testing.assert_close(torch.linalg.svdvals(layer.weight), torch.full((len(layer.weight),), 1.4))
        assert not layer.bias.any()
