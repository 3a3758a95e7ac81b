"""The Frechet distance of Gaussians that are known, and against scipy's matrix root."""

import numpy as np
import pytest
import scipy.linalg
import torch

from pinxit.core.errors import InputError
from pinxit.metrics import frechet
from pinxit.metrics.frechet import frechet_distance, frechet_floor, frechet_infinity, frechet_note, moments


def draw(n, d, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g, dtype=torch.float64) @ torch.randn(d, d, generator=g, dtype=torch.float64)


def exact(rows, mu, root):
    """Rows changed to have exactly the mean `mu` and the covariance `root root^T`."""
    mean, s = moments(rows)
    white = (rows - mean) @ torch.linalg.inv(torch.linalg.cholesky(s)).T
    return white @ root.T + mu


def test_of_gaussians_whose_covariances_commute():
    """|mu|^2 + sum (a - b)^2 for diagonal covariances a^2 and b^2."""
    a, b = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64), torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)
    mu = torch.tensor([0.0, -2.0, 1.0], dtype=torch.float64)
    x, y = exact(draw(50, 3, 0), torch.zeros(3), a.diag()), exact(draw(70, 3, 1), mu, b.diag())
    assert frechet_distance(x, y) == pytest.approx(float(mu.square().sum() + (a - b).square().sum()), rel=1e-9)


def test_it_equals_scipys_matrix_root():
    x, y = draw(200, 6, 2), draw(300, 6, 3) + 1
    (mu_x, s_x), (mu_y, s_y) = moments(x), moments(y)
    root = scipy.linalg.sqrtm((s_x @ s_y).numpy()).real
    expected = float((mu_x - mu_y).square().sum()) + np.trace(s_x.numpy() + s_y.numpy() - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-9)


def test_a_set_is_at_distance_zero_from_itself_and_singular_covariances_are_fine():
    x = draw(5, 8, 4)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(frechet_distance(x, draw(6, 8, 5)))


def test_one_row_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))


def gaussian(n, d, seed, scale=1.0, shift=0.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=g, dtype=torch.float64) + shift


def by_scipy(x, y):
    """From numpy's moments and scipy's root, nothing of ours."""
    a, b = x.double().numpy(), y.double().numpy()
    s_x, s_y = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(s_x @ s_y)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s_x + s_y - 2 * root.real))


@pytest.mark.parametrize(("n", "m"), [(20, 30), (31, 12), (20, 400), (400, 20), (60, 60)])
def test_few_samples_take_another_path_to_the_same_number(n, m):
    """Fewer samples than the 60 dimensions: of one set, of the other, of both."""
    x, y = gaussian(n, 60, 6), gaussian(m, 60, 7, 1.5, 0.3)
    assert frechet_distance(x, y) == pytest.approx(by_scipy(x, y), rel=1e-6)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-7)


def test_dead_features_change_nothing():
    """As after a ReLU: columns that are 0 in one set or both."""
    x, y = gaussian(200, 9, 8), gaussian(300, 9, 9, 2.0, 1.0)
    x[:, 5:], y[:, 7:] = 0, 0
    alive = frechet_distance(x[:, :7], y[:, :7])
    assert frechet_distance(x, y) == pytest.approx(alive, rel=1e-9)


def test_moments_are_numpys_in_blocks(monkeypatch):
    monkeypatch.setattr(frechet, "BLOCK", 7)
    x = (gaussian(50, 5, 10) + 1000).float()
    mean, covariance = moments(x)
    np.testing.assert_allclose(mean.numpy(), x.double().numpy().mean(0), rtol=1e-13)
    np.testing.assert_allclose(covariance.numpy(), np.cov(x.double().numpy(), rowvar=False), rtol=1e-11, atol=1e-13)


def test_the_floor_is_what_two_perfect_sets_are_apart():
    """A hundred pairs of 600 and 300 samples of N(0, S), S from 0.1 to 4: in the mean, within three standard errors."""
    scales = torch.linspace(0.1, 4, 12, dtype=torch.float64).sqrt()
    found = torch.tensor(
        [frechet_distance(gaussian(600, 12, k) * scales, gaussian(300, 12, 1000 + k) * scales) for k in range(100)]
    )
    floor = frechet_floor(scales.square().diag(), 600, 300)
    assert abs(float(found.mean()) - floor) < 3 * float(found.std()) / 10 + 0.02 * floor, "and 2 % of the second order"
    assert floor == pytest.approx(float(found.mean()), rel=0.05)
    assert frechet_floor(scales.square().diag(), 600) == pytest.approx(floor / 3)


def test_the_floor_of_the_line_by_hand():
    """d = 1: sigma^2/n of the mean and sigma^2/2n of the standard deviation, twice."""
    assert frechet_floor(torch.tensor([[4.0]], dtype=torch.float64), 100, 100) == pytest.approx(2 * (4 / 100 + 4 / 200))
    assert frechet_floor(torch.zeros(2, 2), 10) == 0.0


