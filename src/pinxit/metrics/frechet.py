"""The Frechet distance of two sets of features, each taken for a Gaussian; "FID" only where they are Inception-2015's.

Of samples the distance is too great, by a term in 1/n that depends on both laws: compare numbers of one n only, beside
`frechet_floor`, what two perfect sets of these sizes are apart, or use `frechet_infinity`, which extrapolates the term away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.distances import BLOCK, checked, wide

PANEL = 256
"""Rows of a covariance that are computed together."""
POINTS = 15
"""Sizes that are extrapolated from, as in the paper."""


@dataclass(frozen=True)
class FrechetInfinity:
    """A Frechet distance extrapolated to infinitely many samples.

    Args:
        distance: the intercept of the line through (1/n, distance of n samples).
        standard_error: of the intercept, from the scatter about the line. The sizes share samples, so it is what the fit leaves
            open, and not the whole spread between sets of samples.
        slope: of the line: the distance of n samples is too great by about slope / n.
        sizes: n of each point.
        distances: of each point.
        both: whether the second set was cut down too; otherwise its own bias remains in all points.
    """

    distance: float
    standard_error: float
    slope: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]
    both: bool

    def __str__(self) -> str:
        return f"{self.distance:.4g} +- {self.standard_error:.2g} (extrapolated from n = {self.sizes[0]:,} to {self.sizes[-1]:,})"


def moments(features: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and unbiased covariance in float64, in blocks of rows.

    Raises:
        InputError: fewer than two rows, or numbers that are not finite.
    """
    checked(features, features)
    if len(features) < 2:
        raise InputError(f"{len(features)} rows of features have no covariance: give at least 2")
    mean = _mean(features)
    covariance = mean.new_zeros(len(mean), len(mean))
    for part in features.split(BLOCK):
        rows = wide(part) - mean
        for first in range(0, len(mean), PANEL):  # on and above the diagonal, as the rest mirrors it
            covariance[first : first + PANEL, first:].addmm_(rows[:, first : first + PANEL].T, rows[:, first:])
    covariance = covariance.triu() + covariance.triu(1).T
    return mean, covariance / (len(features) - 1)


def frechet_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m e"]) -> float:
    """|mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017, eq. 6).

    With S_x = A^T A and S_y = B^T B the trace of the root is the sum of the singular values of A B^T, taken as the roots of the
    eigenvalues of A S_y A^T or of A B^T B A^T, in float64. Where there are fewer samples than dimensions, A and B are the
    centred samples themselves and no d x d matrix is made; otherwise A is the Cholesky factor of S_x, or of its eigenvectors
    where it is singular.

    Args:
        x: features of one set.
        y: features of the other.

    Raises:
        InputError: different dimensions, fewer than two rows, or numbers that are not finite.
    """
    checked(x, y, least=2)
    few, many = (x, y) if len(x) <= len(y) else (y, x)
    return _of_few(few, many) if len(many) <= x.shape[1] else _distance_to(few, moments(many))


def frechet_of_moments(
    mu_x: Float[Tensor, " d"], s_x: Float[Tensor, "d d"], mu_y: Float[Tensor, " d"], s_y: Float[Tensor, "d d"]
) -> float:
    """The Frechet distance of two Gaussians given by mean and covariance: see `frechet_distance`."""
    return _joined(mu_x, s_x.trace(), mu_y, s_y.trace(), _root_trace(_factor(s_x), s_y))


def frechet_floor(covariance: Float[Tensor, "d d"], n: int, m: int | float = math.inf) -> float:
    """The mean Frechet distance of n and m samples of one Gaussian, to first order in 1/n and 1/m: what perfection scores.

        (1/n + 1/m) (tr S + sum_ij l_i l_j (1 + [i = j]) / (2 (l_i + l_j))),   l the eigenvalues of S

    The first term is that of the means. The second is the second-order form of the Bures distance at S, sum_ij |E_ij|^2 /
    (2 (l_i + l_j)) in the eigenvectors of S, with the variance l_i l_j (1 + [i = j]) / n of a covariance's entries. It holds for
    n well above d, and features that are not Gaussian have other fourth moments.

    Args:
        covariance: S.
        n: samples of one set.
        m: samples of the other; infinite where its law is known.
    """
    values = torch.linalg.eigvalsh(wide(covariance)).clamp(min=0)
    product, total = torch.outer(values, values), values[:, None] + values
    entries = torch.where(total > 0, product / (2 * total), 0)
    return (1 / n + 1 / m) * float(values.sum() + entries.sum() + entries.diagonal().sum())


def frechet_note(n: int, d: int) -> str:
    """What a reader of a Frechet distance of `n` samples in `d` dimensions must be told; nothing for n >= 10 d."""
    if n <= d:
        return f"n = {n:,} gives a covariance of rank {n - 1:,} in {d:,} dimensions: the distance is mostly bias"
    if n < 10 * d:
        return f"n = {n:,} is few for {d:,} dimensions: the bias in 1/n is large, compare at equal n only"
    return ""


