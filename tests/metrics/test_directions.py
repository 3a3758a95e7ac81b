"""Directions between groups of codes: the difference of means, judged on codes that were held out."""

import pytest
import torch

from metrics.gaussians import Drawn
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.metrics.directions import between, of_classes

SPEC = Spec(3, 1, 1, levels=0, classes=3)
CENTRES = torch.tensor([[0.0, 0.0, 0.0], [6.0, 0.0, 0.0], [0.0, 6.0, 0.0]])


class Flat:
    """Codes are the points themselves."""

    def encode(self, x):
        return x.flatten(1)


def data(n: int = 900) -> Drawn:
    labels = torch.arange(n) % 3
    noise = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return Drawn(CENTRES[labels] + noise, SPEC, labels)


def test_the_direction_joins_the_means():
    found = of_classes(Flat(), data(), 1, since=0)
    torch.testing.assert_close(found.vector, torch.tensor([6.0, 0.0, 0.0]), rtol=0, atol=0.3)
    assert found.accuracy > 0.99
    assert found.name == "0 to 1"
    assert (found.n, found.n_test) == (480, 120)


def test_against_the_rest():
    found = of_classes(Flat(), data(), 1)
    torch.testing.assert_close(found.vector, torch.tensor([6.0, -3.0, 0.0]), rtol=0, atol=0.3)
    assert found.name == "the rest to 1"


def test_a_meaningless_direction_is_seen_to_be_one():
    """The means of two random groups differ too; held-out codes then fall on either side."""
    g = torch.Generator().manual_seed(1)
    codes = torch.randn(3000, 50, generator=g)
    found = between(codes, torch.rand(3000, generator=g) < 0.1, name="nothing")
    assert found.vector.norm() > 0.3
    assert abs(found.accuracy - 0.5) < 0.08


def test_small_and_large_groups_count_alike():
    codes = torch.cat((torch.zeros(990, 2), torch.ones(10, 2)))
    found = between(codes, torch.arange(1000) >= 990, name="rare")
    assert found.accuracy == 1.0
    found = between(torch.zeros(1000, 2), torch.arange(1000) >= 990, name="rare")
    assert found.accuracy == 0.0, "on neither side"


@pytest.mark.parametrize(("options", "said"), [
    ({"to": 3}, "class 3 is not one of 0 to 2"), ({"to": 1, "since": 1}, "both 1"), ({"to": 1, "since": -1}, "class -1"),
    ({"to": 1, "most": 20}, "at least 10 of each"),
])  # fmt: skip
def test_refusals(options, said):
    with pytest.raises(InputError, match=said):
        of_classes(Flat(), data(), **options)


def test_labels_are_needed():
    with pytest.raises(InputError, match="no labels"):
        of_classes(Flat(), Drawn(torch.zeros(40, 3), Spec(3, 1, 1, levels=0)), 0)
