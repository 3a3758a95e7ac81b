"""Path length against linear generators, whose value is known; the step does not matter there."""

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.metrics.features.plain import Pixels
from pinxit.metrics.path_length import path_length

SPEC = Spec(1, 4, 4, levels=0)


class Linear:
    """x = A z, z uniform in a cube: walks are straight."""

    def __init__(self, scale=1.0, power=1):
        self.matrix = scale * torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
        self.power = power

    def latents(self, n, *, generator=None):
        return torch.rand(n, 3, generator=generator) * 2 - 1

    def decode(self, z):
        return (z**self.power @ self.matrix.T).view(-1, 1, 4, 4)


@pytest.mark.parametrize("epsilon", [1e-2, 1e-1])
def test_of_a_linear_generator_it_is_the_mean_square_of_the_differences(epsilon):
    model, features = Linear(), Pixels(SPEC)
    found = path_length(model, features, n=4000, epsilon=epsilon)
    scale = float(features(model.decode(torch.eye(3))).square().sum() / model.matrix.square().sum())
    expected = scale * 2 / 3 * float(model.matrix.square().sum())  # E (a - b)^2 of a, b uniform in [-1, 1]
    assert abs(found.value - expected) < 4 * found.error
    assert found.error < 0.05 * expected
    assert found.trimmed < found.value, "squares have a longer upper tail"


def test_twice_the_pixels_are_four_times_the_length_and_a_curve_is_longer_than_its_chord():
    one, two = (path_length(Linear(scale), Pixels(SPEC), n=200).value for scale in (0.1, 0.2))
    assert two == pytest.approx(4 * one, rel=1e-3)
    assert path_length(Linear(power=3), Pixels(SPEC)).value != pytest.approx(path_length(Linear(), Pixels(SPEC)).value, rel=0.1)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="`n` is 1 and"):
        path_length(Linear(), Pixels(SPEC), n=1)
    with pytest.raises(InputError, match="`epsilon` 1.0"):
        path_length(Linear(), Pixels(SPEC), epsilon=1.0)
