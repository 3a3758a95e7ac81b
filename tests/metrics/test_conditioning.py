"""Label accuracy, the swap test, match AUC and diversity within classes, on samplers whose answers are known."""

import math
from itertools import combinations

import pytest
import torch

from metrics.judgekit import Held, marked, pixel_judge
from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.metrics import conditioning
from pinxit.metrics.conditioning import (
    intra_class_diversity,
    label_accuracy,
    match_auc,
    style_features,
    swap_test,
)

JUDGE = pixel_judge()


class Sampler:
    """x = draw(z, c) with z (n, 16, 16) standard normal from the generator."""

    def __init__(self, draw):
        self.draw, self.asked = draw, []

    def sample_class(self, labels, *, generator=None):
        self.asked.append(labels)
        return self.draw(torch.randn(len(labels), 16, 16, generator=generator), labels).unsqueeze(1)


# Label accuracy


def seven_of_ten(z, c):
    wrong = (torch.arange(len(c)) // 10) % 10 < 3
    return marked(torch.zeros(len(c), 1, 16, 16), torch.where(wrong, (c + 1) % 10, c)).squeeze(1)


def test_an_accuracy_of_seven_in_ten_is_exactly_that():
    found = label_accuracy(Sampler(seven_of_ten), JUDGE, n=3000)
    assert found.accuracy == pytest.approx(0.7, abs=1e-12)
    assert found.per_class == pytest.approx((0.7,) * 10, abs=1e-12)
    assert found.error == pytest.approx(math.sqrt(0.7 * 0.3 / 3000), rel=1e-12)
    assert (found.n, found.judge_accuracy, found.judge) == (3000, 0.99, "lenet:held (0123456789abcdef)")
    assert str(found) == "label accuracy 70.00 % +- 0.84 of 3,000; the judge lenet:held (0123456789abcdef) on real images 99.00 %"


def test_a_class_that_is_never_drawn_shows_in_its_own_place():
    found = label_accuracy(
        Sampler(lambda z, c: marked(torch.zeros(len(c), 1, 16, 16), torch.where(c == 3, 8, c)).squeeze(1)), JUDGE, n=500
    )
    assert found.per_class == (1, 1, 1, 0, 1, 1, 1, 1, 1, 1)
    assert found.accuracy == pytest.approx(0.9)


def test_every_class_is_asked_for_equally_often():
    sampler = Sampler(seven_of_ten)
    assert label_accuracy(sampler, JUDGE, n=1057).n == 1050
    assert torch.bincount(torch.cat(sampler.asked)).tolist() == [105] * 10


def test_a_perfect_score_still_has_an_interval():
    found = label_accuracy(Sampler(lambda z, c: marked(z.unsqueeze(1).tanh() * 0.9, c).squeeze(1)), JUDGE, n=100)
    assert (found.accuracy, found.error) == (1.0, 0.0)
    # Wilson's at 100 of 100: lower end n / (n + z^2) = 0.96300.
    assert found.interval == pytest.approx((100 / (100 + 1.959964**2), 1.0), abs=1e-9)


def test_wilson_contains_the_truth_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(2000):
        p = (torch.rand(50, generator=generator) < 0.9).double().mean().item()
        low, high = conditioning.LabelAccuracy(p, math.sqrt(p * (1 - p) / 50), (), 50, 1.0, "").interval
        hits += low < 0.9 < high
    # The exact cover by summing the binomial of 50 at .9: 97.0 %.
    assert hits / 2000 == pytest.approx(0.970, abs=0.012)


# The swap test


def brute(x):
    """Root-mean-square distances by pairs; x is (k, n, d)."""
    k, n = x.shape[:2]
    change = [(x[a, i] - x[b, i]).square().sum() for a, b in combinations(range(k), 2) for i in range(n)]
    within = [(x[a, i] - x[a, j]).square().sum() for a in range(k) for i, j in combinations(range(n), 2)]
    return math.sqrt(torch.stack(change).mean()), math.sqrt(torch.stack(within).mean())


def mixed(z, c):
    """Class, code and their product."""
    pattern = torch.sin(torch.arange(256.0).view(1, 16, 16) * (1 + c.view(-1, 1, 1)))
    return marked((0.2 * z + 0.3 * pattern + 0.3 * z * pattern).unsqueeze(1).clamp(-1, 1), c).squeeze(1)


def test_distances_and_shares_equal_those_by_pairs_and_means():
    found = swap_test(Sampler(mixed), JUDGE, n=12, seed=4)
    z = torch.randn(12, 16, 16, generator=torch.Generator().manual_seed(seed_of("swap", 4, 0)))
    x = torch.stack([mixed(z, torch.full((12,), c)).flatten(1).double() for c in range(10)])
    change, within = brute(x)
    assert found.change == pytest.approx(change, rel=1e-9)
    assert found.within == pytest.approx(within, rel=1e-9)
    assert found.ratio == pytest.approx(change / within, rel=1e-9)
    variance = x.var((0, 1), correction=0).sum()
    assert found.class_share == pytest.approx((x.mean(1).var(0, correction=0).sum() / variance).item(), rel=1e-9)
    assert found.latent_share == pytest.approx((x.mean(0).var(0, correction=0).sum() / variance).item(), rel=1e-9)
    assert found.class_share + found.latent_share + found.joint_share == pytest.approx(1, rel=1e-9)
    assert found.joint_share > 0.1
    assert found.follows == 1.0


def test_a_sampler_that_ignores_the_class():
    found = swap_test(Sampler(lambda z, c: marked(z.unsqueeze(1) * 0.1, torch.zeros_like(c)).squeeze(1)), JUDGE, n=50)
    assert (found.change, found.ratio) == (0.0, 0.0)
    assert found.class_share == pytest.approx(0, abs=1e-12)
    assert found.joint_share == pytest.approx(0, abs=1e-12)
    assert found.latent_share == pytest.approx(1)
    assert found.follows == pytest.approx(0.1)
    assert found.style == pytest.approx(1)
    assert abs(found.style_chance) < 0.5


def test_a_sampler_that_ignores_the_code():
    found = swap_test(Sampler(lambda z, c: marked(torch.zeros(len(c), 1, 16, 16), c).squeeze(1)), JUDGE, n=50)
    assert (found.within, found.ratio, found.style, found.styles) == (0.0, math.inf, None, {})
    assert found.change == pytest.approx(math.sqrt(2 * 2**2))  # two pixels, from -1 to 1 and back
    assert found.class_share == pytest.approx(1)
    assert (found.follows, found.error) == (1.0, 0.0)
    assert "style not varying" in str(found)


def test_a_constant_sampler_has_no_shares():
    found = swap_test(Sampler(lambda z, c: torch.full_like(z, 0.3)), JUDGE, n=50)
    assert math.isnan(found.ratio)
    assert found.class_share == pytest.approx(0, abs=1e-9)
    assert found.latent_share == pytest.approx(0, abs=1e-9)


def test_a_sum_of_class_and_code_has_nothing_joint_and_known_shares():
    patterns = torch.randn(10, 16, 16, generator=torch.Generator().manual_seed(1)).double()
    found = swap_test(Sampler(lambda z, c: (0.1 * z.double() + 0.2 * patterns[c]).float()), JUDGE, n=400)
    assert found.joint_share == pytest.approx(0, abs=1e-9)
    by_class = 0.04 * patterns.var(0, correction=0).sum().item()
    assert found.class_share == pytest.approx(by_class / (by_class + 0.01 * 256), rel=0.02)


def test_how_often_the_class_follows_and_its_error_over_codes():
    def half(z, c):
        """The class is obeyed for codes whose first number is positive, all classes alike; else it is 0."""
        return marked(z.unsqueeze(1) * 0.1, torch.where(z[:, 0, 0] > 0, c, 0)).squeeze(1)

    found = swap_test(Sampler(half), JUDGE, n=400, seed=2)
    z = torch.randn(400, 16, 16, generator=torch.Generator().manual_seed(seed_of("swap", 2, 0)))
    obeyed = torch.where(z[:, 0, 0] > 0, 1.0, 0.1).double()
    assert found.follows == pytest.approx(obeyed.mean().item())
    # Ten labels of one code fall together: the error is that of 400 codes, not of 4,000 samples.
    assert found.error == pytest.approx(obeyed.std().item() / 20)


def blob(ink, slant, wide, tall, column):
    """A slanted Gaussian spot, 28 x 28."""
    row, col = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    r = row - 14
    c = col - column.view(-1, 1, 1) - slant.view(-1, 1, 1) * r
    w = torch.exp(-0.5 * (r / tall.view(-1, 1, 1)) ** 2 - 0.5 * (c / wide.view(-1, 1, 1)) ** 2)
    return (ink.view(-1, 1, 1) * w * 2 - 1).unsqueeze(1)


def test_style_features_of_a_slanted_spot():
    one = torch.ones(3)
    slant, tall, wide = torch.tensor([0.0, 0.5, -0.5]), 2.0, 1.5
    x = blob(0.8 * one, slant, wide * one, tall * one, 13 * one)
    f = style_features(x)
    assert f[:, 0] == pytest.approx((0.8 * 2 * math.pi * tall * wide / 784 * one).numpy(), rel=1e-4)
    assert f[:, 1] == pytest.approx(slant.numpy(), abs=1e-3)
    assert f[:, 2] == pytest.approx((wide**2 + (slant * tall) ** 2).sqrt().numpy(), rel=1e-3)
    assert f[:, 3] == pytest.approx((tall * one).numpy(), rel=1e-3)
    assert bool(style_features(torch.full((2, 1, 28, 28), -1.0)).isfinite().all())


class Spots:
    """Spots whose style comes from the code, and whose place is the class; `fresh` draws a style of its own for each class."""

    def __init__(self, fresh):
        self.fresh = fresh

    def sample_class(self, labels, *, generator=None):
        z = torch.rand(len(labels), 40, generator=generator).view(-1, 10, 4)
        z = z[torch.arange(len(labels)), labels if self.fresh else 0]
        return blob(0.5 + z[:, 0] / 2, z[:, 1] - 0.5, 1 + z[:, 2], 1.5 + z[:, 3], 9 + labels.float())


def test_style_is_kept_where_the_code_means_the_same_for_each_class():
    judge = pixel_judge(size=28)
    kept, drawn = (swap_test(Spots(fresh), judge, n=300) for fresh in (False, True))
    assert kept.style > 0.99
    assert set(kept.styles) == {"ink", "slant", "width", "height"}
    # 45 pairs, 4 features, 300 codes: chance is within a few hundredths of 0.
    assert abs(drawn.style) < 0.05
    assert abs(kept.style_chance) < 0.05


def test_codes_are_held_over_more_than_one_chunk():
    found = swap_test(Sampler(lambda z, c: marked(z.unsqueeze(1) * 0.1, c).squeeze(1)), JUDGE, n=501)
    assert found.change == pytest.approx(math.sqrt(8))
    assert found.n == 501


def test_a_sampler_that_does_not_repeat_itself_is_refused():
    state = torch.Generator().manual_seed(0)
    loose = Sampler(lambda z, c: torch.randn(z.shape, generator=state))
    with pytest.raises(InputError, match="z can't be held"):
        swap_test(loose, JUDGE, n=20)


def test_mistakes_of_conditioning_are_named():
    with pytest.raises(InputError, match="`sample_class`"):
        conditioning._conditional(torch.nn.Identity())
    with pytest.raises(InputError, match="`n` is 9"):
        label_accuracy(Sampler(mixed), JUDGE, n=9)
    with pytest.raises(InputError, match="`n` is 10"):
        swap_test(Sampler(mixed), JUDGE, n=10)


# Match AUC


def images(n, k, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(k, (n,), generator=generator)
    return marked(torch.rand(n, 1, 16, 16, generator=generator) - 0.9, y), y


def truth(x):
    return x.flatten(1)[:, :10].argmax(1)


def test_a_perfect_matcher_a_blind_one_and_a_contrary_one():
    x, y = images(60, 10)
    for sign, auc in ((1.0, 1.0), (-1.0, 0.0)):
        found = match_auc(lambda a, b, sign=sign: sign * (truth(a) == b).float(), x, y, 10)
        assert (found.auc, found.paired, found.error) == (auc, auc, 0.0)
    blind = match_auc(lambda a, b: torch.zeros(len(a)), x, y, 10)
    assert (blind.auc, blind.paired, blind.error) == (0.5, 0.5, 0.0)


def test_every_wrong_label_of_each_image_is_scored_once():
    x, y = images(700, 5)
    seen = []

    def score(a, b):
        seen.extend(zip(truth(a).tolist(), b.tolist(), a.flatten(1)[:, 50].tolist(), strict=True))
        return torch.arange(float(len(a)))

    match_auc(score, x, y, 5)
    assert len(seen) == len(set(seen)) == 700 * 5
    assert sum(a == b for a, b, _ in seen) == 700


def test_ties_count_half_as_by_pairs():
    x, y = images(40, 4)
    table = torch.randint(5, (40, 4), generator=torch.Generator().manual_seed(3)).float()
    keys = {v: i for i, v in enumerate(x.flatten(1)[:, 50].tolist())}

    def score(a, b):
        return table[torch.tensor([keys[v] for v in a.flatten(1)[:, 50].tolist()]), b]

    found = match_auc(score, x, y, 4)
    true = [table[i, y[i]].item() for i in range(40)]
    wrong = [[table[i, k].item() for k in range(4) if k != y[i]] for i in range(40)]
    wins = [(t > w) + (t == w) / 2 for t in true for row in wrong for w in row]
    assert found.auc == pytest.approx(sum(wins) / len(wins), abs=1e-12)
    paired = [(t > w) + (t == w) / 2 for t, row in zip(true, wrong, strict=True) for w in row]
    assert found.paired == pytest.approx(sum(paired) / len(paired), abs=1e-12)


def noisy(match, image, pair, seed):
    """A scorer of strength `match` with noise of each image and of each pair, drawn anew by `seed`."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.randn(4096, generator=generator)
    noise = torch.randn(4096, 10, generator=generator)

    def score(a, b):
        key = (a.flatten(1)[:, 50] * 1e6).long().abs() % 4096
        return match * (truth(a) == b) + image * level[key] + pair * noise[key, b]

    return score


@pytest.mark.parametrize(("image", "pair"), [(0.0, 1.0), (1.0, 0.3)])
def test_the_error_is_the_spread_over_new_images(image, pair):
    found = [match_auc(noisy(1.0, image, pair, seed), *images(150, 10, seed), 10) for seed in range(300)]
    aucs = torch.tensor([f.auc for f in found], dtype=torch.float64)
    mean_error = sum(f.error for f in found) / len(found)
    # The spread of 300 draws is known to 4 %. Treating the nine wrong pairs of an image as independent misses by far more.
    assert mean_error == pytest.approx(aucs.std().item(), rel=0.12)
    expected = 0.5 * (1 + math.erf(1 / math.sqrt(2 * (image**2 + pair**2)) / math.sqrt(2)))
    assert aucs.mean().item() == pytest.approx(expected, abs=0.01)


def test_a_scorer_of_realism_too_is_seen_within_images():
    found = match_auc(noisy(1.0, 20.0, 0.0, 0), *images(200, 10), 10)
    assert found.paired == 1.0
    assert abs(found.auc - 0.5) < 0.1


def test_mistakes_of_the_match_auc_are_named():
    x, y = images(20, 4)
    with pytest.raises(InputError, match="labels in"):
        match_auc(lambda a, b: torch.zeros(len(a)), x, y + 1, 4)
    with pytest.raises(InputError, match="20 images, 19 labels"):
        match_auc(lambda a, b: torch.zeros(len(a)), x, y[1:], 4)
    with pytest.raises(InputError, match="at least 2"):
        match_auc(lambda a, b: torch.zeros(len(a)), x[:1], y[:1], 4)
    with pytest.raises(InputError, match="one finite score"):
        match_auc(lambda a, b: torch.zeros(len(a), 1), x, y, 4)
    with pytest.raises(InputError, match="one finite score"):
        match_auc(lambda a, b: torch.full((len(a),), float("nan")), x, y, 4)


# Diversity within classes


def gaussians(n, scale=1.0, seed=0):
    labels = torch.arange(n) % 10
    return Held(scale * 0.1 * torch.randn(n, 1, 16, 16, generator=torch.Generator().manual_seed(seed)), labels, 10)


def test_diversity_of_a_sampler_of_half_the_spread():
    found = intra_class_diversity(Sampler(lambda z, c: 0.05 * z), JUDGE, gaussians(400), n=20)
    assert found.ratio == pytest.approx(0.5, abs=4 * found.error)
    assert found.floor == pytest.approx(1, abs=0.02)
    assert 0 < found.error < 0.01
    assert intra_class_diversity(Sampler(lambda z, c: 0.05 * z), JUDGE, gaussians(600), n=20, seed=1).floor != found.floor
    assert len(found.per_class) == 10
    assert found.least == min(found.per_class)


def test_collapse_within_classes_is_seen_where_label_accuracy_is_perfect():
    collapsed = Sampler(lambda z, c: marked(torch.zeros(len(c), 1, 16, 16), c).squeeze(1))
    assert label_accuracy(collapsed, JUDGE, n=100).accuracy == 1.0
    found = intra_class_diversity(collapsed, JUDGE, gaussians(400), n=20)
    assert (found.ratio, found.least) == (0.0, 0.0)


def test_one_collapsed_class_is_named():
    found = intra_class_diversity(Sampler(lambda z, c: 0.1 * z * (c != 6).view(-1, 1, 1)), JUDGE, gaussians(400), n=20)
    assert found.per_class[6] == found.least == 0.0
    assert found.ratio == pytest.approx(0.9, abs=0.01)
    assert "in class 6" in str(found)


def test_spread_is_the_mean_over_pairs():
    f = torch.randn(30, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([(f[i] - f[j]).norm() for i, j in combinations(range(30), 2)]).mean()
    assert conditioning._spread(f)[0] == pytest.approx(expected.item(), rel=1e-12)


def test_the_error_of_diversity_is_its_spread_over_new_draws():
    # In few dimensions, where distances vary enough to be measured: 3 free pixels.
    def draw(z, c):
        return torch.nn.functional.pad(z[:, :1, :3], (0, 13, 0, 15))

    found = []
    for seed in range(120):
        real = Held(draw(torch.randn(400, 16, 16, generator=torch.Generator().manual_seed(seed)), None).unsqueeze(1),
                    torch.arange(400) % 10, 10)  # fmt: skip
        found.append(intra_class_diversity(Sampler(draw), JUDGE, real, n=20, seed=seed))
    ratios = torch.tensor([f.ratio for f in found], dtype=torch.float64)
    assert sum(f.error for f in found) / 120 == pytest.approx(ratios.std().item(), rel=0.2)


def test_mistakes_of_diversity_are_named():
    with pytest.raises(InputError, match="40 images of class 0: 42 are needed"):
        intra_class_diversity(Sampler(mixed), JUDGE, gaussians(400), n=21)
    with pytest.raises(InputError, match="`n` is 1"):
        intra_class_diversity(Sampler(mixed), JUDGE, gaussians(400), n=1)
