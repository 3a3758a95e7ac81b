"""Parallel lines: the bars' arithmetic. The training itself is judged with the figure, in test_figures."""

import math

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.theory import lines
from pinxit.theory.lines import Measured


def perfect(t: float) -> Measured:
    return Measured(t, math.log(2), abs(t), 0.0, math.copysign(1.0, t))


def test_the_points_lie_on_the_line():
    x = lines.points(0.5, 1000, torch.Generator().manual_seed(0))
    assert (x[:, 0] == 0.5).all()
    assert x[:, 1].min() >= 0
    assert x[:, 1].max() <= 1
    assert x[:, 1].mean().item() == pytest.approx(0.5, abs=0.03)


def test_perfect_estimates_have_no_error():
    measured = [perfect(t) for t in lines.DISTANCES if t] + [Measured(0.0, 0.0, 0.0, 0.3, 0.3)]
    assert all(value == pytest.approx(0, abs=1e-12) for value in lines.bars(measured).values())


def test_every_error_is_seen():
    """One estimate off by a tenth at t = 0.5: relative error 0.2, slopes 1.4 and 0.6."""
    measured = [perfect(t) for t in lines.DISTANCES if t != 0.5] + [Measured(0.5, 0.6, 0.6, 0.02, 0.7)]
    found = lines.bars(measured)
    assert found["js_error"] == pytest.approx(math.log(2) - 0.6)
    assert found["js_slope"] == pytest.approx((math.log(2) - 0.6) / 0.25)
    assert found["js_gradient"] == 0.02
    assert found["wasserstein_relative_error"] == pytest.approx(0.2)
    assert found["wasserstein_slope_error"] == pytest.approx(0.4)
    assert found["wasserstein_gradient_error"] == pytest.approx(0.3)


def test_the_two_sides_of_zero_are_not_joined():
    assert [m.distance for m in lines.one_side([perfect(t) for t in lines.DISTANCES], -1)] == [-1.0, -0.75, -0.5, -0.25]
    assert lines.slopes([0.0, 1.0, 3.0], [1.0, 2.0, 2.0]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: lines.points(1.0, 0, torch.Generator()), "`n` is 0"),
        (lambda: lines.points(math.nan, 1, torch.Generator()), "`distance` has an entry"),
        (lambda: lines.slopes([0.0, 1.0], [0.0]), r"`values` has shape \(1,\): it must be \(2,\)"),
        (lambda: lines.slopes([1.0, 1.0], [0.0, 1.0]), "neighbours must differ"),
        (lambda: lines.one_side([], 0), "`sign` is 0"),
        (lambda: lines.bars([]), "`measured` has 0 and 0"),
    ],
)
def test_mistakes(call, said):
    with pytest.raises(InputError, match=said):
        call()
