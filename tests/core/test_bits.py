"""Grey levels as bits: each way, drawn where the generator lives; and what a likelihood of them measures."""

import pytest
import torch

from pinxit.core import bits
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.systems import autoencoder, pixelcnn, vae

GREY = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_dynamic_bits_have_the_grey_level_s_probability():
    drawn = bits.binarised(GREY.expand(40_000, 5), "dynamic", generator())
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(((drawn + 1) / 2).mean(dim=0), (GREY + 1) / 2, rtol=0, atol=0.01)


def test_a_generator_decides_and_the_default_one_is_left_alone():
    state = torch.get_rng_state()
    a, b, c = (bits.binarised(torch.zeros(100), "dynamic", generator(s)) for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_threshold_is_one_half_and_grey_levels_can_stay():
    assert bits.binarised(GREY, "threshold").tolist() == [-1, -1, -1, 1, 1]
    assert torch.equal(bits.binarised(GREY, "none"), GREY)


@pytest.mark.parametrize("how", bits.WAYS)
def test_bits_stay_bits(how):
    """Scored twice, or drawn by the evaluator and again by the model: nothing changes."""
    x = torch.tensor([-1.0, 1.0, 1.0, -1.0])
    assert torch.equal(bits.binarised(x, how, generator()), x)


def test_an_unknown_way_is_named():
    with pytest.raises(InputError, match="did you mean `dynamic`"):
        bits.binarised(GREY, "dynamc")


@pytest.mark.parametrize(("binarised", "otherwise", "how"), [
    ("", "none", "none"), ("", "threshold", "threshold"), ("dynamic", "threshold", "dynamic"), ("dynamic", "none", "dynamic"),
    ("fixed", "dynamic", "none"), ("threshold", "dynamic", "none"),
])  # fmt: skip
def test_data_that_is_binarised_says_itself_how(binarised, otherwise, how):
    spec = Spec(1, 4, 4, levels=2 if binarised else 256, binarised=binarised)
    assert bits.drawing(spec, otherwise) == how


def test_every_measure_is_another():
    specs = [Spec(1, 4, 4, levels=2, binarised=how) for how in ("dynamic", "fixed", "threshold")]
    said = [bits.measure(spec) for spec in specs] + [bits.measure(Spec(1, 4, 4))]
    assert len(set(said)) == 4
    assert bits.measure(Spec(1, 4, 4), "dynamic") == said[0], "the same bits, whoever draws them"


def test_a_spec_knows_its_bits_and_reads_as_before_without_them():
    """Fingerprints of data hash the text of the spec: it must not change for sets that are not binarised."""
    assert repr(Spec(1, 28, 28, classes=10)) == "Spec(channels=1, height=28, width=28, levels=256, classes=10)"
    assert "binarised" not in Spec(1, 2, 3).to_dict()
    spec = Spec(1, 28, 28, levels=2, binarised="fixed")
    assert "binarised='fixed'" in repr(spec)
    assert Spec(**spec.to_dict()) == spec
    with pytest.raises(InputError, match="dynamic, fixed, threshold or empty"):
        Spec(1, 2, 3, levels=2, binarised="static")
    with pytest.raises(InputError, match="2 `levels`, not 256"):
        Spec(1, 2, 3, binarised="fixed")


@pytest.mark.parametrize(
    ("how", "rule"), [("", "none"), ("dynamic", "dynamic"), ("fixed", "dynamic"), ("threshold", "threshold")]
)
def test_the_rule_makes_such_bits_of_grey_levels(how, rule):
    spec = Spec(1, 4, 4, levels=2 if how else 256, binarised=how)
    assert bits.rule(spec) == rule
    assert rule == "none" or rule in bits.RULES


@pytest.mark.parametrize("spec", [Spec(1, 4, 4), Spec(2, 1, 1, levels=0)], ids=["grey", "points"])
def test_what_is_not_compared_with_bits_stays_itself(spec):
    x = torch.linspace(-3, 3, 32, dtype=torch.float64).view(-1, *spec.shape)
    assert bits.as_bits(x, spec, "a") is x


@pytest.mark.parametrize("how", ["dynamic", "fixed", "threshold"])
def test_the_position_decides_the_bits(how):
    """And nothing else: neither what was drawn before, nor the default generator, which is left alone."""
    spec, state = Spec(1, 4, 4, levels=2, binarised=how), torch.get_rng_state()
    first, other, again = (bits.as_bits(X, spec, "images", number) for number in (0, 1, 0))
    assert set(first.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(first, again)
    assert torch.equal(first, other) is (how == "threshold")
    assert torch.equal(bits.as_bits(first, spec, "images", 1), first), "bits stay what they are"
    assert torch.equal(torch.get_rng_state(), state)


X = torch.linspace(-0.9, 0.9, 64).view(4, 1, 4, 4)


@pytest.mark.parametrize(("binarise", "how", "expected"), [
    ("dynamic", "", "dynamic"), ("threshold", "", "threshold"), ("none", "", "none"), ("threshold", "dynamic", "dynamic"),
    ("threshold", "fixed", "dynamic"), ("dynamic", "threshold", "threshold"),
])  # fmt: skip
@pytest.mark.parametrize("system", [vae, pixelcnn])
def test_a_model_is_shown_what_it_was_trained_on(system, binarise, how, expected):
    """Its own bits, or such as its data holds; drawn by the generator, and the same if shown again."""
    if system is pixelcnn and binarise == "none":
        return
    spec = Spec(1, 4, 4, levels=2 if how else 256, binarised=how)
    kind = {"decoder": "bernoulli"} if system is vae else {"output": "bernoulli"}
    game = system.build(system.PRESETS["tiny"].replace(binarise=binarise, **kind), spec)
    seen = bits.shown_to(game, X, generator())
    assert torch.equal(seen, bits.binarised(X, expected, generator()))
    assert torch.equal(bits.shown_to(game, seen, generator(1)), seen)


def test_what_was_trained_on_grey_levels_is_shown_grey_levels():
    assert torch.equal(bits.shown_to(vae.build(vae.PRESETS["small"], Spec(1, 4, 4)), X, generator()), X)
    assert torch.equal(bits.shown_to(object(), X, generator()), X)
    of_bits = autoencoder.build(autoencoder.PRESETS["tiny"], Spec(1, 4, 4, levels=2, binarised="fixed"))
    assert torch.equal(bits.shown_to(of_bits, X, generator()), bits.binarised(X, "dynamic", generator()))
