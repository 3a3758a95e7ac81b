"""Kernel distance, precision, recall, density and coverage from one pass: all of them are functions of the same inner products.

    |x - y|^2 = |x|^2 + |y|^2 - 2 <x, y>,   k(x, y) = (<x, y> / d + 1)^3

The three matrix products are nearly all that either costs, so both together take little more than one of them.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from pinxit.metrics.distances import Pairs, Seen, checked
from pinxit.metrics.kernel import KernelDistance, Sums, of_sums
from pinxit.metrics.precision_recall import Neighbourhoods, neighbourhoods


def kernel_and_neighbourhoods(
    real: Float[Tensor, "n d"], generated: Float[Tensor, "m e"], *, k: int = 3, k_density: int = 5
) -> tuple[KernelDistance, Neighbourhoods]:
    """`kernel_distance` and `neighbourhoods` of the same features.

    The products are those of float32, about the mean of the columns; sums are in float64. The value errs by no more than
    `kernel_distance` says: 1e-4 of its standard error for activations of 2,048 dimensions, 2e-5 measured.

    Args:
        real: features of real samples.
        generated: features of generated samples.
        k: neighbours for precision and recall.
        k_density: neighbours for density and coverage.

    Raises:
        InputError: different dimensions, too few rows, or numbers that are not finite.
    """
    checked(real, generated, least=3)
    n, m = len(real), len(generated)
    sums = Sums(n, None, real), Sums(m, None, generated), Sums(n, m, real)
    balls = neighbourhoods(real, generated, k=k, k_density=k_density, seen=(into(sums[0]), into(sums[1]), into(sums[2])))
    return of_sums(*sums), balls


def into(sums: Sums) -> Seen:
    """What turns a tile of distances into one of k, and adds it up."""

    def add(pairs: Pairs, rows: slice, columns: slice, low: Tensor) -> None:
        z = pairs.products(rows, columns, low).div_(pairs.x.shape[1]).add_(1)
        sums.add(rows, columns, z.square().mul_(z))

    return add
