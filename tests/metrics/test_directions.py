"""Directions between groups of codes: the difference of means, judged on codes that were held out."""

from dataclasses import replace

import pytest
import torch

from metrics.gaussians import Drawn
from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec
from pinxit.data.store import Store
from pinxit.metrics.directions import between, likeliest, of_classes
from pinxit.systems import cvae, vae

SPEC = Spec(3, 1, 1, levels=0, classes=3)
CENTRES = torch.tensor([[0.0, 0.0, 0.0], [6.0, 0.0, 0.0], [0.0, 6.0, 0.0]])


class Flat:
    """Codes are the points themselves."""

    def encode(self, x, labels=None):
        return x.flatten(1)


def data(n: int = 900) -> Drawn:
    labels = torch.arange(n) % 3
    noise = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return Drawn(CENTRES[labels] + noise, SPEC, labels)


def test_the_direction_joins_the_means():
    found = of_classes(Flat(), data(), 1, since=0)
    torch.testing.assert_close(found.vector, torch.tensor([6.0, 0.0, 0.0]), rtol=0, atol=0.3)
    assert found.accuracy > 0.99
    assert found.name == "0 to 1"
    assert (found.n, found.n_test) == (480, 120)


def test_against_the_rest():
    found = of_classes(Flat(), data(), 1)
    torch.testing.assert_close(found.vector, torch.tensor([6.0, -3.0, 0.0]), rtol=0, atol=0.3)
    assert found.name == "the rest to 1"


def test_a_meaningless_direction_is_seen_to_be_one():
    """The means of two random groups differ too; held-out codes then fall on either side."""
    g = torch.Generator().manual_seed(1)
    codes = torch.randn(3000, 50, generator=g)
    found = between(codes, torch.rand(3000, generator=g) < 0.1, name="nothing")
    assert found.vector.norm() > 0.3
    assert abs(found.accuracy - 0.5) < 0.08


def test_small_and_large_groups_count_alike():
    codes = torch.cat((torch.zeros(990, 2), torch.ones(10, 2)))
    found = between(codes, torch.arange(1000) >= 990, name="rare")
    assert found.accuracy == 1.0
    found = between(torch.zeros(1000, 2), torch.arange(1000) >= 990, name="rare")
    assert found.accuracy == 0.0, "on neither side"


@pytest.mark.parametrize(("options", "said"), [
    ({"to": 3}, "class 3 is not one of 0 to 2"), ({"to": 1, "since": 1}, "both 1"), ({"to": 1, "since": -1}, "class -1"),
    ({"to": 1, "most": 20}, "at least 10 of each"),
])  # fmt: skip
def test_refusals(options, said):
    with pytest.raises(InputError, match=said):
        of_classes(Flat(), data(), **options)


def test_labels_are_needed():
    with pytest.raises(InputError, match="no labels"):
        of_classes(Flat(), Drawn(torch.zeros(40, 3), Spec(3, 1, 1, levels=0)), 0)


IMAGES = Spec(1, 2, 2, classes=2)


def told_game(**changes):
    config = cvae.PRESETS["tiny"].replace(label_dropout=0.0, decoder="gaussian", latent=3, **changes)
    game = cvae.build(config, IMAGES, seed=1)
    with torch.no_grad():
        game.moments[:, :3] = torch.tensor([[5.0, 0.0, 0.0], [-5.0, 0.0, 0.0]])  # the classes' priors lie apart
        for parameter in game.encoder.parameters():
            parameter.zero_()
        # mu is the place of its class's prior and, from the second number on, the first two pixels.
        last = game.encoder[-1]
        last.weight[:3, :3] = torch.eye(3)
        first = game.encoder[0]
        first.weight[0, 4], first.weight[0, 5] = 0.1, -0.1
        first.weight[1, 0], first.weight[2, 1] = 0.01, 0.01
    return game


def test_a_class_that_a_model_is_told_is_in_no_direction_but_an_attribute_is():
    game = told_game()
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(400, 1, 2, 2, generator=g) * 2 - 1, torch.arange(400) % 2
    game.moments.data[:, :3] = game.posterior(torch.zeros(2, 1, 2, 2), torch.arange(2))[0]
    own = of_classes(game, Store("own", ((x + 1) * 127.5).byte(), y, class_names=["a", "b"]), 1)
    assert len(own.vector) == 3 + 2
    assert not own.vector[3:].any(), "a walk keeps the class"
    assert abs(own.vector[0]) < 1e-6, "what lies apart is the prior of the classes"
    assert abs(own.accuracy - 0.5) < 0.15
    bright = (x[:, 0, 0, 0] > 0).long() + (x[:, 0, 0, 0] > 0.5).long()
    other = of_classes(
        game, Store("bright", ((x + 1) * 127.5).byte(), bright, class_names=["0", "1", "2"]), 2, since=0, told=False
    )
    assert other.accuracy > 0.9
    assert other.vector.abs().argmax() == 1


def test_the_likeliest_class_has_the_highest_bound():
    game = told_game()
    x = torch.rand(20, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = likeliest(game, x)
    bound = []
    for label in (0, 1):
        log_prob, kl = game.elbo_given(x, torch.full((20,), label), generator=torch.Generator().manual_seed(seed_of("likeliest")))
        bound.append(log_prob - kl)
    assert torch.equal(found, (bound[1] > bound[0]).long())
    assert likeliest(Flat(), x) is None


def test_images_without_a_class_are_in_no_group():
    known = data()
    labels = torch.where(torch.arange(900) % 4 == 0, -1, known.labels)
    some = Drawn(known.batch(torch.arange(900)).images.flatten(1), replace(SPEC, unlabelled=True), labels)
    found = of_classes(Flat(), some, 1)
    assert found.n + found.n_test == int((labels >= 0).sum())


def test_codes_are_of_bits_where_the_model_was_shown_bits():
    game = vae.build(vae.PRESETS["tiny"].replace(decoder="bernoulli", binarise="dynamic"), Spec(1, 4, 4, classes=2), seed=0)
    seen = []
    posterior = game.posterior
    game.posterior = lambda x, labels=None: seen.append(x) or posterior(x, labels)
    pixels = torch.randint(0, 256, (60, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    grey = Store("grey", pixels, torch.arange(60) % 2, class_names=["a", "b"])
    first, again = of_classes(game, grey, 1), of_classes(game, grey, 1)
    assert set(torch.cat(seen).unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(first.vector, again.vector)
