"""GAN and VAE as two divergences between joint distributions of data and code, on a toy where both are known.

    q(x, z) = q(x) q(z|x)      data, and the encoder's codes for it
    p(x, z) = p(z) p(x|z)      the prior's codes, and the decoder's data

    VAE                  KL(q(x, z) || p(x, z)) = -E_q(x) ELBO(x) - H(q(x))          (Kingma & Welling 2014; Zhao et al. 2017)
    adversarially learned inference   JS(q(x, z), p(x, z)) = (V(D*) + log 4) / 2     (Dumoulin et al. 2017; Donahue et al. 2017)
    GAN                  the same of the marginals in x: never more, for a map of (x, z) can't tell more than (x, z)

The toy is linear and Gaussian in one dimension each: q(x) = N(m, s^2), q(z|x) = N(a x + b, t^2), p(z) = N(0, 1),
p(x|z) = N(w z + c, r^2). Both joints are then Gaussian, and so is everything else.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinxit.core.rng import seed_of
from pinxit.losses.adversarial import discriminator_loss
from pinxit.losses.likelihood import gaussian_log_prob
from pinxit.losses.variational import kl_to_standard_normal, reparameterise
from pinxit.theory import checks, densities, gaussians
from pinxit.theory.densities import Estimate, Mixture

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Toy:
    """The numbers m, s (data), a, b, t (encoder), w, c, r (decoder) of the module's docstring; s, t, r > 0."""

    m: float = 0.5
    s: float = 1.2
    a: float = 0.6
    b: float = -0.3
    t: float = 0.6
    w: float = 1.0
    c: float = 0.5
    r: float = 0.7

    def __post_init__(self) -> None:
        for name, number in asdict(self).items():
            check = checks.positive if name in ("s", "t", "r") else checks.finite
            check(number, name)

    @property
    def data_joint(self) -> tuple[Array, Array]:
        """Mean (2,) and covariance (2, 2) of q(x, z)."""
        v = self.s**2
        return np.array([self.m, self.a * self.m + self.b]), np.array([[v, self.a * v], [self.a * v, self.a**2 * v + self.t**2]])

    @property
    def model_joint(self) -> tuple[Array, Array]:
        """Mean (2,) and covariance (2, 2) of p(x, z)."""
        return np.array([self.c, 0.0]), np.array([[self.w**2 + self.r**2, self.w], [self.w, 1.0]])

    def with_best_encoder(self) -> Toy:
        """The encoder replaced by the decoder's true posterior p(z|x)."""
        v = self.w**2 + self.r**2
        a = self.w / v
        return Toy(self.m, self.s, a, -a * self.c, self.r / math.sqrt(v), self.w, self.c, self.r)


def joint_kl(toy: Toy) -> float:
    """KL(q(x, z) || p(x, z)) of the two Gaussians."""
    return gaussians.kl(*toy.data_joint, *toy.model_joint)


def joint_js(toy: Toy) -> Estimate:
    """JS(q(x, z), p(x, z)) by quadrature in the plane."""
    return densities.js(_gaussian(*toy.data_joint), _gaussian(*toy.model_joint))


def marginal_js(toy: Toy) -> Estimate:
    """JS(q(x), p(x)): what a GAN without an encoder minimises."""
    (mq, sq), (mp, sp) = toy.data_joint, toy.model_joint
    return densities.js(_gaussian(mq[:1], sq[:1, :1]), _gaussian(mp[:1], sp[:1, :1]))


def marginal_kl(toy: Toy) -> float:
    """KL(q(x) || p(x)): what maximum likelihood minimises; the joint's is this plus E KL(q(z|x) || p(z|x))."""
    (mq, sq), (mp, sp) = toy.data_joint, toy.model_joint
    return gaussians.kl(mq[:1], sq[:1, :1], mp[:1], sp[:1, :1])


