"""The health check on samplers whose ailment is known; its error rates are measured by experiments/health_rates.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Player
from pinxit.core.spec import Spec
from pinxit.data.points import Points
from pinxit.diagnostics import evidence
from pinxit.diagnostics.divisions import Features, Mixture, Modes, Stacks, k_means
from pinxit.diagnostics.evidence import Evidence, covered, judged, pushed
from pinxit.diagnostics.health import STATES, examine, examine_sampler, verdict
from pinxit.diagnostics.probes import Opponent, Reference, effective_rank, opponent, reference
from pinxit.systems import cgan


class Blobs:
    """Five kinds of 8x8 image: a bright square in its place, its side and brightness varying, and noise; meets `Splits`."""

    class_names = ("a", "b", "c", "d", "e")
    name = "blobs"
    places = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))

    def __init__(self, n: int = 3000, seed: int = 0, *, labelled: bool = True, test: bool = True) -> None:
        g = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(5, (n,), generator=g)
        self.images = 0.2 * torch.randn(n, 1, 8, 8, generator=g) - 0.5
        for k, (y, x) in enumerate(self.places):
            mine = self.labels == k
            self.images[mine, :, y : y + 4, x : x + 4] += 1.0 + 0.3 * torch.randn(int(mine.sum()), 1, 4, 4, generator=g)
        self.spec, self.labelled, self.has_test = Spec(1, 8, 8, classes=5 if labelled else 0), labelled, test

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.images[indices], self.labels[indices] if self.labelled else None)

    def test(self) -> Blobs | None:
        return Blobs(2000, 999, labelled=self.labelled) if self.has_test else None


@pytest.fixture(scope="module")
def blobs() -> Reference:
    return reference(Blobs(), size=600)


@pytest.fixture(scope="module")
def ring() -> Reference:
    data = Points("ring", samples=10_000)
    data.load_test = lambda: Points("ring", "test", samples=5000)
    return reference(data, size=1000)


def test_real_samples_are_healthy_and_most_say_how_many_modes(blobs: Reference, ring: Reference) -> None:
    for seed in range(10):
        found = examine(Blobs(600, 10 + seed).images, blobs)
        assert (found.state, found.line, found.dropped) == ("healthy", "healthy: 5 of 5 classes", ())
        found = examine(points(Points("ring", seed=seed + 1, samples=1000).points), ring)
        assert found.line == "healthy: 8 of 8 modes", found


def points(x: Tensor) -> Tensor:
    return x.view(-1, 2, 1, 1)


@pytest.mark.parametrize("k", range(5))
def test_a_dropped_class_is_named(blobs: Reference, k: int) -> None:
    fresh = Blobs(900, 77)
    found = examine(fresh.images[fresh.labels != k][:600], blobs)
    assert found.state == "drifting"
    assert found.dropped == (Blobs.class_names[k],)
    assert found.line == f"drifting: 4 of 5 classes, missing {Blobs.class_names[k]}"
    kept = examine(fresh.images[(fresh.labels == k) | (fresh.labels == (k + 1) % 5)][:600], blobs)
    assert kept.state == "collapsed"
    assert len(kept.dropped) == 3


def test_dropped_modes_of_the_ring_are_named_by_their_place(ring: Reference) -> None:
    data = Points("ring", seed=9)
    found = examine(points(data.points[data.labels != 2][:1000]), ring)
    assert (found.state, found.dropped) == ("drifting", ("(0.00, 1.00)",)), "the top"
    found = examine(points(data.points[data.labels < 4][:1000]), ring)
    assert found.state == "collapsed"
    assert found.dropped == data.class_names[4:]
    assert "4 of 8 modes, missing (-1.00" in found.line
    thin = torch.cat([data.points[data.labels != 0][:1000], data.points[data.labels == 0][:5]])
    assert examine(points(thin), ring).dropped == ("(1.00, 0.00)",), "5 of 125 samples is starved, though captured"


def test_points_off_the_data_and_shrunken_modes_drift(ring: Reference) -> None:
    data = Points("ring", seed=9)
    noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    off = examine(points(data.points[:1000] + 0.03 * noise), ring)
    assert off.state == "drifting"
    assert "of the samples lie within 3 sigma" in off.line
    shrunken = data.centres[data.labels[:1000]] + 0.15 * (data.points - data.centres[data.labels])[:1000]
    found = examine(points(shrunken), ring)
    assert found.state == "drifting"
    assert "0.15 of the data's spread" in found.line
    for part in (0.3, 0.4):
        narrow = data.centres[data.labels[:1000]] + part * (data.points - data.centres[data.labels])[:1000]
        assert examine(points(narrow), ring).state == "healthy", "one rule for the spread within modes"


@pytest.mark.parametrize(("share", "scale"), [(1.0, 0.02), (0.1, 0.0), (0.05, 0.02)])
def test_copies_are_memorised_whether_exact_or_noisy(blobs: Reference, share: float, scale: float) -> None:
    x, n = Blobs(600, 5).images, round(600 * share)
    x[:n] = Blobs().images[:n] + scale * torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    found = examine(x, blobs)
    assert found.state == "memorising"
    assert found.figures["copies"] == pytest.approx(share, abs=0.35 * share)


def test_a_dense_class_or_blur_is_no_copy(blobs: Reference) -> None:
    """Both lie nearer to the training set than held-out samples do: C_T and the tail of d1 take them for copies."""
    fresh = Blobs(6000, 6)
    middle = fresh.images[fresh.labels == 0][:600]
    blurred = torch.stack([middle[k : k + 3].mean(0) for k in range(0, 597, 3)])
    found = examine(blurred, blobs)
    assert found.figures["C_T"] < -3
    assert found.figures["copies"] < 0.02
    assert {row.state for row in found.evidence if row.name == "copies"} == {"healthy"}
    assert found.state == "collapsed", "one class in five"


def test_a_sampler_of_one_image_has_collapsed(blobs: Reference) -> None:
    g = torch.Generator().manual_seed(0)
    one = Blobs(1, 3).images.expand(600, -1, -1, -1) + 0.01 * torch.randn(600, 1, 8, 8, generator=g)
    found = examine(one, blobs)
    states = {row.name: row.state for row in found.evidence}
    assert found.state == states["pairwise distance"] == states["nearest other"] == "collapsed"
    constant = examine(torch.zeros(600, 1, 8, 8), blobs)
    assert constant.state == "collapsed"
    assert constant.figures["effective rank"] == 0.0
    broken = one.clone()
    broken[0, 0, 0, 0] = math.nan
    assert "not finite" in examine(broken, blobs).line


def test_variety_and_distance_are_on_the_datas_own_scale(blobs: Reference) -> None:
    x = Blobs(600, 12).images
    narrow = examine(x.mean(0) + 0.45 * (x - x.mean(0)), blobs)
    row = next(row for row in narrow.evidence if row.name == "pairwise distance")
    assert row.state == "collapsed"
    assert row.value / row.data == pytest.approx(0.45, abs=0.02)
    assert next(row for row in narrow.evidence if row.name == "effective rank").state == "healthy", "it knows no scale"
    less = examine(x.mean(0) + 0.6 * (x - x.mean(0)), blobs)
    assert next(row for row in less.evidence if row.name == "pairwise distance").state == "drifting"
    unrelated = examine(x.flip(0) + 3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)), blobs)
    assert next(row for row in unrelated.evidence if row.name == "distance from the data").state == "drifting"


def test_unlabelled_data_is_divided_into_cells() -> None:
    against = reference(Blobs(labelled=False), size=600)
    assert [modes.what for modes in against.modes] == ["cells"]
    fresh = Blobs(6000, 21)
    assert examine(fresh.images[:600], against).state == "healthy"
    found = examine(fresh.images[fresh.labels == 2][:600], against)
    assert found.state == "collapsed"
    assert found.figures["mass of missing cells"] == pytest.approx(0.8, abs=0.1)
    assert found.dropped == (), "a cell has no name that says anything"


@pytest.mark.parametrize("kind", ["one label", "one sample of a class", "one image"])
def test_data_of_which_one_mode_alone_is_seen_has_a_verdict(kind: str) -> None:
    data, test = Blobs(300), Blobs(200, 999)
    for part in (data, test):
        part.test = lambda: test
        if kind == "one image":
            part.images = torch.full_like(part.images, -1.0)
        else:
            part.labels = torch.full_like(part.labels, 3)
    if kind == "one sample of a class":
        data.labels[7] = 1
    real = reference(data, size=150)
    assert {modes.what for modes in real.modes} == (set() if kind == "one image" else {"cells"})
    assert examine(data.images[:150].clone(), real).state in STATES


def test_where_some_classes_are_unknown_there_are_cells_alone() -> None:
    """Neighbours without a class have no vote, and what is not counted by votes must not be said to be missing."""
    data = Blobs()
    data.labels[::3] = -1
    data.spec = replace(data.spec, unlabelled=True)
    against = reference(data, size=600)
    assert [modes.what for modes in against.modes] == ["cells"]
    assert examine(Blobs(600, 21).images, against).state == "healthy"


def test_without_a_test_split_training_samples_are_compared_each_without_itself() -> None:
    against = reference(Blobs(test=False), size=600)
    assert not against.apart
    assert float(against.to_bank.min()) > 0, "its own neighbour would be at distance 0"
    assert examine(Blobs(600, 31).images, against).state == "healthy"
    assert examine(Blobs(test=False).images[:600], against).state == "memorising"


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1])
def test_copies_are_found_where_some_training_samples_are_there_twice(share: float) -> None:
    data = Blobs(test=False)
    data.images[-int(3000 * share) :] = data.images[: int(3000 * share)]
    against = reference(data, size=600)
    assert examine(Blobs(600, 31).images, against).state == "healthy"
    found = examine(data.images[300:900], against)
    assert found.state == "memorising"
    assert found.figures["copies"] > 0.75


def test_a_part_of_the_training_set_finds_its_part_of_the_copies() -> None:
    data = Blobs()
    against = reference(data, size=600, bank=1500)
    assert against.whole == 0.5
    x = Blobs(600, 5).images
    x[:300] = data.images[:300]
    assert examine(x, against).figures["copies"] == pytest.approx(0.5, abs=0.1)


def test_too_little_data_is_refused() -> None:
    with pytest.raises(InputError, match="15 samples: health needs at least 16"):
        reference(Blobs(15))
    assert reference(Blobs(16, test=False)).size == 8


def test_nothing_is_drawn_from_the_default_generator(blobs: Reference) -> None:
    state = torch.get_rng_state()
    first = reference(Blobs(500), size=100)
    assert torch.equal(first.bank, reference(Blobs(500), size=100).bank)
    examine(Blobs(600, 1).images, blobs)
    assert torch.equal(torch.get_rng_state(), state)


class Sampler:
    """Draws blobs of the generator's seed, whatever the size of a call."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        self.asked.append(n)
        return Blobs(n, int(torch.randint(1000, (), generator=generator)) + 5000).images


