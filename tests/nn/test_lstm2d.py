"""Row LSTM and Diagonal BiLSTM against equation 3, pixel by pixel; their gradients; what they keep on a canvas."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from pinxit.core.errors import InputError
from pinxit.nn.canvas import Canvas
from pinxit.nn.lstm2d import DiagonalBiLSTM, RowLSTM
from pinxit.nn.masked import MaskedConv2d, sizes
from pinxit.nn.pixels import Head
from pinxit.nn.recurrent import RecurrentBlock, RecurrentStack
from pinxit.nn.scan import Scan, by_diagonals, by_rows

BOTH = pytest.mark.parametrize("lstm", [RowLSTM, DiagonalBiLSTM])
SHAPES = pytest.mark.parametrize(("height", "width"), [(3, 5), (5, 3), (4, 4), (1, 4), (4, 1), (1, 1)])


def made(lstm, inputs=7, size=5, *, groups=1, classes=0, seed=0):
    """A layer in float64 whose parameters, initial states and label biases included, are all large."""
    torch.manual_seed(seed)
    layer = lstm(inputs, size, groups=groups, classes=classes).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.normal_(std=0.7)
    return layer


def noise(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# The reference: one pixel at a time, each gate by itself, masks from their definition.


def gates_of(layer, direction, reads, states, labels):
    """o, f, i, g before their nonlinearity; `reads` are pixels of x, the own one last; `states` neighbours' h."""
    group = [g for g, part in enumerate(sizes(layer.size, layer.groups)) for _ in range(part)]
    group_in = [g for g, part in enumerate(sizes(reads[-1].shape[1], layer.groups)) for _ in range(part)]
    inputs, out = reads[0].shape[1], []
    for gate in range(4):
        for unit in range(layer.size):
            column = gate * layer.size + unit
            y = layer.bias[direction, column].expand(len(reads[0]))
            if labels is not None:
                y = y + layer.label_bias[labels, direction, column]
            for k, x in enumerate(reads):
                for i in range(inputs):
                    if k < len(reads) - 1 or group_in[i] <= group[unit]:
                        y = y + x[:, i] * layer.weight_is[direction, k * inputs + i, column]
            for k, h in enumerate(states):
                y = y + h @ layer.weight_ss[direction, k, :, column]
            out.append(y)
    return torch.stack(out, dim=1).split(layer.size, dim=1)


def cell(gates, c):
    o, f, i, g = gates
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def by_pixel_row(layer, x, labels):
    n, inputs, height, width = x.shape
    h, c = {}, {}
    for column in range(width):
        h[-1, column], c[-1, column] = layer.h0[0].expand(n, -1), layer.c0[0].expand(n, -1)
    for row in range(height):
        for column in range(width):
            left = x[:, :, row, column - 1] if column else x.new_zeros(n, inputs)
            states = [h.get((row - 1, column + d), x.new_zeros(n, layer.size)) for d in (-1, 0, 1)]
            gates = gates_of(layer, 0, [left, x[:, :, row, column]], states, labels)
            h[row, column], c[row, column] = cell(gates, c[row - 1, column])
    return torch.stack([torch.stack([h[r, c] for c in range(width)], dim=-1) for r in range(height)], dim=-2)


def from_upper_left(layer, direction, x, labels):
    n, _, height, width = x.shape
    h, c = {}, {}
    for row in range(height):
        h[row, -1], c[row, -1] = layer.h0[direction].expand(n, -1), layer.c0[direction].expand(n, -1)
        for column in range(width):
            states = [h[row, column - 1], h.get((row - 1, column), x.new_zeros(n, layer.size))]
            gates = gates_of(layer, direction, [x[:, :, row, column]], states, labels)
            h[row, column], c[row, column] = cell(gates, c[row, column - 1])
    return torch.stack([torch.stack([h[r, c] for c in range(width)], dim=-1) for r in range(height)], dim=-2)


def by_pixel_diagonal(layer, x, labels, right=None):
    turned = from_upper_left(layer, 1, (x if right is None else right).flip(3), labels).flip(3)
    below = torch.cat((torch.zeros_like(turned[:, :, :1]), turned[:, :, :-1]), dim=2)
    return from_upper_left(layer, 0, x, labels) + below


REFERENCE = {RowLSTM: by_pixel_row, DiagonalBiLSTM: by_pixel_diagonal}


