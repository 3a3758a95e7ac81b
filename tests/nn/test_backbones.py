"""One choice of networks for every objective: shapes, heads, packing, one pass or two, auto-encoders, what is refused."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from pinxit.core.errors import InputError
from pinxit.core.gan_config import GANConfig
from pinxit.core.spec import Spec
from pinxit.nn import backbones, norms

BACKBONES = ("mlp", "dcgan", "resnet")
NORMS = ("none", "batch", "layer", "spectral")


def config(**changes):
    return GANConfig(latent=5, width=4, generator=(12,), discriminator=(12, 9)).replace(**changes)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("size", [16, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_backbone_goes_there_and_back(backbone, size, channels):
    spec = Spec(channels, size, size)
    x = backbones.generator(config(backbone=backbone), spec)(noise(3, 5))
    assert x.shape == (3, *spec.shape)
    assert x.abs().max() <= 1
    network, x = backbones.score(config(backbone=backbone), spec).double(), x.detach().double()
    d = network(x)
    assert d.shape == (3,), "(n, 1) against (n,) broadcasts silently to (n, n) in a loss"
    with torch.no_grad():
        network.head.weight *= -50
        network.head.bias *= -50
    torch.testing.assert_close(network(x), -50 * d)  # raw: nothing squashes the head's output


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("normalisation", NORMS)
def test_normalisation_is_what_it_says(backbone, normalisation):
    network = backbones.score(config(backbone=backbone, normalisation=normalisation), Spec(1, 16, 16))
    kinds = {type(module) for module in network.modules()}
    assert norms.has_batch_statistics(network) == (normalisation == "batch")
    assert bool(kinds & {nn.LayerNorm, nn.GroupNorm}) == (normalisation == "layer")
    weighted = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert all(parametrize.is_parametrized(m, "weight") == (normalisation == "spectral") for m in weighted), "the last one too"
    assert all(m.eps < 1e-3 for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("normalisation", ["none", "layer", "spectral"])
def test_without_batch_norm_a_score_is_of_its_sample_alone(backbone, normalisation):
    network = backbones.score(config(backbone=backbone, normalisation=normalisation), Spec(1, 16, 16)).double().eval()
    x = noise(4, 1, 16, 16).double()
    other = torch.cat((x[:1], noise(3, 1, 16, 16, seed=1).double()))
    torch.testing.assert_close(network(x)[0], network(other)[0], rtol=1e-12, atol=1e-12)


def test_packs_are_judged_together():
    """A packed score depends on every sample of its pack, in order along the channels, and on no other."""
    network = backbones.score(config(backbone="mlp"), Spec(1, 16, 16), pack=2).double()
    x = noise(6, 1, 16, 16).double().requires_grad_()
    scores = network(x)
    assert scores.shape == (3,)
    (slope,) = torch.autograd.grad(scores[1], x)
    assert slope.flatten(1).norm(dim=1).ne(0).tolist() == [False, False, True, True, False, False]
    torch.testing.assert_close(backbones.packed(x, 2)[1], torch.cat((x[2], x[3])))
    with pytest.raises(InputError, match="multiple"):
        network(x[:5])


@pytest.mark.parametrize("pack", [1, 2])
@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_one_pass_equals_two(pack, normalisation):
    network = backbones.score(config(backbone="mlp", normalisation=normalisation), Spec(1, 16, 16), pack=pack)
    x, x_fake = noise(8, 1, 16, 16), noise(4, 1, 16, 16, seed=1)
    real, fake = backbones.both(network, x, x_fake)
    torch.testing.assert_close(real, network(x))
    torch.testing.assert_close(fake, network(x_fake))


def test_batch_norm_never_sees_real_and_generated_samples_at_once():
    """In a joint batch the scores of real samples would tell of the generated ones."""
    network = backbones.score(config(backbone="dcgan", normalisation="batch"), Spec(1, 16, 16))
    x = noise(4, 1, 16, 16)
    one, _ = backbones.both(network, x, noise(4, 1, 16, 16, seed=1))
    other, _ = backbones.both(network, x, 9 * noise(4, 1, 16, 16, seed=2))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_auto_encoder_has_its_samples_shape(backbone):
    network = backbones.Autoencoder(config(backbone=backbone), Spec(3, 16, 16), code=7)
    x = noise(2, 3, 16, 16).clamp(-1, 1)
    assert network(x).shape == x.shape
    assert network.encode(x).shape == (2, 7)


def test_a_resnet_s_shortcuts_commute_with_the_change_of_size():
    """1x1 convolutions run on the small map, where they cost a quarter: the same function."""
    from pinxit.nn.resnet import DownBlock, UpBlock

    x = noise(2, 3, 8, 8).double()
    up = UpBlock(3, 5, normalisation="none").double()
    wide = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
    expected = up.after(up.first(nn.functional.interpolate(x.relu(), scale_factor=2.0, mode="nearest"))) + up.shortcut(wide)
    torch.testing.assert_close(up(x), expected)
    down = DownBlock(3, 5, halve=True).double()
    expected = nn.functional.avg_pool2d(down.layers(x) + down.shortcut(x), 2)
    torch.testing.assert_close(down(x), expected)


@pytest.mark.parametrize("backbone", ["dcgan", "resnet"])
@pytest.mark.parametrize("spec", [Spec(1, 30, 30), Spec(1, 32, 16), Spec(2, 1, 1, levels=0)])
def test_convolutional_backbones_refuse_other_shapes(backbone, spec):
    with pytest.raises(InputError, match=r"--size|--backbone mlp"):
        backbones.score(config(backbone=backbone), spec)


def test_batch_statistics_are_refused_by_name():
    network = backbones.score(config(backbone="mlp", normalisation="batch"), Spec(1, 4, 4))
    with pytest.raises(InputError, match=r"layer `trunk.layers.3` of wgan-gp is BatchNorm1d: because"):
        norms.refuse_batch_statistics(network, "wgan-gp", "because")
