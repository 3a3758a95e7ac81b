"""The certificate: what pixel models see, against closed forms and against planted mistakes."""

import copy

import pytest
import torch
from torch import nn

import pinxit
from pinxit.conformance import pixels
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.diagnostics.certificate import Certificate, causality
from pinxit.nn import reach
from pinxit.nn.gated import GatedStack
from pinxit.nn.lstm2d import DiagonalBiLSTM, RowLSTM
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.pixels import Head, PixelStack, ResidualBlock
from pinxit.nn.recurrent import RecurrentBlock, RecurrentStack
from pinxit.systems import pixelcnn, pixelrnn, vae


def stack(lstm, layers=1, groups=1, *, kernel=7, block=RecurrentBlock, wide=False, classes=0, skip=False, residual=True, seed=0):
    torch.manual_seed(seed)
    w = 6
    first = MaskedConv2d(groups, 2 * w, kernel, "A", groups=groups)
    second = MaskedConv2d(groups, 2 * w, kernel, "B", groups=groups) if wide else None
    blocks = [block(lstm(2 * w, w, groups=groups, classes=classes), w, groups=groups, residual=residual) for _ in range(layers)]
    return RecurrentStack(first, blocks, Head(2 * w, (w, w), 2, groups=groups), wide=second, skip=skip)


# The promise against the closed forms of the three architectures, for grey images.


def by_formula(sees, height, width):
    """Pixel (r, c) sees (r - u, c + d) where `sees(r, c, u, d)`."""
    found = torch.zeros(height * width, height * width, dtype=torch.bool)
    for to in range(height * width):
        for origin in range(to):
            (r, c), (s, e) = divmod(to, width), divmod(origin, width)
            found[to, origin] = sees(r, c, r - s, e - c)
    return found


def plain(rho, layers):
    far = rho + layers
    return lambda r, c, u, d: -far <= d <= -1 if u == 0 else u <= far and -far <= d <= min(u + rho - 1, far)


def row(rho, layers):
    return lambda r, c, u, d: -(rho + layers) <= d <= -1 if u == 0 else -(u + rho + layers) <= d <= u + rho - 1


def diagonal(rho, width):
    return lambda r, c, u, d: not (u == 1 and c + d == width - 1 and c < width - 1 - rho)


def gated(rho, layers):
    far = rho + layers
    return lambda r, c, u, d: -far <= d <= -1 if u == 0 else u <= far and -far <= d <= far


def convolutions(rho, layers, groups=1):
    w = 6
    first = MaskedConv2d(groups, 2 * w, 2 * rho + 1, "A", groups=groups)
    return PixelStack(first, [ResidualBlock(w, groups=groups) for _ in range(layers)], Head(2 * w, (w, w), 2, groups=groups))


def two_stacks(rho, layers, groups=1):
    return GatedStack(groups, 6, layers, 2, head=6, first_kernel=2 * rho + 1)


SIZES = pytest.mark.parametrize(("height", "width"), [(7, 9), (9, 6)])


@SIZES
@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("rho", [1, 2, 3])
def test_the_promises_are_the_closed_forms(rho, layers, height, width):
    size, kernel = (height, width), 2 * rho + 1
    assert torch.equal(convolutions(rho, layers).promise(*size), by_formula(plain(rho, layers), *size))
    assert torch.equal(two_stacks(rho, layers).promise(*size), by_formula(gated(rho, layers), *size))
    assert torch.equal(stack(RowLSTM, layers, kernel=kernel).promise(*size), by_formula(row(rho, layers), *size))
    assert torch.equal(stack(DiagonalBiLSTM, layers, kernel=kernel).promise(*size), by_formula(diagonal(rho, width), *size))
    wide = stack(DiagonalBiLSTM, layers, kernel=kernel, wide=True)
    assert torch.equal(wide.promise(*size), reach.past(1, *size))


def test_the_shares_that_cannot_be_seen_at_14_x_14():
    """Of 19,110 earlier pixels, with a first kernel of 7 x 7."""
    past = reach.past(1, 14, 14)
    assert past.sum() == 196 * 195 / 2

    def share(promise):
        return round(100 * ((past & ~promise).sum() / past.sum()).item(), 1)

    assert share(convolutions(3, 7).promise(14, 14)) == 21.8
    assert [share(stack(RowLSTM, n).promise(14, 14)) for n in (1, 2, 3, 7)] == [22.7, 20.1, 17.9, 13.1]
    assert [share(stack(DiagonalBiLSTM, n).promise(14, 14)) for n in (1, 2, 7)] == [0.7, 0.7, 0.7]
    one = reach.convolution(reach.image(1, 14, 14), 3, 3, "A")
    one_direction = reach.diagonal_lstm(one, torch.zeros_like(one))
    assert share(reach.matrix(one_direction)) == 26.2


