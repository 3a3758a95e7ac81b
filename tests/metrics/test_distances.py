"""Blocked distances against plain subtraction in float64, where rounding has nothing to decide and where it would decide all."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics import distances
from pinxit.metrics.distances import Pairs, above, checked, kth_nearest, smallest


def drawn(n: int, d: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain(x: Tensor, y: Tensor) -> Tensor:
    return (x.double()[:, None] - y.double()).square().sum(2)


@pytest.mark.parametrize("shift", [0.0, 30.0, 3000.0])
@pytest.mark.parametrize("d", [3, 40, 700])
def test_bounds_are_below_and_near(d: int, shift: float) -> None:
    x, y = drawn(60, d, 0) + shift, 2 * drawn(50, d, 1) + shift
    pairs, exact = Pairs(x, y), plain(x, y)
    low = pairs.low(slice(0, 60), slice(0, 50)).double() * pairs.unit
    assert bool((low <= exact * (1 + 1e-15)).all()), "a bound"
    error = (d + 16) * 2.0**-24 if d > distances.PLAIN else 1e-15
    y = y.double()
    norms = (x.double() - y.mean(0)).square().sum(1)[:, None] + (y - y.mean(0)).square().sum(1)
    assert bool((exact - low <= 2.01 * error * norms + 1e-12).all()), "and not far below"


def test_tiles_hold_every_pair_once_and_the_same_numbers() -> None:
    x, y = drawn(25, 12, 2), drawn(31, 12, 3)
    whole = Pairs(x, y).low(slice(0, 25), slice(0, 31))
    seen = torch.zeros(25, 31)
    for rows, columns, low in Pairs(x, y).tiles(8):
        assert max(low.shape) <= 8
        seen[rows, columns] += 1
        torch.testing.assert_close(low, whole[rows, columns], rtol=1e-5, atol=1e-6)
    assert bool((seen == 1).all())
    own = torch.zeros(25, 25)
    for rows, columns, _ in Pairs(x).tiles(8):
        own[rows, columns] += 1
        if rows != columns:
            own[columns, rows] += 1
    assert bool((own == 1).all())


def test_exact_is_the_same_however_many_pairs_are_asked_for_and_in_either_order() -> None:
    x = drawn(40, 333, 4)
    y = torch.cat([x[10:20], drawn(5, 333, 5)])
    pairs, back = Pairs(x, y), Pairs(y, x)
    i, j = torch.arange(40).repeat_interleave(15), torch.arange(15).repeat(40)
    whole = pairs.exact(i, j) * pairs.unit
    torch.testing.assert_close(whole, plain(x, y).flatten(), rtol=1e-13, atol=0)
    assert torch.equal(back.exact(j, i) * back.unit, whole)
    one = torch.cat([pairs.exact(a, b) for a, b in zip(i.split(1), j.split(1), strict=True)]) * pairs.unit
    assert torch.equal(one, whole)
    assert bool((whole.view(40, 15)[torch.arange(10, 20), torch.arange(10)] == 0).all()), "copies"


def test_exact_of_one_pair_of_very_long_rows() -> None:
    """A reduction of one long row may be split among threads; it must add up as among many."""
    x = drawn(3, 40_000, 6)
    pairs = Pairs(x)
    many = pairs.exact(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0]))
    assert torch.equal(pairs.exact(torch.tensor([1]), torch.tensor([2])), many[1:2])


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1.0, 1e12, 1e21])
def test_no_square_leaves_the_range_of_float32(factor: float) -> None:
    x = drawn(50, 20, 7, torch.float64)
    found = kth_nearest(x * factor, 2) / factor**2
    torch.testing.assert_close(found, kth_nearest(x, 2), rtol=1e-9, atol=0)


@pytest.mark.parametrize("d", [2, 30])
@pytest.mark.parametrize("block", [7, 64, 1024])
def test_kth_nearest_leaves_the_row_itself_out(d: int, block: int) -> None:
    x = drawn(100, d, 8) + 50
    whole = plain(x, x).sort(1).values
    torch.testing.assert_close(kth_nearest(x, 4, block=block), whole[:, 1:5], rtol=1e-12, atol=0)


def test_a_copy_is_a_neighbour_at_zero() -> None:
    x = drawn(40, 30, 9) + 10
    twice = torch.cat([x, x[:15]])
    found = kth_nearest(twice, 2, block=16)
    assert bool((found[:15, 0] == 0).all())
    assert bool((found[40:, 0] == 0).all())
    assert bool((found[15:40, 0] > 1).all())
    assert bool((found[:, 1] > 1).all())


def test_neighbours_that_rounding_confuses_in_great_number_are_told_apart() -> None:
    """Twelve of a kind much nearer to one another than float32 resolves from the centre: more than the spare candidates."""
    kinds, step = 1000 * drawn(6, 300, 10)[:, None], drawn(1, 300, 11)
    offsets = (torch.arange(12.0) ** 1.5)[None, :, None] * 0.01
    x = (kinds + offsets * step).view(72, 300)
    expected = plain(x, x).sort(1).values[:, 1:3]
    low = Pairs(x)
    rough = low.low(slice(0, 72), slice(0, 72)).double().fill_diagonal_(math.inf) * low.unit
    assert not torch.equal(rough.argmin(1), plain(x, x).fill_diagonal_(math.inf).argmin(1)), "rounding does confuse them"
    torch.testing.assert_close(kth_nearest(x, 2), expected, rtol=1e-12, atol=0)
    value, where = smallest(x, x, 2, exclude=torch.arange(72), rows=10, columns=9)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(plain(x, x).gather(1, where), expected, rtol=1e-12, atol=0)


def test_settled_pairs_are_on_the_right_side_of_their_threshold() -> None:
    """Every pair against its own distance, and against the number just above and just below it."""
    x, y = drawn(30, 200, 12) + 100, drawn(30, 200, 13) + 100
    pairs = Pairs(x, y)
    i, j = torch.arange(30).repeat_interleave(30), torch.arange(30).repeat(30)
    exact, low = pairs.exact(i, j), pairs.low(slice(0, 30), slice(0, 30)).flatten()
    for threshold in (exact, exact.nextafter(exact * 2), exact.nextafter(exact * 0)):
        found = pairs.settled(i, j, low, threshold)
        assert torch.equal(found < threshold, exact < threshold)
        assert torch.equal(found <= threshold, exact <= threshold)
    far = pairs.settled(i, j, low, exact * 2, exact / 2)
    torch.testing.assert_close(far, exact, rtol=1e-3, atol=0)
    assert not torch.equal(far, exact), "what is clear is not computed again"


def test_a_threshold_is_rounded_up() -> None:
    threshold = torch.tensor([1 / 3, 2 / 3, 1.0, 0.0], dtype=torch.float64)
    assert bool((above(threshold, torch.zeros(1, 1)).double() > threshold).all())
    assert above(threshold, torch.zeros(1, 1)).dtype == torch.float32


def test_reduced_products_widen_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    x = drawn(50, 40, 14)
    torch.testing.assert_close(kth_nearest(x, 2), plain(x, x).sort(1).values[:, 1:3], rtol=1e-12, atol=0)
    pairs = Pairs(x)
    assert bool((pairs.low(slice(0, 50), slice(0, 50)).double() * pairs.unit < plain(x, x) - 1).all())


def test_what_no_metric_can_use_is_refused() -> None:
    x = drawn(5, 3, 15)
    bad = x.clone()
    bad[1, 0], bad[3, 2] = math.nan, math.inf
    with pytest.raises(InputError, match="2 of 5 rows of features are not finite"):
        checked(x, bad)
    with pytest.raises(InputError, match="3 and 4 dimensions"):
        checked(x, drawn(5, 4, 0))
    with pytest.raises(InputError, match=r"features reach .*e\+160, whose squares are no number"):
        checked(x, x.double() * 1e160)
    with pytest.raises(InputError, match="5 rows of features are too few"):
        checked(x, x, least=6)
    with pytest.raises(InputError, match="`k` is 5 with 5 samples"):
        kth_nearest(x, 5)
    with pytest.raises(InputError, match="`k` is 0"):
        kth_nearest(x, 0)
    with pytest.raises(InputError, match="at least 6"):
        smallest(x, x, 5, exclude=torch.arange(5))
