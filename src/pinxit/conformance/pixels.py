"""Models of images pixel by pixel: who sees what, closed weights, the residual, the cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinxit.conformance.probes import noise
from pinxit.conformance.record import NOBODY, Measured, Mistake, Row, at_most, near
from pinxit.diagnostics.certificate import dependencies, redraw
from pinxit.nn import reach
from pinxit.nn.lstm2d import DiagonalBiLSTM, RowLSTM
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.pixels import Head, ResidualBlock
from pinxit.nn.recurrent import RecurrentBlock, RecurrentStack
from pinxit.nn.scan import Course, Step, by_diagonals, by_rows

WIDTH = 6
"""h of the networks: a multiple of 3, so that no mistake is one of width alone."""


def seen(network: nn.Module, shape: tuple[int, int, int]) -> Measured:
    """Pixels that see what they must not, the links to it, and the share of the past that is not seen."""
    generator = torch.Generator().manual_seed(0)
    found = torch.zeros_like(past := reach.past(*shape))
    for _ in range(4):
        redraw(network.double(), generator)
        found |= dependencies(network, shape, None, generator)  # type: ignore[arg-type]
    leaks = found & ~past
    missing = 100 * int((past & ~found).sum()) / int(past.sum())
    pixels = leaks.view(shape[1] * shape[2], -1).any(dim=1).sum()
    return {"pixels that leak": float(pixels), "links that leak": float(leaks.sum()), "% of the past missing": missing}


def stack(groups: int, block: RecurrentBlock) -> RecurrentStack:
    """7 x 7 mask A, one LSTM layer, and the head."""
    first, head = MaskedConv2d(groups, 2 * WIDTH, 7, "A", groups=groups), Head(2 * WIDTH, (WIDTH, WIDTH), 2, groups=groups)
    return RecurrentStack(first, [block], head)


def measure_layer(lstm: type[RowLSTM | DiagonalBiLSTM]) -> Measured:
    """One LSTM layer, without a way around it, on a grey image of 14 x 14."""
    measured = seen(stack(1, RecurrentBlock(lstm(2 * WIDTH, WIDTH), WIDTH, residual=False)), (1, 14, 14))
    return {name: measured[name] for name in ("pixels that leak", "% of the past missing")}


# Diagonal BiLSTM

Change = Callable[[Step, int, int], Step]


def changed(course: Course, height: int, width: int, change: Change) -> Course:
    """The course with a change made to each step."""
    return replace(course, steps=tuple(change(step, height, width) for step in course.steps))


def unshifted(step: Step, height: int, width: int) -> Step:
    """The map from the right stays in its own row; its last row is dropped."""
    last = (height - 1) * width
    kept = [pixel for pixel in range(height * width)[step.reads[1]] if pixel < last]
    return replace(step, writes=(step.reads[0], slice(kept[0], kept[-1] + 1, width + 1) if kept else slice(0, 0)))


def unturned(step: Step, height: int, width: int) -> Step:
    """The map from the right is shifted down, and never turned back."""
    below = [pixel + width for pixel in range(height * width)[step.reads[0]] if pixel + width < height * width]
    return replace(step, writes=(step.reads[0], slice(below[0], below[-1] + 1, step.reads[0].step) if below else slice(0, 0)))


def below(step: Step, height: int, width: int) -> Step:
    """Slots with the row of zeros below, and no shift."""
    return replace(unshifted(step, height, width), low=step.low - 1, high=step.high - 1)


class Unshifted(DiagonalBiLSTM):
    """The shift by a row is missing."""

    def forward(self, x: Tensor, labels: Tensor | None = None, right: Tensor | None = None) -> Tensor:
        """All pixels."""
        height, width = x.shape[2:]
        return self.run(x[None], labels, changed(by_diagonals(height, width), height, width, unshifted))


class Unturned(DiagonalBiLSTM):
    """The map from the right is not turned back."""

    def forward(self, x: Tensor, labels: Tensor | None = None, right: Tensor | None = None) -> Tensor:
        """All pixels."""
        height, width = x.shape[2:]
        return self.run(x[None], labels, changed(by_diagonals(height, width), height, width, unturned))


class PaddedBelow(DiagonalBiLSTM):
    """The 2 x 1 kernel reads its row and the one below, where the zeros are; nothing is shifted."""

    def forward(self, x: Tensor, labels: Tensor | None = None, right: Tensor | None = None) -> Tensor:
        """All pixels."""
        height, width = x.shape[2:]
        course = changed(by_diagonals(height, width), height, width, below)
        return self.run(x[None], labels, replace(course, taps=(0, 1), first=0, last=height))


DIAGONAL = Row[type[RowLSTM | DiagonalBiLSTM]](
    number=24,
    name="diagonal-bilstm",
    property="The Diagonal BiLSTM sees no later pixel, and all before but the last of the row above",
    paper="van den Oord et al. 2016a, section 3.2",
    equation="d logit_i / d x_j = 0 for j >= i; 130 of the past's 19,110 links are missing (14 x 14, k0 = 7)",
    right={"pixels that leak": near(0), "% of the past missing": near(100 * 130 / 19110, 1e-6)},
    measure=measure_layer,
    ours=DiagonalBiLSTM,
    mistakes=(
        Mistake("zeros below in the place of above, and no shift", "carpedm20 ops.py:204-213,307", PaddedBelow),
        Mistake("the map from the right is not shifted down", "carpedm20 ops.py:204-213", Unshifted),
        Mistake("the map from the right is not turned back", "gitE0Z9 network.py:230-232", Unturned),
    ),
)

# Row LSTM


class CausalPadding(RowLSTM):
    """All zeros on the left: the state of the row above is read at c - 2, c - 1, c, and the input at c - 2, c - 1."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All pixels."""
        height, width = x.shape[2:]
        steps = tuple(replace(step, low=2, high=width + 2) for step in by_rows(height, width).steps)
        both = torch.cat([F.pad(x, (shift, 0))[..., :width] for shift in (2, 1)], dim=1)
        return self.run(both[None], labels, Course((-2, -1, 0), width + 2, 2, width + 2, steps))


