"""Encoders and decoders: every size that fits, what is known besides enters both, refusals in one line."""

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.nn.coders import coders


def pair(spec: Spec, network: str = "conv", extra: int = 0):
    return coders(spec, network=network, codes=6, latent=3, hidden=(8,), width=4, activation="relu", extra=extra)


@pytest.mark.parametrize("size", [16, 28, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_convolutional_coders_fit(size, channels):
    spec = Spec(channels, size, size)
    encoder, decoder = pair(spec)
    x = torch.randn(2, *spec.shape)
    assert encoder(x).shape == (2, 6)
    assert decoder(torch.randn(2, 3)).shape == (2, *spec.shape)
    assert decoder(torch.randn(2, 3)).is_contiguous()
    assert [m.weight.shape[0] for m in encoder.layers if isinstance(m, torch.nn.Conv2d)][:2] == [4, 8]
    assert max(m.weight.shape[0] for m in encoder.layers if isinstance(m, torch.nn.Conv2d)) <= 32


@pytest.mark.parametrize("spec", [Spec(1, 17, 17), Spec(1, 8, 8), Spec(1, 16, 32), Spec(2, 1, 1, levels=0)])
def test_other_sizes_are_refused(spec):
    with pytest.raises(InputError, match="take mlp"):
        pair(spec)
    encoder, decoder = pair(spec, "mlp")
    assert encoder(torch.randn(2, *spec.shape)).shape == (2, 6)
    assert decoder(torch.randn(2, 3)).shape == (2, *spec.shape)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_what_is_known_besides_reaches_both(network):
    spec = Spec(1, 16, 16)
    encoder, decoder = pair(spec, network, extra=2)
    x, y = torch.randn(3, *spec.shape), torch.randn(3, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(encoder(x, y).sum(), y)
    assert slope.abs().min() > 0
    assert decoder(torch.randn(3, 5)).shape == (3, *spec.shape)


def test_every_pixel_is_seen_and_painted():
    spec = Spec(1, 28, 28)
    encoder, decoder = pair(spec)
    x = torch.randn(1, *spec.shape, requires_grad=True)
    (slope,) = torch.autograd.grad(encoder(x).square().sum(), x)
    assert (slope != 0).float().mean() > 0.95
    assert decoder(torch.randn(1, 3)).std() > 0