@pytest.mark.parametrize("layers", [1, 2])
def test_in_rgb_the_diagonals_gap_is_the_last_channel_alone(layers):
    height, width, rho = 4, 8, 2
    missing = reach.past(3, height, width) & ~stack(DiagonalBiLSTM, layers, 3, kernel=5).promise(height, width)
    expected = torch.zeros_like(missing)
    for r in range(1, height):
        for c in range(width - 1 - rho):
            last = (r * width - 1) * 3 + 2
            expected[(r * width + c) * 3 : (r * width + c) * 3 + 3, last] = True
    assert torch.equal(missing, expected)


# Networks against their promises.


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("groups", "height", "width"), [(1, 9, 11), (1, 11, 8), (3, 6, 8)])
@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("lstm", [RowLSTM, DiagonalBiLSTM])
def test_a_network_sees_exactly_what_it_promises(lstm, layers, groups, height, width, mode):
    found = causality(stack(lstm, layers, groups, kernel=5), height, width, modes=(mode,))
    assert found.holds, found.verdict
    assert found.verdict.startswith("causal: every sub-pixel sees all but")
    assert str(found) == found.verdict  # the matrices of a thousand links were printed
    assert not found.leaks.any()
    assert found.missing == found.blind > 0


@pytest.mark.parametrize("made", [convolutions, two_stacks])
@pytest.mark.parametrize(("groups", "height", "width"), [(1, 9, 11), (3, 6, 8)])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_so_do_networks_of_convolutions(layers, groups, height, width, made):
    found = causality(made(2, layers, groups), height, width)
    assert found.holds, found.verdict


@pytest.mark.parametrize("options", [{"wide": True}, {"skip": True, "residual": False}, {"wide": True, "skip": True}])
@pytest.mark.parametrize("groups", [1, 3])
def test_the_options_of_the_stack(options, groups):
    found = causality(stack(DiagonalBiLSTM, 2, groups, kernel=5, **options), 5, 8)
    assert found.holds, found.verdict
    if options.get("wide"):
        assert found.blind == 0
        assert found.verdict == f"causal: every sub-pixel sees the whole past (5 x 8{' RGB' if groups == 3 else ''})"


def test_a_conditional_network_is_asked_with_a_class():
    network = stack(RowLSTM, classes=3, kernel=5)
    assert causality(network, 6, 8, labels=torch.tensor([1])).holds


