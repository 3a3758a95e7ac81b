"""How far mass must be moved: the Wasserstein distance, exact for small samples, and sliced, exact in each direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.distances import checked, wide

DIRECTIONS = 256


@dataclass(frozen=True)
class Sliced:
    """A sliced Wasserstein distance.

    Args:
        value: the mean over the directions.
        standard_error: of that mean: what other directions would change, not what other samples would.
        directions: how many.
    """

    value: float
    standard_error: float
    directions: int


def wasserstein_1d(a: Float[Tensor, "n p"], b: Float[Tensor, "m p"]) -> Float[Tensor, " p"]:
    """W1 between the samples of each column, exact: integral over t in [0, 1] of |F_a^-1(t) - F_b^-1(t)|.

    The sample quantiles are steps, of width 1/n and 1/m; between two steps of either the integrand is constant. For n = m
    it is the mean of |a_(i) - b_(i)|, the sorted samples paired.

    Raises:
        InputError: one of them is empty.
    """
    n, m = len(a), len(b)
    if not n or not m:
        raise InputError(f"{n} and {m} samples: a distance needs at least one of each")
    a, b = a.sort(dim=0).values, b.sort(dim=0).values
    if n == m:
        return (a - b).abs().mean(dim=0)
    # In units of 1/(nm) every step is a whole number, so that none is lost to rounding.
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    widths = torch.diff(ends, prepend=ends.new_zeros(1))
    i, j = (ends - 1) // m, (ends - 1) // n
    weights = widths.to(a.device, a.dtype) / (n * m)
    return weights @ (a.index_select(0, i.to(a.device)) - b.index_select(0, j.to(a.device))).abs()


def directions(d: int, count: int, seed: int) -> Float[Tensor, "d p"]:
    """`count` unit vectors of d dimensions, uniform on the sphere, float64, fixed by `seed`."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(d, count, generator=generator, dtype=torch.float64)
    return drawn / drawn.norm(dim=0)


def sliced_wasserstein(x: Float[Tensor, "n d"], y: Float[Tensor, "m e"], *, count: int = DIRECTIONS, seed: int = 0) -> float:
    """Sliced W1 = E_theta W1(<x, theta>, <y, theta>): the value of `sliced` alone."""
    return sliced(x, y, count=count, seed=seed).value


def sliced(x: Float[Tensor, "n d"], y: Float[Tensor, "m e"], *, count: int = DIRECTIONS, seed: int = 0) -> Sliced:
    """Sliced W1 = E_theta W1(<x, theta>, <y, theta>), theta uniform on the unit sphere: `count` seeded directions, each exact.

    In one dimension it is W1 itself. Two samples of one law are not at distance 0: compare with the value for two halves of
    the data of the same sizes.

    Reference: Rabin et al. 2011, Wasserstein barycenter and its application to texture mixing; Bonneel et al. 2015.

    Args:
        x: samples.
        y: other samples.
        count: directions, >= 1.
        seed: of the directions.

    Raises:
        InputError: samples of different dimension, or none.
    """
    if x.shape[1] != y.shape[1]:
        raise InputError(f"samples of {x.shape[1]} and {y.shape[1]} dimensions: a distance needs equal ones")
    if count < 1:
        raise InputError(f"`count` is {count}: at least one direction is needed")
    theta = directions(x.shape[1], count, seed).to(wide(x[:0]))
    each = torch.cat([wasserstein_1d(wide(x) @ part, wide(y) @ part) for part in theta.split(64, dim=1)])
    return Sliced(float(each.mean()), float(each.std()) / math.sqrt(count) if count > 1 else math.nan, count)


def wasserstein(x: Float[Tensor, "n d"], y: Float[Tensor, "m e"], *, p: float | int = 1) -> float:
    """W_p = (min over plans of E |x - y|_2^p)^(1/p) between two samples, exact, by the network simplex.

    It takes n m numbers of memory and seconds at n = m = 2,000. In many dimensions W_p of samples falls like n^(-1/d) only.

    Args:
        x: samples.
        y: other samples.
        p: >= 1.

    Raises:
        InputError: samples of different dimension, none, numbers that are not finite, `p` below 1, no optimum found, or POT is
            not installed.
    """
    checked(x, y)
    if not p >= 1:
        raise InputError(f"`p` is {p}: a Wasserstein distance has `p` >= 1")
    try:
        import ot
    except ImportError:
        raise InputError("the exact Wasserstein distance needs POT: pip install 'pinxit[eval]'") from None
    a, b = x.cpu().double(), y.cpu().double()
    cost = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").pow(p).numpy()
    plan, log = ot.emd([], [], cost, numItermax=10**8, log=True, check_marginals=False)
    if log["warning"] is not None:
        raise InputError(f"no optimal plan for {len(x)} and {len(y)} samples ({log['warning']}): give fewer")
    return float((plan * cost).sum()) ** (1 / p)
