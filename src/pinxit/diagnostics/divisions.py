"""How samples are divided among modes: the features in which they are compared, and who says which mode a sample is of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from pinxit.core.protocols import Data
from pinxit.metrics.modes import stack_names
from pinxit.metrics.nearest import nearest

DIMENSIONS, SIDE, FITTED = 64, 32, 1024
CELLS, NEIGHBOURS, CHUNK = 50, 5, 1000


@runtime_checkable
class Mixture(Protocol):
    """Data that is an equal mixture of round Gaussians."""

    centres: Tensor
    sigma: float
    class_names: tuple[str, ...]


@runtime_checkable
class Stacks(Protocol):
    """Data whose channels are digits drawn independently: `digits` (m, h, w) uint8, `digit_labels` (m,)."""

    stacks: int
    digits: Tensor
    digit_labels: Tensor


@runtime_checkable
class Named(Protocol):
    """Data whose classes have names."""

    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """The first principal axes of the data: images are averaged down to at most 32 x 32, points are taken as they are.

    Args:
        shape: what an image is averaged down to; None for points.
        mean: (d,).
        axes: (d, p), orthonormal columns.
    """

    shape: tuple[int, int] | None
    mean: Tensor
    axes: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, p), float32 on the CPU; what is not finite becomes 0."""
        x = torch.nan_to_num(x.detach().float().cpu(), nan=0.0, posinf=1e6, neginf=-1e6)
        if self.shape is None:
            return x.flatten(1)
        return (flat(x, self.shape) - self.mean) @ self.axes

    @staticmethod
    def of(x: Tensor, *, continuous: bool) -> Features:
        """Fitted to x (n, c, h, w) by the smaller of the covariance and the Gram matrix."""
        if continuous:
            return Features(None, torch.empty(0), torch.empty(0))
        shape = (min(SIDE, x.shape[2]), min(SIDE, x.shape[3]))
        pixels = flat(x, shape).double()
        mean = pixels.mean(0)
        pixels = pixels - mean
        if len(pixels) < pixels.shape[1]:
            values, vectors = torch.linalg.eigh(pixels @ pixels.T)
            axes = pixels.T @ vectors / values.clamp(min=1e-12).sqrt()
        else:
            values, axes = torch.linalg.eigh(pixels.T @ pixels)
        there = values > 1e-9 * values[-1].clamp(min=1e-12)
        return Features(shape, mean.float(), axes[:, there].flip(1)[:, :DIMENSIONS].float().contiguous())


