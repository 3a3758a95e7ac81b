"""How a class enters a network: pairs are judged as pairs, labels mismatched and dropped as promised, heads apart."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from pinxit.core import shapes
from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.gan_config import GANConfig
from pinxit.core.rng import seeded
from pinxit.core.spec import Spec
from pinxit.nn import backbones, conditioning
from pinxit.systems import acgan, cgan, pixelcnn

SPEC = Spec(1, 16, 16, classes=4)
BACKBONES = ("mlp", "dcgan", "resnet")
KINDS = ("plane", "projection", "joint")


def config(**changes):
    return GANConfig(latent=5, width=4, generator=(12,), discriminator=(12, 9)).replace(**changes)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def judge(kind, chosen, spec=SPEC, classes=4):
    with seeded(0):
        if kind == "plane":
            trunk = backbones.trunk(chosen, spec, extra=conditioning.planes(spec, classes))
            return conditioning.PlaneScore(trunk, chosen, spec, classes)
        trunk = backbones.trunk(chosen, spec)
        if kind == "projection":
            return conditioning.ProjectionScore(trunk, chosen, classes)
        return conditioning.JointScore(trunk, chosen, classes, (6, 8))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_pair_is_judged_by_its_sample_and_its_class(kind, backbone):
    network = judge(kind, config(backbone=backbone)).double().eval()
    x, y = noise(4, 1, 16, 16).double(), torch.arange(4)
    d = network(x, y)
    assert d.shape == (4,), "(n, 1) against (n,) broadcasts silently in a loss"
    assert (network(x, (y + 1) % 4) != d).all()
    assert (network(x.flip(0), y) != d).all()
    torch.testing.assert_close(network(x[2:3], y[2:3]), d[2:3], rtol=1e-12, atol=1e-14)
    slopes = torch.autograd.grad(d.sum(), list(network.parameters()))
    assert all(bool(slope.isfinite().all()) and bool(slope.any()) for slope in slopes), "a part is not used"


def test_the_projection_is_the_formula():
    network = judge("projection", config(backbone="mlp")).double()
    x, y = noise(5, 1, 16, 16).double(), torch.tensor([3, 0, 0, 2, 1])
    phi = network.trunk(x)
    expected = [
        phi[i] @ network.head.weight[0] + network.head.bias[0] + phi[i] @ network.embedding.weight[y[i]] for i in range(5)
    ]
    torch.testing.assert_close(network(x, y), torch.stack(expected), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_new_projection_weighs_no_more_than_the_head(backbone):
    network = judge("projection", config(backbone=backbone, width=16))
    assert 0.5 < network.embedding.weight.std() / network.head.weight.std() < 2


def test_planes_hold_as_many_numbers_as_there_are_classes():
    assert conditioning.planes(Spec(3, 28, 28), 10) == 1
    assert conditioning.planes(Spec(2, 1, 1, levels=0), 8) == 8
    assert conditioning.planes(Spec(1, 4, 4), 17) == 2
    points = judge("plane", config(backbone="mlp"), Spec(2, 1, 1, levels=0), 8)
    assert points(noise(3, 2, 1, 1), torch.tensor([0, 5, 7])).shape == (3,)


@pytest.mark.parametrize("kind", KINDS)
def test_spectral_normalisation_reaches_every_weight(kind):
    network = judge(kind, config(backbone="dcgan", normalisation="spectral"))
    weighted = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Embedding)]
    assert all(parametrize.is_parametrized(m, "weight") for m in weighted)
    assert isinstance(network(noise(2, 1, 16, 16), torch.tensor([0, 1])).sum().item(), float)


def test_a_joint_layer_of_maxout_has_one_piece_fewer():
    """Mirza & Osindero: y to 50 units of 5 pieces, x to 240 of 5, both to 240 of 4."""
    chosen = config(backbone="mlp", discriminator=(240,))
    trunk = backbones.trunk(chosen, Spec(1, 28, 28))
    network = conditioning.JointScore(trunk, chosen, 10, (50, 240), pieces=5, dropout=0.5)
    sizes = [m.weight.shape for m in (*network.of_class.modules(), *network.joint.modules()) if isinstance(m, nn.Linear)]
    assert sizes == [(250, 10), (960, 290)]
    assert sum(isinstance(m, nn.Dropout) for m in network.modules()) == 2


def test_a_mismatched_label_is_never_the_own_one_and_every_other_alike():
    labels = torch.arange(5).repeat_interleave(4000)
    torch.manual_seed(0)
    found = conditioning.mismatched(labels, 5)
    assert not (found == labels).any()
    counts = torch.bincount(labels * 5 + found, minlength=25).view(5, 5).double()
    off = counts[~torch.eye(5, dtype=torch.bool)] / 4000
    # Standard error of a share of 1/4 of 4000: 0.0068; twenty of them.
    assert (off - 0.25).abs().max() < 4 * math.sqrt(0.25 * 0.75 / 4000)
    two = torch.tensor([0, 1, 1, 0])
    assert torch.equal(conditioning.mismatched(two, 2), 1 - two)


def test_labels_are_dropped_at_the_rate_asked_for():
    labels = torch.arange(10).repeat(2000)
    torch.manual_seed(0)
    found = conditioning.drop_labels(labels, 0.3, 10)
    dropped = found == 10
    assert torch.equal(found[~dropped], labels[~dropped])
    assert abs(dropped.double().mean() - 0.3) < 4 * math.sqrt(0.21 / 20_000)
    state = torch.get_rng_state()
    assert torch.equal(conditioning.drop_labels(labels, 0.0, 10), labels)
    assert torch.equal(torch.get_rng_state(), state)


def test_drawn_labels_are_uniform_and_the_generator_s():
    device = torch.device("cpu")
    one, same = (conditioning.draw_labels(20_000, 7, device=device, generator=torch.Generator().manual_seed(4)) for _ in "ab")
    assert torch.equal(one, same)
    share = torch.bincount(one, minlength=7).double() / 20_000
    assert (share - 1 / 7).abs().max() < 4 * math.sqrt(1 / 7 * 6 / 7 / 20_000)


@pytest.mark.parametrize("units", [(0, 6), (7, 6)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_generator_reads_noise_and_class(backbone, units):
    generator = conditioning.ConditionedGenerator(config(backbone=backbone), SPEC, 4, units).eval()
    z, c = noise(4, 5), conditioning.one_hot(torch.arange(4), 4)
    x = generator(torch.cat((z, c), 1))
    assert x.shape == (4, 1, 16, 16)
    assert (generator(torch.cat((z, c.roll(1, 0)), 1)) - x).flatten(1).abs().amax(1).gt(0).all(), "the class is not read"
    assert (generator(torch.cat((-z, c), 1)) - x).flatten(1).abs().amax(1).gt(0).all(), "the noise is not read"


@pytest.mark.parametrize("units", [10, 1000])
def test_a_new_embedding_says_little_beside_the_noise(units):
    """Vectors of the length of z drown it in the first steps, and a class has one sample."""
    generator = conditioning.ConditionedGenerator(config(backbone="mlp"), Spec(1, 16, 16), 50, (0, units))
    lengths = generator.embedding(torch.eye(50)).norm(dim=1)
    assert (lengths.mean() - 1).abs() < 0.1
    assert generator.embedding.bias is None


def test_the_generator_of_the_paper():
    chosen = GANConfig(backbone="mlp", latent=100, generator=(1200,))
    generator = conditioning.ConditionedGenerator(chosen, Spec(1, 28, 28), 10, (200, 1000))
    weights = 101 * 200 + 11 * 1000 + 1201 * 1200 + 1201 * 784
    assert sum(p.numel() for p in generator.parameters()) == weights
    z, c = noise(3, 100), conditioning.one_hot(torch.tensor([1, 5, 9]), 10)
    with torch.no_grad():
        hidden = torch.cat((generator.code[0](z).relu(), generator.embedding(c).relu()), 1)
    torch.testing.assert_close(generator(torch.cat((z, c), 1)), generator.network(hidden))


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_one_pass_over_pairs_equals_several(normalisation):
    network = judge("projection", config(backbone="mlp", normalisation=normalisation))
    pairs = [(noise(n, 1, 16, 16, seed=n), torch.arange(n) % 4) for n in (6, 3, 4)]
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    found = conditioning.judged(network, *pairs)
    assert len(calls) == (1 if normalisation == "none" else 3), "batch norm must not see real and generated samples at once"
    for d, (x, y) in zip(found, pairs, strict=True):
        torch.testing.assert_close(d, network(x, y))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("hidden", [(), (0, 7)])
def test_heads_share_the_trunk_and_nothing_else(backbone, hidden):
    network = conditioning.Heads(
        backbones.trunk(config(backbone=backbone), SPEC), (1, 5), config(backbone=backbone), hidden=hidden
    )
    outputs = network(noise(3, 1, 16, 16))
    source, rest = network.split(outputs)
    assert (source.shape, rest.shape) == ((3,), (3, 5))
    torch.testing.assert_close(torch.cat((source[:, None], rest), 1), outputs)
    for part, own, other in ((source, 0, 1), (rest, 1, 0)):
        slopes = torch.autograd.grad(part.square().sum(), list(network.parameters()), retain_graph=True, allow_unused=True)
        moved = {
            name for (name, _), slope in zip(network.named_parameters(), slopes, strict=True) if slope is not None and slope.any()
        }
        assert any(name.startswith("trunk") for name in moved)
        assert any(name.startswith(f"heads.{own}") for name in moved)
        assert not any(name.startswith(f"heads.{other}") for name in moved)


def test_a_deepened_trunk_counts_its_features():
    chosen = config(backbone="dcgan", normalisation="batch")
    deep = conditioning.Deepened(backbones.trunk(chosen, SPEC), 11, chosen)
    features = deep(noise(3, 1, 16, 16))
    assert features.shape == (3, deep.features) == (3, 11)
    assert any(isinstance(m, nn.BatchNorm1d) for m in deep.modules())


def test_what_has_no_class_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"^acgan needs labels .*sub-folder"):
        shapes.refuse_unlabelled(Spec(1, 8, 8), "acgan")
    with pytest.raises(InputError, match="this data has 1"):
        shapes.refuse_unlabelled(Spec(1, 8, 8, classes=1), "acgan")
    shapes.refuse_unlabelled(Spec(1, 8, 8, classes=2), "acgan")
    with pytest.raises(InputError, match="no class 10: the classes of this model are 0 to 9"):
        conditioning.checked(torch.tensor([3, 10, -1]), 10)
    with pytest.raises(InputError, match="no class -1"):
        conditioning.checked(torch.tensor([3, -1]), 10)
    assert conditioning.checked(torch.tensor([0, 9]), 10).tolist() == [0, 9]


SOME = Spec(1, 16, 16, classes=3, unlabelled=True)


def test_labels_that_are_unknown_are_the_class_unknown_whatever_is_dropped():
    labels = torch.tensor([0, -1, 2, -1])
    assert conditioning.named(labels, 3).tolist() == [0, 3, 2, 3]
    assert conditioning.drop_labels(labels, 0.0, 3).tolist() == [0, 3, 2, 3]
    assert conditioning.drop_labels(labels.repeat(500), 0.5, 3).view(500, 4)[:, 1::2].unique().tolist() == [3]


@pytest.mark.parametrize(("system", "changes"), [
    (acgan, {}), (cgan, {"form": "two-network"}), (cgan, {"form": "matching"}), (pixelcnn, {"conditional": True}),
])  # fmt: skip
def test_what_can_not_use_unknown_classes_refuses_them_in_one_line(system, changes):
    with pytest.raises(InputError, match="needs the class of every image, this data has it of some: leave the others out"):
        system.build(system.PRESETS["tiny"].replace(**changes), SOME)


def test_cgan_plays_with_unknown_classes_where_no_pair_is_mismatched():
    config = cgan.PRESETS["tiny"].replace(form="two-term", label_dropout=0.0)
    game = cgan.build(config, SOME)
    batch = Batch(torch.zeros(4, 1, 16, 16), torch.tensor([0, -1, 2, -1]))
    assert game.labels(batch).tolist() == [0, 3, 2, 3]
    for loss in (game.discriminator_loss, game.generator_loss):
        assert torch.isfinite(loss(batch, Clock()).total)
    assert game.latents(50)[:, config.latent :].argmax(dim=1).max() < 3
    assert cgan.build(cgan.PRESETS["tiny"].replace(form="matching", mismatch=0.0), SOME).classes == 4
