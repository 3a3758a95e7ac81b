"""Codes found without labels against labels: InfoGAN's classification error (Chen et al. 2016, section 7.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.labels import labelled
from pinxit.core.protocols import Data, Splits
from pinxit.core.rng import seed_of
from pinxit.metrics.classifier import Part

Infer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Assignment:
    """The error of codes as labels, each code read as the label it was matched to.

    Args:
        error: share of test images whose code is not matched to their label, one code a label (the figure to report).
        standard_error: of `error`, sqrt(p (1 - p) / n_test).
        majority_error: as `error`, each code read as its most frequent label; several codes may share one. Never above `error` on
            the images it was fitted on, and not comparable with it.
        chance: 1 - the largest class's share of the test images: what one code for all reaches.
        matching: the label of each code, one-to-one; -1 for a code that is left over.
        majority: the most frequent label of each code; -1 for a code that was never seen.
        used: codes that occur among the images fitted on.
        n_fit: images that the matching was fitted on.
        n_test: images that the errors are measured on.
    """

    error: float
    standard_error: float
    majority_error: float
    chance: float
    matching: tuple[int, ...]
    majority: tuple[int, ...]
    used: int
    n_fit: int
    n_test: int

    def __str__(self) -> str:
        score = f"{100 * self.error:.2f} % +- {100 * self.standard_error:.2f}"
        other = f"by majority vote {100 * self.majority_error:.2f} %"
        return f"error {score} one-to-one, {other} ({self.used} codes used; fitted on {self.n_fit:,}, tested on {self.n_test:,})"


def match_codes(codes: Int[Tensor, " n"], labels: Int[Tensor, " m"], n_codes: int, classes: int) -> Int[Tensor, " k"]:
    """The one-to-one matching of codes to labels that is right most often: argmax over matchings m of sum_i 1[m(code_i) = y_i].

    Args:
        codes: in [0, n_codes).
        labels: as many, in [0, classes).
        n_codes: number of codes.
        classes: number of classes.

    Returns:
        The label of each code; -1 for the codes left over where there are more codes than classes.

    Raises:
        InputError: a code or label is out of range, their numbers differ, or scipy is not installed.
    """
    return _hungarian(_table(codes, labels, n_codes, classes))


@torch.no_grad()
def assignment_error(
    infer: Infer, data: Data, *, n_codes: int | None = None, n_fit: int | None = None, seed: int = 0
) -> Assignment:
    """The error of unsupervised codes: the matching is fitted on training images and its error measured on test images.

    Args:
        infer: maps images (n, c, h, w) in [-1, 1] to codes (n,), whole numbers: the argmax of InfoGAN's Q.
        data: labelled images, those of unknown class are left out; without a test split, a random half is kept for the error.
        n_codes: number of codes; by default the number of classes.
        n_fit: training images to fit on, chosen at random; by default all.
        seed: of that choice, and of the half.

    Raises:
        InputError: the data has no labels, codes are out of range, or scipy is not installed.
    """
    classes = data.spec.classes
    if classes < 2:
        raise InputError(f"{data.name} has {classes} classes: codes are matched with labels of at least 2")
    test = data.test() if isinstance(data, Splits) else None
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed_of("assignment", seed)))
    rows = labelled(data, rows)
    half = len(rows) // 2
    kept = Part(data, rows[half:]) if test is None else Part(test, labelled(test))
    fit = Part(data, (rows[:half] if test is None else rows)[:n_fit])
    n_codes = n_codes or classes
    table, held = (_table(*_read(infer, part), n_codes, classes) for part in (fit, kept))
    matching, seen = _hungarian(table), table.sum(1) > 0
    majority = torch.where(seen, table.argmax(1), -1)
    error, majority_error = _error(held, matching), _error(held, majority)
    return Assignment(
        error=error,
        standard_error=math.sqrt(error * (1 - error) / len(kept)),
        majority_error=majority_error,
        chance=1 - held.sum(0).max().item() / len(kept),
        matching=tuple(matching.tolist()),
        majority=tuple(majority.tolist()),
        used=int(seen.sum()),
        n_fit=len(fit),
        n_test=len(kept),
    )


def _read(infer: Infer, part: Part) -> tuple[Tensor, Tensor]:
    """The codes and labels of every row."""
    codes, labels = [], []
    for x, y in part.in_order():
        found = infer(x)
        if tuple(found.shape) != (len(x),) or found.is_floating_point() or found.is_complex():
            raise InputError(
                f"`infer` gave {tuple(found.shape)} {found.dtype} for {len(x)} images: it must give one whole number each"
            )
        codes.append(found.long().cpu())
        labels.append(y)
    return torch.cat(codes), torch.cat(labels)


def _table(codes: Tensor, labels: Tensor, n_codes: int, classes: int) -> Tensor:
    """How often each code meets each label, (n_codes, classes)."""
    for name, values, most in (("codes", codes, n_codes), ("labels", labels, classes)):
        if not len(values) or int(values.min()) < 0 or int(values.max()) >= most:
            got = f"in [{int(values.min())}, {int(values.max())}]" if len(values) else "empty"
            raise InputError(f"`{name}` are {got}: they must be whole numbers in [0, {most})")
    if len(codes) != len(labels):
        raise InputError(f"there are {len(codes)} `codes` and {len(labels)} `labels`: one each is needed")
    return torch.bincount(codes.long() * classes + labels.long(), minlength=n_codes * classes).view(n_codes, classes)


def _hungarian(table: Tensor) -> Tensor:
    """The label of each code in the matching with the largest sum over `table`; -1 for codes left over."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise InputError("matching codes to labels needs scipy: pip install 'pinxit[eval]'") from None
    rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
    matching = torch.full((len(table),), -1)
    matching[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return matching


def _error(table: Tensor, labels: Tensor) -> float:
    """The share of images whose code's label is not theirs."""
    right = table.gather(1, labels.clamp_min(0)[:, None]).squeeze(1)[labels >= 0].sum().item()
    return 1 - right / table.sum().item()