def frechet_infinity(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m e"],
    *,
    generator: torch.Generator,
    sizes: Sequence[int] = (),
    both: bool = False,
) -> FrechetInfinity:
    """The Frechet distance at infinitely many generated samples: a line through (1/n, distance of n of them), at 1/n = 0.

    Reference: Chong & Forsyth 2020, Effectively unbiased FID and Inception score, section 4.1: 15 sizes up to all samples, each a
    fresh draw without replacement. Theirs begin at 5,000 of 50,000; here at a tenth, or at 2 d where that is more, but at half of
    the samples at most: nearer to d the bias is no line in 1/n.

    Args:
        x: features of generated samples.
        y: features of real samples, all used at every size; their own bias in 1/m remains unless `both`.
        generator: of the draws.
        sizes: at least three different ones up to `len(x)`; by default fifteen, equally far apart, as above.
        both: cut `y` down to the same sizes, so that the bias of both sets is extrapolated away; needs `len(y) >= max(sizes)`.

    Raises:
        InputError: sizes that do not fit, or features that `frechet_distance` refuses.
    """
    checked(x, y, least=2)
    n, d = x.shape
    least = min(max(n // 10, 2 * d, 2), n // 2)
    chosen = tuple(sizes) or tuple(sorted({round(float(v)) for v in torch.linspace(least, n, POINTS)}))
    most = min(n, len(y)) if both else n
    if len(set(chosen)) < 3 or min(chosen) < 2 or max(chosen) > most:
        raise InputError(f"`sizes` {chosen} of {most} samples: a line needs at least three different ones in [2, {most}]")
    fixed = None if both else moments(y)
    found = []
    for size in chosen:
        part = x[torch.randperm(n, generator=generator)[:size].to(x.device)]
        if fixed is None:
            found.append(frechet_distance(part, y[torch.randperm(len(y), generator=generator)[:size].to(y.device)]))
        else:
            found.append(_distance_to(part, fixed))
    intercept, slope, error = _line([1 / size for size in chosen], found)
    return FrechetInfinity(intercept, error, slope, chosen, tuple(found), both)


def _distance_to(x: Tensor, fixed: tuple[Tensor, Tensor]) -> float:
    """The distance of samples to known moments."""
    if len(x) > x.shape[1]:
        return frechet_of_moments(*moments(x), *fixed)
    mu, a = _rows(x)
    return _joined(mu, a.square().sum(), fixed[0], fixed[1].trace(), _root_trace(a, fixed[1]))


def _of_few(x: Tensor, y: Tensor) -> float:
    """Without any d x d matrix: the singular values of the products of the centred samples, the fewer first."""
    (mu_x, a), (mu_y, b) = _rows(x), _rows(y)
    cross = a @ b.T
    root = torch.linalg.eigvalsh(cross @ cross.T).clamp(min=0).sqrt().sum()
    return _joined(mu_x, a.square().sum(), mu_y, b.square().sum(), root)


def _joined(mu_x: Tensor, trace_x: Tensor, mu_y: Tensor, trace_y: Tensor, root: Tensor) -> float:
    return float((mu_x - mu_y).square().sum() + trace_x + trace_y - 2 * root)


def _rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and the centred samples over sqrt(n - 1): A of S = A^T A."""
    mean = _mean(x)
    return mean, (wide(x) - mean) / math.sqrt(len(x) - 1)


def _factor(covariance: Tensor) -> Tensor:
    """A of S = A^T A, without the directions in which there is nothing but rounding."""
    least = len(covariance) * torch.finfo(covariance.dtype).eps * covariance.diagonal().max()
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if not int(failed) and bool(lower.diagonal().min().square() > least):
        return lower.T
    values, vectors = torch.linalg.eigh(covariance)
    there = values > len(values) * torch.finfo(values.dtype).eps * values[-1].clamp(min=0)
    return values[there].sqrt()[:, None] * vectors[:, there].T


def _root_trace(a: Tensor, s: Tensor) -> Tensor:
    """tr (A^T A S)^(1/2): of A S A^T, which is symmetric."""
    return torch.linalg.eigvalsh(a @ s @ a.T).clamp(min=0).sqrt().sum()


def _mean(x: Tensor) -> Tensor:
    return sum((wide(part).sum(0) for part in x.split(BLOCK)), start=wide(x[:0]).sum(0)) / len(x)


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Least squares: intercept, slope and the standard error of the intercept."""
    a, b = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    centred = a - a.mean()
    slope = (centred * b).sum() / centred.square().sum()
    intercept = b.mean() - slope * a.mean()
    variance = (b - intercept - slope * a).square().sum() / (len(a) - 2)
    error = (variance * (1 / len(a) + a.mean().square() / centred.square().sum())).sqrt()
    return float(intercept), float(slope), float(error)
