"""Modes counted by the papers' protocol, on samplers whose answer is known (bars 2D-4, floors of the targets' 1.3 and 2.3)."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.data.points import Points, centres_of
from pinxit.metrics.modes import (
    binomial_tail,
    chi_square,
    chi_square_two,
    kl_floor,
    kl_to,
    mixture_modes,
    stack_names,
    stacked_modes,
    starved,
)

SIGMA = {"ring": 0.01, "grid": 0.05}


def mixture(centres: Tensor, sigma: float, n: int, seed: int) -> Tensor:
    """A perfect sampler, written without pinxit."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(len(centres), (n,), generator=generator)
    return centres[which] + sigma * torch.randn(n, 2, generator=generator)


@pytest.mark.parametrize(("name", "modes", "floor", "spread"), [("ring", 8, 0.0015, 0.0009), ("grid", 25, 0.0050, 0.0015)])
def test_real_data_is_at_the_floor(name: str, modes: int, floor: float, spread: float) -> None:
    """n = 2,500, 200 repeats: HQ 98.88 +- 0.21 %, KL .0015 +- .0009 and .0050 +- .0015, every mode."""
    data = Points(name, "test")
    found = [mixture_modes(data.points[k * 500 : k * 500 + 2500], data.centres, data.sigma) for k in range(195)]
    assert {row.captured for row in found} == {modes}
    assert {row.dropped for row in found} == {()}
    quality = torch.tensor([row.high_quality for row in found], dtype=torch.float64)
    assert quality.mean().item() == pytest.approx(1 - math.exp(-4.5), abs=0.0006)
    assert quality.std().item() == pytest.approx(0.0021, abs=0.0005)
    assert (quality - 0.989).abs().max() < 0.008
    kl = torch.tensor([row.reverse_kl for row in found], dtype=torch.float64)
    assert kl.mean().item() == pytest.approx(floor, abs=0.0003)
    assert kl.mean().item() == pytest.approx(kl_floor(modes, 2472), rel=0.12)
    assert kl.std().item() == pytest.approx(spread, rel=0.45)
    widths = torch.tensor([row.spread for row in found], dtype=torch.float64)
    assert widths.mean().item() == pytest.approx(1.0, abs=0.003), "cut at 3 sigma, the raw value would be 0.974"


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_a_single_mode_has_log_of_their_number(name: str, modes: int) -> None:
    centres = centres_of(name)
    found = mixture_modes(mixture(centres[3:4], SIGMA[name], 2500, 0), centres, SIGMA[name])
    assert found.captured == 1
    assert found.reverse_kl == pytest.approx(math.log(modes), abs=1e-12)
    assert len(found.dropped) == modes - 1
    x, y = centres[3].tolist()
    assert f"({x:.2f}, {y:.2f})" not in found.dropped
    assert found.counts[3] == sum(found.counts)


def test_an_inclusive_ring_has_seven_modes() -> None:
    """Two reference codes place the eight centres from 0 to 2 pi, both ends included: two of them coincide."""
    angles = torch.linspace(0, 2 * math.pi, 8, dtype=torch.float64)
    inclusive = torch.stack([angles.cos(), angles.sin()], 1)
    found = mixture_modes(mixture(inclusive, 0.01, 2500, 1), inclusive, 0.01)
    assert (found.captured, found.total) == (7, 8)


def test_three_sigma_itself_is_outside() -> None:
    """sigma 1/4 and centre 0, so that 3 sigma is exact."""
    x = torch.tensor([[0.75, 0.0], [0.0, -0.75], [0.7499, 0.0], [0.45, 0.6], [0.44, 0.6]], dtype=torch.float64)
    found = mixture_modes(x, torch.zeros(1, 2, dtype=torch.float64), 0.25)
    assert found.high_quality == 2 / 5


def test_distances_are_not_taken_by_the_matrix_product() -> None:
    """Far from the origin |x|^2 - 2xc + |c|^2 of float32 loses a sigma of 0.01 altogether."""
    centres = torch.tensor([[300.0, 300.0], [301.0, 300.0]])
    x = mixture(centres, 0.01, 2500, 2)
    assert mixture_modes(x, centres, 0.01).high_quality == pytest.approx(0.989, abs=0.006)