def mean_elbo(toy: Toy) -> float:
    """E_q(x) ELBO(x) in closed form, from its two terms and not from the joints.

    E log p(x|z) = -log(r sqrt(2 pi)) - (E (x - w z - c)^2) / (2 r^2);  KL(q(z|x) || N(0, 1)) averaged over x.
    """
    mean_z, v = toy.a * toy.m + toy.b, toy.s**2
    residual = (toy.m - toy.w * mean_z - toy.c) ** 2 + (1 - toy.w * toy.a) ** 2 * v + toy.w**2 * toy.t**2
    reconstruction = -math.log(toy.r * math.sqrt(2 * math.pi)) - residual / (2 * toy.r**2)
    kl = 0.5 * (mean_z**2 + toy.a**2 * v + toy.t**2 - math.log(toy.t**2) - 1)
    return reconstruction - kl


def vae_estimate(toy: Toy, *, n: int = 100_000, seed: int = 0) -> Estimate:
    """-ELBO - H(q(x)) as a VAE measures it: by n samples through the losses of this library; error: 2 standard errors."""
    checks.at_least(n, "n", 2)
    generator = torch.Generator().manual_seed(seed_of("vae", seed))
    x = toy.m + toy.s * torch.randn(n, 1, generator=generator, dtype=torch.float64)
    mu, logvar = toy.a * x + toy.b, torch.full_like(x, 2 * math.log(toy.t))
    z = reparameterise(mu, logvar, torch.randn(n, 1, generator=generator, dtype=torch.float64))
    log_scale = torch.tensor(math.log(toy.r), dtype=torch.float64)
    elbo = gaussian_log_prob(x, toy.w * z + toy.c, log_scale) - kl_to_standard_normal(mu, logvar)
    return Estimate(float(-elbo.mean()) - gaussians.entropy(toy.s**2), float(2 * elbo.std() / math.sqrt(n)))


def gan_estimate(toy: Toy, *, n: int = 20_000, seed: int = 0) -> Estimate:
    """(V(D) + log 4) / 2 as a GAN measures it: D learns the ratio from n pairs of each joint and is judged on n others.

    The log ratio of two Gaussians is quadratic: D = sigmoid of a quadratic in (x, z) contains D*, and the problem is convex.
    error: 2 standard errors of the fresh samples.
    """
    checks.at_least(n, "n", 2)
    generator = torch.Generator().manual_seed(seed_of("gan", seed))
    draws = [[_quadratic(_pairs(toy, n, data, generator)) for data in (True, False)] for _ in range(2)]
    (x, x_fake), (fresh, fresh_fake) = draws
    weights = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = discriminator_loss(x @ weights, x_fake @ weights)
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    with torch.no_grad():
        real = torch.nn.functional.logsigmoid(fresh @ weights)
        fake = torch.nn.functional.logsigmoid(-(fresh_fake @ weights))
    value = float(real.mean() + fake.mean())
    return Estimate((value + math.log(4)) / 2, float(((real.var() + fake.var()) / n).sqrt()))


def _pairs(toy: Toy, n: int, data: bool, generator: torch.Generator) -> Tensor:
    """`n` pairs (x, z), as an encoder or a decoder makes them, (n, 2)."""
    first, second = torch.randn(2, n, generator=generator, dtype=torch.float64)
    if data:
        x = toy.m + toy.s * first
        return torch.stack([x, toy.a * x + toy.b + toy.t * second], dim=1)
    return torch.stack([toy.w * first + toy.c + toy.r * second, first], dim=1)


def _quadratic(pairs: Tensor) -> Tensor:
    """1, x, z, x^2, x z, z^2 as (n, 6)."""
    x, z = pairs.unbind(dim=1)
    return torch.stack([torch.ones_like(x), x, z, x * x, x * z, z * z], dim=1)


def _gaussian(mean: Array, covariance: Array) -> Mixture:
    return Mixture(np.ones(1), mean[None], covariance[None])
