"""Drawing images from a pixel model, or the unknown pixels of images, in four ways that give the same pixels.

naive          a forward pass of the whole image for each sub-pixel: H W C passes
cached         every layer keeps its maps and computes the new pixel only (Ramachandran et al. 2017): about one pass in all
wavefront      the same, and all pixels (r, t - s r) at once, s the network's slope: W + s (H - 1) steps instead of H W
fixed-point    all pixels at once, from a guess, until nothing changes (Song et al. 2021, Wiggers & Hoogeboom 2020): a pass an
               iteration, over the images that are not finished and the rows that are not final

All draw sub-pixel i of an image from the same uniform number u_i by inverting its distribution function F. They add up in
different orders, so their float32 numbers differ in the last digits, and a u_i next to a value of F could be drawn differently.
Such a tie is decided by a float64 copy of the network, for that image alone, from the pixels before it: by the same operations
on the same numbers whichever way it is painted. So no pixel depends on the way, nor on how many images are painted together.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor, nn

from pinxit.core.errors import InputError, near
from pinxit.losses.levels import level_value
from pinxit.nn.canvas import Canvas, Sites, steps
from pinxit.nn.footprint import footprint
from pinxit.nn.outputs import Output

Engine = Literal["auto", "naive", "cached", "wavefront", "fixed-point"]
Progress = Callable[[int, int], None]

SAFETY = 100
"""A draw is a tie where its margin (see `Output.draw`) is below this many times what float32 was measured to be off by."""
FEW = 2
"""Images that a few whole passes paint faster than many steps do, where a wavefront is steep: see `plan`."""
MEMORY = 1 << 30
"""Bytes that the images painted together may take, in kept maps or in a pass."""


@runtime_checkable
class Network(Protocol):
    """What is painted with: a network of `pinxit.nn.masked.Layer`s.

    Attributes:
        groups: channels of the image.
        slope: s of the wavefront; None where a pixel may depend on the whole row above.
        up: rows above a pixel that it depends on; None where there is no bound.
        pad: of the canvas.
        lead: steps before a pixel at which something must be computed for it.
    """

    groups: int
    slope: int | None
    up: int | None
    pad: int
    lead: int

    def __call__(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (n, c, h, w) to the numbers of all sub-pixels, (n, c * size, h, w)."""
        ...

    def begin(self, canvas: Canvas, labels: Tensor | None = None) -> None:
        """Prepare a canvas; it keeps the pixels as "image"."""
        ...

    def ahead(self, canvas: Canvas, time: int) -> None:
        """Called for each time from -lead on, before its pixels are painted."""
        ...

    def at(self, canvas: Canvas, sites: Sites, group: int) -> Tensor:
        """The numbers (n, count, size) of one channel at the sites."""
        ...

    def end_row(self, canvas: Canvas, row: int) -> None:
        """Called when a row is complete."""
        ...


class Judge:
    """Decides ties in float64.

    What is a tie is measured: the numbers of two images, one of noise and one of the lowest level, are computed in the network's
    own precision and in float64, and a margin below `SAFETY` times their largest difference is one.

    Args:
        network: of any precision.
        output: the distribution.
        u: the noise, (n, h, w, c) float64.
        labels: of the images, or None.
    """

    def __init__(self, network: nn.Module, output: Output, u: Tensor, labels: Tensor | None) -> None:
        self.network, self.output, self.u, self.labels = network, output, u, labels
        self.exact = copy.deepcopy(network).double()
        self.up: int | None = _network(network).up
        self.tolerance = self._tolerance() if u.numel() else 0.0

    def of(self, rows: slice) -> Judge:
        """The same for some of the images."""
        part = copy.copy(self)
        part.u, part.labels = self.u[rows], None if self.labels is None else self.labels[rows]
        return part

    @torch.no_grad()
    def _tolerance(self) -> float:
        like = next(self.network.parameters())
        noise = level_value((self.u[:1] * self.output.levels).long(), self.output.levels).permute(0, 3, 1, 2).to(like.dtype)
        x = torch.cat((noise, torch.full_like(noise, -1.0)))
        labels = None if self.labels is None else self.labels[:1].expand(2)
        numbers, exact = self.network(x, labels).double(), self.exact(x.double(), labels)
        rounding = torch.finfo(like.dtype).eps * exact.abs().max()
        return SAFETY * float(torch.maximum((numbers - exact).abs().max(), rounding))

    @torch.no_grad()
    def decide(self, x: Tensor, image: int, row: int, column: int, group: int) -> int:
        """The level of a sub-pixel, given `x`, one image (c, h, w) whose pixels before it are final."""
        top = 0 if self.up is None else max(0, row - self.up)
        past = x[None, :, top : row + 1].double().clone(memory_format=torch.contiguous_format)
        past[0, :, -1, column + 1 :] = 0
        past[0, group:, -1, column] = 0
        labels = None if self.labels is None else self.labels[image : image + 1]
        size = self.output.size
        numbers = self.exact(past, labels)[0, group * size : (group + 1) * size, -1, column]
        return int(self.output.draw(numbers, self.u[image, row, column, group])[0])