@pytest.mark.parametrize("factor", [0.2, 0.7])
def test_shrunken_modes_show_in_the_spread_only(factor: float) -> None:
    centres = centres_of("grid")
    found = mixture_modes(mixture(centres, factor * 0.05, 2500, 3), centres, 0.05)
    assert found.high_quality > 0.9945
    assert found.captured == 25
    cut = math.sqrt(1 - 4.5 * math.exp(-4.5) / (1 - math.exp(-4.5)))  # E[r^2 | r < 3] / 2 in the plane
    # Of modes so narrow nothing is cut, so that the correction for it does not apply.
    assert found.spread == pytest.approx(factor / cut, rel=0.03)


def test_the_spread_is_about_each_modes_own_mean() -> None:
    centres = centres_of("ring")
    moved = mixture(centres + torch.tensor([0.012, 0.0]), 0.004, 4000, 4)
    assert mixture_modes(moved, centres, 0.01).spread == pytest.approx(0.4 / 0.9744, rel=0.03)


def test_no_high_quality_sample_is_not_zero_divergence() -> None:
    found = mixture_modes(torch.zeros(10, 2), centres_of("ring"), 0.01)
    assert (found.captured, found.high_quality) == (0, 0.0)
    assert math.isnan(found.reverse_kl)
    assert math.isnan(found.spread)


def test_wrong_arguments_are_refused() -> None:
    centres = centres_of("ring")
    with pytest.raises(InputError, match="0 samples"):
        mixture_modes(torch.empty(0, 2), centres, 0.01)
    with pytest.raises(InputError, match="2 `names` for 8 modes"):
        mixture_modes(torch.zeros(1, 2), centres, 0.01, ["a", "b"])
    with pytest.raises(InputError, match="no images"):
        stacked_modes(torch.empty(0, 2, 4, 4), lambda x: x)
    with pytest.raises(InputError, match="two classes"):
        chi_square(torch.tensor([3, 0]), torch.tensor([1.0, 0.0]))
    with pytest.raises(InputError, match="0 and 3 samples"):
        chi_square_two(torch.tensor([0, 0]), torch.tensor([1, 2]))


def image_of(digits: Tensor, size: int = 4) -> Tensor:
    """Channels (n, c) as constant images that `read` can classify."""
    return (digits.float() / 10)[:, :, None, None].expand(-1, -1, size, size)


def read(sharp: float):
    """A classifier of such images; the greater `sharp` the surer."""

    def classify(x: Tensor) -> Tensor:
        assert x.shape[1] == 1
        digit = (x[:, 0, 0, 0] * 10).round().long()
        return sharp * torch.nn.functional.one_hot(digit, 10).float()

    return classify


def test_a_stack_is_read_as_a_number_first_channel_first() -> None:
    digits = torch.tensor([[0, 7, 3], [0, 7, 3], [9, 0, 1]])
    found = stacked_modes(image_of(digits), read(50.0), chunk=2)
    assert (found.captured, found.total) == (2, 1000)
    assert (found.counts[73], found.counts[901]) == (2, 1)
    assert "0-7-3" not in found.dropped
    assert len(found.dropped) == 998
    assert found.kl == pytest.approx(math.log(1000) + 2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3), abs=1e-9)
    assert found.floor == pytest.approx(999 / 6)


def test_how_sure_the_classifier_is_stands_beside_the_count() -> None:
    """An unsure classifier lets noise cover modes: every digit must be above 0.9 for a sample to count as confident."""
    digits = torch.randint(10, (500, 2), generator=torch.Generator().manual_seed(0))
    assert stacked_modes(image_of(digits), read(50.0)).confident == 1.0
    found = stacked_modes(image_of(digits), read(1.0))
    assert found.max_softmax == pytest.approx(math.e / (math.e + 9), abs=1e-6)
    assert found.confident == 0.0
    assert found.captured == len({tuple(row) for row in digits.tolist()})

    def half(x: Tensor) -> Tensor:  # sure of the digits 5 to 9
        return read(50.0)(x) * torch.where((x[:, 0, 0, 0] * 10).round() >= 5, 1.0, 0.01)[:, None]

    assert stacked_modes(image_of(digits), half).confident == pytest.approx(float((digits >= 5).all(1).float().mean()))


def test_names_of_stacks() -> None:
    assert stack_names(3)[73] == "0-7-3"
    assert (stack_names(2)[0], stack_names(2)[99], len(stack_names(2))) == ("0-0", "9-9", 100)


