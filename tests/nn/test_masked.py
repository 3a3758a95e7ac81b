"""Masked convolutions: the same function as a masked kernel, nothing of the future, and all of the past that is promised."""

import pytest
import torch
import torch.nn.functional as F

from pinxit.core.errors import InputError
from pinxit.nn.gated import GatedStack
from pinxit.nn.masked import MaskedConv2d, sizes
from pinxit.nn.pixels import Head, PixelStack, ResidualBlock


def group_of(parts, feature):
    return next(g for g in range(len(parts)) if feature < sum(parts[: g + 1]))


def ordinary(layer, x):
    """The layer as a masked kernel with garbage in its closed taps."""
    height, width = 2 * layer.up + 1, 2 * layer.side + 1
    outs = layer.gates * layer.c_out
    full = torch.full((outs, layer.c_in, height, width), 9.0, dtype=x.dtype)
    mask = torch.zeros_like(full)
    if layer.above is not None:
        full[:, :, : layer.up] = layer.above
        mask[:, :, : layer.up] = 1
    if layer.row is not None:
        full[:, :, layer.up, : layer.row.shape[3]] = layer.row[:, :, 0]
    mask[:, :, layer.up, : layer.side] = 1
    for o in range(outs):
        for i in range(layer.c_in):
            a, b = group_of(layer.ins, i), group_of(layer.outs, o % layer.c_out)
            mask[o, i, layer.up, layer.side] = a < b or (a == b and layer.mask == "B")
    return F.conv2d(x, full * mask, layer.bias, padding=(layer.up, layer.side))


@pytest.mark.parametrize("mask", ["A", "B"])
@pytest.mark.parametrize("kernel", [1, 3, 5, (1, 3), (1, 5), (3, 1)])
@pytest.mark.parametrize(("groups", "c_in", "c_out"), [(1, 1, 4), (1, 9, 5), (3, 3, 7), (3, 10, 8), (2, 5, 3)])
@pytest.mark.parametrize("gates", [1, 2])
def test_trimmed_equals_masked(mask, kernel, groups, c_in, c_out, gates):
    if mask == "A" and kernel == 1 and groups == 1:
        pytest.skip("sees nothing")
    torch.manual_seed(0)
    layer = MaskedConv2d(c_in, c_out, kernel, mask, groups=groups, gates=gates, bias=c_out != 5).double()
    x = torch.randn(2, c_in, 4, 7, dtype=torch.float64)
    torch.testing.assert_close(layer(x), ordinary(layer, x), rtol=1e-12, atol=1e-12)


def test_closed_weights_have_no_gradient_and_no_effect():
    torch.manual_seed(0)
    layer = MaskedConv2d(7, 8, 3, "B", groups=3, gates=2).double()
    x = torch.randn(2, 7, 5, 4, dtype=torch.float64)
    layer(x).square().sum().backward()
    closed = layer.open == 0
    assert closed.any()
    assert (layer.row.grad[closed] == 0).all()
    assert (layer.row.grad[~closed] != 0).all()
    before = layer(x)
    with torch.no_grad():
        layer.row[closed] = 1e6
    assert torch.equal(layer(x), before)
    assert "open" not in layer.state_dict()


def test_only_open_taps_are_stored():
    layer = MaskedConv2d(1, 1, 7, "A", bias=False)
    assert sum(p.numel() for p in layer.parameters()) == 24  # likelihood.md 3.6: of 49
    layer = MaskedConv2d(16, 16, 3, bias=False)
    assert sum(p.numel() for p in layer.parameters()) == 5 * 256  # of 9


def test_groups_of_any_size():
    assert sizes(7, 3) == (3, 2, 2)
    assert sizes(9, 3) == (3, 3, 3)
    with pytest.raises(InputError, match="3 groups"):
        sizes(2, 3)


def test_kernels_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="odd"):
        MaskedConv2d(1, 4, 4)
    with pytest.raises(InputError, match="sees nothing"):
        MaskedConv2d(1, 4, 1, "A")


def dependencies(network, channels, height, width, size):
    """Whether channel i at (r, c) depends on channel j at (a, b), (i, r, c, j, a, b), by derivatives at several images.

    Without biases, so that no ReLU is dead in all of them.
    """
    for name, p in network.named_parameters():
        if name.endswith("bias"):
            p.data.zero_()
    found = torch.zeros(channels, height, width, channels, height, width, dtype=torch.bool)
    for seed in range(6):
        x = torch.randn(1, channels, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        jacobian = torch.autograd.functional.jacobian(lambda x: network(x)[0], x, vectorize=True)[:, :, :, 0]
        found |= (jacobian.view(channels, size, height, width, channels, height, width) != 0).any(dim=1)
    return found


def promised(channels, height, width, reach):
    """The set of likelihood.md 1.7; `reach(u)` the columns (left, right) that are seen in row u above."""
    want = torch.zeros(channels, height, width, channels, height, width, dtype=torch.bool)
    for r in range(height):
        for c in range(width):
            for i in range(channels):
                want[i, r, c, :i, r, c] = True
            for a in range(r + 1):
                left, right = reach(r - a)
                for b in range(width):
                    if left <= b - c <= right:
                        want[:, r, c, :, a, b] = True
    return want


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 9, 11), (3, 6, 8)])
@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("first", [3, 5])
def test_pixelcnn_sees_its_past_but_for_the_blind_spot(channels, height, width, layers, first, training):
    if channels == 3 and layers == 5 and first == 5:
        pytest.skip("covered by the others")
    torch.manual_seed(1)
    stem = MaskedConv2d(channels, 16, first, "A", groups=channels)
    blocks = [ResidualBlock(8, groups=channels) for _ in range(layers)]
    network = PixelStack(stem, blocks, Head(16, (48,), 2, groups=channels)).double().train(training)
    rho, far = first // 2, first // 2 + layers

    def reach(u):
        if u > far:
            return 1, 0
        return (-far, -1) if u == 0 else (-far, min(u + rho - 1, far))

    assert torch.equal(dependencies(network, channels, height, width, 2), promised(channels, height, width, reach))
    assert (network.slope, network.up) == (rho + 1, far)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 9, 11), (3, 6, 8)])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_gated_pixelcnn_has_no_blind_spot(channels, height, width, layers):
    torch.manual_seed(1)
    network = GatedStack(channels, 7, layers, 2, head=48, first_kernel=5).double()
    far = 2 + layers
    want = promised(channels, height, width, lambda u: (1, 0) if u > far else (-far, -1 if u == 0 else far))
    assert torch.equal(dependencies(network, channels, height, width, 2), want)
    assert (network.slope, network.up) == (far + 1, far)


def test_the_residual_is_added_once():
    """Blocks without weights are the identity (a public library adds the input in the block and around it)."""
    block = ResidualBlock(4, groups=3)
    with torch.no_grad():
        for p in block.parameters():
            p.zero_()
    x = torch.randn(2, 8, 3, 5)
    assert torch.equal(block(x), x)


def test_the_input_is_not_changed():
    """ReLUs in place must not reach the residual."""
    block = ResidualBlock(4)
    x = torch.randn(2, 8, 3, 5)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)