def test_the_network_is_left_as_it_was():
    network = stack(RowLSTM, kernel=5).train()
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    causality(network, 6, 8)
    assert network.training
    assert all(torch.equal(a, b) for a, b in zip(before.values(), network.state_dict().values(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("module", [pixelcnn, pixelrnn])
@pytest.mark.parametrize("conditional", [False, True])
def test_a_model_is_all_that_must_be_given(module, conditional):
    """Its images are larger than the 5 x 5 kernel by four rows and six columns, or as the data's own where these are smaller."""
    tiny = module.PRESETS["tiny"].replace(conditional=conditional)
    found = pinxit.diagnostics.causality(module.build(tiny, Spec(1, 28, 28, classes=3)), draws=1, modes=("eval",))
    assert found.holds, found.verdict
    assert found.shape == (1, 9, 11)
    small = module.build(tiny, Spec(3, 4, 6, classes=3))
    assert pinxit.diagnostics.causality(small, draws=1, modes=("eval",)).shape == (3, 4, 6)
    assert pinxit.diagnostics.causality(small, 3, draws=1, modes=("eval",)).shape == (3, 3, 6)
    told = torch.tensor([1]) if conditional else None
    assert pinxit.diagnostics.causality(small.network, labels=told, draws=1, most=1, modes=("eval",)).shape == (3, 9, 11)


def test_a_model_that_leaks_is_found():
    model = pixelrnn.build(pixelrnn.PRESETS["tiny"], Spec(1, 28, 28))
    model.network = stack(pixels.Unshifted)
    assert pinxit.diagnostics.causality(model, 8, 9, draws=1, most=1).verdict.startswith("LEAKS: ")


def test_dead_weights_of_the_network_hide_nothing():
    """The weights are drawn anew: all zero, they would make every pixel independent."""
    network = stack(DiagonalBiLSTM, kernel=5)
    for p in network.parameters():
        nn.init.zeros_(p)
    assert causality(network, 6, 8).holds


# Planted mistakes.


def planted(lstm=DiagonalBiLSTM, **options):
    return causality(stack(lstm, **options), 14, 14, draws=1, modes=("eval",), most=4)


def test_a_missing_shift_is_a_leak():
    found = planted(pixels.Unshifted)
    assert found.verdict.startswith("LEAKS: sub-pixel (row 0, column 0) sees itself; 169 of 196 pixels")
    assert not found.holds


def test_padding_below_is_a_leak():
    assert "182 of 196 pixels see what they must not" in planted(pixels.PaddedBelow).verdict


def test_a_map_that_is_not_turned_back_is_a_gap():
    found = planted(pixels.Unturned)
    assert not found.leaks.any()
    assert found.gaps.any()
    assert found.verdict.startswith("causal, but with gaps: sub-pixel (row 1, column ")
    assert 100 * found.missing == pytest.approx(6.4, abs=0.05)


def test_padding_on_the_left_alone_is_a_gap():
    found = planted(pixels.CausalPadding, residual=False)
    assert not found.leaks.any()
    assert 100 * found.missing == pytest.approx(38.7, abs=0.05)
    assert "with gaps" in found.verdict


def test_an_open_1_x_1_convolution_leaks_between_the_channels():
    found = causality(stack(DiagonalBiLSTM, groups=3, block=pixels.Mixed), 6, 8, draws=1, modes=("eval",), most=4)
    assert found.leaks.sum() == 144
    assert found.verdict.startswith("LEAKS: sub-pixel (row 0, column 0, R) sees itself; 48 of 48 pixels")


def test_more_than_promised_is_said_too():
    """A network with a layer that its promise does not count."""
    network = stack(RowLSTM, kernel=3)
    fewer = copy.deepcopy(network)
    network.promise = lambda height, width: reach.matrix(  # type: ignore[method-assign]
        reach.convolution(reach.image(1, height, width), 1, 1, "A")
    )
    found = causality(network, 6, 8)
    assert "which its architecture does not promise" in found.verdict
    assert not found.holds
    assert causality(fewer, 6, 8).holds


class TrainingOnly(nn.Module):
    """A leak that is there in training alone: the statistics of a batch, as batch normalisation has them."""

    groups, pad = 1, 0

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x, labels=None):
        return x.mean() * self.scale + 0 * x if self.training else 0 * x * self.scale

    def promise(self, height, width):
        return torch.zeros(height * width, height * width, dtype=torch.bool)


def test_both_modes_are_tried():
    assert causality(TrainingOnly(), 2, 3, modes=("eval",)).holds
    assert causality(TrainingOnly(), 2, 3).verdict.startswith("LEAKS: sub-pixel (row 0, column 0) sees itself; 6 of 6 pixels")


def test_the_verdict_names_channels_and_places():
    nothing = torch.zeros(12, 12, dtype=torch.bool)
    past = reach.past(3, 2, 2)
    leak = past.clone()
    leak[4, 8] = True  # (0, 1) G, and (1, 0) B
    assert Certificate((3, 2, 2), leak, past, 1).verdict == (
        "LEAKS: sub-pixel (row 0, column 1, G) sees (row 1, column 0, B); 1 of 4 pixels see what they must not (2 x 2 RGB)"
    )
    assert Certificate((3, 2, 2), nothing, past, 1).verdict == (
        "causal, but with gaps: sub-pixel (row 0, column 0, G) does not see (row 0, column 0, R); "
        "66 promised links are missing (2 x 2 RGB)"
    )
    two = Certificate((2, 2, 3), torch.zeros_like(past), reach.past(2, 2, 3), 1)
    assert "(row 0, column 0, channel 1) does not see (row 0, column 0, channel 0)" in two.verdict


def test_mistaken_arguments():
    network = stack(RowLSTM)
    with pytest.raises(InputError, match="`draws` is 0"):
        causality(network, 4, 4, draws=0)
    with pytest.raises(InputError, match="`modes`"):
        causality(network, 4, 4, modes=("test",))
    with pytest.raises(InputError, match="`height` is -1"):
        causality(network, -1, 4)
    with pytest.raises(InputError, match="VAE does not say which pixels it sees"):
        causality(vae.build(vae.PRESETS["tiny"], Spec(1, 8, 8)))
    with pytest.raises(AttributeError, match="no attribute 'casuality'"):
        pinxit.diagnostics.casuality  # noqa: B018
