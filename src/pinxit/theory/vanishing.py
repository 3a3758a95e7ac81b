"""What a frozen generator is told while a fresh adversary learns to see through it (Arjovsky & Bottou 2017, section 2).

Three adversaries start anew and train on the same batches, each for its own objective; the generator never moves:

    a discriminator, logistic loss   -> gradients of E log(1 - D(G(z))) (minimax) and of -E log D(G(z)) (non-saturating)
    a discriminator, least squares   -> gradient of E (D(G(z)) - 1)^2 / 2
    a critic, Wasserstein + penalty  -> gradient of -E f(G(z))

Recorded along the way: |dL_G / dtheta_G|, over all of G's parameters together, on a fixed batch of codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from pinxit.core.errors import InputError, near
from pinxit.core.rng import seed_of, seeded
from pinxit.losses import adversarial
from pinxit.losses.penalties import gradient_norms, gradient_penalty
from pinxit.theory import checks

RECORD = (0, 1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 4000)
SETTLED = 0.9
"""Mean slope from which on a critic's gradient is compared with its own: the penalty holds it near 1, and before that the critic
has not yet risen to what it is allowed."""


@dataclass
class Trace:
    """Lists of equal length: the adversaries' steps, the discriminator's accuracy on held-out samples, gradient norms.

    `slope` is the mean |grad f(x)| of the critic between held-out and generated samples.
    """

    step: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    minimax: list[float] = field(default_factory=list)
    non_saturating: list[float] = field(default_factory=list)
    least_squares: list[float] = field(default_factory=list)
    wasserstein: list[float] = field(default_factory=list)
    slope: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, list[float]]:
        """As plain lists, for JSON."""
        return asdict(self)

    def at(self, name: str, step: int) -> float:
        """The value of a list at the last recorded step <= `step`."""
        if name not in (lists := asdict(self)):
            raise InputError(f"no list `{name}` is recorded: {near(name, lists)}")
        places = [place for place, known in enumerate(self.step) if known <= step]
        if not places:
            raise InputError(f"nothing was recorded up to step {step}: the first is {self.step[0] if self.step else None}")
        return float(lists[name][places[-1]])

    def bars(self) -> dict[str, float]:
        """What the experiment `vanishing` bounds (docs/experiments.md, bars VAN-2).

        accuracy_at_200 >= 0.99; minimax_fall (at first over at step 1000) >= 100; non_saturating_change (step 1000 over first)
        >= 1; wasserstein_range (greatest over least once the critic's slope has reached 0.9) <= 3, infinite where it never has.
        minimax_fall_from_peak counts from the greatest.
        """
        first = next((place for place, slope in enumerate(self.slope) if slope >= SETTLED), None)
        settled = [0.0, math.inf] if first is None else self.wasserstein[first:]
        return {
            "accuracy_at_200": self.at("accuracy", 200),
            "minimax_fall": self.minimax[0] / max(self.at("minimax", 1000), 1e-300),
            "minimax_fall_from_peak": max(self.minimax) / max(self.at("minimax", 1000), 1e-300),
            "non_saturating_change": self.at("non_saturating", 1000) / self.non_saturating[0],
            "wasserstein_range": max(settled) / max(min(settled), 1e-300),
        }


@dataclass(frozen=True)
class Plan:
    """How the adversaries train: Radford et al. 2016 for the discriminators, Gulrajani et al. 2017 for the critic."""

    steps: int = 1000
    batch_size: int = 64
    probe: int = 256
    """Codes on which gradients are taken, and held-out images on which accuracy is."""
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    critic_lr: float = 1e-4
    critic_betas: tuple[float, float] = (0.0, 0.9)
    lambda_gp: float = 10.0
    record: tuple[int, ...] = RECORD
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("batch_size", 1), ("probe", 1), ("lambda_gp", 0)):
            checks.at_least(getattr(self, name), name, least)
        checks.positive(self.lr, "lr")
        checks.positive(self.critic_lr, "critic_lr")


def vanishing(
    generator: nn.Module,
    latents: Callable[[int, torch.Generator], Tensor],
    real: Tensor,
    discriminator: Callable[[], nn.Module],
    critic: Callable[[], nn.Module],
    plan: Plan = Plan(),
) -> Trace:
    """Train fresh adversaries of `generator` and record the gradients that it would get.

    Args:
        generator: codes to samples; used in eval mode, and left as it was found.
        latents: `latents(n, torch_generator)` draws n codes from the prior.
        real: samples (n, ...) of the data; the last `plan.probe` are held out.
        discriminator: makes a network of logits (n,).
        critic: makes a network of scores (n,), without batch statistics: it is penalised.
        plan: steps, rates, batch.

    Raises:
        InputError: fewer than `probe` + 1 real samples, or a generator without parameters.
    """
    if len(real) <= plan.probe:
        raise InputError(f"`real` has {len(real)} samples: `probe` holds out {plan.probe}, so it must have more")
    moved = [p for p in generator.parameters() if p.requires_grad]
    if not moved:
        raise InputError("`generator` has no parameter that requires a gradient: call generator.requires_grad_(True)")
    draw = torch.Generator().manual_seed(seed_of("vanishing", plan.seed))
    seen, held_out = real[: -plan.probe], real[-plan.probe :]
    trace = Trace()
    with seeded(seed_of("adversaries", plan.seed)), _frozen(generator):
        z = latents(plan.probe, draw)
        adversaries = _Adversaries(discriminator, critic, plan)
        for step in range(plan.steps + 1):
            if step in plan.record or step == plan.steps:
                _record(trace, step, adversaries, generator, moved, z, held_out)
            if step < plan.steps:
                x = seen[torch.randint(len(seen), (plan.batch_size,), generator=draw).to(seen.device)]
                with torch.no_grad():
                    x_fake = generator(latents(plan.batch_size, draw))
                adversaries.step(x, x_fake)
    return trace


class _Adversaries:
    """The three of them, with their optimizers."""

    def __init__(self, discriminator: Callable[[], nn.Module], critic: Callable[[], nn.Module], plan: Plan) -> None:
        self.logistic, self.squares, self.critic = discriminator(), discriminator(), critic()
        # Equal at the start, so that only the objectives differ.
        self.squares.load_state_dict(self.logistic.state_dict())
        self.lambda_gp = plan.lambda_gp
        self.optimizers = (
            torch.optim.Adam(self.logistic.parameters(), plan.lr, betas=plan.betas),
            torch.optim.Adam(self.squares.parameters(), plan.lr, betas=plan.betas),
            torch.optim.Adam(self.critic.parameters(), plan.critic_lr, betas=plan.critic_betas),
        )

    def step(self, x: Tensor, x_fake: Tensor) -> None:
        """One step of each on the same batch."""
        losses = (
            adversarial.discriminator_loss(self.logistic(x), self.logistic(x_fake)),
            adversarial.least_squares_discriminator_loss(self.squares(x), self.squares(x_fake)),
            adversarial.wasserstein_critic_loss(self.critic(x), self.critic(x_fake))
            + self.lambda_gp * gradient_penalty(self.critic, x, x_fake),
        )
        for loss, optimizer in zip(losses, self.optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _record(
    trace: Trace, step: int, by: _Adversaries, generator: nn.Module, moved: list[nn.Parameter], z: Tensor, held_out: Tensor
) -> None:
    losses = {
        "minimax": lambda x: adversarial.minimax_generator_loss(by.logistic(x)),
        "non_saturating": lambda x: adversarial.non_saturating_generator_loss(by.logistic(x)),
        "least_squares": lambda x: adversarial.least_squares_generator_loss(by.squares(x)),
        "wasserstein": lambda x: adversarial.wasserstein_generator_loss(by.critic(x)),
    }
    trace.step.append(step)
    for name, loss in losses.items():
        gradients = torch.autograd.grad(loss(generator(z)), moved, allow_unused=True)
        square = sum(float(g.double().square().sum()) for g in gradients if g is not None)
        getattr(trace, name).append(square**0.5)
    with torch.no_grad():
        x_fake = generator(z)
        right = torch.cat([by.logistic(held_out) > 0, by.logistic(x_fake) < 0])
    trace.accuracy.append(float(right.double().mean()))
    share = torch.linspace(0, 1, len(x_fake), device=x_fake.device).view(-1, *(1 for _ in x_fake.shape[1:]))
    trace.slope.append(float(gradient_norms(by.critic, torch.lerp(x_fake, held_out, share)).detach().mean()))


@contextmanager
def _frozen(generator: nn.Module) -> Iterator[None]:
    """In eval mode within the block: running statistics, as when it draws samples, and none of them moved."""
    modes = {module: module.training for module in generator.modules()}
    generator.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
