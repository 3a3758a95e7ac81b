"""The judge treats every set alike: floors, controls and subjects get the same metrics at the same n."""

import pytest
import torch

import pinxit
from metrics.judgekit import pixel_judge
from pinxit import data
from pinxit.core.errors import InputError
from pinxit.evaluation.judge import Judge, Subject, of_model
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
    assert any("the reference was trained on" in line for line in found.lines)


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


def test_conditional_models_are_judged_by_their_pairs_and_swaps(real, monkeypatch):
    game = cgan.build(cgan.PRESETS["tiny"], real.spec, seed=0).eval()
    reader = pixel_judge()  # of 16 pixels: the swap test only asks it for classes
    monkeypatch.setattr(type(reader), "predict", lambda self, x: torch.zeros(len(x), dtype=torch.long))
    monkeypatch.setattr("pinxit.metrics.classifier.lenet", lambda data: reader)
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
