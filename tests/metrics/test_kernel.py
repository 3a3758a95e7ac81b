"""The unbiased MMD against the plain matrices, against its expectation in closed form, and its error against repetition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics import kernel
from pinxit.metrics.kernel import kernel_distance, kernel_distance_subsets, mmd2, polynomial_kernel


def drawn(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def plain(x: Tensor, y: Tensor) -> float:
    """Loops over pairs, as the definition reads."""
    d = x.shape[1]

    def k(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / d + 1) ** 3

    def within(rows: Tensor) -> float:
        n = len(rows)
        return sum(k(rows[i], rows[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))

    return within(x) + within(y) - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


@pytest.mark.parametrize(("n", "m"), [(9, 9), (12, 7), (5, 14)])
@pytest.mark.parametrize("block", [4, 1024])
def test_it_is_the_definition(n: int, m: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "BLOCK", block)
    x, y = drawn(n, 6, 0), drawn(m, 6, 1, 1.2, 0.4)
    assert mmd2(x, y) == pytest.approx(plain(x, y), rel=1e-10)
    assert kernel_distance(x, y).value == pytest.approx(plain(x, y), rel=1e-10)
    assert kernel_distance(y, x).value == pytest.approx(plain(x, y), rel=1e-10)


def test_blocks_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(50, 4, 10), drawn(43, 4, 11, 1.0, 0.01)
    whole = kernel_distance(x, y)
    monkeypatch.setattr(kernel, "BLOCK", 8)
    assert kernel_distance(x, y).value == pytest.approx(whole.value, rel=1e-10)
    assert kernel_distance(x, y).standard_error == pytest.approx(whole.standard_error, rel=1e-10)


@pytest.mark.slow
def test_its_mean_is_the_true_squared_distance_below_zero_or_not() -> None:
    """One dimension, k = (xy + 1)^3: MMD^2 = sum_r C(3, r) (E x^r - E y^r)^2, here of N(0, 1) and N(.3, 1)."""
    m = 0.3
    moments_y = [1.0, m, 1 + m**2, m**3 + 3 * m]
    moments_x = [1.0, 0.0, 1.0, 0.0]
    true = sum(math.comb(3, r) * (a - b) ** 2 for r, (a, b) in enumerate(zip(moments_x, moments_y, strict=True)))
    found = torch.tensor([kernel_distance(drawn(30, 1, k), drawn(20, 1, 5000 + k, 1.0, m)).value for k in range(1500)])
    assert abs(float(found.mean()) - true) < 3 * float(found.std()) / 1500**0.5
    same = torch.tensor([kernel_distance(drawn(30, 1, k), drawn(20, 1, 5000 + k)).value for k in range(1500)])
    assert abs(float(same.mean())) < 3 * float(same.std()) / 1500**0.5
    assert float((same < 0).double().mean()) > 0.4


@pytest.mark.parametrize("shift", [0.0, 0.4])
@pytest.mark.parametrize("m", [80, 160])
def test_the_standard_error_is_that_of_repeating_all(shift: float, m: int) -> None:
    """Where the laws are equal the first order vanishes; a jackknife would then be too great by sqrt(2)."""
    found = [kernel_distance(drawn(80, 8, k), drawn(m, 8, 9000 + k, 1.0, shift)) for k in range(400)]
    spread = float(torch.tensor([one.value for one in found], dtype=torch.float64).std())
    variance = float(torch.tensor([one.standard_error for one in found], dtype=torch.float64).square().mean())
    assert variance**0.5 == pytest.approx(spread, rel=0.15)


def test_subsets() -> None:
    x, y = drawn(200, 5, 2), drawn(300, 5, 3, 1.0, 0.5)
    whole = kernel_distance(x, y)
    found = kernel_distance_subsets(x, y, generator=torch.Generator().manual_seed(0), subsets=200, size=50)
    assert found.value == pytest.approx(whole.value, abs=4 * found.standard_error)
    assert found.standard_error == pytest.approx(found.spread / 200**0.5)
    assert found == kernel_distance_subsets(x, y, generator=torch.Generator().manual_seed(0), subsets=200, size=50)
    everything = kernel_distance_subsets(x, y[:200], generator=torch.Generator().manual_seed(1), subsets=3, size=200)
    assert everything.value == pytest.approx(kernel_distance(x, y[:200]).value, rel=1e-9), "without replacement"
    assert everything.spread < 1e-9
    assert "200 subsets of 50" in str(found)
    assert "all samples, n = 200" in str(whole)


def test_sums_of_float32_features_are_taken_in_float64() -> None:
    x, y = drawn(3000, 64, 4).float(), drawn(3000, 64, 5, 1.0, 0.02).float()
    assert kernel_distance(x, y).value == pytest.approx(kernel_distance(x.double(), y.double()).value, abs=2e-9)
    assert polynomial_kernel(x[:3], y[:4]).dtype == torch.float32
    assert kernel_distance(x, y.double()).value == pytest.approx(kernel_distance(x, y).value, abs=2e-9)
    assert polynomial_kernel(x[:3].half(), y[:4].half()).dtype == torch.float32


def test_wrong_arguments_are_refused() -> None:
    x = drawn(10, 3, 6)
    with pytest.raises(InputError, match=r"3 `subsets` of `size` 11: .* in \[2, 10\]"):
        kernel_distance_subsets(x, x, generator=torch.Generator(), subsets=3, size=11)
    with pytest.raises(InputError, match="too few: give at least 3"):
        kernel_distance(x[:2], x)
    bad = x.clone()
    bad[0, 0] = math.inf
    with pytest.raises(InputError, match="1 of 10 rows"):
        kernel_distance(x, bad)


def test_a_kernel_that_is_no_number_is_an_error_and_no_nan() -> None:
    x, y = drawn(10, 3, 6).float() * 1e20, drawn(9, 3, 7).float() * 1e20
    with pytest.raises(InputError, match="so large that their kernel, a sixth power, is no number"):
        kernel_distance(x, y)
    with pytest.raises(InputError, match="so large that their kernel"):
        kernel_distance_subsets(x, y, generator=torch.Generator(), subsets=3, size=5)
    assert math.isfinite(kernel_distance(x.double(), y.double()).value)
