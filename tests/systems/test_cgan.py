"""`cgan` is its three forms: objectives on hand-made logits, pairs that truly mismatch, players that are two or three."""

import math

import pytest
import torch
from torch import nn

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.protocols import Conditional
from pinxit.core.spec import Spec
from pinxit.systems import cgan

SPEC = Spec(1, 16, 16, classes=5)
GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(20, 1, 16, 16, generator=GENERATOR) * 2 - 1
Y = torch.arange(20) % 5
BATCH = Batch(X, Y)
FORMS = ("two-term", "matching", "two-network")


def game(form="two-term", preset="tiny", **changes):
    config = cgan.PRESETS[preset].replace(**{"form": form, "label_dropout": 0.0, "dropout": 0.0, **changes})
    return cgan.build(config, SPEC, seed=1)


class Pairs(nn.Module):
    """Its logit: 2 + y/10 for a real sample, else -1; and 0.5 more unless the sample is real and the class is not its own."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x, labels):
        distance = torch.cdist(x.flatten(1), X.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
        real = distance.amin(1) == 0
        own = torch.where(real, Y[distance.argmin(1)], labels)
        self.seen.append((real, labels == own, labels))
        return torch.where(real, 2 + labels / 10, torch.tensor(-1.0)) + 0.5 * (labels == own)


def sp(t):
    return math.log1p(math.exp(t))


def test_two_terms():
    g = game()
    g.discriminator = Pairs()
    loss = g.discriminator_loss(BATCH, Clock())
    expected = sum(sp(-(2.5 + y / 10)) for y in Y.tolist()) / 20 + sp(-0.5)
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)
    ((real, own, labels),) = g.discriminator.seen
    assert real.tolist() == [True] * 20 + [False] * 20
    assert own.all(), "no pair is mismatched"
    assert torch.equal(labels, Y.repeat(2)), "generated samples have the data's frequencies"
    assert g.generator_loss(BATCH, Clock()).total.item() == pytest.approx(sp(0.5), abs=1e-6)


@pytest.mark.parametrize("w", [0.5, 0.2])
def test_three_terms(w):
    g = game("matching", mismatch=w)
    g.discriminator = Pairs()
    torch.manual_seed(3)
    loss = g.discriminator_loss(BATCH, Clock())
    ((real, own, labels),) = g.discriminator.seen
    assert real.tolist() == [True] * 20 + [False] * 20 + [True] * 20
    assert own.tolist() == [True] * 40 + [False] * 20, "every mismatched pair is one"
    match = sum(sp(-(2.5 + y / 10)) for y in Y.tolist()) / 20
    mismatch = sum(sp(2 + y / 10) for y in labels[40:].tolist()) / 20
    assert loss.total.item() == pytest.approx(match + w * mismatch + (1 - w) * sp(-0.5), abs=1e-5)
    assert set(loss.stats) == {"D(x)", "D(G(z))", "D(x, y-)"}


def test_two_networks():
    g = game("two-network", lambda_match=3.0)
    g.matcher = Pairs()
    torch.manual_seed(3)
    loss = g.matcher_loss(BATCH, Clock())
    ((_, own, labels),) = g.matcher.seen
    assert own.tolist() == [True] * 40 + [False] * 20
    mismatch = sum(sp(2 + y / 10) for y in labels[40:].tolist()) / 20
    expected = sum(sp(-(2.5 + y / 10)) for y in Y.tolist()) / 20 + 0.5 * mismatch + 0.5 * sp(-0.5)
    assert loss.total.item() == pytest.approx(expected, abs=1e-5)
    torch.manual_seed(4)
    realism = g.discriminator_loss(BATCH, Clock()).total
    torch.manual_seed(4)
    x_fake = g.sample_class(Y)
    d, d_fake = g.discriminator(X), g.discriminator(x_fake)
    torch.testing.assert_close(realism, nn.functional.softplus(-d).mean() + nn.functional.softplus(d_fake).mean())
    torch.manual_seed(4)
    torch.testing.assert_close(
        g.generator_loss(BATCH, Clock()).total, nn.functional.softplus(-d_fake).mean() + 3 * sp(0.5), rtol=1e-5, atol=1e-6
    )


def test_a_pure_matcher_never_sees_a_generated_sample():
    g = game("two-network", mismatch=1.0)
    g.matcher = Pairs()
    loss = g.matcher_loss(BATCH, Clock())
    ((real, own, _),) = g.matcher.seen
    assert real.tolist() == [True] * 40
    assert own.tolist() == [True] * 20 + [False] * 20
    assert loss.total.isfinite()
    with pytest.raises(InputError, match="`mismatch` is 1 in the matching form"):
        game("matching", mismatch=1.0)


def test_the_players():
    assert list(game().players()) == ["discriminator", "generator"]
    g = game("two-network")
    players = g.players()
    assert set(players) == {"discriminator", "generator", "matcher"}
    owned = [set(player.parameters()) for player in players.values()]
    assert not owned[0] & owned[1]
    assert not owned[1] & owned[2]
    assert not owned[0] & owned[2]
    assert [turn.name for turn in g.stages()[0].turns] == ["discriminator/loss", "matcher/loss", "generator/loss"]
    assert [player.average for player in players.values()] == [False, True, False]
    for turn, names in (("discriminator_loss", "discriminator"), ("matcher_loss", "matcher")):
        total = getattr(g, turn)(BATCH, Clock()).total
        slopes = torch.autograd.grad(total, list(g.parameters()), allow_unused=True)
        moved = {name.partition(".")[0] for (name, _), s in zip(g.named_parameters(), slopes, strict=True) if s is not None}
        assert moved == {names}, "and the fakes are detached"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["joint", "plane", "projection"])
@pytest.mark.parametrize("backbone", ["mlp", "dcgan", "resnet"])
def test_every_form_plays_on_every_backbone(form, kind, backbone):
    g = game(form, conditioning=kind, backbone=backbone, width=4).train()
    for turn in g.stages()[0].turns:
        parameters = g.players()[turn.player].parameters()
        slopes = torch.autograd.grad(turn.objective(BATCH, Clock()).total, parameters)
        assert all(bool(slope.isfinite().all()) for slope in slopes)
        assert sum(bool(slope.any()) for slope in slopes) >= len(slopes) - 1, turn.name  # a bias before batch norm has none


@pytest.mark.parametrize("form", FORMS)
def test_swapping_the_class_changes_the_sample_and_nothing_else_does(form):
    g = game(form).eval()
    assert isinstance(g, Conditional)

    def drawn(labels):
        return g.sample_class(torch.tensor(labels), generator=torch.Generator().manual_seed(7))

    x, again, swapped = drawn([0, 1, 2]), drawn([0, 1, 2]), drawn([0, 1, 3])
    assert torch.equal(x, again)
    assert torch.equal(x[:2], swapped[:2]), "the noise is that of the place, whatever the labels"
    assert not torch.equal(x[2], swapped[2])


@pytest.mark.parametrize("form", FORMS)
def test_match_is_the_logit_of_the_pair(form):
    g = game(form).eval()
    d = g.match(X, Y)
    assert d.shape == (20,)
    network = g.matcher if form == "two-network" else g.discriminator
    assert torch.equal(d, network(X, Y))
    assert (g.match(X, (Y + 1) % 5) != d).all()


def test_samples_are_of_uniform_classes():
    g = game()
    codes = g.latents(5000, generator=torch.Generator().manual_seed(0))
    assert codes.shape == (5000, 8 + 5)
    assert (codes[:, 8:].sum(1) == 1).all()
    assert (codes[:, 8:].mean(0) - 0.2).abs().max() < 4 * math.sqrt(0.16 / 5000)


def test_with_label_dropout_the_players_see_the_unknown_class_at_its_rate():
    g = game(label_dropout=0.25)
    assert g.classes == 6
    many = Batch(X.repeat(100, 1, 1, 1), Y.repeat(100))
    g.discriminator = Spy()
    torch.manual_seed(0)
    g.discriminator_loss(many, Clock())
    g.generator_loss(many, Clock())
    both, made = g.discriminator.labels
    assert torch.equal(both[:2000], both[2000:]), "the generated sample is judged with what its generator was told"
    for seen, n in ((both[:2000], 2000), (made, 2000)):
        known = seen != 5
        assert torch.equal(seen[known], many.labels[known])
        assert abs((~known).double().mean() - 0.25) < 4 * math.sqrt(0.1875 / n)


def test_with_label_dropout_samples_are_of_the_unknown_class():
    g = game(label_dropout=0.25).eval()
    codes = g.latents(9, generator=torch.Generator().manual_seed(0))
    assert codes[:, 8:].tolist() == [[0, 0, 0, 0, 0, 1]] * 9
    with pytest.raises(InputError, match="no class 5: the classes of this model are 0 to 4"):
        g.sample_class(torch.tensor([5]))


def test_a_mismatched_pair_is_never_of_the_unknown_class():
    g = game("matching", label_dropout=0.5)
    g.discriminator = Spy()
    g.discriminator_loss(BATCH, Clock())
    wrong = g.discriminator.labels[0][40:]
    assert (wrong < 5).all()
    assert (wrong != Y).all()


class Spy(nn.Module):
    def __init__(self):
        super().__init__()
        self.labels = []

    def forward(self, x, labels):
        self.labels.append(labels)
        return x.mean((1, 2, 3))


def test_sgd_has_a_decay_of_its_own():
    with pytest.raises(InputError, match="`decay` is 'linear' and `optimizer` sgd.*take --decay none"):
        cgan.PRESETS["tiny"].replace(optimizer="sgd", decay="linear")


def test_the_paper_s_configuration():
    config = cgan.PRESETS["paper"]
    g = cgan.build(config, Spec(1, 28, 28, classes=10))
    weights = 101 * 200 + 11 * 1000 + 1201 * 1200 + 1201 * 784
    assert sum(p.numel() for p in g.generator.parameters()) == weights
    weights = 785 * 240 * 5 + 11 * 50 * 5 + 291 * 240 * 4 + 241
    assert sum(p.numel() for p in g.discriminator.parameters()) == weights
    assert (config.batch_size, config.dropout, config.prior, config.latent) == (100, 0.5, "uniform", 100)
    assert g.schedule(0.1, Clock()) == {"lr": 0.1, "momentum": 0.5}
    late = g.schedule(0.1, Clock(step=100_000, progress=0.5))
    assert late == {"lr": pytest.approx(0.1 * math.exp(-100_000 * math.log(1.00004))), "momentum": pytest.approx(0.6)}
    end = g.schedule(0.1, Clock(step=config.rounds, progress=1.0))
    assert end == {"lr": 1e-6, "momentum": pytest.approx(0.7)}
    assert 0.1 / 1.00004 ** (config.rounds - 1000) > 1e-6, "it ends where the rate reaches its floor"


def test_data_without_labels_is_refused():
    with pytest.raises(InputError, match=r"^cgan needs labels of at least 2 classes, this data has none: .*sub-folder") as caught:
        cgan.build(cgan.PRESETS["tiny"], Spec(1, 16, 16))
    assert "\n" not in str(caught.value)
