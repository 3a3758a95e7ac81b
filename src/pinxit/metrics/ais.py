"""Annealed importance sampling: log p(x) of decoders that have no encoder, or a poor one (Neal 2001; Wu et al. 2017).

    f_t(z) = p(z) p(x|z)^b_t,   0 = b_0 < ... < b_T = 1,   p(z) = N(0, I)
    z_0 ~ p,   z_t from z_(t-1) by a Hamiltonian transition that keeps f_t
    log w = sum_t (b_t - b_(t-1)) log p(x|z_(t-1)),     E w = p(x),     log 1/c sum_c w <= log p(x) in expectation

Bidirectional Monte Carlo (Grosse et al. 2015): for an image drawn from the model itself its z is an exact draw of the posterior;
the chain run backward from it bounds log p(x) from above, -log 1/c sum_c 1/w', and the gap of the two says how far to trust the
forward chain. Step sizes are tuned in a pilot run of their own and then kept: a chain that tunes itself leaves f_t.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.core import bits
from pinxit.core.errors import InputError
from pinxit.core.protocols import Conditional, ConditionalBound, Data, HasCodes, HasLatents
from pinxit.core.rng import normal, seed_of
from pinxit.core.spec import Spec
from pinxit.losses.likelihood import gaussian_log_prob
from pinxit.metrics.estimates import Estimate, check, estimated
from pinxit.metrics.estimates import Protocol as Measured

Progress = Callable[[int, int], None]
TARGET = 0.65
"""Share of accepted proposals that step sizes are tuned to (Neal 2011, section 5.4.4; Wu et al. 2017)."""

RATE = 0.3
"""Of the tuning: chains that accept everything take a step 11 % longer next."""


@runtime_checkable
class Observed(Protocol):
    """A decoder with a density of x given z, and a standard normal prior."""

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, d)."""
        ...

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What is scored of images."""
        ...

    def log_prob_given(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) of x (n, c, h, w) and z (k, n, d): (k, n)."""
        ...

    def observe(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A draw of p(x|z), (n, c, h, w), of codes (n, d)."""
        ...

    @property
    def spec(self) -> Spec:
        """Of the data that the decoder was built for."""
        ...

    @property
    def measure(self) -> str:
        """What p(x) is a density of."""
        ...


class GaussianObservation:
    """A generator with noise on its images: p(x|z) = N(x; G(z), sigma^2 I), as Wu et al. 2017 give likelihoods to GANs.

    Args:
        game: with a standard normal prior, in eval mode.
        sigma: of the noise, for pixels in [-1, 1]; the number depends on it, so it belongs to the protocol.

    Raises:
        InputError: sigma is not positive, or the prior is not normal.
    """

    def __init__(self, game: HasLatents, sigma: float) -> None:
        if not sigma > 0:
            raise InputError(f"`sigma` is {sigma}: it must be > 0, in units of pixels in [-1, 1]")
        if isinstance(game, (Conditional, HasCodes)):
            raise InputError("annealing moves through codes of N(0, I), and this model's hold a class or a code besides")
        z = game.latents(2048, generator=torch.Generator().manual_seed(0))
        if z.abs().max() <= 1 or float((z.var(0) - 1).abs().max()) > 0.25:  # eight standard errors of a variance
            raise InputError("annealing starts from N(0, I), and this model's prior is another: train it with --prior normal")
        self.game, self.sigma = game, sigma

    @property
    def spec(self) -> Spec:
        """Of the data that the generator was built for."""
        return self.game.spec  # type: ignore[attr-defined]  # every game has one

    @property
    def measure(self) -> str:
        """A density, with sigma."""
        return f"density of pixels in [-1, 1], Gaussian noise of sigma {self.sigma:g} on the generator"

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I)."""
        return self.game.latents(n, generator=generator)

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The images."""
        return x

    def log_prob_given(self, x: Tensor, z: Tensor) -> Tensor:
        """log N(x; G(z), sigma^2 I)."""
        mean = self.game.decode(z.flatten(0, 1)).flatten(1)
        scale = torch.tensor(math.log(self.sigma), dtype=mean.dtype, device=mean.device)
        return gaussian_log_prob(x.flatten(1).repeat(len(z), 1), mean, scale).view(len(z), len(x))

    def observe(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """G(z) and noise."""
        mean = self.game.decode(z)
        return mean + self.sigma * normal(*mean.shape, device=mean.device, generator=generator)


@dataclass(frozen=True)
class Plan:
    """How chains are run.

    Args:
        distributions: T, from the prior to the posterior.
        chains: c, for each image.
        leapfrogs: steps of a proposal.
        radius: of the sigmoid schedule b_t = (s(r (2t/T - 1)) - s(-r)) / (s(r) - s(-r)) (Wu et al. 2017: 4).
        step: first step size of the pilot run.
    """

    distributions: int = 1000
    chains: int = 16
    leapfrogs: int = 10
    radius: float = 4.0
    step: float = 0.1

    def __post_init__(self) -> None:
        for name in ("distributions", "chains", "leapfrogs"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` is {getattr(self, name)}: it must be >= 1")
        if not (self.radius > 0 and self.step > 0):
            raise InputError(f"`radius` is {self.radius}, `step` {self.step}: both must be > 0")

    def temperatures(self) -> list[float]:
        """b_0 = 0, ..., b_T = 1."""
        raw = [1 / (1 + math.exp(-self.radius * (2 * t / self.distributions - 1))) for t in range(self.distributions + 1)]
        return [(value - raw[0]) / (raw[-1] - raw[0]) for value in raw]

    def __str__(self) -> str:
        return f"AIS of {self.distributions:,} distributions, {self.chains} chains, {self.leapfrogs} leapfrogs"


@dataclass(frozen=True)
class Gap:
    """What bidirectional Monte Carlo says of a plan, over images drawn from the model.

    Args:
        lower: mean of log p(x) by the forward chain, nats.
        upper: by the backward chain.
        gap: upper - lower: the forward chain's error, at most, on images such as these.
        error: its standard error over images.
        n: images.
        plan: of the chains.
    """

    lower: float
    upper: float
    gap: float
    error: float
    n: int
    plan: str


def annealed(
    model: Any,
    data: Data,
    *,
    plan: Plan = Plan(),
    n: int = 16,
    seed: int = 0,
    at_once: int = 32,
    split: str = "",
    weights: str = "given",
    progress: Progress | None = None,
) -> Estimate:
    """-log p(x) of images by annealed importance sampling; in expectation it is not below the truth.

    Args:
        model: meets `Observed`, in eval mode.
        data: as it is trained on; bits are drawn once an image.
        plan: of the chains.
        n: images, chosen by the seed; 0 for all.
        seed: of everything that is drawn; an image's draws are a function of it and of the image's index.
        at_once: images whose chains run together.
        split: what the protocol says the data is.
        weights: what the protocol says of the model's weights.
        progress: called with (images done, images in all).

    Raises:
        InputError: a number out of range, a model without such a decoder, or of other data.
    """
    _in_range(n, at_once)
    suits(model, data)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed_of("images", seed)))
    indices = torch.arange(len(data)) if n in (0, len(data)) or n > len(data) else order[:n].sort().values
    values = []
    for part in indices.split(at_once):
        x = torch.cat([_scored(model, data, int(index), seed) for index in part])
        values.append(_forward(model, x, plan, [(seed, int(index)) for index in part]))
        if progress is not None:
            progress(sum(map(len, values)), len(indices))
    images = "all" if len(indices) == len(data) else f"chosen by seed {seed}"
    protocol = Measured(
        str(plan), model.measure, "", data.name, split or "given", images, len(indices), plan.chains, weights, seed
    )  # fmt: skip
    return estimated(torch.cat(values), data, protocol)


def bidirectional(model: Any, *, plan: Plan = Plan(), n: int = 16, seed: int = 0, at_once: int = 32) -> Gap:
    """The gap of both chains on `n` images drawn from the model; arguments as of `annealed`."""
    _in_range(n, at_once)
    suits(model)
    if n < 1:
        raise InputError(f"`n` is {n}: at least one image must be drawn")
    generator = torch.Generator().manual_seed(seed_of("simulated", seed))
    lower, upper = [], []
    for start in range(0, n, at_once):
        with torch.no_grad():
            z = model.latents(min(at_once, n - start), generator=generator)
            x = model.observe(z, generator)
        names = [(seed, f"simulated {start + i}") for i in range(len(x))]
        steps = _tuned(model, x, plan, names)
        lower.append(_mean_weight(_run(model, x, plan, names, steps)))
        upper.append(-_mean_weight(-_run(model, x, plan, names, steps, backward_from=z)))
    low, high = torch.cat(lower), torch.cat(upper)
    error = float((high - low).std() / math.sqrt(n)) if n > 1 else math.nan
    return Gap(float(low.mean()), float(high.mean()), float((high - low).mean()), error, n, str(plan))


def _in_range(n: int, at_once: int) -> None:
    if n < 0 or at_once < 1:
        raise InputError(f"`n` is {n}, `at_once` {at_once}: n >= 0 and at_once >= 1 are needed")


def suits(model: Any, data: Data | None = None) -> None:
    """Refuse a model that can't be annealed, or not on this data.

    Raises:
        InputError: a prior of each class, no density of x given z, no likelihood, a place without float64, or other data's model.
    """
    name = type(model).__name__
    if isinstance(model, ConditionalBound):
        raise InputError(f"{name} has a prior of each class, annealing starts from N(0, I): take the importance weighted bound")
    if not isinstance(model, Observed):
        raise InputError(f"{name} has no density of x given z: wrap a generator in GaussianObservation, with a sigma")
    if "no likelihood" in model.measure:
        raise InputError(f"{name} has no likelihood ({model.measure}): train it with --binarise dynamic")
    if model.latents(1, generator=torch.Generator()).device.type == "mps":
        raise InputError(f"{name} is on an Apple GPU, which lacks the float64 that annealing needs: move it to the CPU")
    if data is not None:
        check(model, data)


def _scored(model: Observed, data: Data, index: int, seed: int) -> Tensor:
    """An image of the data as it is scored, (1, c, h, w)."""
    generator = torch.Generator().manual_seed(seed_of("bits", seed, index))
    x = bits.binarised(data.batch(torch.tensor([index])).images, bits.drawing(data.spec), generator)
    return model.target(x, generator)


def _forward(model: Observed, x: Tensor, plan: Plan, names: Sequence[tuple[int, int]]) -> Float[Tensor, " n"]:
    return _mean_weight(_run(model, x, plan, names, _tuned(model, x, plan, names)))


def _mean_weight(log_weights: Float[Tensor, "c n"]) -> Float[Tensor, " n"]:
    """log 1/c sum w."""
    return (torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))).cpu()


def _tuned(model: Observed, x: Tensor, plan: Plan, names: Sequence[tuple[Any, Any]]) -> Float[Tensor, "t n"]:
    """Step sizes of every transition and image, from a pilot run: log step rises by RATE (accepted - TARGET)."""
    chains = _Chains(model, x, plan, [("pilot", *name) for name in names])
    step = torch.full((len(x),), plan.step, dtype=torch.float64, device=chains.x.device)
    steps = []
    for temperature in plan.temperatures()[1:-1]:
        steps.append(step)
        accepted = chains.move(temperature, step)
        step = (step * (RATE * (accepted - TARGET)).exp()).clamp(1e-5, 1.0)
    return torch.stack(steps) if steps else step.new_zeros(0, len(x))


def _run(
    model: Observed,
    x: Tensor,
    plan: Plan,
    names: Sequence[tuple[Any, Any]],
    steps: Float[Tensor, "t n"],
    *,
    backward_from: Float[Tensor, "n d"] | None = None,
) -> Float[Tensor, "c n"]:
    """log w of every chain: forward from the prior, or backward through the same transitions from a draw of the posterior."""
    b = plan.temperatures()
    forward = backward_from is None
    chains = _Chains(model, x, plan, [("forward" if forward else "backward", *name) for name in names], backward_from)
    log_weights = torch.zeros(plan.chains, len(x), dtype=torch.float64, device=chains.x.device)
    order = range(1, plan.distributions + 1)
    for t in order if forward else reversed(order):
        log_weights += (b[t] - b[t - 1]) * chains.log_prob.double()
        if forward and t < plan.distributions:
            chains.move(b[t], steps[t - 1])
        elif not forward and t > 1:
            chains.move(b[t - 1], steps[t - 2])
    return log_weights


class _Chains:
    """c chains an image, with log p(x|z) and its gradient where they stand; each image has a random stream of its own."""

    def __init__(
        self, model: Observed, x: Tensor, plan: Plan, names: Sequence[tuple[Any, ...]], start: Tensor | None = None
    ) -> None:
        like = model.latents(1, generator=torch.Generator().manual_seed(0))
        self.model, self.x, self.plan, self.d = model, x.to(like.device), plan, like.shape[1]
        self.streams = [torch.Generator().manual_seed(seed_of("anneal", *name)) for name in names]
        self.z = self.normal() if start is None else start.to(self.x).expand(plan.chains, -1, -1)
        self.log_prob, self.slope = self.evaluate(self.z)

    def normal(self) -> Float[Tensor, "c n d"]:
        """N(0, I) for every chain."""
        draws = [torch.randn(self.plan.chains, self.d, generator=stream, dtype=self.x.dtype) for stream in self.streams]
        return torch.stack(draws, dim=1).to(self.x.device)

    def evaluate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x|z), (c, n), and its gradient, (c, n, d)."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            log_prob = self.model.log_prob_given(self.x, z)
            (slope,) = torch.autograd.grad(log_prob.sum(), z)
        return log_prob.detach(), slope

    def move(self, temperature: float, step: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One Hamiltonian transition that keeps p(z) p(x|z)^temperature; returns the share of chains that accepted."""
        momentum = self.normal()
        draws = [torch.rand(2, self.plan.chains, generator=s, dtype=torch.float64) for s in self.streams]
        uniform, jitter = torch.stack(draws, dim=2).to(self.x.device)
        # Each proposal's step is up to a fifth longer or shorter: trajectories of one length can come round to their start.
        eps = (step * (0.8 + 0.4 * jitter)).to(self.x.dtype)[..., None]
        z, log_prob, slope = self.z, self.log_prob, self.slope
        before = self.energy(z, log_prob, momentum, temperature)
        momentum = momentum + 0.5 * eps * (temperature * slope - z)
        for leap in range(self.plan.leapfrogs):
            z = z + eps * momentum
            log_prob, slope = self.evaluate(z)
            # Half a step of the momentum at the end, whole ones between.
            part = 0.5 if leap == self.plan.leapfrogs - 1 else 1.0
            momentum = momentum + part * eps * (temperature * slope - z)
        rise = self.energy(z, log_prob, momentum, temperature) - before
        accepted = uniform.log() < -rise
        self.z = torch.where(accepted[..., None], z, self.z)
        self.log_prob = torch.where(accepted, log_prob, self.log_prob)
        self.slope = torch.where(accepted[..., None], slope, self.slope)
        return accepted.double().mean(dim=0)

    @staticmethod
    def energy(z: Tensor, log_prob: Tensor, momentum: Tensor, temperature: float) -> Tensor:
        """-log f(z) + |momentum|^2 / 2, in float64; NaN, from a proposal that flew off, is never accepted."""
        return (0.5 * (z.square() + momentum.square()).double().sum(dim=-1) - temperature * log_prob.double()).nan_to_num(
            math.inf
        )
