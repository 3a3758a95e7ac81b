"""The recurrence of two-dimensional LSTMs (van den Oord et al. 2016, https://arxiv.org/abs/1601.06759, equation 3).

The Row LSTM and the Diagonal BiLSTM are one recurrence over steps. In a step a block of cells advances together, each from the
state of its neighbours:

    [o, f, i, g] = sum_k h(neighbour k) K_ss,k + K_is * x + b        o, f, i logistic, g tanh
    c = f c(before) + i g,     h = o tanh(c)

    Row LSTM            step: a row          neighbours: three of the row above          before: the pixel above
    Diagonal BiLSTM     step: a diagonal     neighbours: the pixels left and above       before: the pixel on the left

The paper skews the map so that diagonals become columns, which nearly doubles the pixels, and skews it back. Here no map is
skewed: the pixels (r, t - r) of a diagonal are evenly spaced in memory, W - 1 apart, and W + 1 in the image turned left to right.
So a step reads and writes its pixels where they are, computes none outside the image, and the two directions advance together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

GATES = 4


@dataclass(frozen=True)
class Step:
    """Cells that advance together.

    Args:
        low, high: their slots [low, high).
        reads: their pixels in each direction, as slices of the H W pixels.
        writes: the pixels that get their h, of as many of the first cells as there are.
    """

    low: int
    high: int
    reads: tuple[slice, ...]
    writes: tuple[slice, ...]


@dataclass(frozen=True)
class Course:
    """How cells advance.

    Args:
        taps: distance in slots from a cell to each of its neighbours.
        slots: cells that a step has at most, and the zeros around them.
        first, last: the slots [first, last) that begin with the learned state; the others are zero for ever.
        steps: in order.
    """

    taps: tuple[int, ...]
    slots: int
    first: int
    last: int
    steps: tuple[Step, ...]


@lru_cache(maxsize=64)
def by_rows(height: int, width: int) -> Course:
    """A row at a time, top first; a zero on both sides."""
    rows = [(slice(r * width, (r + 1) * width),) for r in range(height)]
    return Course((-1, 0, 1), width + 2, 1, width + 1, tuple(Step(1, width + 1, row, row) for row in rows))


@lru_cache(maxsize=64)
def by_diagonals(height: int, width: int) -> Course:
    """At time t the pixels (r, t - r) of all the rows that have one, and in the second direction (r, W - 1 - t + r).

    A zero row on top; what comes from the second direction is written one row below.
    """
    steps = []
    for t in range(height + width - 1):
        low, high = max(0, t - width + 1), min(height - 1, t) + 1
        pixels = [(low * width + t - low, max(1, width - 1)), (low * width + width - 1 - t + low, width + 1)]
        reads = tuple(slice(start, start + (high - low - 1) * step + 1, step) for start, step in pixels)
        start, step = pixels[1]
        below = slice(start + width, start + width + (min(high, height - 1) - low - 1) * step + 1, step)
        steps.append(Step(low + 1, high + 1, reads, (reads[0], below)))
    return Course((0, -1), height + 1, 1, height + 1, tuple(steps))


class Scan(torch.autograd.Function):
    """The recurrence, and its gradient by hand: no graph of thousands of small nodes, and buffers that stay in the cache."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_is: Tensor, bias: Tensor, weight_ss: Tensor, h0: Tensor, c0: Tensor, course: Course
    ) -> Tensor:
        """The sum over the directions of h, (pixels, n, h).

        x (1 or directions, pixels, n, inputs), weight_is (d, inputs, 4h), bias (d, 1 or n, 4h), weight_ss (d, taps, h, 4h),
        h0 and c0 (d, h).
        """
        pixels, n, directions, size = x.shape[1], x.shape[2], len(h0), h0.shape[1]
        shape = (len(course.steps) + 1, directions, course.slots, n, size)
        h_all, c_all = x.new_zeros(shape), x.new_zeros(shape)
        for state, start in ((h_all, h0), (c_all, c0)):
            state[:, :, course.first : course.last] = start[:, None, None]
        gates, tanh_c = (x.new_empty(pixels * n * directions * wide) for wide in (GATES * size, size))
        out = x.new_zeros(n, pixels, size).transpose(0, 1)
        at = 0
        for t, step in enumerate(course.steps):
            k = (step.high - step.low) * n
            span = slice(directions * at, directions * (at + k))
            gate = gates.view(-1, GATES * size)[span].view(directions, k, GATES * size)
            torch.bmm(_gathered(x, step), weight_is, out=gate)
            gate.view(directions, -1, n, GATES * size).add_(bias[:, None])
            for j, tap in enumerate(course.taps):
                gate.baddbmm_(h_all[t, :, step.low + tap : step.high + tap].view(directions, k, size), weight_ss[:, j])
            o, f, i = gate[..., : 3 * size].sigmoid_().split(size, dim=2)
            g = _tanh_(gate[..., 3 * size :])
            c = c_all[t + 1, :, step.low : step.high].view(directions, k, size)
            torch.mul(f, c_all[t, :, step.low : step.high].view(directions, k, size), out=c)
            tanh = tanh_c.view(-1, size)[span].view(directions, k, size)
            _tanh_(tanh.copy_(c.addcmul_(i, g)))
            h = h_all[t + 1, :, step.low : step.high]
            torch.mul(o, tanh, out=h.view(directions, k, size))
            for direction, place in enumerate(step.writes):
                out[place] += h[direction, : len(range(pixels)[place])]
            at += k
        ctx.save_for_backward(x, weight_is, bias, weight_ss, gates, tanh_c, h_all, c_all)
        ctx.course = course
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """The gradients of x, weight_is, bias, weight_ss, h0 and c0, from the last step to the first."""
        (grad,) = grad_outputs
        x, weight_is, bias, weight_ss, gates, tanh_c, h_all, c_all = ctx.saved_tensors
        course: Course = ctx.course
        _, directions, slots, n, size = h_all.shape
        dx = x.new_zeros(len(x), n, x.shape[1], x.shape[3]).transpose(1, 2)
        dweight_is, dbias, dweight_ss = (torch.zeros_like(p) for p in (weight_is, bias, weight_ss))
        dh_all, dc_all = (h_all.new_zeros(directions, slots, n, size) for _ in range(2))
        scratch = torch.empty_like(gates[: GATES * size * directions * n * slots])
        back = weight_ss.mT.contiguous()
        at = x.shape[1] * n
        for t, step in reversed(list(enumerate(course.steps))):
            k = (step.high - step.low) * n
            at -= k
            span = slice(directions * at, directions * (at + k))
            dh, dc = dh_all[:, step.low : step.high], dc_all[:, step.low : step.high].view(directions, k, size)
            for direction, place in enumerate(step.writes):
                dh[direction, : len(range(x.shape[1])[place])] += grad[place]
            dgate = scratch[: GATES * size * directions * k].view(directions, k, GATES * size)
            gate, tanh = (
                s.view(-1, s.numel() // (x.shape[1] * n * directions))[span].view(directions, k, -1) for s in (gates, tanh_c)
            )
            before = c_all[t, :, step.low : step.high].view(directions, k, size)
            _through_cell(gate, tanh, before, dh.view(directions, k, size), dc, dgate)
            dh.zero_()
            for j, tap in enumerate(course.taps):
                seen = slice(step.low + tap, step.high + tap)
                dh_all[:, seen].view(directions, k, size).baddbmm_(dgate, back[:, j])
                dweight_ss[:, j].baddbmm_(h_all[t, :, seen].view(directions, k, size).mT, dgate)
            dweight_is.baddbmm_(_gathered(x, step).mT, dgate)
            by_image = dgate.view(directions, -1, n, GATES * size).sum(1)
            dbias += by_image if bias.shape[1] == n else by_image.sum(1, keepdim=True)
            if ctx.needs_input_grad[0]:
                _scatter(dx, step, torch.bmm(dgate, weight_is.mT))
        cells = slice(course.first, course.last)
        return dx, dweight_is, dbias, dweight_ss, dh_all[:, cells].sum((1, 2)), dc_all[:, cells].sum((1, 2)), None


def _tanh_(x: Tensor) -> Tensor:
    """tanh x = 2 sigmoid(2x) - 1, in place: torch's logistic function is six times as fast on a CPU as its tanh."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def _gathered(x: Tensor, step: Step) -> Tensor:
    """x (1 or d, pixels, n, inputs) at the pixels of a step, (d, cells * n, inputs)."""
    return torch.stack([x[min(d, len(x) - 1)][place] for d, place in enumerate(step.reads)]).flatten(1, 2)


def _scatter(dx: Tensor, step: Step, values: Tensor) -> None:
    """Add (d, cells * n, inputs) to `dx` at the pixels of a step."""
    for d, place in enumerate(step.reads):
        dx[min(d, len(dx) - 1)][place] += values[d].view(-1, *dx.shape[2:])


def _through_cell(gate: Tensor, tanh_c: Tensor, c: Tensor, dh: Tensor, dc: Tensor, dgate: Tensor) -> None:
    """Write the gradient of the gates before their nonlinearity; `dc`, of the new cell, becomes that of the old one, `c`."""
    size = tanh_c.shape[2]
    o, f, i, g = gate.split(size, dim=2)
    do, df, di, dg = dgate.split(size, dim=2)
    through = dh * o
    dc.add_(through).addcmul_(through.mul_(tanh_c), tanh_c, value=-1)  # dh o (1 - tanh^2 c)
    torch.mul(dh, tanh_c, out=do)
    torch.mul(dc, c, out=df)
    torch.mul(dc, g, out=di)
    logistic = gate[..., : 3 * size]
    dgate[..., : 3 * size] *= torch.addcmul(logistic, logistic, logistic, value=-1)
    torch.mul(dc, i, out=dg).addcmul_(dg * g, g, value=-1)
    dc.mul_(f)
