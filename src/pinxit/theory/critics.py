"""Critics trained to the dual of W1 on a fixed pair of distributions, each kept Lipschitz in its own way.

    max over the critic's weights of  E_p f(x) - E_q f(x)

    clip       |weight| <= c after every step: f is K-Lipschitz with an unknown K, and reaches at most K W1
               (Arjovsky et al. 2017, algorithm 1: RMSprop 5e-5, c = 0.01)
    penalty    lambda E (|grad f(x_hat)| - 1)^2, lambda = 10 (Gulrajani et al. 2017, algorithm 1: Adam, beta 0, 0.9)
    spectral   every weight divided by its largest singular value: 1-Lipschitz by construction (Miyato et al. 2018)
    sorted     the same with sorted pairs instead of LeakyReLU: activations that keep the gradient's norm (Anil et al. 2019)

No generator moves here: it is no game, and every number can be held against the exact W1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from pinxit.core.errors import InputError, near
from pinxit.core.rng import seed_of, seeded
from pinxit.diagnostics import lipschitz
from pinxit.losses.adversarial import discriminator_loss, wasserstein_critic_loss
from pinxit.losses.penalties import gradient_penalty
from pinxit.nn.spectral import spectral_norm
from pinxit.theory import checks, transport
from pinxit.theory.densities import Mixture

Constraint = Literal["clip", "penalty", "spectral", "sorted"]
CONSTRAINTS: tuple[Constraint, ...] = ("clip", "penalty", "spectral", "sorted")
CLIP = 0.01
LAMBDA = 10.0


@dataclass(frozen=True)
class Reached:
    """What a trained critic is worth.

    Args:
        value: E_p f - E_q f on the very points that W1 is exact for.
        slope: the greatest gradient found on the points, between them and by climbing: the K of a K-Lipschitz f, from below.
        bound: the product of the layers' norms: K from above.
        on_lines: mean gradient norm at random points between the two sets, where a penalty acts.
    """

    value: float
    slope: float
    bound: float
    on_lines: float

    @property
    def scaled(self) -> float:
        """value / slope: an estimate of W1 by the 1-Lipschitz f / K."""
        return self.value / self.slope


class SortedPairs(nn.Module):
    """(a, b) to (min, max), pair by pair of an even number of features: a permutation at every point (Anil et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, d)."""
        return x.unflatten(1, (-1, 2)).sort(dim=2).values.flatten(1)


def network(widths: Sequence[int], *, sort: bool = False) -> nn.Sequential:
    """Linear layers with LeakyReLU(0.2), or sorted pairs, between; one score (n,), float32; drawn from the default generator."""
    for number, width in enumerate(widths):
        checks.at_least(width, "widths", 1)
        if sort and number and width % 2:
            raise InputError(f"`widths` has {width}: sorted pairs need even hidden widths")
    layers: list[nn.Module] = []
    for d_in, d_out in pairwise((*widths, 1)):
        layers += [nn.Linear(d_in, d_out), SortedPairs() if sort else nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1], nn.Flatten(0))


def train(
    x: Tensor,
    x_fake: Tensor,
    constraint: Constraint,
    *,
    widths: Sequence[int] = (64, 64),
    steps: int = 1500,
    lr: float | None = None,
    lambda_gp: float = LAMBDA,
    clip: float = CLIP,
    seed: int = 0,
) -> nn.Sequential:
    """A critic of x (n, d) against x_fake (m, d), trained on all points at every step; in eval mode.

    Args:
        x: points of p, equally weighted.
        x_fake: points of q, equally weighted.
        constraint: clip, penalty, spectral or sorted.
        widths: of the hidden layers.
        steps: of the optimizer; its rate falls linearly to zero but for clipping, whose paper keeps it.
        lr: by default 5e-5 for clipping (the paper's) and 2e-3 else.
        lambda_gp: weight of the penalty.
        clip: c.
        seed: decides weights and interpolates.

    Raises:
        InputError: another constraint, points of different dimensions, a rate or c that is not > 0, an odd width to be sorted.
    """
    if constraint not in CONSTRAINTS:
        raise InputError(f"unknown `constraint` `{constraint}`: {near(constraint, CONSTRAINTS)}")
    _check_points(x, x_fake)
    checks.at_least(steps, "steps", 0)
    checks.at_least(lambda_gp, "lambda_gp", 0)
    checks.positive(clip, "clip")
    rate = checks.positive((5e-5 if constraint == "clip" else 2e-3) if lr is None else lr, "lr")
    with seeded(seed_of("critic", constraint, seed)):
        critic = network((x.shape[1], *widths), sort=constraint == "sorted").to(x.dtype)
        if constraint in ("spectral", "sorted"):
            spectral_norm(critic)
        moved = list(critic.parameters())
        optimizer: torch.optim.Optimizer
        optimizer = torch.optim.RMSprop(moved, rate) if constraint == "clip" else torch.optim.Adam(moved, rate, betas=(0.0, 0.9))
        pairs = max(len(x), len(x_fake))
        for step in range(steps):
            loss = wasserstein_critic_loss(critic(x), critic(x_fake))
            if constraint == "penalty":
                i, j = torch.randint(len(x), (pairs,)), torch.randint(len(x_fake), (pairs,))
                loss = loss + lambda_gp * gradient_penalty(critic, x[i], x_fake[j])
            optimizer.zero_grad()
            loss.backward()
            if constraint != "clip":
                optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            optimizer.step()
            if constraint == "clip":
                _clip(moved, clip)
    return critic.eval().requires_grad_(False)


def train_discriminator(
    x: Tensor, x_fake: Tensor, *, widths: Sequence[int] = (64, 64), steps: int = 400, lr: float = 1e-2, seed: int = 0
) -> nn.Sequential:
    """Logits of x (n, d) against x_fake (m, d), trained on all points at every step by Adam; in eval mode."""
    _check_points(x, x_fake)
    checks.at_least(steps, "steps", 0)
    checks.positive(lr, "lr")
    with seeded(seed_of("discriminator", seed)):
        discriminator = network((x.shape[1], *widths)).to(x.dtype)
        optimizer = torch.optim.Adam(discriminator.parameters(), lr)
        for step in range(steps):
            optimizer.zero_grad()
            discriminator_loss(discriminator(x), discriminator(x_fake)).backward()
            optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
            optimizer.step()
    return discriminator.eval().requires_grad_(False)


def js_estimate(discriminator: nn.Module, x: Tensor, x_fake: Tensor) -> float:
    """(V(D) + log 4) / 2, a lower bound of JS(p, q) in expectation, reached by D* (Goodfellow et al. 2014, theorem 1)."""
    return math.log(2) - 0.5 * float(discriminator_loss(discriminator(x), discriminator(x_fake)))


def reached(critic: nn.Sequential, x: Tensor, x_fake: Tensor, *, steps: int = 40, seed: int = 0) -> Reached:
    """The value, slopes and bound of a critic on the points that it was trained on."""
    generator = torch.Generator().manual_seed(seed_of("slopes", seed))
    lines = between(x, x_fake, 512, generator)
    everywhere = torch.cat([x, x_fake, lines])
    found = lipschitz.lower(critic, everywhere, steps=steps, generator=generator)
    return Reached(
        float(critic(x).mean() - critic(x_fake).mean()),
        found.value,
        lipschitz.upper(critic, (x.shape[1],)).value,
        float(lipschitz.slopes(critic, lines).mean()),
    )


def between(x: Tensor, x_fake: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """`n` random points on lines between the two sets, one share each."""
    _check_points(x, x_fake)
    checks.at_least(n, "n", 1)
    i = torch.randint(len(x), (n,), generator=generator)
    j = torch.randint(len(x_fake), (n,), generator=generator)
    share = torch.rand(n, 1, generator=generator, dtype=x.dtype)
    return x_fake[j] + share * (x[i] - x_fake[j])


def ring_and_centre(n: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`n` points of eight narrow Gaussians on the unit circle, and `n` of one wide Gaussian at its centre, float32 (n, 2)."""
    checks.at_least(n, "n", 1)
    angles = 2 * np.pi * np.arange(8) / 8
    ring = Mixture.of(np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.05)
    centre = Mixture.of([[0.0, 0.0]], 0.2)
    generator = np.random.default_rng(seed_of("ring", seed))
    x, x_fake = (torch.from_numpy(p.sample(n, generator)).float() for p in (ring, centre))
    return x, x_fake


def exact(x: Tensor, x_fake: Tensor) -> float:
    """W1 of the two sets of points, by the linear programme."""
    _check_points(x, x_fake)
    p, q = transport.Points.of(x.double().numpy()), transport.Points.of(x_fake.double().numpy())
    return transport.wasserstein(p, q)


def weights(critic: nn.Module) -> Tensor:
    """All entries of the linear layers' matrices as they act, in one row; biases left out."""
    return torch.cat([layer.weight.detach().flatten() for layer in critic.modules() if isinstance(layer, nn.Linear)])


def at_the_bound(values: Tensor, bound: float) -> float:
    """The share of |w| > 0.99 bound."""
    return float((values.abs() > 0.99 * bound).double().mean())


def _check_points(x: Tensor, x_fake: Tensor) -> None:
    """Refuse anything but points of one space, some on each side."""
    for name, given in (("x", x), ("x_fake", x_fake)):
        checks.instance(given, Tensor, name, "torch.from_numpy")
        if given.dim() != 2 or not len(given) or given.shape[1] != x.shape[1]:
            raise InputError(f"`{name}` has shape {tuple(given.shape)}: points are (n, d) with n >= 1, of one d in both sets")


@torch.no_grad()
def _clip(parameters: Sequence[nn.Parameter], c: float) -> None:
    for p in parameters:
        p.clamp_(-c, c)
