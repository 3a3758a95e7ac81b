"""Gaussians fitted by either direction of KL, against quadrature and against every near Gaussian."""

import math

import numpy as np
import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.theory import densities, fits
from pinxit.theory.densities import Mixture

P = Mixture.of([-2.0, 2.0], 0.6, [0.6, 0.4])


def test_the_reverse_divergence_is_that_of_quadrature():
    for mean, scale in ((0.3, 1.5), (-2.0, 0.6), (1.0, 0.2)):
        found = fits.reverse_kl(torch.tensor(mean, dtype=torch.float64), torch.tensor(math.log(scale), dtype=torch.float64), P)
        assert found.item() == pytest.approx(densities.kl(Mixture.of([mean], scale), P).value, abs=1e-10)


def test_the_forward_fit_has_the_moments_and_no_neighbour_is_better():
    fit = fits.forward(P)
    assert fit.mean == pytest.approx(-0.4)
    assert fit.scale == pytest.approx(math.sqrt(0.36 + 4 * (1 - 0.04)))
    for shift, stretch in ((0.05, 1.0), (-0.05, 1.0), (0.0, 1.02), (0.0, 0.98)):
        other = densities.kl(P, Mixture.of([fit.mean + shift], fit.scale * stretch)).value
        assert other > fit.divergence


def test_the_reverse_fit_is_the_best_of_a_grid():
    fit = fits.best_reverse(P)
    means, scales = np.linspace(-3, 3, 61), np.linspace(0.3, 3, 28)
    grid = min(
        fits.reverse_kl(torch.tensor(m, dtype=torch.float64), torch.tensor(math.log(s), dtype=torch.float64), P).item()
        for m in means
        for s in scales
    )
    assert fit.divergence <= grid
    assert fit.divergence == pytest.approx(grid, abs=5e-3)


def test_a_far_mode_is_a_minimum_that_costs_minus_log_of_its_weight():
    far = Mixture.of([-10.0, 10.0], 0.6, [0.6, 0.4])
    for start, weight in ((-9.0, 0.6), (9.5, 0.4)):
        fit = fits.reverse(far, start, 0.4)
        assert fit.mean == pytest.approx(math.copysign(10, start), abs=1e-6)
        assert fit.scale == pytest.approx(0.6, abs=1e-6)
        assert fit.divergence == pytest.approx(-math.log(weight), abs=1e-10)


def test_one_gaussian_is_fitted_exactly_both_ways():
    one = Mixture.of([0.7], 1.3)
    for fit in (fits.forward(one), fits.reverse(one, -1.0, 0.5)):
        assert (fit.mean, fit.scale, fit.divergence) == (
            pytest.approx(0.7, abs=1e-6),
            pytest.approx(1.3, abs=1e-6),
            pytest.approx(0, abs=1e-10),
        )


def test_a_plane_is_refused():
    with pytest.raises(InputError, match="on the line"):
        fits.reverse(Mixture.of([[0.0, 0.0]], 1.0), 0.0, 1.0)
    with pytest.raises(InputError, match="on the line"):
        fits.forward(Mixture.of([[0.0, 0.0]], 1.0))


@pytest.mark.parametrize(("mean", "scale", "said"), [(0.0, 0.0, "`scale` is 0.0"), (math.nan, 1.0, "`mean` has an entry")])
def test_a_start_that_is_none(mean, scale, said):
    with pytest.raises(InputError, match=said):
        fits.reverse(P, mean, scale)


@pytest.mark.filterwarnings("error")
def test_a_component_without_weight_is_not_there():
    padded, alone = Mixture.of([-1.0, 1.0], [0.5, 0.01], [1.0, 0.0]), Mixture.of([-1.0], 0.5)
    assert fits.reverse(padded, 0.0, 1.0) == fits.reverse(alone, 0.0, 1.0)
    best = fits.best_reverse(padded)
    assert (best.mean, best.scale, best.divergence) == (pytest.approx(-1), pytest.approx(0.5), pytest.approx(0, abs=1e-10))
