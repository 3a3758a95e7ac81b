"""Squared Euclidean distances of all pairs, a tile at a time: fast in float32, and right where a decision hangs on them.

|x|^2 + |y|^2 - 2 <x, y> is one matrix product and loses what it cancels. Its error is bounded:

    |computed - exact| <= (d + 16) u (|x|^2 + |y|^2),   u = 2^-24, x and y about a common mean

(Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1: a sum of d products errs by at most d u of the sum
of their magnitudes; 16 more for the centring, the norms and the additions). A tile therefore holds *lower bounds*; a pair whose
interval contains the threshold in question is taken anew by subtraction in float64. So a copy is at distance 0, equal pairs of
rows are at equal distances, and no comparison is decided by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core.errors import InputError

BLOCK = 1024
"""Rows and columns of a tile: 4 MB."""
PLAIN = 8
"""Dimensions up to which distances are taken by subtraction throughout."""
SPARE = 4
"""Candidates kept beyond the neighbours asked for."""
PAIRS = 2**18
"""Numbers held at once where pairs are taken by subtraction: 2 MB in float64, which stay in the processor's cache."""


GREATEST = 1e150
"""Of float64 features; those of a smaller format can't be as great."""


def wide(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """In float64, or in float32 on a device that has no more (Apple's)."""
    return x.float() if x.device.type == "mps" else x.double()


def checked(x: Float[Tensor, "n d"], y: Float[Tensor, "m e"], *, least: int = 1) -> None:
    """Refuse what no metric of two sets of features can use.

    Raises:
        InputError: no rows of numbers, fewer than `least`, different dimensions, or numbers that are not finite or too great.
    """
    for rows in (x, y):
        if not isinstance(rows, Tensor) or rows.ndim != 2:
            got = f"a tensor of shape {tuple(rows.shape)}" if isinstance(rows, Tensor) else f"a {type(rows).__name__}"
            raise InputError(f"features are {got}: they must be a tensor of rows (n, d)")
    if x.shape[1] != y.shape[1]:
        raise InputError(f"features of {x.shape[1]} and {y.shape[1]} dimensions: take both from the same extractor")
    for rows in (x, y):
        if len(rows) < least:
            raise InputError(f"{len(rows)} rows of features are too few: give at least {least}")
        if not bool(rows.isfinite().all()):
            bad = int((~rows.isfinite().all(1)).sum())
            raise InputError(f"{bad} of {len(rows)} rows of features are not finite: leave out or repair their samples")
        if rows.dtype == torch.float64 and rows.numel() and (most := float(rows.abs().max())) > GREATEST:
            raise InputError(f"features reach {most:.3g}, whose squares are no number any more: scale them down")


class Pairs:
    """The squared distances of the rows of `x` to those of `y`, in units of their own (`unit`, a power of two).

    Args:
        x: rows.
        y: columns; None for `x` itself.
    """

    def __init__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"] | None = None) -> None:
        self.x, self.y, self.same = x, x if y is None else y, y is None
        self.plain = x.shape[1] <= PLAIN
        centre = self._centre = _mean(self.y)
        norms = [_squares(rows, centre) for rows in ((self.x,) if self.same else (self.x, self.y))]
        greatest = max((float(n.max()) for n in norms if len(n)), default=0.0)
        # So that no square leaves the range of float32; a power of two rounds nothing.
        self.scale = math.ldexp(1.0, -math.frexp(math.sqrt(greatest))[1]) if 0 < greatest < math.inf else 1.0
        self.unit = self.scale**-2
        exact = torch.get_float32_matmul_precision() == "highest"
        error = 0.0 if self.plain else (x.shape[1] + 16) * (2.0**-24 if exact else 2.0**-8)
        self._bounds = [n * self.scale**2 * (1 - error) for n in norms]
        self._slack = [n * self.scale**2 * error + (0 if self.plain else 2.0**-110) for n in norms]
        if not self.plain:
            self._rows = [_centred(rows, centre, self.scale) for rows in ((self.x,) if self.same else (self.x, self.y))]

    def low(self, rows: slice | Int[Tensor, " r"], columns: slice) -> Float[Tensor, "r c"]:
        """Lower bounds of the squared distances of some rows to some columns; the distances themselves in few dimensions."""
        if self.plain:
            a, b = wide(self.x[rows]), wide(self.y[columns])
            return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square_().mul_(self.scale**2)
        tile = torch.addmm(self._bounds[-1][columns].float(), self._rows[0][rows], self._rows[-1][columns].T, alpha=-2)
        return tile.add_(self._bounds[0][rows].float()[:, None])

    def products(self, rows: slice, columns: slice, low: Float[Tensor, "r c"]) -> Float[Tensor, "r c"]:
        """The inner products <x, y> of a tile, from its lower bounds: no second matrix product.

        <x, y> = (|x - c|^2 + |y - c|^2 - |x - y|^2) / 2 + <x, c> + <y, c> - |c|^2
        """
        if self.plain:
            return wide(self.x[rows]) @ wide(self.y[columns]).T
        across, down = self._sides[0][rows], self._sides[-1][columns]
        return torch.add(across[:, None] + down, low, alpha=-self.unit / 2)

    @cached_property
    def _sides(self) -> list[Tensor]:
        """What rows and columns add to an inner product, in float32."""
        half = self._centre.square().sum() / 2
        sets = (self.x,) if self.same else (self.x, self.y)
        return [
            (bound * self.unit / 2 + torch.cat([wide(part) @ self._centre for part in rows.split(BLOCK)]) - half).float()
            for rows, bound in zip(sets, self._bounds, strict=True)
        ]

    def tiles(self, block: int = BLOCK) -> Iterator[tuple[slice, slice, Float[Tensor, "r c"]]]:
        """Every pair once: rows, columns and their lower bounds; of `x` with itself the tiles on and above the diagonal."""
        for i in range(0, len(self.x), block):
            for j in range(i if self.same else 0, len(self.y), block):
                rows, columns = slice(i, min(i + block, len(self.x))), slice(j, min(j + block, len(self.y)))
                yield rows, columns, self.low(rows, columns)

    def exact(self, i: Int[Tensor, " p"], j: Int[Tensor, " p"]) -> Float[Tensor, " p"]:
        """The squared distances of pairs by subtraction, in float64: 0 for copies, the same for equal pairs."""
        step = max(2, PAIRS // max(1, self.x.shape[1]))
        sums = []
        for a, b in zip(i.split(step), j.split(step), strict=True):
            # A row alone may be added up in another order than one among many.
            alone = len(a) == 1
            part = wide(self.x[a.expand(2) if alone else a]).sub_(self.y[b.expand(2) if alone else b])
            sums.append(part.mul_(part).sum(1)[: len(a)])
        return torch.cat(sums) * self.scale**2

    def settled(
        self, i: Int[Tensor, " p"], j: Int[Tensor, " p"], low: Float[Tensor, " p"], *thresholds: Float[Tensor, " p"]
    ) -> Float[Tensor, " p"]:
        """Squared distances of pairs that lie on the right side of every threshold.

        Args:
            i: rows.
            j: columns.
            low: their lower bounds.
            thresholds: in the units of this object, one a pair each.
        """
        low = wide(low)
        high = low if self.plain else low + 2 * (self._slack[0][i] + self._slack[-1][j])
        near = torch.zeros_like(i, dtype=torch.bool)
        for threshold in thresholds:
            near |= (low <= threshold) & (threshold <= high)
        value = (low + high) / 2
        value[near] = self.exact(i[near], j[near])
        return value


Seen = Callable[[Pairs, slice, slice, Tensor], None]
"""What looks at a tile in passing: pairs, rows, columns and their lower bounds, which it must not change."""


def above(threshold: Float[Tensor, "*shape"], like: Float[Tensor, "r c"]) -> Float[Tensor, "*shape"]:
    """`threshold` rounded up to the precision of a tile, so that a lower bound above it is above the threshold itself."""
    return torch.nextafter(threshold.to(like.dtype), threshold.new_tensor(math.inf, dtype=like.dtype))


def kth_nearest(x: Float[Tensor, "n d"], k: int, *, block: int = BLOCK, seen: Seen | None = None) -> Float[Tensor, "n k"]:
    """Squared distances of each row to its 1st to k-th nearest other rows, ascending: each pair is looked at once.

    The k-th is the (k + 1)-th smallest of all, the row itself included; a copy of the row is an other row, at distance 0.

    Args:
        x: rows, more than k.
        k: neighbours, >= 1.
        block: side of a tile.
        seen: called with every tile.

    Raises:
        InputError: too few rows.
    """
    if not 1 <= k < len(x):
        raise InputError(f"`k` is {k} with {len(x)} samples: it must be in [1, {len(x) - 1}]")
    pairs, best = Pairs(x), _Best(len(x), k, x)
    for rows, columns, low in pairs.tiles(block):
        if seen is not None:
            seen(pairs, rows, columns, low)
        if rows == columns:
            low.fill_diagonal_(math.inf)
        best.offer(rows, columns.start, low)
        if rows != columns:
            best.offer(columns, rows.start, low.T)
    return best.settle(pairs, torch.arange(len(x), device=x.device), block)[0] * pairs.unit


def smallest(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    k: int,
    *,
    exclude: Int[Tensor, " n"] | None = None,
    rows: int = BLOCK,
    columns: int = BLOCK,
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Squared distances to the k nearest rows of `y`, ascending, and their indices.

    Args:
        x: queries.
        y: where to look; k rows at least, and one more with `exclude`.
        k: neighbours.
        exclude: for each query the row of `y` that does not count.
        rows: queries of a tile.
        columns: rows of `y` of a tile.

    Raises:
        InputError: `y` has fewer rows than are asked for.
    """
    least = k + (exclude is not None)
    if len(y) < least:
        raise InputError(f"{len(y)} samples to look among: there must be at least {least}")
    pairs, best = Pairs(x, y), _Best(len(x), k, x)
    for start in range(0, len(x), rows):
        here = slice(start, min(start + rows, len(x)))
        for begin in range(0, len(y), columns):
            low = pairs.low(here, slice(begin, begin + columns))
            if exclude is not None:
                _strike(low, exclude[here] - begin)
            best.offer(here, begin, low)
    value, where = best.settle(pairs, exclude, columns)
    return value * pairs.unit, where


class _Best:
    """The candidates for the k nearest of every row: those of the smallest lower bounds."""

    def __init__(self, n: int, k: int, like: Tensor) -> None:
        self.k = k
        self.low = torch.full((n, k + SPARE), math.inf, dtype=wide(like[:0]).dtype, device=like.device)
        self.where = torch.full((n, k + SPARE), -1, device=like.device)

    def offer(self, rows: slice, start: int, low: Tensor) -> None:
        """Take in a tile, whose first column has the index `start`."""
        values, columns = low.topk(min(self.low.shape[1], low.shape[1]), dim=1, largest=False, sorted=False)
        values = torch.cat([self.low[rows], values.to(self.low.dtype)], 1)
        indices = torch.cat([self.where[rows], columns + start], 1)
        self.low[rows], order = values.topk(self.low.shape[1], dim=1, largest=False)
        self.where[rows] = indices.gather(1, order)

    def settle(self, pairs: Pairs, exclude: Tensor | None, block: int) -> tuple[Tensor, Tensor]:
        """Exact squared distances of the k nearest, ascending, and their indices."""
        n, width = self.low.shape
        rows = torch.arange(n, device=self.low.device)[:, None].expand(-1, width)
        there = self.low < math.inf
        value = torch.full_like(self.low, math.inf)
        value[there] = pairs.exact(rows[there], self.where[there])
        value, where = _ordered(value, self.where, self.k)
        # What is no candidate is at least as far as the bound of the last one: where that is nearer than the k-th, look again.
        open_rows = (value[:, -1] > self.low[:, -1]).nonzero()[:, 0]
        for part in open_rows.split(64):
            value[part], where[part] = self._again(pairs, part, value[part, -1], exclude, block)
        return value, where

    def _again(self, pairs: Pairs, rows: Tensor, kth: Tensor, exclude: Tensor | None, block: int) -> tuple[Tensor, Tensor]:
        """The k nearest of a few rows among all columns whose bound is not above the k-th distance found so far."""
        value = self.low.new_full((len(rows), self.k), math.inf)
        where = torch.full_like(value, -1, dtype=torch.int64)
        for start in range(0, len(pairs.y), block):
            low = pairs.low(rows, slice(start, start + block))
            if exclude is not None:
                _strike(low, exclude[rows] - start)
            i, j = (low <= above(kth, low)[:, None]).nonzero(as_tuple=True)
            tile = torch.full_like(low, math.inf, dtype=value.dtype)
            tile[i, j] = pairs.exact(rows[i], j + start)
            index = torch.arange(start, start + low.shape[1], device=low.device).expand(len(rows), -1)
            value, where = _ordered(torch.cat([value, tile], 1), torch.cat([where, index], 1), self.k)
        return value, where


def _strike(low: Tensor, columns: Tensor) -> None:
    """Make one column a row infinitely far, where it is in the tile."""
    here = ((columns >= 0) & (columns < low.shape[1])).nonzero()[:, 0]
    low[here, columns[here]] = math.inf


def _ordered(value: Tensor, where: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest, ascending, equal ones by their index."""
    where, order = where.sort(dim=1)
    value, again = value.gather(1, order).sort(dim=1, stable=True)
    return value[:, :k], where.gather(1, again)[:, :k]


def _mean(rows: Tensor) -> Tensor:
    total = wide(rows[:0]).sum(0)
    for part in rows.split(BLOCK):
        total = total + wide(part).sum(0)
    return total / max(1, len(rows))


def _squares(rows: Tensor, centre: Tensor) -> Tensor:
    return torch.cat([(wide(part) - centre).square().sum(1) for part in rows.split(BLOCK)])


def _centred(rows: Tensor, centre: Tensor, scale: float) -> Tensor:
    out = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
    for start in range(0, len(rows), BLOCK):
        out[start : start + BLOCK] = (wide(rows[start : start + BLOCK]) - centre) * scale
    return out
