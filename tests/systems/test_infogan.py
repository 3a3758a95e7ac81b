"""`infogan`: the bound and where its gradient goes, heads that are apart, labels that are never read."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.systems import infogan

SPEC = Spec(1, 16, 16, classes=4)
X = torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
BATCH = Batch(X, torch.arange(12) % 4)


def game(spec=SPEC, **changes):
    return infogan.build(infogan.PRESETS["tiny"].replace(**changes), spec, seed=1)


def slopes(total, module):
    """Names of the parameters that `total` has a gradient by."""
    found = torch.autograd.grad(total, list(module.parameters()), retain_graph=True, allow_unused=True)
    return {name for (name, _), slope in zip(module.named_parameters(), found, strict=True) if slope is not None and slope.any()}


@pytest.mark.parametrize("learn_scale", [False, True])
def test_the_objectives_are_the_paper_s(learn_scale):
    g = game(lambda_info=0.6, learn_scale=learn_scale)
    torch.manual_seed(3)
    d_loss = g.discriminator_loss(BATCH, Clock())
    torch.manual_seed(3)
    g_loss = g.generator_loss(BATCH, Clock())
    torch.manual_seed(3)
    code = g.latents(12)
    d, (d_fake, logits, mu, log_scale) = g.judge(X)[0], g.judge(g.decode(code))
    k, u = code[:, 8:18].argmax(1), code[:, 18:]
    category = logits.softmax(1)[torch.arange(12), k].log().mean() + math.log(10)
    scale = log_scale.exp()
    density = torch.exp(-((u - mu) ** 2) / (2 * scale**2)) / (scale * math.sqrt(2 * math.pi))
    continuous = density.log().sum(1).mean() + 2 * math.log(2)
    source = -torch.sigmoid(d).log().mean() - (1 - torch.sigmoid(d_fake)).log().mean()
    torch.testing.assert_close(d_loss.total, source - 0.6 * (category + continuous), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        g_loss.total, -torch.sigmoid(d_fake).log().mean() - 0.6 * (category + continuous), rtol=1e-5, atol=1e-5
    )
    for loss in (d_loss, g_loss):
        torch.testing.assert_close(loss.stats["L_I"], category, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(loss.stats["continuous"], continuous, rtol=1e-5, atol=1e-5)
        assert loss.stats["L_I"] <= math.log(10)
    assert bool((scale != 1).any()) == learn_scale


class Perfect(nn.Module):
    """A Q that reads the code off the sample, where `Shown` put it."""

    def forward(self, x):
        code = x.flatten(1)[:, :20]
        return torch.cat((code[:, :1], 99 * code[:, 8:18], code[:, 18:]), 1)

    def split(self, out):
        return out[:, 0], out[:, 1:]


class Shown(nn.Linear):
    def forward(self, code):
        return nn.functional.pad(code, (0, 256 - 20)).view(-1, 1, 16, 16)


def test_a_perfect_q_earns_the_entropy():
    g = game()
    g.generator, g.discriminator = Shown(1, 1), Perfect()
    stats = g.discriminator_loss(BATCH, Clock()).stats
    assert stats["L_I"].item() == pytest.approx(math.log(10), abs=1e-5)
    assert stats["continuous"].item() == pytest.approx(2 * (math.log(2) - 0.5 * math.log(2 * math.pi)), abs=1e-5)


def test_the_heads_are_disjoint():
    """A public program reads the logit from the first number of the code."""
    g = game()
    d, logits, mu, _ = g.judge(X)
    head, q = g.discriminator.heads[0], g.discriminator.heads[1]
    assert slopes(d.sum(), head) == {"weight", "bias"}
    assert slopes(d.sum(), q) == set()
    for part in (logits.square().sum(), mu.square().sum()):
        assert slopes(part, head) == set()
        assert slopes(part, q)
        assert slopes(part, g.discriminator.trunk)
    last = q[-1].weight
    (by_category,) = torch.autograd.grad(logits.sum(), last, retain_graph=True)
    (by_number,) = torch.autograd.grad(mu.sum(), last, retain_graph=True)
    assert by_category.any(1).tolist() == [True] * 10 + [False] * 2
    assert by_number.any(1).tolist() == [False] * 10 + [True] * 2


def test_the_information_moves_generator_trunk_and_q_and_in_the_discriminator_s_turn_no_generator():
    """One library makes the bound from detached values, so that nothing learns from it."""
    g = game()
    code = g.latents(12)
    _, *q = g.judge(g.decode(code))
    bound = sum(g.information(code, *q))
    assert slopes(bound, g.generator) == {name for name, _ in g.generator.named_parameters()}
    assert {name.partition(".")[0] for name in slopes(bound, g.discriminator)} == {"trunk", "heads"}
    assert slopes(g.discriminator_loss(BATCH, Clock()).total, g.generator) == set(), "fakes are detached"
    players = g.players()
    assert set(players) == {"discriminator", "generator"}, "no third player"
    assert set(g.discriminator.heads[1].parameters()) <= set(players["discriminator"].parameters())


def test_both_players_raise_the_information():
    """The bound has one sign for both: minimising either loss, all but the information held small, lets it grow."""
    for player, objective in (("discriminator", "discriminator_loss"), ("generator", "generator_loss")):
        g = game(lambda_info=1e4)
        torch.manual_seed(3)
        loss = getattr(g, objective)(BATCH, Clock())
        parameters = g.players()[player].parameters()
        for p, slope in zip(parameters, torch.autograd.grad(loss.total, parameters), strict=True):
            p.data -= 1e-7 * slope
        torch.manual_seed(3)
        after = getattr(g, objective)(BATCH, Clock()).stats
        assert after["L_I"] + after["continuous"] > loss.stats["L_I"] + loss.stats["continuous"], player


@pytest.mark.parametrize("labels", [None, torch.arange(12).flip(0) % 4])
def test_labels_are_never_read(labels, tmp_path, tiny):
    from pinxit.core.config import Settings
    from pinxit.core.trainer import Trainer

    weights = []
    for number, given in enumerate((torch.arange(12) % 4, labels)):
        data = tiny(SPEC, n=12)
        data.labels = given
        data.spec = replace(SPEC, classes=0) if given is None else SPEC
        model = Trainer(game(rounds=3), data, tmp_path / str(number), settings=Settings(accelerator="cpu")).fit()
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert game(Spec(1, 16, 16)).generator_loss(Batch(X), Clock()).total.isfinite()


def test_without_weight_it_is_a_gan_beside_a_q_that_learns_nothing():
    g = game(lambda_info=0.0)
    for player, objective in (("discriminator", "discriminator_loss"), ("generator", "generator_loss")):
        loss = getattr(g, objective)(BATCH, Clock())
        grads = torch.autograd.grad(loss.total, g.players()[player].parameters())
        assert all(bool(grad.isfinite().all()) for grad in grads)
    assert not any(name.startswith("heads.1") for name in slopes(g.discriminator_loss(BATCH, Clock()).total, g.discriminator))


def test_codes_are_of_their_priors():
    codes = game().latents(5000, generator=torch.Generator().manual_seed(0))
    z, k, u = codes.split((8, 10, 2), 1)
    assert ((k == 0) | (k == 1)).all()
    assert (k.sum(1) == 1).all()
    assert (k.mean(0) - 0.1).abs().max() < 4 * math.sqrt(0.09 / 5000)
    for part in (z, u):
        assert part.abs().max() <= 1
        assert (part.var(0) - 1 / 3).abs().max() < 0.02
    assert torch.corrcoef(codes[:, 8 + 10 - 1 :].T)[1, 2].abs() < 4 / math.sqrt(5000), "numbers are independent"


def test_a_code_can_be_asked_for():
    g = game().eval()

    def drawn(k, u):
        return g.sample_code(torch.tensor(k), torch.tensor(u), generator=torch.Generator().manual_seed(2))

    x, category, number = drawn([1, 2], [[0.0, 0], [0, 0]]), drawn([1, 3], [[0.0, 0], [0, 0]]), drawn([1, 2], [[0.0, 0], [0, 2]])
    assert g.codes() == (10, 2)
    for other in (category, number):
        assert torch.equal(x[0], other[0])
        assert not torch.equal(x[1], other[1])
    with pytest.raises(InputError, match="no class 10"):
        drawn([1, 10], [[0.0, 0], [0, 0]])
    found = g.infer(X)
    assert found.shape == (12,)
    assert torch.equal(found, g.judge(X)[1].argmax(1))
    assert torch.equal(g.score(X), g.discriminator(X)[:, 0])


def test_a_category_alone():
    g = game(continuous=0)
    loss = g.discriminator_loss(BATCH, Clock())
    assert loss.stats["continuous"].item() == 0
    assert loss.total.isfinite()


@pytest.mark.parametrize("dense", [0, 16])
@pytest.mark.parametrize("normalisation", ["none", "batch", "spectral"])
@pytest.mark.parametrize("backbone", ["mlp", "dcgan", "resnet"])
def test_it_plays_on_every_backbone(backbone, normalisation, dense):
    g = game(backbone=backbone, normalisation=normalisation, width=4, dense=dense, discriminator=(16, 16)).train()
    for turn in g.stages()[0].turns:
        parameters = g.players()[turn.player].parameters()
        grads = torch.autograd.grad(turn.objective(BATCH, Clock()).total, parameters)
        assert all(bool(grad.isfinite().all()) for grad in grads)


def test_the_networks_of_the_authors_program():
    """D 64c4s2-128c4s2-1024, Q head 128, G 1024-7x7x128-64-1; batch norm in all layers but the first and the last of each."""
    config = infogan.PRESETS["paper"]
    g = infogan.build(config, Spec(1, 28, 28))
    trunk = (16 + 1) * 64 + 64 * 16 * 128 + 2 * 128 + (6272 + 1) * 1024 + 2 * 1024
    heads = 1025 + (1024 + 1) * 128 + 2 * 128 + 129 * 12
    assert sum(p.numel() for p in g.discriminator.parameters()) == trunk + heads
    maps = 74 * 1024 + 2 * 1024 + 1024 * 6272 + 2 * 128 + 128 * 16 * 64 + 2 * 64 + 64 * 16 + 1
    assert sum(p.numel() for p in g.generator.parameters()) == maps
    assert (config.lr, config.lr * config.ttur, config.betas[0], config.batch_size, config.rounds) == (1e-3, 2e-4, 0.5, 128, 5000)


def test_batch_norm_of_one_image_is_refused():
    with pytest.raises(InputError, match="`batch_size` is 1"):
        game(dense=16, batch_size=1)