class Unmasked(RowLSTM):
    """The input's kernel reads the pixel and its right neighbour."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All pixels."""
        both = torch.cat((F.pad(x, (0, 1))[..., 1:], x), dim=1)
        return self.run(both[None], labels, by_rows(*x.shape[2:]))


ROW = Row[type[RowLSTM | DiagonalBiLSTM]](
    number=25,
    name="row-lstm",
    property="The Row LSTM sees no later pixel, and of the rows above the whole triangle",
    paper="van den Oord et al. 2016a, section 3.1",
    equation="pixel (r, c) sees (r - u, c + d), -(u + 4) <= d <= u + 2, one layer, k0 = 7: all but 22.7 % of the past at 14 x 14",
    right={"pixels that leak": near(0), "% of the past missing": near(22.74, 0.01)},
    measure=measure_layer,
    ours=RowLSTM,
    mistakes=(
        Mistake("zeros on the left only, for state and input", "rmsnorm row_lstm.py:27-45", CausalPadding),
        Mistake("the input's kernel without its mask", NOBODY, Unmasked),
    ),
)

# Colours


class Mixed(RecurrentBlock):
    """The 1 x 1 convolution after the LSTM has no mask."""

    def forward(self, x: Tensor, labels: Tensor | None = None, right: Tensor | None = None) -> Tensor:
        """All pixels."""
        weight, bias = self.widen.row, self.widen.bias
        assert weight is not None
        return x + F.conv2d(self.lstm(x, labels), weight, bias)


class SplitGates(RecurrentBlock):
    """The masks divide the four gates together, and the split into gates divides them once more."""

    def __init__(self, lstm: RowLSTM | DiagonalBiLSTM, width: int, *, groups: int = 1, residual: bool = True) -> None:
        super().__init__(lstm, width, groups=groups, residual=residual)
        whole = type(lstm)(2 * width, 4 * width, groups=groups).mask
        lstm.mask.copy_(whole[:, : 4 * width])