def _network(module: nn.Module) -> Network:
    return module  # type: ignore[return-value]


def plan(network: Network, engine: str, device: torch.device, width: int, batch: int) -> Engine:
    """The engine that `auto` stands for, others checked.

    The incremental engines do the work of one pass in all, in many small steps; so they win where computing is what costs, as on
    a CPU. On an accelerator, where the steps do, a few whole passes are faster; so they are on a CPU too for a few images and a
    network of convolutions whose wavefront takes more than half as many steps as there are pixels.

    Time of the fixed point over that of the faster incremental engine, `python -m benchmarks engines` (28 x 28 bits, one thread):

        images              1      2      4      8     64
        plain, s = 4      0.75   0.96   1.28    2.2   10.5
        gated, s = 9      0.35   1.04   1.35    2.5   12
        gated, s = 21     0.52   0.52   0.69    1.1    4.4
        row, s = 4         3.6    4.2    4.8    6.4   19
        diagonal           1.6    1.5    1.9    2.1   10.6

    The better a model, the more passes it needs. Trained on MNIST for 100 s, s = 21 has 0.78, 0.80, 1.4 and 2.3 up to 8 images,
    but s = 4 has 1.4 and s = 9 about 1 for a single one: what is chosen is what both bear out. A pass a pixel never is.

    Raises:
        InputError: an unknown engine, or a wavefront of a network that has none.
    """
    if engine not in get_args(Engine):
        raise InputError(f"unknown `engine` {engine!r}: {near(engine, get_args(Engine))}")
    if engine == "wavefront" and network.slope is None:
        raise InputError(
            "`engine` wavefront: a pixel of this network may depend on the whole row above: take cached or fixed-point"
        )
    if engine != "auto":
        return engine  # type: ignore[return-value]
    slope = width if network.slope is None else network.slope
    few = batch <= FEW and network.up is not None and 2 * slope >= width
    if device.type != "cpu" or few:
        return "fixed-point"
    return "cached" if slope >= width else "wavefront"