def test_a_sampler_is_asked_for_a_few_hundred_at_a_time(blobs: Reference) -> None:
    sampler = Sampler()
    found = examine_sampler(sampler, blobs, 600, generator=torch.Generator().manual_seed(0))
    assert (sum(sampler.asked), max(sampler.asked)) == (600, 250)
    assert found.state == "healthy"


def learned(x: Tensor) -> Callable[[Tensor], Tensor]:
    """A discriminator that knows the rows of `x` by heart: logit 3 for those, -3 for the rest, and a little noise."""

    def score(y: Tensor) -> Tensor:
        apart = torch.cdist(y.flatten(1), x.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
        known = apart.min(1).values < 1e-3
        return torch.where(known, 3.0, -3.0) + 0.1 * y.flatten(1).mean(1)

    return score


def test_a_discriminator_that_knows_the_training_set_by_heart(blobs: Reference) -> None:
    fake = Blobs(600, 8).images
    found = {row.name: row for row in judged(Opponent("critic", learned(Blobs().images)), fake, blobs, logits=False)}
    assert found["D prefers training samples"].state == "memorising"
    assert found["D prefers training samples"].value > 0.99
    assert found["r_v"].value == pytest.approx(1.0, abs=0.05)
    assert not any("accuracy" in name for name in found), "a critic's score has no threshold"
    found = {row.name: row for row in judged(Opponent("discriminator", learned(Blobs().images)), fake, blobs, logits=True)}
    assert (found["D accuracy, training"].value, found["D accuracy, held-out"].value) == (1.0, 0.0)
    even = judged(Opponent("critic", lambda y: y.flatten(1).mean(1)), fake, blobs, logits=False)
    assert {row.state for row in even} == {"healthy"}


@pytest.mark.parametrize(("margin", "state"), [(6.0, "saturated"), (3.0, "healthy")])
def test_a_certain_discriminator_saturates(blobs: Reference, margin: float, state: str) -> None:
    fake = Blobs(600, 8).images + 20
    rows = judged(Opponent("discriminator", lambda y: margin * (5 - y.flatten(1).mean(1)).sign()), fake, blobs, logits=True)
    assert next(row for row in rows if row.name == "D certain").state == state
    rows = judged(Opponent("critic", lambda y: margin * (5 - y.flatten(1).mean(1)).sign()), fake, blobs, logits=False)
    assert all(row.state == "healthy" for row in rows), "a critic's numbers are no probabilities"


def test_packs_are_scored_and_images_are_no_scores(blobs: Reference) -> None:
    fake = Blobs(600, 8).images
    pack = Opponent("discriminator", lambda y: y.flatten(1).mean(1).view(-1, 4).mean(1))
    assert {row.state for row in judged(pack, fake, blobs, logits=True)} == {"healthy"}
    assert judged(Opponent("discriminator", lambda y: y), fake, blobs, logits=False) == []
    assert judged(pack, fake[:10], blobs, logits=True) == []


def test_gradients_are_held_against_the_runs_own() -> None:
    falling = [{"step": k, "generator/gradient": 10.0**-k, "critic/gradient": 1.0} for k in range(8)]
    rows = {row.name: row for row in pushed(falling)}
    assert rows["gradient of generator"].state == "saturated"
    assert rows["gradient of critic"].state == "healthy"
    assert {row.state for row in pushed(falling[:4])} == {"healthy"}, "a hundredth is no thousandth"
    spike = [{"generator/gradient": value} for value in (1.0, 1e9, 1.0, 1.0, 1.0)]
    assert pushed(spike)[0].state == "healthy", "one odd line moves no median of three"
    assert pushed([{"step": 1}, {"generator/loss": 2.0}]) == []


def test_only_games_that_log_probabilities_have_accuracies(blobs: Reference) -> None:
    judge = Opponent("discriminator", lambda y: y.flatten(1).mean(1))
    names = {row.name for row in examine(Blobs(600, 8).images, blobs, judge=judge, history=[{"step": 1.0}]).evidence}
    assert "D prefers training samples" in names
    assert "D accuracy, held-out" not in names
    history = [{"step": 1.0, "discriminator/D(x)": 0.5}]
    names = {row.name for row in examine(Blobs(600, 8).images, blobs, judge=judge, history=history).evidence}
    assert "D accuracy, held-out" in names


class Game(AbstractGame):
    """Players by name."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__(None, Spec(1, 8, 8))
        self.modules_of = modules

    def players(self) -> dict[str, Player]:
        return {name: Player((module,), torch.optim.SGD) for name, module in self.modules_of.items()}

    def stages(self) -> tuple:
        return ()


class Labelled(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x.flatten(1).mean(1) + y


class Scoring(Game):
    def score(self, x: Tensor) -> Tensor:
        return x.flatten(1).sum(1)


def test_the_opponent_is_found_by_name_or_by_its_score() -> None:
    network = nn.Flatten(0)
    assert opponent(Game(critic=network, generator=nn.Flatten())) == Opponent("critic", network)
    assert opponent(Game(vae=network)) is None
    assert opponent(Game(discriminator=Labelled(), generator=network)) is None, "it needs a label as well"
    found = opponent(Scoring(discriminator=Labelled()))
    assert found is not None
    assert (found.player, float(found.score(torch.ones(1, 1, 2, 2)))) == ("discriminator", 4.0)


@pytest.mark.parametrize("form", ["two-term", "matching"])
def test_a_judge_of_pairs_scores_samples_with_the_class_that_suits_them_best(form: str) -> None:
    game = cgan.build(cgan.PRESETS["tiny"].replace(form=form), Spec(1, 8, 8, classes=3)).eval()
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    judge = opponent(game)
    assert judge is not None
    each = torch.stack([game.match(x, torch.full((5,), label)) for label in range(3)])
    assert torch.equal(judge.score(x), each.amax(dim=0))
    assert not torch.equal(each[0], each[1])


def test_the_most_serious_evidence_decides() -> None:
    rows = [Evidence(state, 1.0, 0.0, state, f"because {state}") for state in STATES]
    for count in range(1, len(STATES) + 1):
        assert verdict(rows[:count]).state == STATES[count - 1]
        assert verdict(rows[:count]).line == f"{STATES[count - 1]}: because {STATES[count - 1]}"
    assert STATES[-1] == "collapsed"
    assert verdict([]).state == "healthy"


def test_effective_rank() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.linalg.qr(torch.randn(400, 6, generator=g, dtype=torch.float64) - 0.0)[0]
    x = torch.linalg.qr(x - x.mean(0))[0]
    assert effective_rank(x) == pytest.approx(6.0, abs=1e-6)
    p = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    assert effective_rank(x[:, :3] * p.sqrt()) == pytest.approx(2**1.5, abs=1e-6)  # entropy 1.5 bits
    assert effective_rank(torch.full((50, 3), 7.0)) == 0.0


@pytest.mark.parametrize("n", [60, 400])
def test_features_are_principal_axes_whether_there_are_more_images_or_pixels(n: int) -> None:
    x = Blobs(n, 3).images.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :12, :12]  # 144 pixels
    features = Features.of(x, continuous=False)
    flat = x.flatten(1).double()
    scores = features(x).double()
    _, s, _ = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    torch.testing.assert_close(scores.norm(dim=0), s[: scores.shape[1]], rtol=1e-3, atol=1e-3)
    assert scores.shape[1] <= 64
    assert torch.isfinite(features(torch.full((1, 1, 12, 12), math.nan))).all()


def test_large_images_are_averaged_down() -> None:
    x = torch.randn(20, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    assert Features.of(x, continuous=False).shape == (32, 32)
    assert Features.of(x, continuous=False)(x).shape == (20, 19)


def test_k_means_finds_separate_clusters() -> None:
    data = Points("ring", samples=2000)
    found = k_means(data.points, 8, torch.Generator().manual_seed(0))
    assert float(torch.cdist(data.centres, found).min(1).values.max()) < 0.005


def test_confusion_is_corrected_for() -> None:
    """A classifier that takes a third of "b" for "a" hides that "a" is missing."""
    confusion = torch.tensor([[1.0, 1 / 3, 0.0], [0.0, 2 / 3, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    true = torch.tensor([1 / 3] * 3, dtype=torch.float64)
    assigned = torch.tensor([0] * 400 + [1] * 200 + [2] * 300)
    modes = Modes("classes", ("a", "b", "c"), confusion @ true, lambda *_: assigned, assigned, confusion)
    torch.testing.assert_close(modes.corrected(assigned.bincount()), true)
    without = torch.tensor([0] * 150 + [1] * 300 + [2] * 450)
    rows, names = covered(modes, without)
    assert names == ["a"]
    assert rows[0].state == "drifting"


def test_uneven_classes_drift_only_where_it_matters() -> None:
    held = torch.arange(5).repeat(400)
    shares = torch.full((5,), 0.2, dtype=torch.float64)
    modes = Modes("classes", tuple("abcde"), shares, lambda *_: held, held)
    slightly = torch.tensor([260, 230, 200, 170, 140])
    greatly = torch.tensor([520, 200, 120, 80, 80])
    rows, _ = covered(modes, torch.arange(5).repeat_interleave(slightly))
    assert (rows[0].state, rows[2].value < 0.001) == ("healthy", True)
    rows, names = covered(modes, torch.arange(5).repeat_interleave(greatly))
    assert (rows[0].state, names) == ("drifting", [])
    assert "unevenly" in rows[0].text


class Digits:
    """Stacked digits that are as easy as they can be: digit k is a bar of row k."""

    name = "bars"

    def __init__(self, stacks: int, n: int = 6000, seed: int = 0) -> None:
        g = torch.Generator().manual_seed(seed)
        self.stacks, self.digit_labels = stacks, torch.arange(10).repeat(50)
        self.digits = torch.zeros(500, 10, 10, dtype=torch.uint8)
        self.digits[torch.arange(500), self.digit_labels] = 200
        self.digits += torch.randint(50, self.digits.shape, generator=g).to(torch.uint8)
        self.spec = Spec(stacks, 10, 10, classes=10**stacks)
        self.chosen = torch.randint(500, (n, stacks), generator=g)

    def __len__(self) -> int:
        return len(self.chosen)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.digits[self.chosen[indices]].float() / 127.5 - 1, None)

    def stack(self, modes: Tensor) -> Tensor:
        """A sample of each mode, (n, stacks)."""
        return (
            self.digits[modes * 1 + 10 * torch.randint(50, modes.shape, generator=torch.Generator().manual_seed(1))].float()
            / 127.5
            - 1
        )


@pytest.mark.parametrize("stacks", [2, 3])
def test_modes_of_stacks_are_named(stacks: int) -> None:
    data = Digits(stacks)
    assert isinstance(data, Stacks)
    assert not isinstance(data, Mixture)
    against = reference(data, size=2500)
    modes = torch.randint(10, (2500, stacks), generator=torch.Generator().manual_seed(2))
    assert examine(data.stack(modes), against).state == "healthy"
    missing = modes[modes[:, 1] != 4]
    found = examine(data.stack(missing), against)
    assert found.state == "drifting"
    assert set(found.dropped) == ({f"{k}-4" for k in range(10)} if stacks == 2 else {"*-4-*"})
    few = examine(data.stack(modes.remainder(4)), against)
    assert few.state == "collapsed"


def test_the_number_of_a_thousand_modes_is_held_against_real_batches() -> None:
    against = reference(Digits(3), size=2500)
    g = torch.Generator().manual_seed(3)
    allowed = torch.randperm(1000, generator=g)[:500]  # every digit of every channel is still there
    drawn = allowed[torch.randint(500, (2500,), generator=g)]
    x = Digits(3).stack(torch.stack([drawn // 100, drawn // 10 % 10, drawn % 10], 1))
    found = examine(x, against)
    assert found.state == "drifting"
    assert found.figures["modes reached"] == len(drawn.unique())
    assert set(found.dropped).isdisjoint({"-".join(f"{m:03d}") for m in drawn.tolist()})
    assert "real samples, as many: 9" in found.line


def test_thresholds_are_ordered() -> None:
    assert all(0 < collapse < drift < 0.9 for drift, collapse in evidence.SHRUNK.values())