def measure_colours(block: type[RecurrentBlock]) -> Measured:
    """One Diagonal BiLSTM on an RGB image of 6 x 8."""
    measured = seen(stack(3, block(DiagonalBiLSTM(2 * WIDTH, WIDTH, groups=3), WIDTH, groups=3)), (3, 6, 8))
    return {"links that leak": measured["links that leak"]}


COLOURS = Row[type[RecurrentBlock]](
    number=26,
    name="colour-order",
    property="No channel sees itself or a later channel of its pixel, after the LSTM too",
    paper="van den Oord et al. 2016a, section 3.4 and equation 2",
    equation="d logits(r, c, g) / d x(r, c, g') = 0 for g' >= g",
    right={"links that leak": near(0)},
    measure=measure_colours,
    ours=RecurrentBlock,
    mistakes=(
        Mistake("1 x 1 without a mask after the recurrent layer", "carpedm20 ops.py:108-115", Mixed),
        Mistake("one mask over all gates, which a split then cuts across", "anordertoreclaim", SplitGates),
    ),
)

# Mask B


class Two(nn.Module):
    """7 x 7 under mask A, and a layer."""

    groups = 1

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.first, self.layer = MaskedConv2d(1, 2 * WIDTH, 7, "A"), layer

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All pixels."""
        return self.layer(self.first(x))


class RowBelow(MaskedConv2d):
    """A 3 x 3 kernel that reads the row above and the row below."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All pixels."""
        assert self.above is not None
        return F.conv2d(x, torch.cat((self.above, torch.zeros_like(self.above), self.above), dim=2), padding=1)


def measure_mask(layer: Callable[[int], nn.Module]) -> Measured:
    """One 3 x 3 layer on a grey image of 14 x 14."""
    measured = seen(Two(layer(2 * WIDTH)), (1, 14, 14))
    return {name: measured[name] for name in ("pixels that leak", "% of the past missing")}


MASK = Row[Callable[[int], nn.Module]](
    number=27,
    name="mask-b",
    property="A 3 x 3 layer under mask B sees the row above and the left of its own row, and nothing below",
    paper="van den Oord et al. 2016a, section 3.4",
    equation="(r - u, c + d), u <= 4, -4 <= d <= min(u + 2, 4), d < 0 if u = 0: 13,720 of 19,110 links missing (k0 = 7)",
    right={"pixels that leak": near(0), "% of the past missing": near(100 * 13720 / 19110, 1e-6)},
    measure=measure_mask,
    ours=lambda c: MaskedConv2d(c, c, 3),
    mistakes=(Mistake("the kernel's own row is zeroed, the row below kept", "j-min", lambda c: RowBelow(c, c, 3)),),
)

# Closed weights


class InPlace(nn.Module):
    """A 3 x 3 convolution whose closed weights are set to zero once, when it is built."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 3))
        with torch.no_grad():
            self.weight.mul_(self.mask())

    def mask(self) -> Tensor:
        """The taps under mask B."""
        mask = torch.ones(3, 3)
        mask[1, 2], mask[2] = 0, 0
        return mask

    def forward(self, x: Tensor) -> Tensor:
        """All pixels, with whatever the weights are."""
        return F.conv2d(x, self.weight, padding=1)


def measure_closed(layer: Callable[[], nn.Module]) -> Measured:
    """What a step of plain gradient descent on noise makes the last pixel's right and lower neighbours do to it."""
    conv = layer().double()
    x = noise(2, 4, 5, 5)
    conv(x).square().sum().backward()
    with torch.no_grad():
        for p in conv.parameters():
            p.sub_(1e-2 * (torch.zeros_like(p) if p.grad is None else p.grad))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(conv(x)[:, :, 2, 2].sum(), x)
    return {"gradient from later pixels": gradient[:, :, 3:].abs().sum().item() + gradient[:, :, 2, 3:].abs().sum().item()}