def paint(
    network: nn.Module,
    output: Output,
    x: Tensor,
    known: Tensor | None = None,
    *,
    labels: Tensor | None = None,
    generator: torch.Generator | None = None,
    engine: str = "auto",
    progress: Progress | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """Images with their unknown pixels drawn, each given all pixels before it.

    Args:
        network: has the methods of `Network`.
        output: the distribution of a sub-pixel.
        x: (n, c, h, w) in [-1, 1]; where a pixel is unknown its value is not read.
        known: bool, (h, w) or (n, h, w); by default no pixel is.
        labels: classes (n,) of a conditional model.
        generator: of the noise, which is drawn where it lives; by default the default one of the device.
        engine: see the module; `auto` chooses by `plan`.
        progress: called with (done, total), in pixels of all images.
        memory: bytes that kept maps, or the maps of a pass, may take; the images are painted in parts that keep to it.

    Returns:
        (n, c, h, w) of exact levels where pixels were unknown.
    """
    if x.device.type == "mps":  # which has no float64 to decide ties in
        known, labels = (None if part is None else part.cpu() for part in (known, labels))
        there = copy.deepcopy(network).cpu()
        how: dict[str, Any] = {"labels": labels, "generator": generator, "engine": engine, "progress": progress, "memory": memory}
        return paint(there, output, x.cpu(), known, **how).to(x.device)
    n, c, h, w = x.shape
    known = mask_of(known, x)
    place = x.device if generator is None else generator.device
    u = torch.rand(n, h, w, c, dtype=torch.float64, device=place, generator=generator).to(x.device)
    engine = plan(_network(network), engine, x.device, w, n)
    out = x.clone()
    with _painting(network, x.device):
        judge = Judge(network, output, u, labels)
        size = together(judge, x, engine, memory) if n > 1 else 1
        for first in range(0, n, size):
            rows = slice(first, min(n, first + size))
            part = judge.of(rows)

            def report(pixels: int, before: int = first * h * w) -> None:
                if progress is not None:
                    progress(before + pixels, n * h * w)

            start = torch.where(known[rows, None], x[rows], -1.0).to(next(network.parameters()).dtype)
            if engine == "naive":
                out[rows] = _naive(part, start, known[rows], report)
            elif engine == "fixed-point":
                out[rows] = _fixed_point(part, start, known[rows], report)
            else:
                slope = w if engine == "cached" else 1
                out[rows] = _incremental(part, start, known[rows], slope, report)
    return out


def mask_of(known: Tensor | None, x: Tensor) -> Tensor:
    """`known` as (n, h, w) bool on the device of x; raises InputError where its shape or type is another."""
    n, _, h, w = x.shape
    if known is None:
        return torch.zeros(n, h, w, dtype=torch.bool, device=x.device)
    if known.dtype != torch.bool or known.shape not in ((h, w), (n, h, w)):
        raise InputError(f"`known` is {known.dtype} {tuple(known.shape)}: it must be bool, ({h}, {w}) or ({n}, {h}, {w})")
    return known.to(x.device).expand(n, h, w)


def together(judge: Judge, x: Tensor, engine: str, memory: int) -> int:
    """How many images may be painted together, at least one: by kept maps, or by what a pass of one whole image needs."""
    c, h, w = x.shape[1:]
    one = judge.of(slice(0, 1))
    if engine in ("cached", "wavefront"):
        painter = _network(judge.network)
        canvas = Canvas(1, h, w, painter.pad, x)
        painter.begin(canvas, one.labels)
        each = sum(kept.nbytes for kept in canvas.kept.values())
    else:
        zero = torch.zeros(1, dtype=torch.long, device=x.device)
        blank = torch.zeros(1, h, w, c, dtype=next(judge.network.parameters()).dtype, device=x.device)
        each = footprint(lambda: _pass(one, blank, blank[..., 0] > 0, zero, zero, 0))
    return max(1, memory // max(1, each))


@contextmanager
def _painting(network: nn.Module, device: torch.device) -> Iterator[None]:
    """In eval mode, without a graph, and without the 10-bit products of some accelerators."""
    training = network.training
    network.eval()
    try:
        if device.type == "cuda":
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                yield
        else:
            with torch.inference_mode():
                yield
    finally:
        network.train(training)


def _naive(judge: Judge, x: Tensor, known: Tensor, report: Callable[[int], None]) -> Tensor:
    n, c, h, w = x.shape
    size, levels = judge.output.size, judge.output.levels
    for pixel in range(h * w):
        row, column = divmod(pixel, w)
        for group in range(c):
            if known[:, row, column].all():
                continue
            numbers = judge.network(x, judge.labels)[:, group * size : (group + 1) * size, row, column]
            index, margin = judge.output.draw(numbers, judge.u[:, row, column, group])
            unknown = ~known[:, row, column]
            for image in (unknown & (margin < judge.tolerance)).nonzero().flatten().tolist():
                index[image] = judge.decide(x[image], image, row, column, group)
            value = level_value(index, levels).to(x.dtype)
            x[:, group, row, column] = torch.where(unknown, value, x[:, group, row, column])
        report(n * (pixel + 1))
    return x


def _incremental(judge: Judge, x: Tensor, known: Tensor, slope: int, report: Callable[[int], None]) -> Tensor:
    """Cached (slope W) and wavefront: one engine, two orders. A slope that the network can't have is raised to its own."""
    n, c, h, w = x.shape
    painter = _network(judge.network)
    canvas = Canvas(n, h, w, painter.pad, x, max(slope, painter.slope or w))
    canvas.keep("image", c)
    painter.begin(canvas, judge.labels)
    aside = Canvas(n, h, w, painter.pad, judge.u, canvas.slope)
    aside.keep("u", c)
    aside.image("u").copy_(judge.u.permute(0, 3, 1, 2))
    some = bool(known.any())
    if some:
        aside.keep("known", 1)
        aside.image("known").copy_(known[:, None])
        aside.keep("x", c)
        aside.image("x").copy_(x)
    done = 0
    for time in range(-painter.lead, steps(h, w, canvas.slope)):
        painter.ahead(canvas, time)
        sites = canvas.front(time)
        if sites is None:
            continue
        u = aside.read("u", sites)
        for group in range(c):
            index, margin = judge.output.draw(painter.at(canvas, sites, group), u[..., group])
            if some:
                margin = torch.where(aside.read("known", sites)[..., 0] > 0, torch.inf, margin)
            if margin.min() < judge.tolerance:
                _decide(judge, canvas, time, group, index, margin)
            value = level_value(index, judge.output.levels).to(x.dtype)
            if some:
                old = aside.read("x", sites)[..., group].to(x.dtype)
                value = torch.where(aside.read("known", sites)[..., 0] > 0, old, value)
            canvas.write("image", sites, value[..., None], group)
        if (time - w + 1) % canvas.slope == 0 and time >= w - 1:
            painter.end_row(canvas, (time - w + 1) // canvas.slope)
        done += n * sites.count
        report(done)
    return canvas.image("image")


def _decide(judge: Judge, canvas: Canvas, time: int, group: int, index: Tensor, margin: Tensor) -> None:
    """Decide the ties among the pixels of a front, in place."""
    for image, site in (margin < judge.tolerance).nonzero().tolist():
        row = max(0, -(-(time - canvas.width + 1) // canvas.slope)) + site
        index[image, site] = judge.decide(canvas.image("image")[image], image, row, time - canvas.slope * row, group)


def _fixed_point(judge: Judge, x: Tensor, known: Tensor, report: Callable[[int], None]) -> Tensor:
    """After each pass the pixels up to the first that changed are final: each was drawn given final ones."""
    n, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).contiguous()  # (n, h, w, c): sub-pixels in their order
    final = torch.zeros(n, dtype=torch.long, device=x.device)
    active = torch.arange(n, device=x.device)
    while len(active):
        first = int(final[active].min()) // (w * c)
        new, ties, changed = _pass(judge, x, known, active, final, first)
        for place, image in enumerate(active.tolist()):
            final[image] = first * w * c + _advance(judge, x, new[place], changed[place], ties[place], image, first)
        x[active, first:] = new.view(len(active), h - first, w, c)
        active = (final < h * w * c).nonzero().flatten()
        report(int(final.sum()) // c)
    return x.permute(0, 3, 1, 2)


def _pass(judge: Judge, x: Tensor, known: Tensor, active: Tensor, final: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """The sub-pixels of the active images from row `first` on, drawn anew; which are ties, and which have changed."""
    _, h, w, c = x.shape
    above = 0 if judge.up is None else max(0, first - judge.up)
    labels = None if judge.labels is None else judge.labels[active]
    numbers = judge.network(x[active, above:].permute(0, 3, 1, 2), labels)[:, :, first - above :]
    index, margin = judge.output.draw(numbers.permute(0, 2, 3, 1).unflatten(3, (c, -1)), judge.u[active, first:])
    old, fixed = x[active, first:].flatten(1), known[active, first:, :, None].expand(-1, -1, -1, c).flatten(1)
    fixed = fixed | (torch.arange(first * w * c, h * w * c, device=x.device) < final[active, None])
    new = torch.where(fixed, old, level_value(index, judge.output.levels).to(x.dtype).flatten(1))
    return new, (margin.flatten(1) < judge.tolerance) & ~fixed, (new != old).cpu()


def _advance(judge: Judge, x: Tensor, new: Tensor, changed: Tensor, ties: Tensor, image: int, first: int) -> int:
    """How many of the sub-pixels `new` of an image, from row `first` on, are final; ties among them are decided in place."""
    _, _, w, c = x.shape
    for place in ties.nonzero().flatten().tolist():
        if changed[:place].any():
            break
        pixel, group = divmod(first * w * c + place, c)
        row, column = divmod(pixel, w)
        index = judge.decide(x[image].permute(2, 0, 1), image, row, column, group)
        value = level_value(torch.tensor(index, device=x.device), judge.output.levels).to(x.dtype)
        changed[place] = bool(value != x[image, row, column, group])
        new[place] = value
    return int(changed.byte().argmax()) + 1 if changed.any() else len(new)
