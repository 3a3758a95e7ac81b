"""The judge treats every set alike: floors, controls and subjects get the same metrics at the same n."""

import pytest
import torch

import pinxit
from metrics.judgekit import pixel_judge
from pinxit import data
from pinxit.core.errors import InputError
from pinxit.evaluation import measures
from pinxit.evaluation.judge import Judge, Subject, of_model
from pinxit.evaluation.measures import Real, Seen
from pinxit.metrics import conditioning, extraction, pairwise
from pinxit.systems import cgan, gan

QUICK = ("frechet", "precision-recall", "classes", "ms-ssim", "memorisation")


class Resampler:
    """A perfect sampler: held-out images, drawn anew; or, of training images, one that copies."""

    def __init__(self, images):
        self.images = images
        self.digest = ""

    def sample(self, n, *, generator=None):
        return self.images[torch.randint(len(self.images), (n,), generator=generator)]

    def parameters(self):
        return iter(())


@pytest.fixture(scope="module")
def real():
    return data.load()


@pytest.fixture(scope="module")
def judge(real):
    return Judge(real, n=600, metrics=QUICK)


@pytest.fixture(scope="module")
def perfect(judge, real):
    rows = judge.train_rows[-1500:]  # the bank for copies holds all training samples, so these are copies too
    return judge.evaluate(of_model(Resampler(real.batch(rows).images), "train", judge.n, judge.spec))


@pytest.fixture(scope="module")
def held(judge, real):
    test = real.test().batch(judge.reference_rows[judge.n : judge.n + 1200]).images
    return judge.evaluate(of_model(Resampler(test), "held-out", judge.n, judge.spec))


def value(evaluation, name):
    return evaluation.score(name).value.value


@pytest.mark.slow
def test_real_samples_score_as_the_floor_and_better_than_every_control(held):
    for name in ("frechet distance", "precision", "recall", "coverage"):
        score = held.score(name)
        sign = 1 if score.value.better == "lower" else -1
        worst = min if sign < 0 else max
        assert sign * value(held, name) < sign * worst(score.controls.values())
    assert abs(value(held, "precision") - held.score("precision").floor.value) < 0.08


@pytest.mark.slow
def test_copies_of_the_training_set_are_flagged_and_held_out_samples_are_not(perfect, held):
    copied, fresh = perfect.score("copies: nearest 1 %"), held.score("copies: nearest 1 %")
    assert copied.value.value == 1.0
    assert "copies of training samples" in copied.note
    assert copied.controls["copies"] == 1.0
    assert "no copying found" in fresh.note


@pytest.mark.slow
def test_the_dropped_class_is_what_the_class_histogram_sees(held):
    score = held.score("class KL")
    assert score.controls["class dropped"] > 5 * score.floor.value
    assert score.controls["blurred"] < score.controls["one mode"]


@pytest.mark.slow
def test_the_protocol_says_what_the_numbers_depend_on_and_the_seed_of_samples_is_not_in_it(held, perfect):
    assert held.protocol == perfect.protocol
    assert held.protocol["n"] == 600
    assert "% right on 2,000 real images" in held.protocol["features"]


def test_n_is_cut_to_the_real_samples_that_there_are_and_it_is_said(real):
    judge = Judge(real, n=10_000, metrics=("sliced",), network="pixels", controls=False)
    assert judge.n == 2000
    found = judge.evaluate(Subject("x", extraction.DataSource(real, torch.arange(2000))))
    assert any("n is 2,000, not 10,000" in line for line in found.lines)


