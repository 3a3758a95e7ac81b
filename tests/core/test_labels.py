"""Classes of unequal frequency: a conditional model is held against data as a model of all of it."""

import pytest
import torch

from pinxit.core.labels import AsOften, as_often, counts
from pinxit.core.spec import Spec
from pinxit.data.store import Store
from pinxit.diagnostics import health, probes
from pinxit.evaluation.judge import Judge, of_model
from pinxit.metrics.extraction import SampleSource
from pinxit.observers.health import Health
from pinxit.observers.samples import Samples
from pinxit.systems import acgan, cgan, cvae, gan, pixelcnn

SHARES = (400, 80, 20)
GREY = (60, 128, 190)


def toned(sizes, seed=0):
    """Images of 16 x 16 whose grey level tells the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    noise = torch.randn(len(labels), 3, 16, 16, generator=generator) * 12
    level = torch.tensor(GREY)[labels].float() + 8 * torch.randn(len(labels), generator=generator)
    pixels = (noise + level[:, None, None, None]).clamp(0, 255).byte()
    return Store("toned", pixels, labels, class_names=("dark", "middle", "bright"))


class Perfect(acgan.ACGAN):
    """Fresh images of the process that made the data, whatever class is asked for; none asked for, all classes alike."""

    def sample_class(self, labels, *, generator=None):
        fresh = toned((300, 300, 300), seed=1)
        rows = labels * 300 + torch.randint(300, labels.shape, generator=generator)
        return fresh.batch(rows).images

    def sample(self, n, *, generator=None):
        return self.sample_class(torch.randint(3, (n,), generator=generator), generator=generator)


@pytest.fixture(scope="module")
def data():
    return toned(SHARES)


@pytest.fixture(scope="module")
def perfect(data):
    return Perfect(acgan.PRESETS["tiny"], data.spec).eval()


def test_a_perfect_conditional_model_of_uneven_classes_is_healthy(data, perfect, tmp_path):
    observer = Health(tmp_path, data, 10, 0)
    against = probes.reference(data, size=240, bank=500, held=500)
    assert "unevenly" in health.examine_sampler(perfect, against, 240, generator=torch.Generator().manual_seed(0)).line
    assert observer._look(perfect, against).line == "healthy: 3 of 3 classes"


def test_it_is_judged_at_the_frequencies_of_its_data(data, perfect):
    judge = Judge(data, n=240, metrics=("frechet",), network="pixels", controls=False)
    (alike,) = judge.evaluate(of_model(perfect, "alike", judge.n, judge.spec)).scores
    found = judge.evaluate(of_model(perfect, "perfect", judge.n, judge.spec, data=data))
    (score,) = found.scores
    assert score.value.value < 2 * score.floor.value < alike.value.value / 2
    assert "its classes were drawn as often as toned has them" in found.lines


def test_it_is_shown_at_the_frequencies_of_its_data(data, perfect, tmp_path):
    observer = Samples(tmp_path, data, 10, 0)
    observer.n = 300
    fake, real = observer.draw(perfect)
    dark = [(x.mean((1, 2, 3)) < 94 / 127.5 - 1).float().mean().item() for x in (fake, real)]
    assert dark == pytest.approx([0.8, 0.8], abs=0.08)


def test_classes_are_as_frequent_as_the_weights_say(perfect, monkeypatch):
    monkeypatch.setattr(perfect, "sample_class", lambda labels, generator: labels)
    drawn = AsOften(perfect, SHARES).sample(20_000, generator=torch.Generator().manual_seed(0))
    assert drawn.bincount().div(20_000).tolist() == pytest.approx([0.8, 0.16, 0.04], abs=0.01)


def test_who_is_asked_for_classes_as_often_as_the_data_has_them(data):
    def made(module, preset=None, spec=data.spec, **fields):
        return module.build((preset or module.PRESETS["tiny"]).replace(**fields), spec)

    assert as_often(made(acgan), data) == SHARES
    assert as_often(made(cgan, label_dropout=0.0), data) == SHARES
    assert as_often(made(cvae, label_dropout=0.0), data) == SHARES
    assert as_often(made(pixelcnn, output="logistic-mixture", conditional=True), data) == SHARES
    assert as_often(made(pixelcnn, output="logistic-mixture"), data) == (), "a model without classes draws as it has learned"
    assert as_often(made(gan), data) == ()
    assert as_often(made(cgan), data) == (), "with label dropout `unknown` is a model of all the data"
    assert as_often(made(acgan), toned((50, 50, 50))) == (), "classes that are alike often are drawn as they always were"
    other = Store("four", data.images, data.labels, class_names=tuple("abcd"))
    assert as_often(made(acgan), other) == (), "other classes than the model's"
    some = Store("some", data.images, data.labels.masked_fill(data.labels == 2, -1), class_names=data.class_names)
    assert as_often(made(cgan, spec=some.spec, form="two-term", label_dropout=0.0), some) == ()


def test_counts_are_of_known_classes_and_need_no_attribute(data):
    class Plain:
        """What the protocol asks for and no more."""

        spec, name, fingerprint = data.spec, "plain", ""
        batch, batches = data.batch, data.batches

        def __len__(self):
            return len(data)

    assert counts(data) == counts(Plain()) == list(SHARES)
    part = Store("part", data.images, data.labels.masked_fill(data.labels == 1, -1), class_names=data.class_names)
    assert counts(part) == [400, 0, 20]
    assert counts(Store("none", data.images)) == []


def test_features_of_other_frequencies_are_not_taken_for_these(perfect):
    spec = Spec(3, 16, 16, classes=3)
    keys = {SampleSource(perfect, 64, spec, weights=weights).key() for weights in ((), SHARES, (1, 2, 3))}
    assert len(keys) == 3