def test_the_floor_is_what_a_uniform_sampler_has() -> None:
    """26,000 uniform draws of 1,000 modes: .0193, which is (K - 1)/2n and a little."""
    generator = torch.Generator().manual_seed(0)
    uniform = torch.full((1000,), 1e-3)
    kl = [kl_to(torch.randint(1000, (26_000,), generator=generator).bincount(minlength=1000), uniform) for _ in range(20)]
    assert sum(kl) / 20 == pytest.approx(0.0193, abs=0.0004)
    assert kl_floor(1000, 26_000) == pytest.approx(999 / 52_000)
    assert kl_floor(10, 2000, 500) == pytest.approx(4.5 / 2000 + 4.5 / 500)


def test_divergence_of_histograms() -> None:
    assert kl_to(torch.tensor([1, 3]), torch.tensor([1.0, 1.0])) == pytest.approx(math.log(2) - scipy.stats.entropy([1, 3]))
    assert kl_to(torch.tensor([1, 1]), torch.tensor([1.0, 0.0])) == math.inf
    assert math.isnan(kl_to(torch.tensor([0, 0]), torch.tensor([0.5, 0.5])))


def test_chi_square_is_pearsons() -> None:
    counts, shares = torch.tensor([18, 25, 40, 17]), torch.tensor([0.2, 0.3, 0.3, 0.2], dtype=torch.float64)
    ours, theirs = chi_square(counts, shares), scipy.stats.chisquare(counts.numpy(), (shares * 100).numpy())
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-10)
    assert ours.freedom == 3
    more = chi_square(torch.tensor([18, 25, 40, 17, 0]), torch.tensor([0.2, 0.3, 0.3, 0.2, 0.0], dtype=torch.float64))
    assert more == ours, "a class that the data does not have takes no degree of freedom"
    assert chi_square(torch.tensor([5, 5, 1]), torch.tensor([0.5, 0.5, 0.0])).p == 0.0


def test_two_histograms_are_compared_as_in_a_table() -> None:
    a, b = torch.tensor([30, 14, 34, 0]), torch.tensor([61, 30, 45, 0])
    ours = chi_square_two(a, b)
    theirs = scipy.stats.chi2_contingency(torch.stack([a, b])[:, :3].numpy(), correction=False)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-10)
    assert ours.freedom == theirs.dof == 2


def test_a_dropped_class_is_detected_and_real_splits_are_not() -> None:
    """MD-1 on labels: p < .01 for 9 of 10 classes at n = 2,000; at most 1 % alarms (+- chance) over 200 held-out splits."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (2000 * 201,), generator=generator).view(201, 2000)
    reference = labels[0].bincount(minlength=10)
    p = [chi_square_two(row.bincount(minlength=10), reference).p for row in labels[1:]]
    # One reference for all splits makes the p-values alike, so more than 200 * 0.01 + 3 standard deviations may occur.
    shares = torch.full((10,), 0.1)
    exact = [chi_square(row.bincount(minlength=10), shares).p for row in labels[1:]]
    assert sum(value < 0.01 for value in exact) <= 6
    assert scipy.stats.kstest(exact, "uniform").pvalue > 0.01
    assert sum(value < 0.01 for value in p) <= 20
    for dropped in range(10):
        kept = labels[1][labels[1] != dropped].bincount(minlength=10)
        assert chi_square_two(kept, reference).p < 1e-9
        assert starved(kept, shares) == [dropped]


def test_starving_needs_both_size_and_significance() -> None:
    shares = torch.tensor([0.49, 0.49, 0.02], dtype=torch.float64)
    assert starved(torch.tensor([49, 50, 1]), shares) == [], "1 of 2 expected is more than a quarter"
    assert starved(torch.tensor([50, 50, 0]), shares) == [], "0 of 2 expected is chance"
    assert starved(torch.tensor([500, 500, 0]), shares) == [2]
    assert starved(torch.tensor([700, 280, 20]), shares) == [], "significant, yet more than a quarter"
    generator = torch.Generator().manual_seed(1)
    alarms = 0
    for _ in range(2000):
        counts = torch.multinomial(shares, 100, replacement=True, generator=generator).bincount(minlength=3)
        alarms += bool(starved(counts, shares, alpha=0.05))
    assert alarms <= 0.05 * 2000


def test_binomial_tail_is_exact() -> None:
    for count, n, q in ((0, 10, 0.3), (3, 50, 0.11), (12, 2000, 0.01), (0, 3, 0.0), (2, 3, 1.0), (3, 3, 1.0), (5, 5, 0.4)):
        assert binomial_tail(count, n, q) == pytest.approx(scipy.stats.binom.cdf(count, n, q), rel=1e-9)
