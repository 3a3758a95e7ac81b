"""Fidelity and variety by nearest-neighbour balls: precision, recall, density, coverage, from one pass over three matrices.

NND_k(x_i) is the distance of x_i to its k-th nearest other row of its own set: the (k + 1)-th smallest, itself included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.metrics.distances import BLOCK, Pairs, Seen, above, checked, kth_nearest, wide


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares of samples that lie in the other set's balls.

    Args:
        precision: generated samples in a real ball.
        recall: real samples in a generated ball.
        k: neighbours that a ball reaches to.
    """

    precision: float
    recall: float
    k: int


@dataclass(frozen=True)
class DensityCoverage:
    """How full the real balls are.

    Args:
        density: real balls a generated sample lies in, over k: about 1 where the laws are equal, and not bounded by it.
        density_error: its standard error over the generated samples, the real ones held.
        coverage: real balls with a generated sample in them.
        expected_coverage: its mean where the laws are equal.
        k: neighbours that a ball reaches to.
    """

    density: float
    density_error: float
    coverage: float
    expected_coverage: float
    k: int


@dataclass(frozen=True)
class Neighbourhoods:
    """Both pairs of measures of one pass."""

    precision_recall: PrecisionRecall
    density_coverage: DensityCoverage


def neighbourhoods(
    real: Float[Tensor, "n d"],
    generated: Float[Tensor, "m e"],
    *,
    k: int = 3,
    k_density: int = 5,
    block: int = BLOCK,
    seen: tuple[Seen | None, Seen | None, Seen | None] = (None, None, None),
) -> Neighbourhoods:
    """Improved precision and recall, and density and coverage.

        precision = 1/m sum_j max_i 1[|y_j - x_i| <= NND_k(x_i)],      recall the same with the sets exchanged,
        density = 1/(k m) sum_j sum_i 1[|y_j - x_i| < NND_k(x_i)],     coverage = 1/n sum_i max_j 1[|y_j - x_i| < NND_k(x_i)]

    The balls of the first two are closed, as in the paper's equation 1, those of the others open, as in the authors' code; it
    matters only where distances are equal, as among copies. No comparison is decided by rounding: `pinxit.metrics.distances`.

    Reference: Kynkaanniemi et al. 2019, Improved precision and recall metric, equations 1 and 2 (k = 3); Naeem et al. 2020,
    Reliable fidelity and diversity metrics, equations 5 and 6 (k = 5).

    Args:
        real: features x of real samples, more than both k.
        generated: features y of generated samples, more than `k`.
        k: neighbours for precision and recall.
        k_density: neighbours for density and coverage.
        block: side of a tile: memory is the features once more, and a few of these.
        seen: called with every tile of the real ones, of the generated ones, and between them.

    Raises:
        InputError: different dimensions, too few rows, or numbers that are not finite.
    """
    checked(real, generated)
    n, m = len(real), len(generated)
    own = kth_nearest(real, max(k, k_density), block=block, seen=seen[0])
    others = kth_nearest(generated, k, block=block, seen=seen[1])[:, k - 1]
    closed, opened = own[:, k - 1], own[:, k_density - 1]
    pairs = Pairs(real, generated)
    closed, opened, others = (radius / pairs.unit for radius in (closed, opened, others))
    precise, recalled, covered = (torch.zeros(size, dtype=torch.bool, device=real.device) for size in (m, n, n))
    balls = wide(real[:0]).new_zeros(m)
    widest = torch.maximum(closed, opened)
    for rows, columns, low in pairs.tiles(block):
        if seen[2] is not None:
            seen[2](pairs, rows, columns, low)
        near = (low <= above(widest[rows], low)[:, None]).logical_or_(low <= above(others[columns], low))
        i, j = near.nonzero(as_tuple=True)
        bound = low[i, j]
        i, j = i + rows.start, j + columns.start
        squared = pairs.settled(i, j, bound, closed[i], opened[i], others[j])
        precise[j[squared <= closed[i]]] = True
        recalled[i[squared <= others[j]]] = True
        inside = squared < opened[i]
        covered[i[inside]] = True
        balls += j[inside].bincount(minlength=m)
    precision, recall, coverage = (float(found.cpu().double().mean()) for found in (precise, recalled, covered))
    expected = expected_coverage(n, m, k_density)
    return Neighbourhoods(
        PrecisionRecall(precision, recall, k), DensityCoverage(*_density(balls, k_density), coverage, expected, k_density)
    )


def _density(balls: Float[Tensor, " m"], k: int) -> tuple[float, float]:
    """The mean of the real balls around each generated sample over k, and its standard error."""
    m = len(balls)
    total, squares = float(balls.sum()), float(balls.square().sum())  # whole numbers: the order of samples changes nothing
    return total / (k * m), math.sqrt((squares - total**2 / m) / (m * max(m - 1, 1))) / k


def precision_recall(real: Float[Tensor, "n d"], generated: Float[Tensor, "m e"], *, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall alone: see `neighbourhoods`."""
    return neighbourhoods(real, generated, k=k, k_density=k).precision_recall


def density_coverage(real: Float[Tensor, "n d"], generated: Float[Tensor, "m e"], *, k: int = 5) -> DensityCoverage:
    """Density and coverage alone: see `neighbourhoods`."""
    return neighbourhoods(real, generated, k=k, k_density=k).density_coverage


def expected_coverage(n: int, m: int, k: int) -> float:
    """E[coverage] of n real and m generated samples of one law: 1 - prod_{i=1}^{k} (n - i) / (n + m - i), or about 1 - 2^-k.

    A real sample is not covered where its k nearest of the n + m - 1 others are real: Naeem et al. 2020, section 3.3.
    """
    return 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