@SHAPES
@pytest.mark.parametrize("groups", [1, 3])
@BOTH
def test_a_layer_is_its_equation_at_every_pixel(lstm, groups, height, width):
    """Widths 7 and 5 are not multiples of 3; values and the gradients of x, the weights, both initial states and the biases."""
    layer, x = made(lstm, groups=groups, classes=3), noise(2, 7, height, width).requires_grad_()
    labels, weigh = torch.tensor([2, 0]), noise(2, 5, height, width, seed=2)
    ours, theirs = layer(x, labels), REFERENCE[lstm](layer, x, labels)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)
    wanted = [x, *layer.parameters()]
    got, expected = (torch.autograd.grad((y * weigh).sum(), wanted) for y in (ours, theirs))
    for a, b in zip(got, expected, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-11)


@BOTH
def test_without_labels_there_is_no_bias_of_a_class(lstm):
    layer, x = made(lstm), noise(2, 7, 3, 4)
    assert torch.allclose(layer(x), REFERENCE[lstm](layer, x, None), rtol=0, atol=1e-12)


def test_the_second_direction_can_read_other_features():
    layer, x, right = made(DiagonalBiLSTM), noise(2, 7, 3, 4).requires_grad_(), noise(2, 7, 3, 4, seed=3).requires_grad_()
    ours, theirs = layer(x, None, right), by_pixel_diagonal(layer, x, None, right)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)
    for a, b in zip(*(torch.autograd.grad(y.square().sum(), (x, right)) for y in (ours, theirs)), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("bias", [1, 2])
@pytest.mark.parametrize("course", [by_rows, by_diagonals])
def test_the_gradient_by_hand(course, bias):
    """gradcheck, for one source and, of the diagonals, for two; biases shared or of each image."""
    steps = course(2, 3)
    directions, taps, n, inputs, size = len(steps.steps[0].reads), len(steps.taps), 2, 3, 2
    shapes = [
        (directions, inputs, 4 * size), (directions, bias, 4 * size), (directions, taps, size, 4 * size),
        (directions, size), (directions, size),
    ]  # fmt: skip
    for sources in {1, directions}:
        x = noise(sources, 6, n, inputs).requires_grad_()
        parameters = [noise(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
        assert gradcheck(lambda *a: Scan.apply(*a, steps), (x, *parameters))


@pytest.mark.parametrize(("height", "width"), [(3, 5), (5, 3), (1, 4), (4, 1), (6, 6)])
def test_the_diagonals_visit_each_pixel_once_in_each_direction(height, width):
    """And write the second direction one row below; at time t the pixels have r + c = t, and r + (W - 1 - c) = t."""
    steps = by_diagonals(height, width).steps
    assert len(steps) == height + width - 1
    pixels = range(height * width)
    seen = ([], [])
    for t, step in enumerate(steps):
        rows = list(range(step.low - 1, step.high - 1))
        for direction in (0, 1):
            places = list(pixels[step.reads[direction]])
            assert [p // width for p in places] == rows
            columns = [p % width for p in places]
            assert all(r + (width - 1 - c if direction else c) == t for r, c in zip(rows, columns, strict=True))
            seen[direction].extend(places)
        assert list(pixels[step.writes[0]]) == list(pixels[step.reads[0]])
        below = [p + width for p in pixels[step.reads[1]] if p + width < height * width]
        assert list(pixels[step.writes[1]]) == below
    assert sorted(seen[0]) == sorted(seen[1]) == list(pixels)


@BOTH
def test_initial_states_are_parameters_of_their_own(lstm):
    """h0 and c0 are not one tensor, both move the result, and padding does not start from them."""
    layer, x = made(lstm), noise(1, 7, 3, 3)
    before = layer(x)
    for name in ("h0", "c0"):
        parameter = dict(layer.named_parameters())[name]
        old = parameter.detach().clone()
        with torch.no_grad():
            parameter.add_(1)
        after = layer(x)
        assert not torch.allclose(before[:, :, 0], after[:, :, 0]), name
        with torch.no_grad():
            parameter.copy_(old)


@BOTH
def test_closed_weights_do_nothing_and_have_no_gradient(lstm):
    """Garbage in the masked places of a checkpoint."""
    layer, x = made(lstm, groups=3), noise(1, 7, 3, 4)
    before = layer(x)
    closed = layer.mask == 0
    assert closed.any()
    with torch.no_grad():
        layer.weight_is[:, closed] = 1e3
    assert torch.equal(layer(x), before)
    layer(x).square().sum().backward()
    assert layer.weight_is.grad is not None
    assert not layer.weight_is.grad[:, closed].any()
    assert layer.weight_is.grad[:, ~closed].any()


@BOTH
def test_mixed_precision_runs_in_that_of_the_weights(lstm):
    torch.manual_seed(0)
    layer = lstm(4, 3)
    x = torch.randn(2, 4, 3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x.bfloat16())
    assert y.dtype == torch.float32
    assert torch.allclose(y, layer(x.bfloat16().float()))


def test_a_group_without_a_feature_is_refused():
    with pytest.raises(InputError, match="take a width >= 3"):
        RowLSTM(4, 2, groups=3)


# Incremental.


def network(lstm, groups, *, skip=False, wide=False, residual=True, kernel=5, layers=2, classes=3, seed=0):
    torch.manual_seed(seed)
    width = 5
    blocks = [RecurrentBlock(lstm(2 * width, width, groups=groups, classes=classes), width, groups=groups, residual=residual)
              for _ in range(layers)]  # fmt: skip
    first = MaskedConv2d(groups, 2 * width, kernel, "A", groups=groups)
    second = MaskedConv2d(groups, 2 * width, kernel, "B", groups=groups) if wide else None
    stack = RecurrentStack(first, blocks, Head(2 * width, (6, 6), 2, groups=groups), skip=skip, wide=second).double()
    with torch.no_grad():
        for p in stack.parameters():
            p.normal_(std=0.5)
    return stack


@pytest.mark.parametrize(("height", "width"), [(4, 6), (6, 4), (1, 3), (3, 1)])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("variant", ["row", "diagonal", "row skip", "diagonal skip wide"])
def test_on_a_canvas_each_new_pixel_gets_what_the_whole_pass_gives_it(variant, groups, height, width):
    lstm = RowLSTM if variant.startswith("row") else DiagonalBiLSTM
    skip = "skip" in variant
    stack, labels = network(lstm, groups, skip=skip, wide="wide" in variant, residual=not skip), torch.tensor([2, 0])
    x = noise(2, groups, height, width)
    expected = stack(x, labels).unflatten(1, (groups, 2)).detach()
    canvas = Canvas(2, height, width, stack.pad, x)
    canvas.keep("image", groups)
    with torch.inference_mode():
        stack.begin(canvas, labels)
        for row in range(height):
            for column in range(width):
                sites = canvas.sites(row, column)
                for group in range(groups):
                    numbers = stack.at(canvas, sites, group)[:, 0]
                    assert torch.allclose(numbers, expected[:, group, :, row, column], rtol=0, atol=1e-12)
                    canvas.write("image", sites, x[:, group, row, column, None, None], group)
            stack.end_row(canvas, row)


def test_the_slopes():
    """k0 = 5 looks 2 columns to the right a row up, the Row LSTM 1; the Diagonal BiLSTM has no wavefront."""
    assert network(RowLSTM, 1).slope == 3
    assert network(RowLSTM, 1, kernel=3).slope == 2
    assert network(DiagonalBiLSTM, 1).slope is None
    assert network(RowLSTM, 1).up is None


@BOTH
def test_the_residual_is_added_once(lstm):
    """With the widening convolution zeroed, a block is the identity, or zero."""
    for residual in (True, False):
        block = RecurrentBlock(lstm(8, 4), 4, residual=residual)
        for p in block.widen.parameters():
            nn.init.zeros_(p)
        x = torch.randn(2, 8, 4, 5)
        assert torch.equal(block(x), x if residual else torch.zeros_like(x))


def test_skip_connections_add_each_layers_output_to_the_head():
    stack = network(RowLSTM, 1, skip=True, classes=0)
    x = noise(1, 1, 4, 5)
    y = stack.first(x)
    seen = []
    for block in stack.layers:
        y = block(y)
        seen.append(y)
    total = y + sum(skip(z) for skip, z in zip(stack.skips, seen, strict=True))
    assert torch.allclose(stack(x), stack.head(total), rtol=0, atol=1e-12)
