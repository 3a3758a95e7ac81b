"""One pass gives what two gave: the balls to the bit, the kernel distance within the rounding of float32 products."""

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.metrics import distances
from pinxit.metrics.distances import Pairs
from pinxit.metrics.kernel import _sums, kernel_distance
from pinxit.metrics.pairwise import kernel_and_neighbourhoods
from pinxit.metrics.precision_recall import neighbourhoods


def sets(n, m, d, shift=0.3, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=g, dtype=dtype).relu() + 0.5, torch.randn(
        m, d, generator=g, dtype=dtype
    ).relu() + 0.5 + shift


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 64), (200, 300, 3), (150, 150, 600), (1100, 1030, 20)])
def test_it_is_both(n, m, d):
    real, generated = sets(n, m, d)
    kernel, balls = kernel_and_neighbourhoods(real, generated)
    assert balls == neighbourhoods(real, generated)
    exact = kernel_distance(generated.double(), real.double())
    assert kernel.value == pytest.approx(exact.value, rel=2e-5, abs=1e-7)
    assert kernel.standard_error == pytest.approx(exact.standard_error, rel=1e-4)


def activations(n, d, seed, shift):
    """Correlated and not negative: the kernel's deviation is a twelfth of its mean."""
    g, fixed = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(0)
    mix = torch.randn(d, d, generator=fixed) * torch.arange(1, d + 1).float().pow(-0.5)[:, None]
    return ((torch.randn(n, d, generator=g) + shift) @ mix / 4 + 0.2).relu()


def offset(n, d, seed, shift):
    """Far from the origin: the kernel's deviation is a twenty-thousandth of its mean, and all but that cancels."""
    return 3 + 0.05 * (torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift)


@pytest.mark.parametrize(("made", "d", "gain"), [(activations, 1024, 1), (activations, 100, 1), (offset, 256, 5)])
@pytest.mark.parametrize("n", [300, 900])
@pytest.mark.parametrize("shift", [0.0, 0.02])
def test_float32_errs_by_a_small_share_of_the_standard_error(made, d, gain, n, shift):
    """Against float64, at equal laws too, where the standard error is smallest: as `kernel_distance` says, at every n.

    How a processor adds up the terms of a product decides how near to the bound that comes. Products about the mean (`Pairs`)
    gain on it where all is far from the origin.
    """
    x, y = made(n, d, 1, 0.0), made(n, d, 2, shift)
    exact = kernel_distance(x.double(), y.double())
    k = _sums(x.double(), y.double())
    r = (k.squares / n**2 / k.centred()).sqrt().item()
    bound = 3 * d**0.5 * 2**-24 * r
    for found, share in ((kernel_distance(x, y), bound), (kernel_and_neighbourhoods(x, y)[0], bound / gain)):
        assert abs(found.value - exact.value) < share * exact.standard_error
        assert found.standard_error == pytest.approx(exact.standard_error, rel=1e-4)


def test_near_laws_are_told_as_near_as_by_kernel_distance():
    real, generated = sets(800, 800, 128, shift=0.0)
    kernel, _ = kernel_and_neighbourhoods(real, generated)
    exact = kernel_distance(generated.double(), real.double())
    assert abs(kernel.value - exact.value) < 1e-3 * exact.standard_error


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("d", [3, 40])
def test_products_of_a_tile_are_the_inner_products(d, factor):
    x, y = (factor * rows for rows in sets(70, 50, d))
    for pairs, other in ((Pairs(x, y), y), (Pairs(x), x)):
        rows, columns = slice(10, 40), slice(5, 30)
        found = pairs.products(rows, columns, pairs.low(rows, columns))
        expected = x[rows].double() @ other[columns].double().T
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_blocks_change_nothing_but_rounding(monkeypatch):
    real, generated = sets(90, 70, 30)
    whole, _ = kernel_and_neighbourhoods(real, generated)
    monkeypatch.setattr(distances, "BLOCK", 16)
    parts, _ = kernel_and_neighbourhoods(real, generated)
    assert parts.value == pytest.approx(whole.value, rel=1e-5)


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="dimensions"):
        kernel_and_neighbourhoods(torch.zeros(9, 3), torch.zeros(9, 4))
    with pytest.raises(InputError, match="not finite"):
        kernel_and_neighbourhoods(torch.full((9, 3), torch.nan), torch.zeros(9, 3))
