"""What the lab asks of its arguments: every refusal names the argument, its value and the constraint."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinxit.core.errors import InputError

Array = NDArray[np.float64]
SLACK = 1e-9
"""How far from one a sum may be."""


def finite(values: ArrayLike, name: str, shape: tuple[int | None, ...] | None = None) -> Array:
    """`values` as float64, all finite; of `shape`, where a length that is None may be anything."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"`{name}` has an entry that is not finite: all must be")
    if shape is not None and (
        len(shape) != array.ndim or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True))
    ):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise InputError(f"`{name}` has shape {array.shape}: it must be ({wanted}{',' if len(shape) == 1 else ''})")
    return array


def within(values: ArrayLike, name: str, low: float, high: float = math.inf) -> Array:
    """`values` as float64, all of them finite and in [low, high]."""
    array = finite(values, name)
    if ((array < low) | (array > high)).any():
        worst = array[(array < low) | (array > high)].flat[0]
        raise InputError(
            f"`{name}` is {worst:.6g}: it must be " + (f">= {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]")
        )
    return array


def positive(value: float, name: str) -> float:
    """A finite number > 0."""
    if not 0 < value < math.inf:
        raise InputError(f"`{name}` is {value}: it must be > 0, and finite")
    return float(value)


def at_least(value: float, name: str, least: float) -> None:
    """Refuse a number that is not finite or below `least` (a size, a count, an order)."""
    if not least <= value < math.inf:
        raise InputError(f"`{name}` is {value}: it must be >= {least:g}, and finite")


def instance(value: object, kind: type, name: str, make: str) -> None:
    """Refuse what is not of `kind`, which the expression `make` makes."""
    if not isinstance(value, kind):
        raise InputError(f"`{name}` is of type {type(value).__name__}: it must be of type {kind.__name__}, as {make} gives")


def distribution(p: ArrayLike, name: str = "p") -> Array:
    """`p` as float64, checked; raises InputError for a negative or non-finite entry or a sum that is not one."""
    array = np.asarray(p, dtype=np.float64)
    if not array.size or not np.isfinite(array).all() or array.min() < 0:
        raise InputError(f"`{name}` has {array.size} entries, some not finite or below 0: probabilities must be >= 0")
    if abs(array.sum() - 1) > SLACK:
        raise InputError(f"`{name}` sums to {array.sum():.12g}: probabilities must sum to 1, so divide by the sum, in float64")
    return array


def same_points(**arrays: Array) -> None:
    """Refuse arrays of different shapes."""
    (first, one), *others = arrays.items()
    for name, other in others:
        if other.shape != one.shape:
            raise InputError(f"`{first}` has shape {one.shape} and `{name}` {other.shape}: both must live on the same points")


def covariance(values: ArrayLike, name: str = "covariance") -> Array:
    """(d, d) as float64: finite, symmetric, of positive eigenvalues."""
    s = finite(values, name)
    if s.ndim != 2 or s.shape[0] != s.shape[1] or not np.allclose(s, s.T, rtol=1e-12, atol=0):
        raise InputError(f"`{name}` has shape {s.shape}: it must be square and symmetric")
    if (least := np.linalg.eigvalsh(s).min()) <= 0:
        raise InputError(f"`{name}` has the eigenvalue {least:.3g}: all must be > 0")
    return s
