"""Walks along a direction, and decoded noise: the right images in the right places."""

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.viz.classes import table
from pinxit.viz.directions import attribute_walk, noise_decoded


class Brightness:
    """The code is the mean of an image."""

    def encode(self, x, labels=None):
        return x.mean(dim=(1, 2, 3))[:, None]

    def decode(self, z):
        return z[:, :, None, None].expand(-1, 1, 8, 8).clamp(-1, 1)


X = torch.linspace(-0.5, 0.5, 3)[:, None, None, None].expand(3, 1, 8, 8).contiguous()


def test_a_row_is_the_image_and_its_walk():
    picture = attribute_walk(Brightness(), X, torch.tensor([0.4]), name="dark to bright", reach=1, steps=3)
    columns = [X, X - 0.4, X, X + 0.4]
    heads = ["image", "-1.0", "0", "+1.0"]
    expected = table(columns, heads=heads, title="code + t (mean difference), dark to bright")
    assert picture.tobytes() == expected.tobytes()


def test_noise_is_the_same_for_every_model_and_the_spread_is_told():
    one, other = (noise_decoded({"a": Brightness(), "b": Brightness()}, X, n=4, seed=s) for s in (0, 1))
    assert one.tobytes() != other.tobytes()
    # Both blocks hold the same pictures.
    half = (one.width - 28) // 2
    top = 40
    left, right = one.crop((0, top, half, one.height)), one.crop((half + 28, top, one.width, one.height))
    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_walk_has_a_middle(steps):
    with pytest.raises(InputError, match="odd"):
        attribute_walk(Brightness(), X, torch.tensor([0.4]), steps=steps)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="the codes have 1 numbers"):
        attribute_walk(Brightness(), X, torch.zeros(2))
    with pytest.raises(InputError, match="0 models"):
        noise_decoded({}, X)
