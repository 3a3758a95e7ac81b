"""Precision and recall as a curve (Sajjadi et al. 2018), over histograms on clusters of the features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.distances import checked, wide

ANGLES = 1001
STEPS = 100
"""Most steps of k-means."""


@dataclass(frozen=True)
class PRD:
    """A curve of precision against recall.

    Args:
        precision: alpha at each angle, from flat (precision 0, greatest recall) to steep (recall 0); means over the runs.
        recall: beta at each angle.
        f_8: the greatest F_8 over that mean curve, which weighs recall.
        f_eighth: the greatest F_1/8, which weighs precision.
        f_8_error: standard deviation of F_8 over the runs of k-means; 0 for one.
        f_eighth_error: the same of F_1/8.
        clusters: of k-means.
        n: samples of each set.
    """

    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f_8: float
    f_eighth: float
    f_8_error: float
    f_eighth_error: float
    clusters: int
    n: int


def prd_curve(
    real: Float[Tensor, " k"], generated: Float[Tensor, " k"], *, angles: int = ANGLES
) -> tuple[Float[Tensor, " a"], Float[Tensor, " a"]]:
    """Precision alpha and recall beta of the histogram Q against P at slopes lambda = tan(angle).

        alpha(lambda) = sum_i min(lambda p_i, q_i),    beta(lambda) = sum_i min(p_i, q_i / lambda)

    The angles are equidistant within (0, pi/2), its ends left out. Sajjadi et al. 2018, equations 3 and 4, algorithm 1.

    Args:
        real: P, counts or shares of real samples.
        generated: Q, of generated ones.
        angles: points of the curve.

    Raises:
        InputError: a histogram without samples.
    """
    if not float(real.sum()) > 0 or not float(generated.sum()) > 0:
        raise InputError("a histogram without samples has no precision and recall: give at least one of each")
    p, q = wide(real) / wide(real).sum(), wide(generated) / wide(generated).sum()
    slopes = torch.linspace(1e-10, math.pi / 2 - 1e-10, angles, dtype=p.dtype, device=p.device).tan()[:, None]
    alpha = torch.minimum(slopes * p, q).sum(1)
    return alpha.clamp(0, 1), (alpha / slopes[:, 0]).clamp(0, 1)


def f_beta(precision: Float[Tensor, " a"], recall: Float[Tensor, " a"], beta: float | int) -> float:
    """max over the curve of (1 + b^2) p r / (b^2 p + r)."""
    below = beta**2 * precision + recall
    score = torch.where(below > 0, (1 + beta**2) * precision * recall / below.clamp(min=1e-300), 0)
    return float(score.max())


def prd(
    real: Float[Tensor, "n d"],
    generated: Float[Tensor, "m e"],
    *,
    generator: torch.Generator,
    clusters: int = 20,
    runs: int = 10,
) -> PRD:
    """The curve on k-means clusters of the union, the mean of several runs; the larger set is cut down to the smaller.

    Reference: Sajjadi et al. 2018, Assessing generative models via precision and recall, section 4 (20 clusters, 1001 angles, 10
    runs, equally many samples of both).

    Args:
        real: features of real samples.
        generated: features of generated samples.
        generator: of the choice of samples and of the clusters.
        clusters: of k-means, at most the samples there are.
        runs: of k-means.

    Raises:
        InputError: different dimensions, no rows, numbers that are not finite, or more clusters than samples.
    """
    checked(real, generated)
    n = min(len(real), len(generated))
    if not 1 <= clusters <= 2 * n or runs < 1:
        raise InputError(f"{clusters} `clusters` in {runs} `runs`: give at least 1 run, and from 1 to {2 * n} clusters")
    both = [x if len(x) == n else x[torch.randperm(len(x), generator=generator)[:n].to(x.device)] for x in (real, generated)]
    union = torch.cat(both)
    curves, scores = [], []
    for _ in range(runs):
        cell = kmeans(union, clusters, generator=generator)[1]
        curve = torch.stack(prd_curve(*(part.bincount(minlength=clusters).cpu().double() for part in cell.split(n))))
        curves.append(curve)
        scores.append((f_beta(curve[0], curve[1], 8.0), f_beta(curve[0], curve[1], 1 / 8)))
    mean, found = torch.stack(curves).mean(0), torch.tensor(scores, dtype=torch.float64)
    spread = found.std(0, correction=0).tolist()
    wide_f, narrow_f = (f_beta(mean[0], mean[1], beta) for beta in (8.0, 1 / 8))
    return PRD(tuple(mean[0].tolist()), tuple(mean[1].tolist()), wide_f, narrow_f, spread[0], spread[1], clusters, n)


def kmeans(
    x: Float[Tensor, "n d"], k: int, *, generator: torch.Generator, starts: int = 1
) -> tuple[Float[Tensor, "k d"], Int[Tensor, " n"]]:
    """Lloyd's algorithm from k-means++ centres, to its fixed point or 100 steps: centres and the cell of each row.

    A cell that loses all its rows keeps its centre. Reference: Arthur & Vassilvitskii 2007, k-means++.

    Args:
        x: rows, at least k.
        k: cells, >= 1.
        generator: of the first centres.
        starts: the best of so many, by the sum of squared distances.

    Raises:
        InputError: fewer rows than cells.
    """
    if not 1 <= k <= len(x):
        raise InputError(f"{k} cells of {len(x)} rows: give from 1 to {len(x)}")
    shift = x.mean(0)
    rows = x - shift  # so that the matrix product loses little
    found = [_lloyd(rows, k, generator) for _ in range(starts)]
    centres, cell, _ = min(found, key=lambda run: run[2])
    return centres + shift, cell


def _lloyd(x: Tensor, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    squares = x.square().sum(1)
    centres = _plus_plus(x, squares, k, generator)
    cell = x.new_full((len(x),), -1, dtype=torch.int64)
    for _ in range(STEPS):
        low, now = torch.addmm(centres.square().sum(1), x, centres.T, alpha=-2).min(1)
        if torch.equal(now, cell):
            break
        cell = now
        sums = torch.zeros_like(centres).index_add_(0, cell, x)
        counts = cell.bincount(minlength=k)[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return centres, cell, float(wide(low + squares).sum())


def _plus_plus(x: Tensor, squares: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Each centre a row, drawn in proportion to its squared distance to the nearest centre so far."""
    chosen = [int(torch.randint(len(x), (1,), generator=generator))]
    left = torch.full_like(squares, math.inf)
    for _ in range(k - 1):
        last = x[chosen[-1]]
        left = torch.minimum(left, (squares + last.square().sum() - 2 * (x @ last)).clamp(min=0))
        left[chosen[-1]] = 0
        steps = wide(left).cumsum(0)
        drawn = torch.rand((), generator=generator, dtype=torch.float64).to(steps) * steps[-1]
        chosen.append(min(int(torch.searchsorted(steps, drawn, right=True)), len(x) - 1))
    return x[chosen]
