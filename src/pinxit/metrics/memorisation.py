"""Is the training set copied? Three statistics of nearest-neighbour distances, each against held-out real samples.

None of them means anything alone: on MNIST's pixels 62 % of held-out real samples are "authentic", on Fashion-MNIST's 71 %. So
generated and held-out samples are exchanged at random, and each statistic is set against its law under that.

The distances should be among features. On pixels blur lies near everything and reads as copying, and noise hides a copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.distances import checked, wide
from pinxit.metrics.nearest import authenticity, copying, lower_tail, nearest, rank_z
from pinxit.metrics.prd import kmeans

ALPHA = 0.002
"""Probability that a sampler of the data's own law is called a copier."""
EXCHANGES = 1999
QUANTILE = 0.01


@dataclass(frozen=True)
class Statistic:
    """A statistic of the generated samples beside what it is of held-out real ones.

    Args:
        value: of the generated samples.
        null: of held-out real ones; for the ranks, which compare both, the mean where both are exchanged at random: near 0.
        p: probability of a value so far towards copying where both have one law.
    """

    value: float
    null: float
    p: float


@dataclass(frozen=True)
class Memorisation:
    """What the nearest training samples say of copying.

    Args:
        z: Mann-Whitney's Z_U of the distances, generated against held-out, in one cell; far below 0: nearer than real ones.
        c_t: the same within cells of the training set, weighted by held-out mass.
        authenticity: share farther from their nearest training sample than that one from its own nearest.
        tail: share nearer than the 1st percentile of held-out real samples; its p-value is exact.
        alpha: the verdict's false-alarm rate.
        generated: samples judged.
        held_out: real samples kept from training.
        train: training samples looked among.
    """

    z: Statistic
    c_t: Statistic
    authenticity: Statistic
    tail: Statistic
    alpha: float
    generated: int
    held_out: int
    train: int

    @property
    def copies(self) -> bool:
        """Whether the tail or Z_U is too far towards copying: each at half of `alpha`, so that both together keep to it."""
        return min(self.tail.p, self.z.p) <= self.alpha / 2

    @property
    def verdict(self) -> str:
        """One line in plain words."""
        rate = f"false-alarm rate at most {100 * self.alpha:g} %"
        share = f"{100 * self.tail.value:.1f} % of samples are nearer to the training set than 1 % of held-out real ones"
        said = "copies of training samples" if self.copies else "no copying found"
        return f"{said}: {share} (p = {self.tail.p:.2g}), Z_U = {self.z.value:.1f} (p = {self.z.p:.2g}); {rate}"


