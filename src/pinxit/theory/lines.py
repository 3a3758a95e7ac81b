"""Two parallel lines: P_0 = (0, Z) and P_t = (t, Z) with Z uniform on [0, 1] (Arjovsky et al. 2017, example 1).

    JS(P_0, P_t) = log 2 for every t != 0, and 0 at t = 0        W1(P_0, P_t) = |t|

What trained networks make of it: a discriminator's (V + log 4)/2, a penalised critic's E f - E f_t, and the derivatives of
both by t, as a generator would receive them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.losses.adversarial import discriminator_loss
from pinxit.theory import checks, critics

DISTANCES = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Measured:
    """One distance t: the estimates on fresh points, and their derivatives by t with the networks held fixed."""

    distance: float
    js: float
    wasserstein: float
    js_gradient: float
    wasserstein_gradient: float


def points(distance: float, n: int, generator: torch.Generator) -> Tensor:
    """`n` points (n, 2) of P_t, float32."""
    checks.finite(distance, "distance", ())
    checks.at_least(n, "n", 1)
    z = torch.rand(n, generator=generator)
    return torch.stack([torch.full((n,), float(distance)), z], dim=1)


def measure(distance: float, *, n: int = 256, fresh: int = 4096, seed: int = 0) -> Measured:
    """Train a discriminator and a WGAN-GP critic on `n` points of each line and judge them on `fresh` others.

    The draws of Z and the networks' first weights are the same at every distance: neighbours differ by the distance alone.
    """
    generator = torch.Generator().manual_seed(seed_of("lines", seed))
    x, x_fake = points(0.0, n, generator), points(distance, n, generator)
    discriminator = critics.train_discriminator(x, x_fake, seed=seed)
    critic = critics.train(x, x_fake, "penalty", steps=700, seed=seed)
    x, z = points(0.0, fresh, generator), points(0.0, fresh, generator)
    js, js_gradient = _judged(discriminator, x, z, distance, js=True)
    wasserstein, wasserstein_gradient = _judged(critic, x, z, distance, js=False)
    return Measured(distance, js, wasserstein, js_gradient, wasserstein_gradient)


def _judged(network: nn.Module, x: Tensor, z: Tensor, distance: float, *, js: bool) -> tuple[float, float]:
    """An estimate and its derivative by t; z (n, 2) are points of P_0 to be moved to P_t."""
    t = torch.tensor(float(distance), requires_grad=True)
    d, d_fake = network(x), network(z + t * torch.tensor([1.0, 0.0]))
    estimate = math.log(2) - 0.5 * discriminator_loss(d, d_fake) if js else d.mean() - d_fake.mean()
    (gradient,) = torch.autograd.grad(estimate, t)
    return float(estimate.detach()), float(gradient)


def slopes(distances: Sequence[float], values: Sequence[float]) -> list[float]:
    """The differences of neighbours divided by their distance; raises InputError where there is none, or not a value each."""
    checks.finite(values, "values", checks.finite(distances, "distances", (None,)).shape)
    if any(t0 == t1 for t0, t1 in pairwise(distances)):
        raise InputError(f"`distances` is {list(distances)}: neighbours must differ")
    pairs = zip(pairwise(distances), pairwise(values), strict=True)
    return [(v1 - v0) / (t1 - t0) for (t0, t1), (v0, v1) in pairs]


def one_side(measured: Sequence[Measured], sign: int, least: float = 0.25) -> list[Measured]:
    """Those with sign * t >= least, in order of t."""
    if sign not in (-1, 1):
        raise InputError(f"`sign` is {sign}: it must be -1 or 1")
    return sorted((m for m in measured if sign * m.distance >= least), key=lambda m: m.distance)


def bars(measured: Sequence[Measured]) -> dict[str, float]:
    """The worst of every figure that docs/theory.md bounds, over |t| >= 0.25: errors, and slopes between neighbours.

    The penalised optimum overshoots: for a linear critic of slope a, a t - lambda (a - 1)^2 is greatest at
    a = 1 + t / (2 lambda), so with lambda = 10 the estimate is up to 5 % and its slope up to 10 % too large at t = 1.
    """
    sides = [one_side(measured, sign) for sign in (-1, 1)]
    if min(map(len, sides)) < 2:
        raise InputError(
            f"`measured` has {len(sides[0])} and {len(sides[1])} distances t <= -0.25 and >= 0.25: 2 each are needed"
        )
    away = [m for side in sides for m in side]
    out = {
        "js_error": max(abs(m.js - math.log(2)) for m in away),
        "wasserstein_relative_error": max(abs(m.wasserstein / abs(m.distance) - 1) for m in away),
        "js_gradient": max(abs(m.js_gradient) for m in away),
        "wasserstein_gradient_error": max(abs(abs(m.wasserstein_gradient) - 1) for m in away),
    }
    for name in ("js", "wasserstein"):
        found = [s for side in sides for s in slopes([m.distance for m in side], [getattr(m, name) for m in side])]
        out[f"{name}_slope" if name == "js" else f"{name}_slope_error"] = max(abs(abs(s) - (name != "js")) for s in found)
    return out