def test_extrapolation_takes_the_bias_away():
    """True distance |mu|^2 + d (s - 1)^2 = 10 (.01 + .04); 300 samples alone are a third too far."""
    true = 10 * (0.01 + 0.04)
    y = exact(gaussian(400, 10, 0), torch.zeros(10), torch.eye(10, dtype=torch.float64))
    raw, free, errors = [], [], []
    for k in range(60):
        x = gaussian(300, 10, 100 + k, 1.2, 0.1)
        found = frechet_infinity(x, y, generator=torch.Generator().manual_seed(k))
        raw.append(frechet_distance(x, y))
        free.append(found.distance)
        errors.append(found.standard_error)
        assert found.slope > 0
        assert found.sizes[0] == 30
        assert found.sizes[-1] == 300
        assert found.distances[-1] == pytest.approx(raw[-1], rel=1e-9)
    free = torch.tensor(free)
    assert np.mean(raw) > true * 1.3
    assert abs(float(free.mean()) - true) < 3 * float(free.std()) / 60**0.5
    assert float(free.std()) > np.mean(errors), "what the docstring warns of"


def test_extrapolation_of_both_sets():
    """Two samples of one law: 0 is the answer, and with the second set fixed its own bias stays."""
    pairs = [(gaussian(300, 8, 500 + k), gaussian(300, 8, 700 + k)) for k in range(40)]
    free = torch.tensor(
        [frechet_infinity(x, y, generator=torch.Generator().manual_seed(3), both=True).distance for x, y in pairs]
    )
    half = torch.tensor([frechet_infinity(x, y, generator=torch.Generator().manual_seed(3)).distance for x, y in pairs])
    floor = frechet_floor(torch.eye(8, dtype=torch.float64), 300)
    assert abs(float(free.mean())) < 3 * float(free.std()) / 40**0.5
    assert float(half.mean()) == pytest.approx(floor, rel=0.3)


def test_with_few_samples_for_their_dimensions_only_both_sets_cut_down_extrapolate_to_nothing():
    """n = 5 d: a fixed reference leaves its own bias, a third of the distance of all samples; both leave none."""
    found = {both: [] for both in (False, True)}
    for k in range(8):
        x, y = (torch.randn(320, 64, generator=torch.Generator().manual_seed(seed)) for seed in (k, 100 + k))
        for both, values in found.items():
            values.append(frechet_infinity(x, y, generator=torch.Generator().manual_seed(k), both=both))
    assert found[True][0].sizes[0] == 128, "it begins at 2 d"
    whole = np.mean([one.distances[-1] for one in found[True]])
    free = torch.tensor([one.distance for one in found[True]])
    assert abs(float(free.mean())) < 3 * float(free.std()) / 8**0.5
    assert np.mean([one.distance for one in found[False]]) > 0.2 * whole


def test_the_line_and_its_error_are_scipys():
    import scipy.stats

    x, y = [0.1, 0.2, 0.35, 0.9], [1.0, 1.3, 1.2, 2.9]
    fit = scipy.stats.linregress(x, y)
    assert frechet._line(x, y) == pytest.approx((fit.intercept, fit.slope, fit.intercept_stderr), rel=1e-12)


def test_extrapolation_is_seeded_and_takes_few_samples():
    x, y = gaussian(40, 50, 1), gaussian(90, 50, 2, 1.3)
    first = frechet_infinity(x, y, generator=torch.Generator().manual_seed(1))
    assert first == frechet_infinity(x, y, generator=torch.Generator().manual_seed(1))
    assert first.distances[-1] == pytest.approx(by_scipy(x, y), rel=1e-6)
    assert "extrapolated from n = 20 to 40" in str(first)
    with pytest.raises(InputError, match="three different ones"):
        frechet_infinity(x, y, generator=torch.Generator(), sizes=(10, 20))
    with pytest.raises(InputError, match=r"in \[2, 40\]"):
        frechet_infinity(x, y, generator=torch.Generator(), sizes=(10, 20, 41))


def test_numbers_that_are_not_finite_and_other_dimensions_are_refused():
    x = draw(5, 3, 0)
    bad = x.clone()
    bad[2, 1] = float("nan")
    with pytest.raises(InputError, match="1 of 5 rows of features are not finite"):
        frechet_distance(bad, x)
    with pytest.raises(InputError, match="1 of 5 rows of features are not finite"):
        frechet_distance(x, bad)
    with pytest.raises(InputError, match="3 and 4 dimensions"):
        frechet_distance(x, draw(5, 4, 0))
    with pytest.raises(InputError, match="at least 2"):
        moments(x[:1])


def test_a_note_where_there_are_few_samples():
    assert "rank 99 in 2,048 dimensions" in frechet_note(100, 2048)
    assert "few for 2,048" in frechet_note(10_000, 2048)
    assert frechet_note(20_480, 2048) == ""
