"""The number behind every figure, and the registry."""

import math

import numpy as np
import pytest
from PIL import Image

from pinxit import theory
from pinxit.core.errors import InputError
from pinxit.theory import chart
from pinxit.theory.chart import Result

SLOW = ("clipped-weights", "lipschitz-bounds", "parallel-lines", "trained-critics", "vanishing-gradients")


@pytest.fixture(scope="module")
def made() -> dict[str, Result]:
    """Figures that were asked for in this module, each computed once."""
    return {}


@pytest.fixture
def numbers(made):
    def of(name: str) -> dict[str, float]:
        if name not in made:
            made[name] = theory.figure(name)
        return made[name].numbers

    return of


def test_the_registry():
    assert set(SLOW) < set(theory.names())
    assert len(theory.names()) == 10
    for name in theory.names():
        assert len(theory.title(name)) > 20
    with pytest.raises(InputError, match="did you mean `transport`"):
        theory.figure("trnsport")


def test_divergences(numbers):
    found = numbers("divergences")
    assert found["kl_at_3"] == pytest.approx(4.5, abs=1e-12)
    assert found["total_variation_at_3"] == pytest.approx(math.erf(3 / math.sqrt(8)), abs=1e-6)
    x = np.linspace(-12, 15, 200_001)
    p, q = (np.exp(-0.5 * (x - mean) ** 2) / math.sqrt(2 * math.pi) for mean in (0, 3))
    m = (p + q) / 2
    js = 0.5 * (p * np.log(p / m) + q * np.log(q / m)).sum() * (x[1] - x[0])
    assert found["js_at_3"] == pytest.approx(js, abs=1e-9)
    for name in ("kl", "w1", "w2"):
        assert found[f"{name}_difference"] < 1e-12
    assert found["total_variation_difference"] <= found["total_variation_quadrature_error"] < 1e-6


def test_transport(numbers):
    found = numbers("transport")
    assert found["w1_pot"] == pytest.approx(found["w1_linear_programme"], rel=1e-10)
    assert found["w2_pot"] == pytest.approx(found["w2_linear_programme"], rel=1e-10)
    assert found["gap"] < 1e-9
    assert found["slope"] <= 1 + 1e-9
    assert found["slackness"] < 1e-9
    assert found["w1_linear_programme"] < found["w2_linear_programme"]


def test_optimal_discriminator(numbers):
    found = numbers("optimal-discriminator")
    assert found["difference"] < 1e-13
    assert found["value_of_optimum"] > -math.log(4)
    assert 0 <= found["trained_lacks"] < 1e-3
    assert found["trained_distance"] < 0.05


def test_kl_directions(numbers):
    found = numbers("kl-directions")
    assert found["forward_mean"] == pytest.approx(-0.4)
    assert found["forward_scale"] == pytest.approx(math.sqrt(4.2))
    assert found["reverse_mean"] == pytest.approx(-2, abs=0.01)
    assert found["reverse_kl"] == pytest.approx(-math.log(0.6), abs=0.005)
    assert found["second_mode_kl"] == pytest.approx(-math.log(0.4), abs=0.005)
    # Each is the better one by its own measure.
    assert found["forward_in_reverse"] > found["reverse_kl"]
    assert found["reverse_in_forward"] > found["forward_kl"]
    assert 2.5 < found["seeks_from_distance"] < 4


def test_joint_divergences(numbers):
    found = numbers("joint-divergences")
    assert found["identity_difference"] < 1e-12
    assert found["vae_worst_in_errors"] < 2
    assert found["gan_worst_in_errors"] < 2
    assert found["js_marginal"] < found["js_joint"]
    assert found["kl_marginal"] < found["kl_joint"]


@pytest.mark.slow
def test_parallel_lines(numbers):
    """Target VAN-1."""
    found = numbers("parallel-lines")
    assert found["js_error"] <= 0.02
    assert found["js_slope"] < 0.01
    assert found["js_gradient"] < 0.01
    assert found["wasserstein_relative_error"] <= 0.1
    assert found["wasserstein_slope_error"] <= 0.1
    assert found["wasserstein_gradient_error"] <= 0.1
    assert abs(found["js(0)"]) < 0.05
    assert abs(found["wasserstein(0)"]) < 0.05


@pytest.mark.slow
def test_vanishing_gradients(numbers):
    found = numbers("vanishing-gradients")
    assert found["trained_minimax_fall"] > 1000
    assert found["trained_minimax"] < 1e-3
    assert found["trained_non_saturating"] > 5
    assert found["trained_wasserstein"] == pytest.approx(1, abs=0.1)
    assert found["trained_least_squares"] > 0.1
    assert found["trained_accuracy"] == 1.0
    assert found["exact_minimax"] < 1e-4
    assert found["exact_non_saturating"] == pytest.approx(100, rel=1e-4)


@pytest.mark.slow
def test_trained_critics(numbers):
    found = numbers("trained-critics")
    assert found["w1"] == pytest.approx(found["w1_dual"], rel=1e-9)
    for name in ("clip", "penalty", "spectral", "sorted"):
        assert found[f"{name}_share"] <= 1 + 1e-4
        assert found[f"{name}_slope"] <= found[f"{name}_bound"] * (1 + 1e-5)
    assert found["clip_value"] < 0.01 * found["w1"]
    assert found["penalty_share"] > 0.85
    assert found["penalty_value"] == pytest.approx(found["w1"], rel=0.1)
    assert found["spectral_bound"] == pytest.approx(1, abs=0.05)
    # LeakyReLU loses what sorted pairs keep, under the same constraint.
    assert found["spectral_value"] < 0.65 * found["w1"]
    assert found["sorted_value"] > 0.85 * found["w1"]


@pytest.mark.slow
def test_clipped_weights(numbers):
    found = numbers("clipped-weights")
    assert found["clip_at_bound"] > 0.9
    assert found["penalty_at_greatest"] < 0.01
    assert found["penalty_beyond_c"] > 0.8


@pytest.mark.slow
def test_lipschitz_bounds(numbers):
    """Targets LIP-1 and LIP-2."""
    found = numbers("lipschitz-bounds")
    assert found["linear_lower"] == pytest.approx(found["linear_exact"], abs=1e-4)
    assert found["linear_upper"] == pytest.approx(found["linear_exact"], abs=1e-4)
    assert found["absolute_lower"] == pytest.approx(1, abs=1e-6)
    assert found["absolute_patterns"] == pytest.approx(1, abs=1e-12)
    assert found["spectral_deviation"] <= 0.05
    assert found["penalty_on_lines"] == pytest.approx(1, abs=0.1)
    assert found["clip_upper"] < 0.01
    for name in ("linear", "absolute", "untrained", "clip", "penalty", "spectral", "sorted"):
        assert found[f"{name}_lower"] <= found[f"{name}_upper"] * (1 + 1e-5)


def test_a_picture_is_a_small_png(made, numbers, tmp_path):
    numbers("kl-directions")
    path = tmp_path / "figure.png"
    chart.save(made["kl-directions"].figure, path)
    picture = Image.open(path).convert("L")
    assert picture.width > 600
    assert np.asarray(picture).std() > 10
    assert path.stat().st_size < 150_000


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(numbers):
    assert theory.figure("transport").numbers == numbers("transport")
    assert theory.figure("transport", seed=1).numbers["w1_dual"] != numbers("transport")["w1_dual"]


def test_a_notebook_shows_the_picture():
    assert theory.figure("transport")._repr_png_().startswith(b"\x89PNG")