CLOSED = Row[Callable[[], nn.Module]](
    number=28,
    name="closed-weights",
    property="The closed weights of a mask have no value and no gradient: a step leaves the layer causal",
    paper="van den Oord et al. 2016a, section 3.4",
    equation="dy(r, c)/dx(later) = 0 after a step of gradient descent",
    right={"gradient from later pixels": near(0)},
    measure=measure_closed,
    ours=lambda: MaskedConv2d(4, 4, 3),
    mistakes=(
        Mistake(
            "stored weights are overwritten by zeros, and move between",
            "heechan95, jzbontar, j-min, anordertoreclaim, pytorch-generative",
            InPlace,
        ),
    ),
)

# Residual


class Twice(ResidualBlock):
    """The input is added in the block and around it."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """x + (x + f(x))."""
        return x + super().forward(x, labels)


def measure_residual(block: Callable[[int], ResidualBlock]) -> Measured:
    """A block whose last convolution is zero, on noise."""
    made = block(4).double()
    for p in made.widen.parameters():
        nn.init.zeros_(p)
    x = noise(2, 8, 5, 5)
    return {"gain": (made(x).norm() / x.norm()).item()}


RESIDUAL = Row[Callable[[int], ResidualBlock]](
    number=29,
    name="residual-once",
    property="A residual block adds its input once",
    paper="van den Oord et al. 2016a, section 3.3, figure 5",
    equation="|x + f(x)| / |x| = 1 where f = 0",
    right={"gain": near(1, 1e-12)},
    measure=measure_residual,
    ours=ResidualBlock,
    mistakes=(Mistake("added in the block and once more around it", "pytorch-generative pixel_cnn.py:53,109", Twice),),
)

# The cell


class Logistic(RowLSTM):
    """The content gate is logistic too: sigmoid(g) = (tanh(g/2) + 1)/2."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The single pixel of an image."""
        o, f, i, g = (x.squeeze(-1).squeeze(-1) @ self.weight_is[0, x.shape[1] :] + self._state()).sigmoid().chunk(4, dim=1)
        return (o * (f * self.c0 + i * g).tanh())[..., None, None]

    def _state(self) -> Tensor:
        return self.bias + self.h0 @ self.weight_ss[0, 1]


class Shared(RowLSTM):
    """Hidden and cell state begin with the same parameter."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All pixels."""
        old = self.c0.data
        self.c0.data = self.h0.data
        y = super().forward(x, labels)
        self.c0.data = old
        return y


def measure_cell(lstm: type[RowLSTM]) -> Measured:
    """An image of one pixel: its h against equation 3 in plain numbers."""
    layer, x = lstm(1, 1).double(), noise(1, 1, 1, 1)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(noise(*p.shape))
    value, h0, c0 = x.item(), layer.h0.item(), layer.c0.item()
    gates = [
        value * layer.weight_is[0, 1, k].item() + h0 * layer.weight_ss[0, 1, 0, k].item() + layer.bias[0, k].item()
        for k in range(4)
    ]
    o, f, i = (1 / (1 + math.exp(-gate)) for gate in gates[:3])
    expected = o * math.tanh(f * c0 + i * math.tanh(gates[3]))
    return {"error": abs(layer(x).item() - expected)}


CELL = Row[type[RowLSTM]](
    number=30,
    name="lstm-cell",
    property="Three gates are logistic, the content is a tanh; h0 and c0 are parameters of their own",
    paper="van den Oord et al. 2016a, equation 3",
    equation="h = o tanh(f c0 + i tanh(g)) at the first pixel, [o, f, i, g] = K_ss h0 + K_is x + b",
    right={"error": at_most(1e-12)},
    measure=measure_cell,
    ours=RowLSTM,
    mistakes=(
        Mistake("the logistic function on all four gates", "carpedm20 ops.py:315, heechan95", Logistic),
        Mistake("both initial states are one tensor", "heechan95", Shared),
    ),
)

ROWS = (DIAGONAL, ROW, COLOURS, MASK, CLOSED, RESIDUAL, CELL)
