"""The judge before models and data of a user's own: it asks for `sample` and a spec, and leaves what it judges as it was."""

import pytest
import torch
from torch import nn

import pinxit
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from toys._nets import Tiny

SPEC = Spec(1, 8, 8)


class Sampler:
    """Nothing but `sample`."""

    def __init__(self, change=lambda x: x):
        self.change = change

    def sample(self, n, *, generator=None):
        return self.change(torch.rand(n, *SPEC.shape, generator=generator) * 2 - 1)


class Normed(nn.Module):
    """Samples through batch norm and dropout."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 64), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Tanh())

    def sample(self, n, *, generator=None):
        return self.net(torch.randn(n, 2, generator=generator)).view(n, *SPEC.shape)


@pytest.mark.parametrize("data", [torch.zeros(8, 1, 8, 8), SPEC, "ring"])
def test_what_is_no_data_set_is_refused_with_the_way_to_one(data):
    with pytest.raises(InputError, match=f"`data` is of type {type(data).__name__}: give what pinxit.data.load makes of it"):
        pinxit.evaluate(Sampler(), data)


def test_progress_is_told_of_an_evaluation():
    told = []
    judged(Sampler(), metrics=("frechet", "precision-recall"), progress=lambda what, done, total: told.append(what))
    assert told


def judged(model, **chosen):
    chosen = {"n": 64, "features": "pixels", "metrics": ("frechet",), "controls": False} | chosen
    return pinxit.evaluate(model, Tiny(SPEC, 200), **chosen)


def test_a_sampler_needs_nothing_but_sample():
    found = judged(Sampler())
    assert found.cost["parameters"] == 0
    assert found.scores[0].value.value > 0


def test_a_model_in_train_mode_is_judged_as_in_eval_mode_and_left_as_it_was():
    """Its speed was taken in train mode first: batch norm moved, and with it the samples and the scores."""
    calm, busy = Normed().eval(), Normed().train()
    before = {name: value.clone() for name, value in busy.state_dict().items()}
    assert judged(busy).scores[0].value.value == judged(calm).scores[0].value.value
    assert busy.training
    assert all(torch.equal(value, before[name]) for name, value in busy.state_dict().items())


def test_the_callers_random_state_is_left_as_it_was():
    class Global(Sampler):
        def sample(self, n, *, generator=None):
            return torch.rand(n, *SPEC.shape) * 2 - 1

    torch.manual_seed(3)
    before = torch.get_rng_state()
    judged(Global())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("change", "said"), [
    (lambda x: (x + 1) * 127.5, r"have values of .* to 25.*: they must be in \[-1, 1\]"),
    (lambda x: ((x + 1) * 127.5).to(torch.uint8), "are torch.uint8: they must be a tensor of floats"),
    (lambda x: x.numpy(), "are a ndarray: they must be a tensor of floats"),
])  # fmt: skip
def test_samples_that_are_no_images_in_range_are_refused(change, said):
    """Those in [0, 255] were clamped to white images, and these judged."""
    with pytest.raises(InputError, match=f"samples of Sampler {said}"):
        judged(Sampler(change))


def test_a_decoder_that_errs_beyond_both_ends_is_judged():
    assert judged(Sampler(lambda x: x * 4)).scores[0].value.value > 0


def test_points_of_no_known_centres_have_no_modes_to_count():
    class Plane:
        def sample(self, n, *, generator=None):
            return torch.randn(n, 2, 1, 1, generator=generator)

    data = Tiny(Spec(2, 1, 1, levels=0), 200)
    found = pinxit.evaluate(Plane(), data, n=64, controls=False)
    assert [score.value.name for score in found.scores][:2] == ["sliced W1", "precision"]
    with pytest.raises(InputError, match="counts those of points or stacked digits, not of tiny, which says no `centres`"):
        pinxit.evaluate(Plane(), data, n=64, metrics=("modes",))


@pytest.mark.parametrize(("model", "said"), [
    ("runs/a", r"str draws no samples: give the model, pinxit.from_pretrained\(path\)"),
    (nn.Linear(2, 2), r"Linear draws no samples: a model has a method sample\(n, \*, generator=None\)"),
])  # fmt: skip
def test_what_is_no_model_is_told_what_one_is(model, said):
    """They were sent to `pinxit reconstruct`."""
    with pytest.raises(InputError, match=said):
        judged(model)


@pytest.mark.parametrize(("metrics", "said"), [
    ("frechet", "`metrics` is the name 'frechet': give a list of names"),
    (["fid"], "unknown metric `fid`: it is `frechet` in the features `inception-2015`"),
])  # fmt: skip
def test_metrics_are_a_list_of_names_that_are_there(metrics, said):
    """`f` was an unknown metric, and for `fid` another distance was proposed, `kid`."""
    with pytest.raises(InputError, match=said):
        judged(Sampler(), metrics=metrics)
