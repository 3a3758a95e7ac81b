"""What is right, in numbers."""

from __future__ import annotations

import math

import pytest

from pinxit.conformance.record import Mistake, Row, at_least, at_most, near


@pytest.mark.parametrize(
    ("right", "inside", "outside"),
    [
        (near(0.25, 0.01), (0.24, 0.25, 0.26), (0.2399, 0.2601, math.nan, math.inf)),
        (near(1), (1.0,), (0.9999999, 1.0000001, math.nan)),
        (at_most(0.5), (0.5, -math.inf, 0.0), (0.5000001, math.nan, math.inf)),
        (at_least(0.5), (0.5, math.inf), (0.4999999, math.nan, -math.inf)),
    ],
    ids=str,
)
def test_the_ends_are_right_and_what_is_no_number_is_not(right, inside, outside):
    assert all(value in right for value in inside)
    assert not any(value in right for value in outside)


def test_it_is_written_as_it_is_read():
    assert [str(right) for right in (near(0.5, 0.125), near(2), at_most(1e-6), at_least(3))] == [
        "0.5 +- 0.12",
        "2",
        "at most 1e-06",
        "at least 3",
    ]


def test_a_row_measures_with_the_same_random_numbers_each_time():
    import torch

    row = Row(
        number=1, name="random", property="", paper="", equation="", right={"x": near(0)}, ours=2.0,
        measure=lambda factor: {"x": factor * torch.rand(()).item()}, mistakes=(Mistake("", "", 3.0),),
    )  # fmt: skip
    torch.manual_seed(5)
    first = row.of(2.0)["x"]
    expected = torch.rand(())
    torch.manual_seed(5)
    assert torch.equal(expected, torch.rand(())), "the caller's generator is where it was"
    assert row.of(3.0)["x"] == pytest.approx(1.5 * first)