@dataclass(frozen=True)
class Judge:
    """Names the class of samples by the vote of the 5 nearest labelled ones.

    Args:
        features: of samples.
        bank: of labelled samples, (m, p).
        labels: theirs, (m,).
        classes: how many.
    """

    features: Features
    bank: Tensor
    labels: Tensor
    classes: int

    def votes(self, found: Tensor) -> Tensor:
        """The share of votes, (n, classes), of the neighbours with indices `found` (n, k)."""
        return F.one_hot(self.labels[found], self.classes).double().mean(1)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of samples (n, c, h, w): the log of the vote."""
        return self.votes(nearest(self.features(x), self.bank, min(NEIGHBOURS, len(self.bank)))[1]).log()


@dataclass(frozen=True)
class Modes:
    """A way to divide samples among modes.

    Args:
        what: "modes", "classes", "digits" or "cells".
        names: of the modes.
        shares: the data's, estimated from real samples in the same way as a sampler's.
        assign: from samples (n, c, h, w), their features and the indices of their neighbours to modes (n,) or (n, parts).
        held_out: the modes of the real samples, as assigned.
        confusion: P(assigned to row | truly of column), (k, k), where `assign` errs and the truth is known.
    """

    what: str
    names: tuple[str, ...]
    shares: Tensor
    assign: Callable[[Tensor, Tensor, Tensor], Tensor]
    held_out: Tensor
    confusion: Tensor | None = None

    def corrected(self, counts: Tensor) -> Tensor:
        """The shares of the modes, (k,), of which `counts` are what `assign` makes: C q = counts / n by least squares.

        Without it the neighbours of a missing class, taken for it now and then, would hide that it is missing.
        Reference: Lipton et al. 2018, Detecting and correcting for label shift with black box predictors.
        """
        p = counts.double() / counts.sum().clamp(min=1)
        return p if self.confusion is None else (torch.linalg.pinv(self.confusion) @ p).clamp(min=0)


@dataclass(frozen=True)
class Real:
    """Real samples whose modes are known to be those of the data.

    Args:
        source: where they are.
        rows: their indices there.
        features: theirs, (n, p).
        found: the indices of their nearest training samples, (n, k).
    """

    source: Data
    rows: Tensor
    features: Tensor
    found: Tensor


def divide(
    data: Data,
    features: Features,
    bank: Tensor,
    labels: Tensor | None,
    real: Real,
    size: int,
    generator: torch.Generator,
) -> tuple[Modes, ...]:
    """The divisions that a data set offers: stacked digits; else classes, where all are known, and cells of its features.

    A division of which the real samples show one mode alone (a single class, images that are all the same) is left out.

    Args:
        data: what the sampler was trained on.
        features: of samples.
        bank: features of training samples, (m, p).
        labels: theirs, or None.
        real: further real samples, of which the shares are taken.
        size: of the batches to be divided; where it is small there are fewer cells.
        generator: decides the cells.
    """
    if isinstance(data, Mixture):
        return ()  # counted by `metrics.modes.mixture_modes`: its modes and shares are known
    if isinstance(data, Stacks):
        return (_stacked(data, images_of(real.source, real.rows), generator),)
    divided = []
    whole = not data.spec.unlabelled and not real.source.spec.unlabelled
    truth = labels_of(real.source, real.rows) if whole else None
    if labels is not None and truth is not None and 1 < data.spec.classes <= 2 * CELLS:
        vote = Judge(features, bank, labels, data.spec.classes)
        names = data.class_names if isinstance(data, Named) else tuple(str(c) for c in range(data.spec.classes))
        held = vote.votes(real.found).argmax(1)
        confusion = _confusion(held, truth, len(names))
        divided.append(
            Modes("classes", names, _shares(held, len(names)), lambda _, __, near: vote.votes(near).argmax(1), held, confusion)
        )
    # Of a sampler that should draw 20 in a cell, none at all is no chance.
    if (cells := min(CELLS, min(len(bank), size) // 20)) > 1:
        centres = k_means(bank[:5000], cells, generator)
        held = nearest(real.features, centres)[1][:, 0]
        names = tuple(f"cell {cell}" for cell in range(cells))
        divided.append(Modes("cells", names, _shares(held, cells), lambda _, f, __: nearest(f, centres)[1][:, 0], held))
    return tuple(modes for modes in divided if len(modes.held_out.unique()) > 1)  # one mode alone divides nothing


def _stacked(data: Stacks, images: Tensor, generator: torch.Generator) -> Modes:
    """The modes of stacked digits, read by a judge of at most 10,000 of them."""
    chosen = torch.randperm(len(data.digits), generator=generator)[:10_000]
    single, truth = data.digits[chosen][:, None].float() / 127.5 - 1, data.digit_labels[chosen]
    features = Features.of(single[:FITTED], continuous=False)
    judge = Judge(features, features(single), truth, 10)
    place = 10 ** torch.arange(data.stacks - 1, -1, -1)

    def digits(x: Tensor, _: Tensor, __: Tensor) -> Tensor:
        each = torch.cat([judge(part.reshape(-1, 1, *part.shape[2:])).argmax(1) for part in x.cpu().split(CHUNK)])
        return (each.view(len(x), -1) * place).sum(1)

    held, names, confusion = digits(images, images, images), stack_names(data.stacks), None
    if data.stacks <= 2:  # of three channels it would be a matrix of a million
        some = torch.arange(min(2000, len(single)))
        found = nearest(judge.bank[some], judge.bank, NEIGHBOURS, exclude=some)[1]
        one = _confusion(judge.votes(found).argmax(1), truth[some], 10)
        confusion = one if data.stacks == 1 else torch.kron(one, one)
    # The channels are drawn independently: a product of ten shares each is known better than 1,000 counts.
    shares = torch.ones(1, dtype=torch.float64)
    for channel in range(data.stacks):
        shares = torch.kron(shares, _shares(held // place[channel] % 10, 10))
    return Modes("modes", names, shares, digits, held, confusion)


def _confusion(assigned: Tensor, truth: Tensor, k: int) -> Tensor:
    """P(assigned | true), (k, k), a column a true class; the identity's column for a class that is not there."""
    table = torch.zeros(k, k, dtype=torch.float64).index_put_(
        (assigned, truth), torch.ones(1, dtype=torch.float64), accumulate=True
    )
    total = table.sum(0)
    return torch.where(total > 0, table / total.clamp(min=1), torch.eye(k, dtype=torch.float64))


def _shares(modes: Tensor, k: int) -> Tensor:
    return modes.bincount(minlength=k).double() / len(modes)


def flat(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """Images averaged down to `shape`, a row each."""
    return (x if tuple(x.shape[2:]) == shape else F.adaptive_avg_pool2d(x, shape)).flatten(1)


def k_means(x: Tensor, k: int, generator: torch.Generator, *, rounds: int = 12) -> Tensor:
    """The centres (k, p) of Lloyd's iteration from k-means++ starts (Arthur & Vassilvitskii 2007); an empty cell stays put."""
    centres = x[torch.randint(len(x), (1,), generator=generator)]
    for _ in range(1, k):
        weights = nearest(x, centres)[0][:, 0].square() + 1e-12
        centres = torch.cat([centres, x[torch.multinomial(weights, 1, generator=generator)]])
    for _ in range(rounds):
        cell = nearest(x, centres)[1][:, 0]
        counts = cell.bincount(minlength=k)
        means = torch.zeros_like(centres).index_add_(0, cell, x) / counts.clamp(min=1)[:, None]
        centres = torch.where((counts > 0)[:, None], means, centres)
    return centres


def labels_of(data: Data, rows: Tensor) -> Tensor | None:
    """The labels of the samples at `rows`, (n,); None where the data has none."""
    parts = [data.batch(part).labels for part in rows.split(CHUNK)]
    found = [part for part in parts if part is not None]
    return torch.cat(found) if found else None


def images_of(data: Data, rows: Tensor) -> Tensor:
    """The samples at `rows`, (n, c, h, w)."""
    return torch.cat([data.batch(part).images for part in rows.split(CHUNK)]) if len(rows) else torch.empty(0, *data.spec.shape)
