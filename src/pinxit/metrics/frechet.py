"""The Frechet distance of two sets of features, each taken for a Gaussian; "FID" only where they are Inception-2015's."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError


def moments(features: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and unbiased covariance in float64; raises InputError for fewer than two rows."""
    if len(features) < 2:
        raise InputError(f"{len(features)} rows of features have no covariance: give at least 2")
    rows = features.double()
    return rows.mean(dim=0), rows.T.cov()


def frechet_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """|mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017, eq. 6).

    The trace of the root is the sum of the roots of the eigenvalues of S_x^(1/2) S_y S_x^(1/2), in float64. Of n samples the
    estimate is too great by about a term in 1/n: compare numbers of the same n only.

    Args:
        x: features of one set.
        y: features of the other.
    """
    (mu_x, s_x), (mu_y, s_y) = moments(x), moments(y)
    values, vectors = torch.linalg.eigh(s_x)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ s_y @ root).clamp(min=0).sqrt().sum()
    return float((mu_x - mu_y).square().sum() + s_x.trace() + s_y.trace() - 2 * cross)
