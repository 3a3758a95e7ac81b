"""The convolutional networks of DCGAN: shapes, the paper's channels, initialisation, what has batch norm."""

import pytest
import torch
from torch import nn

from pinxit.core.errors import InputError
from pinxit.core.shapes import SIZES
from pinxit.core.spec import Spec
from pinxit.nn.activations import LeakyReLU
from pinxit.nn.dcgan import DCGANGenerator, DCGANTrunk


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_goes_there_and_back(size, channels):
    spec = Spec(channels, size, size)
    generator, trunk = DCGANGenerator(6, 2, spec), DCGANTrunk(spec, 2)
    x = generator(torch.randn(3, 6, generator=torch.Generator().manual_seed(0)))
    assert x.shape == (3, channels, size, size)
    assert x.abs().max() <= 1
    assert trunk(x).shape == (3, trunk.features)


def test_the_paper_s_channels_at_64_pixels():
    """Figure 1: 1024, 512, 256, 128 maps of 4, 8, 16, 32 pixels; the discriminator mirrors them."""
    generator, trunk = DCGANGenerator(100, 128, Spec(3, 64, 64)), DCGANTrunk(Spec(3, 64, 64), 128)
    up = [(m.in_channels, m.out_channels) for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    down = [(m.in_channels, m.out_channels) for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    assert up == [(1024, 512), (512, 256), (256, 128), (128, 3)]
    assert down == [(3, 128), (128, 256), (256, 512), (512, 1024)]


def test_batch_norm_is_everywhere_but_at_the_image():
    """Batch norm on the generator's output or the discriminator's input makes samples oscillate (section 3)."""
    generator, trunk = DCGANGenerator(8, 4, Spec(1, 32, 32)), DCGANTrunk(Spec(1, 32, 32), 4)
    assert isinstance(generator.layers[-1], nn.ConvTranspose2d)
    kinds = [type(layer) for layer in trunk.layers]
    assert kinds[1] is LeakyReLU
    convolutions = sum(kind is nn.Conv2d for kind in kinds)
    assert sum(kind is nn.BatchNorm2d for kind in kinds) == convolutions - 1


def test_batch_norm_epsilon_is_small_everywhere():
    """A widespread public error passes 0.8, meant as the momentum, as the epsilon."""
    for net in (DCGANGenerator(8, 4, Spec(1, 32, 32)), DCGANTrunk(Spec(1, 32, 32), 4)):
        assert all(m.eps < 1e-3 for m in net.modules() if isinstance(m, nn.BatchNorm2d))


def test_weights_are_drawn_from_n_0_0_02():
    torch.manual_seed(0)
    for net in (DCGANGenerator(100, 64, Spec(3, 64, 64)), DCGANTrunk(Spec(3, 64, 64), 64)):
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                tolerance = 4 * 0.02 / (2 * module.weight.numel()) ** 0.5
                assert module.weight.std().item() == pytest.approx(0.02, abs=tolerance)
                assert abs(module.weight.mean().item()) < 4 * 0.02 / module.weight.numel() ** 0.5
                assert module.bias is None or not module.bias.any()
            elif isinstance(module, nn.BatchNorm2d):
                assert module.weight.mean().item() == pytest.approx(1, abs=0.02)
                assert module.weight.std().item() == pytest.approx(0.02, abs=0.008)


def test_the_first_layer_equals_a_transposed_convolution_of_one_pixel():
    generator = DCGANGenerator(6, 4, Spec(1, 16, 16))
    linear = generator.layers[0]
    z = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    weight = linear.weight.view(8, 4, 4, 6).permute(3, 0, 1, 2)
    expected = nn.functional.conv_transpose2d(z.view(2, 6, 1, 1), weight)
    torch.testing.assert_close(generator.layers[1](linear(z)), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("spec", [Spec(1, 30, 30), Spec(1, 32, 16), Spec(2, 1, 1, levels=0), Spec(3, 256, 256)])
def test_other_shapes_are_refused_with_the_fix(spec):
    with pytest.raises(InputError, match="--size"):
        DCGANGenerator(8, 4, spec)