def memorisation(
    generated: Float[Tensor, "n d"],
    train: Float[Tensor, "t e"],
    held_out: Float[Tensor, "m f"],
    *,
    generator: torch.Generator,
    cells: int = 3,
    alpha: float = ALPHA,
    exchanges: int = EXCHANGES,
) -> Memorisation:
    """C_T, authenticity and the lower tail of the nearest distances, against the same of held-out real samples.

    Where generated and held-out samples have one law they are exchangeable, so that p = (1 + #{exchanged <= found}) / (1 + B)
    holds at every sample size. The verdict is by the tail, which sees few copies among many good samples, and by Z_U, which
    sees all samples a little too near. C_T and authenticity are reported: both move with the density of what is generated too.

    What cannot be seen: copies farther from their original than real samples are from each other, in the features given.

    Reference: Meehan et al. 2020, A non-parametric test to detect data-copying (C_T, cells with a generated share above 20/m);
    Alaa et al. 2022, How faithful is your synthetic data?, section 3.3 (authenticity).

    Args:
        generated: features of generated samples.
        train: features of training samples, two at least.
        held_out: features of real samples of the data's law that were not trained on; none may be in `train`.
        generator: of the cells and the exchanges.
        cells: of k-means on `train`.
        alpha: the verdict's false-alarm rate.
        exchanges: B; 2 / `alpha` at least.

    Raises:
        InputError: no samples, different dimensions, numbers that are not finite, or too few exchanges for `alpha`.
    """
    checked(generated, train)
    checked(held_out, train, least=2)
    if not 0 < alpha < 1 or exchanges + 1 < 2 / alpha:
        raise InputError(f"`alpha` {alpha} with {exchanges} `exchanges`: p-values reach alpha/2 only from 2/alpha on")
    both = torch.cat([generated, held_out])
    distance, hit = (found[:, 0] for found in nearest(both, train))
    reached, back = hit.unique(return_inverse=True)
    own = nearest(train[reached], train, exclude=reached)[0][:, 0][back]
    cell = _cells(both, train, min(cells, len(train)), generator).cpu()
    distance, own = distance.cpu(), own.cpu()
    n, m = len(generated), len(held_out)
    genuine = (distance > own).double()
    near, real = distance[:n], distance[n:]
    tau = 20 / m
    value = {
        "z": rank_z(near, real),
        "c_t": copying(near, real, (cell[:n], cell[n:]), tau=tau),
        "authenticity": authenticity(near, own[:n]),
    }
    null = _exchanged(distance, cell, genuine, n, tau, exchanges, generator)
    usual = {name: float(values.nanmean()) for name, values in null.items()} | {"authenticity": authenticity(real, own[n:])}
    found = {name: Statistic(value[name], usual[name], _p(value[name], null[name])) for name in value}
    share, p = lower_tail(near, real, quantile=QUANTILE)
    tail = Statistic(share, lower_tail(real, real, quantile=QUANTILE)[0], p)
    return Memorisation(found["z"], found["c_t"], found["authenticity"], tail, alpha, n, m, len(train))


def _p(value: float, null: Tensor) -> float:
    """The share of values at least as far down, the found one counted in; 1 where there is no value."""
    null = null[~null.isnan()]
    if math.isnan(value):
        return 1.0
    return (1 + int((null <= value + 1e-9).sum())) / (1 + len(null))


def _cells(rows: Tensor, train: Tensor, k: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    centres = kmeans(train, k, generator=generator)[0]
    return torch.cdist(wide(rows), wide(centres)).argmin(1)


def _exchanged(
    distance: Tensor, cell: Tensor, genuine: Tensor, n: int, tau: float, times: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """The three statistics where it is drawn anew which samples are the generated ones."""
    total, m = len(distance), len(distance) - n
    within = torch.zeros(total, dtype=torch.float64)
    for which in cell.unique().tolist():
        within[cell == which] = _ranks(distance[cell == which])
    overall, kinds = _ranks(distance), torch.nn.functional.one_hot(cell).double()
    ranks = kinds * within[:, None]
    found: dict[str, list[Tensor]] = {"z": [], "c_t": [], "authenticity": []}
    for start in range(0, times, 100):
        order = torch.rand(min(100, times - start), total, generator=generator).argsort(1)[:, :n]
        chosen = torch.zeros(len(order), total, dtype=torch.float64).scatter_(1, order, 1.0)
        found["z"].append(_z(chosen @ overall, n, m))
        found["authenticity"].append(chosen @ genuine / n)
        count = chosen @ kinds
        rest = kinds.sum(0) - count
        weight = torch.where((count > tau * n) & (count > 0), rest, 0)
        # A cell without held-out samples has no weight; its Z is not a number.
        z = torch.where(weight > 0, _z(chosen @ ranks, count, rest), 0)
        found["c_t"].append((weight * z).sum(1) / weight.sum(1))
    return {name: torch.cat(parts) for name, parts in found.items()}


def _z(rank_sum: Tensor, n: int | Tensor, m: int | Tensor) -> Tensor:
    """Mann-Whitney's Z from the sum of the ranks of the n among all n + m."""
    return (rank_sum - n * (n + m + 1) / 2) / torch.as_tensor(n * m * (n + m + 1) / 12).sqrt()


def _ranks(x: Tensor) -> Tensor:
    """1 to n, equal ones sharing their mean."""
    ordered = x.sort().values
    below, above = torch.searchsorted(ordered, x.contiguous()), torch.searchsorted(ordered, x.contiguous(), right=True)
    return (below + above + 1).double() / 2