def test_data_without_a_test_split_is_split_and_it_is_said():
    images = torch.randint(256, (40, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    own = data.load(images)
    judge = Judge(own, n=100, metrics=("sliced",), network="pixels", controls=False)
    assert judge.n == 20
    assert not set(judge.reference_rows.tolist()) & set(judge.train_rows.tolist())
    found = judge.evaluate(Subject("x", extraction.DataSource(own, torch.arange(20))))
    assert any("has seen the reference" in line for line in found.lines)


def test_points_have_their_modes_counted_and_shrunken_ones_named():
    found = pinxit.evaluate(gan.build(gan.PRESETS["points"], data.load("ring").spec, seed=0), data.load("ring"), n=500)
    assert found.score("modes").floor.value == 8
    assert found.score("modes").controls["class dropped"] == 7
    assert found.score("high quality").value.better == "floor"


def test_what_is_asked_in_vain_is_refused_at_once(real):
    with pytest.raises(InputError, match="unknown metric `frechett`: did you mean `frechet`"):
        Judge(real, metrics=("frechett",))
    with pytest.raises(InputError, match="metric `modes` counts those of points or stacked digits, not of fashion-mini"):
        Judge(real, metrics=("modes",))
    plain = data.load(torch.zeros(20, 1, 16, 16, dtype=torch.uint8))
    with pytest.raises(InputError, match="metric `classes` needs classes"):
        Judge(plain, metrics=("classes",), network="pixels")
    with pytest.raises(InputError, match="gan can't be judged by `labels`: it is for models that draw a given class"):
        judge = Judge(real, metrics=("labels",), network="pixels")
        game = gan.build(gan.PRESETS["tiny"], real.spec)
        judge.evaluate(of_model(game, "gan", 10, real.spec))
    with pytest.raises(InputError, match="encoder draws no samples"):
        of_model(torch.nn.Linear(2, 2), "encoder", 10, real.spec)


def test_metrics_of_pairs_share_one_pass_of_each_set(monkeypatch):
    passes = []
    whole = pairwise.kernel_and_neighbourhoods
    monkeypatch.setattr(pairwise, "kernel_and_neighbourhoods", lambda *sets: passes.append(1) or whole(*sets))
    ring = data.load("ring")
    judge = Judge(ring, n=100, metrics=("kid", "precision-recall"), controls=False)
    judge.evaluate(of_model(gan.build(gan.PRESETS["points"], ring.spec), "gan", judge.n, judge.spec))
    assert len(passes) == 2, "the samples and the floor"


def test_every_score_says_of_how_many_samples_and_by_whom(real):
    judge = Judge(real, n=100, metrics=("sliced", "wasserstein", "ms-ssim", "memorisation"), network="pixels", controls=False)
    found = judge.evaluate(of_model(gan.build(gan.PRESETS["tiny"], real.spec), "gan", judge.n, judge.spec))
    assert [score.value.n for score in found.scores[:3]] == [100, 100, 100]
    assert found.score("sliced W1").value.by == ""
    assert found.score("MS-SSIM of pairs").note.startswith("by pixels")
    assert "its floor is of n = 50" in found.score("copies: nearest 1 %").note
    assert all(score.seconds > 0 for score in found.scores)


def test_a_metric_without_an_error_of_its_own_gets_the_bootstrap_s():
    """Of a mean it is s / sqrt(n), within the scatter of so few repeats; distances and the class histogram have one."""
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    error = measures.bootstrapped(lambda rows: float(rows.mean()), x, measures.generator(0, "mean"))
    assert error == pytest.approx(0.05, rel=0.6)
    told = torch.eye(4)[torch.randint(4, (400,), generator=torch.Generator().manual_seed(1))]
    set_, other = (Seen(x + shift, torch.empty(0), told, told) for shift in (0.0, 0.3))
    real = Real(other, other, True)
    for compute in (measures.sliced, measures.exact, measures.classes):
        (value,) = compute(set_, real, 0)
        assert 0 < value.error < 0.2


def test_the_scatter_of_a_method_is_told_and_is_no_error_over_samples():
    """Another start of k-means and another point of the extrapolation are no other samples: three of them decide nothing."""
    x = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    set_, other = (Seen(x + shift, torch.empty(0)) for shift in (0.0, 0.3))
    for compute in (measures.prd, measures.frechet_infinity):
        for value in compute(set_, Real(other, other, True), 0):
            assert value.error is None
            assert "scatter" in value.note


def test_the_extrapolated_distance_cuts_the_reference_down_too():
    ring = data.load("ring")
    judge = Judge(ring, n=200, metrics=("frechet-infinity",), controls=False)
    found = judge.evaluate(Subject("ring", extraction.DataSource(ring, torch.arange(200))))
    assert found.scores[0].note.startswith("from n = 20 to 200")
    assert "reference keeps" not in found.scores[0].note


def test_two_references_of_one_name_are_not_one_protocol(real):
    judges = []
    for first in (0, 100):
        images = real.images[first : first + 100]
        judges.append(Judge(data.load(images), n=20, metrics=("sliced",), network="pixels", controls=False))
    a, b = (judge.protocol["reference"] for judge in judges)
    assert a.partition("content")[0] == b.partition("content")[0]
    assert a != b


def test_the_work_between_features_and_scores_is_told(real):
    told = []
    judge = Judge(real, n=60, metrics=("sliced", "wasserstein"), network="pixels", progress=lambda *line: told.append(line))
    judge.evaluate(of_model(gan.build(gan.PRESETS["tiny"], real.spec), "gan", judge.n, judge.spec))
    names = {what for what, _, _ in told}
    assert {"floor: sliced", "floor: wasserstein", "blurred: sliced", "one mode: wasserstein", "gan: wasserstein"} <= names


def test_the_inception_score_asks_the_network_that_was_named(real, monkeypatch):
    class Teller:
        name, digest, dim, classes = "teller", "0" * 16, 784, 5

        def describe(self):
            return "teller"

        def __call__(self, images):
            return images.flatten(1)

        def told(self, rows):
            return rows[:, 300:305].mul(4).softmax(1)

    monkeypatch.setattr("pinxit.metrics.features.load", lambda name, *_, **__: Teller())
    judge = Judge(real, n=60, metrics=("inception",), network="lenet", controls=False)
    found = judge.evaluate(Subject("real", extraction.DataSource(real, torch.arange(60))))
    (score,) = found.scores
    assert score.name == "inception-style score (teller)"
    assert "splits of 6 lower it by up to 28 %" in score.note  # 1 - exp(-4 / 12)
    assert "classes" not in found.protocol, "no classifier was trained beside it"
    with pytest.raises(InputError, match="needs a classifier, `pixels` is none"):
        Judge(data.load(torch.zeros(40, 1, 16, 16, dtype=torch.uint8)), metrics=("inception",), network="pixels")


def test_a_metric_that_one_of_several_lacks_is_said_and_one_that_all_lack_refused(real):
    judge = Judge(real, n=60, metrics=("match", "sliced"), network="pixels", controls=False)
    subjects = [
        of_model(module.build(module.PRESETS["tiny"], real.spec), name, judge.n, judge.spec)
        for name, module in (("plain", gan), ("pairs", cgan))
    ]
    judge.check(subjects)
    found = [judge.evaluate_one(subject) for subject in subjects]
    assert "plain can't be judged by `match`: it is for cgan" in found[0].lines
    assert [one.score("match AUC") is not None for one in found] == [False, True]
    with pytest.raises(InputError, match="can't be judged by `match`"):
        judge.check(subjects[:1])


def test_conditional_models_are_judged_by_their_pairs_and_swaps(real, monkeypatch):
    game = cgan.build(cgan.PRESETS["tiny"], real.spec, seed=0).eval()
    reader = pixel_judge()  # of 16 pixels: the swap test only asks it for classes
    monkeypatch.setattr(type(reader), "predict", lambda self, x: torch.zeros(len(x), dtype=torch.long))
    monkeypatch.setattr("pinxit.metrics.classifier.lenet", lambda data, progress=None: reader)
    varied = conditioning.Diversity(0.5, 0.01, 0.4, 1.0, (0.4,) * 10, 200, "judge")
    monkeypatch.setattr(conditioning, "intra_class_diversity", lambda *arguments: varied)
    judge = Judge(real, n=300, metrics=("swap", "match"), network="pixels", controls=False)
    found = judge.evaluate(of_model(game, "cgan", judge.n, judge.spec))
    assert value(found, "swap: class follows") == pytest.approx(0.1)
    assert found.score("swap: class follows").controls == {"chance": 0.1}
    assert (value(found, "diversity in classes"), found.score("diversity in classes").floor.value) == (0.5, 1.0)
    batch = judge.reference.batch(judge.reference_rows[:5000])
    direct = conditioning.match_auc(game.match, batch.images, batch.labels, 10)
    assert value(found, "match AUC") == pytest.approx(direct.auc, abs=1e-12)
    plain = Judge(real, n=10, metrics=("match",), network="pixels", controls=False)
    with pytest.raises(InputError, match="can't be judged by `match`: it is for cgan"):
        plain.evaluate(of_model(gan.build(gan.PRESETS["tiny"], real.spec), "gan", 10, real.spec))
