"""Penalties on the critic's gradient, and the pulling-away term."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinxit.conformance.probes import Curved, Fixed, Slope, noise, unit
from pinxit.conformance.record import NOBODY, Measured, Mistake, Row, near
from pinxit.core.clock import Clock
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.losses import penalties
from pinxit.systems import dragan

SHAPE = (3, 4, 5)
"""Of the samples: colour, and not square."""

Penalty = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Sided(Protocol):
    """A gradient penalty in both forms."""

    def __call__(self, critic: nn.Module, x: Tensor, x_fake: Tensor, *, one_sided: bool) -> Tensor:
        """Its value."""
        ...


def _slopes(critic: nn.Module, points: Tensor) -> Tensor:
    """The gradient of the summed scores at fresh leaves, as every public penalty takes it."""
    points = points.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return slopes


def batch_norm_penalty(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """One epsilon a batch, one norm over the whole batch."""
    epsilon = torch.rand((), dtype=x.dtype)
    return (_slopes(critic, epsilon * x + (1 - epsilon) * x_fake).norm() - 1).square()


def height_penalty(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """One epsilon a pixel, a norm over the height alone: the formula of flat vectors, on images."""
    epsilon = torch.rand_like(x)
    return (_slopes(critic, x + epsilon * (x_fake - x)).square().sum(dim=2).sqrt() - 1).square().mean()


def pixel_penalty(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """A norm over the channels of each pixel."""
    epsilon = torch.rand(len(x), 1, 1, 1, dtype=x.dtype)
    return (_slopes(critic, epsilon * x + (1 - epsilon) * x_fake).norm(dim=1) - 1).square().mean()


def measure_unit_slope(penalty: Penalty) -> Measured:
    """The penalty of a critic of slope 1 at three batch sizes."""
    critic = Slope(unit(*SHAPE))
    return {f"n = {n}": penalty(critic, noise(n, *SHAPE), noise(n, *SHAPE)).item() for n in (1, 2, 64)}


UNIT_SLOPE = Row[Penalty](
    number=3,
    name="gp-unit-slope",
    property="the gradient penalty of a critic with unit gradient is 0 at every batch size",
    paper="Gulrajani et al. 2017, eq. 3",
    equation="f(x) = a.x, |a| = 1: E (|grad f(x_hat)|_2 - 1)^2 = 0",
    right={"n = 1": near(0, 1e-12), "n = 2": near(0, 1e-12), "n = 64": near(0, 1e-12)},
    measure=measure_unit_slope,
    ours=penalties.gradient_penalty,
    mistakes=(
        Mistake("one norm over the whole batch", "torchgan functional.py:93", batch_norm_penalty),
        Mistake("a norm over the height alone", "hwalsuk WGAN_GP.py:118", height_penalty),
        Mistake("a norm over the channels of each pixel", "mmgen disc_auxiliary_loss.py:152, its default", pixel_penalty),
    ),
)


def measure_per_sample(penalty: Penalty) -> Measured:
    """Epsilon from the points that the critic saw; symmetries where x = x_fake, so that epsilon does not matter."""
    zeros, ones = (torch.full((50, *SHAPE), value, dtype=torch.float64) for value in (0.0, 1.0))
    critic = Slope(unit(*SHAPE))
    penalty(critic, zeros, ones)
    points = critic.points[0].flatten(1)
    curved, x = Curved(SHAPE), noise(12, *SHAPE)
    whole = penalty(curved, x, x).item()
    alone = sum(penalty(curved, one, one).item() for one in x.split(1)) / len(x)
    return {
        "epsilon in a sample": (points.amax(dim=1) - points.amin(dim=1)).max().item(),
        "epsilons of 50": float(len(points[:, 0].unique())),
        "permuted": penalty(curved, x.flip(0), x.flip(0)).item() - whole,
        "one by one": alone - whole,
    }


def first_half_penalty(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """Only the first half of the batch is penalised."""
    half = (len(x) + 1) // 2
    return penalties.gradient_penalty(critic, x[:half], x_fake[:half])


PER_SAMPLE = Row[Penalty](
    number=4,
    name="gp-per-sample",
    property="the gradient penalty is invariant to permutation and batch size; one epsilon a sample",
    paper="Gulrajani et al. 2017, algorithm 1",
    equation="x_hat_i = eps_i x_i + (1 - eps_i) x~_i, eps_i ~ U[0, 1]; GP(x) = 1/n sum GP(x_i)",
    right={"epsilon in a sample": near(0), "epsilons of 50": near(50), "permuted": near(0, 1e-12), "one by one": near(0, 1e-12)},
    measure=measure_per_sample,
    ours=penalties.gradient_penalty,
    mistakes=(
        Mistake("one epsilon and one norm a batch", "torchgan wasserstein.py:275, functional.py:93", batch_norm_penalty),
        Mistake("one epsilon a pixel", "hwalsuk WGAN_GP.py:113", height_penalty),
        Mistake("half of the batch is left out", NOBODY, first_half_penalty),
    ),
)


def measure_sides(penalty: Sided) -> Measured:
    """Value and gradient of both forms for a linear critic of slope 1/2, and the hinge above 1."""
    direction, x, x_fake = unit(*SHAPE), noise(6, *SHAPE), noise(6, *SHAPE)
    measured = {}
    for name, one_sided in (("one-sided", True), ("two-sided", False)):
        critic = Slope(0.5 * direction)
        value = penalty(critic, x, x_fake, one_sided=one_sided)
        (gradient,) = torch.autograd.grad(value, critic.a)
        measured |= {name: value.item(), f"{name} gradient": gradient.norm().item()}
    return {**measured, "one-sided at norm 2": penalty(Slope(2 * direction), x, x_fake, one_sided=True).item()}


def two_sided_always(critic: nn.Module, x: Tensor, x_fake: Tensor, *, one_sided: bool) -> Tensor:
    """The option is read and not used."""
    return penalties.gradient_penalty(critic, x, x_fake)


def one_sided_always(critic: nn.Module, x: Tensor, x_fake: Tensor, *, one_sided: bool) -> Tensor:
    """The hinge the wrong way round in one form, unsquared in the other."""
    excess = penalties.gradient_norms(critic, penalties.between(x, x_fake)) - 1
    return (-excess).clamp(min=0).square().mean() if one_sided else excess.clamp(min=0).mean()


ONE_SIDED = Row[Sided](
    number=6,
    name="gp-one-sided",
    property="one-sided penalty and gradient are 0 for norms below 1, two-sided ones are not",
    paper="Petzka et al. 2018, eq. 8",
    equation="E max(0, |grad f| - 1)^2 and E (|grad f| - 1)^2 of f(x) = a.x, |a| = 1/2; the former at |a| = 2",
    right={
        "one-sided": near(0),
        "one-sided gradient": near(0),
        "two-sided": near(0.25, 1e-9),
        "two-sided gradient": near(1, 1e-9),
        "one-sided at norm 2": near(1, 1e-9),
    },
    measure=measure_sides,
    ours=penalties.gradient_penalty,
    mistakes=(
        Mistake("the option is not used", NOBODY, two_sided_always),
        Mistake("the hinge turned round, or not squared", NOBODY, one_sided_always),
    ),
)


def measure_flat(penalty: Penalty) -> Measured:
    """The gradient of the penalty by the weights of a critic that is flat."""
    critic = Slope(torch.zeros(SHAPE, dtype=torch.float64))
    value = penalty(critic, noise(6, *SHAPE), noise(6, *SHAPE))
    (gradient,) = torch.autograd.grad(value, critic.a)
    return {"penalty": value.item(), "finite share": gradient.isfinite().double().mean().item()}


def bare_root_penalty(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """The root of a sum of squares, with nothing added to it."""
    slopes = _slopes(critic, penalties.between(x, x_fake))
    return (slopes.flatten(1).square().sum(dim=1).sqrt() - 1).square().mean()


def wide_root_penalty(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """So much added to it that a flat critic is not charged what it owes."""
    slopes = _slopes(critic, penalties.between(x, x_fake))
    return ((slopes.flatten(1).square().sum(dim=1) + 1e-2).sqrt() - 1).square().mean()


FINITE = Row[Penalty](
    number=7,
    name="gp-finite",
    property="the gradient penalty of a flat critic is 1 and its gradient finite",
    paper="Gulrajani et al. 2017, eq. 3",
    equation="f(x) = w.x at w = 0: GP = 1, dGP/dw finite",
    right={"penalty": near(1, 1e-5), "finite share": near(1)},
    measure=measure_flat,
    ours=penalties.gradient_penalty,
    mistakes=(
        Mistake("the root of a bare sum of squares", NOBODY, bare_root_penalty),
        Mistake("0.01 added under the root", NOBODY, wide_root_penalty),
    ),
)


def our_dragan(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """The penalty in the discriminator's loss of the system dragan, with `critic` and samples of our choice."""
    config = dragan.PRESETS["tiny"].replace(noise=0.5)
    game = dragan.build(config, Spec(*SHAPE))
    game.add_module("discriminator", critic)
    game.generator = Fixed(x_fake)
    loss = game.discriminator_loss(Batch(x), Clock())
    return loss.stats["penalty"]


def measure_dragan(penalty: Penalty) -> Measured:
    """The perturbations from the points that the critic saw; they are one stream of random numbers for both batches of fakes."""
    x, critic = noise(400, *SHAPE, dtype=torch.float32), Slope(unit(*SHAPE, dtype=torch.float32))
    values, state = [], torch.get_rng_state()
    for x_fake in (torch.zeros_like(x), 5 + noise(400, *SHAPE, dtype=torch.float32)):
        torch.set_rng_state(state)
        values.append(penalty(critic, x, x_fake).item())
    first, second = critic.points
    delta = ((first - x) / (0.5 * x.std())).flatten(1)
    return {
        "moved by fakes": (first - second).abs().max().item(),
        "samples with one shift": (delta.std(dim=1) < 0.05 * delta.amax(dim=1)).float().sum().item(),
        "spread of the largest shift": delta.amax(dim=1).std().item(),
        "unit slope": values[0],
    }


def _dragan_points(x: Tensor) -> Tensor:
    """The notebook's perturbation of flat vectors, on images: alpha for each pixel."""
    return x + torch.rand_like(x) * 0.5 * x.std() * torch.rand_like(x)


def dragan_channels(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """Alpha a pixel; a norm over the channels of each pixel."""
    return (_slopes(critic, _dragan_points(x)).norm(dim=1) - 1).square().mean()


def dragan_height(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """Alpha a pixel; a norm over the height alone."""
    return (_slopes(critic, _dragan_points(x)).square().sum(dim=2).sqrt() - 1).square().mean()


def dragan_batch(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """Alpha a pixel; one norm over the whole batch."""
    return (_slopes(critic, _dragan_points(x)).norm() - 1).square()


def dragan_between(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """The penalty of WGAN-GP under the name, from the data towards the fakes."""
    return penalties.gradient_penalty(critic, x, x_fake)


def dragan_shift(critic: nn.Module, x: Tensor, x_fake: Tensor) -> Tensor:
    """One shift a sample for all of its pixels."""
    return (penalties.gradient_norms(critic, x + 0.5 * x.std() * torch.rand(len(x), 1, 1, 1)) - 1).square().mean()


DRAGAN = Row[Penalty](
    number=8,
    name="dragan",
    property="the DRAGAN penalty is independent of fakes; noise a pixel, its size and the norm a sample",
    paper="Kodali et al. 2017, eq. 6, and the authors' program",
    equation="E (|grad d(x_i + alpha_i 0.5 std(x) u)|_2 - 1)^2, alpha_i ~ U[0, 1] a sample, u ~ U[0, 1] a pixel",
    right={
        "moved by fakes": near(0),
        "samples with one shift": near(0),
        # The largest of 60 uniforms is nearly 1, so the largest shift spreads as alpha does: 12^-1/2.
        "spread of the largest shift": near(12**-0.5, 0.04),
        "unit slope": near(0, 1e-9),
    },
    measure=measure_dragan,
    ours=our_dragan,
    mistakes=(
        Mistake("alpha a pixel, a norm over channels", "PTGAN dragan.py:149,166", dragan_channels),
        Mistake("alpha a pixel, a norm over the height", "hwalsuk DRAGAN.py:119,124", dragan_height),
        Mistake("alpha a pixel, one norm a batch", "torchgan draganpenalty.py:104, functional.py:112", dragan_batch),
        Mistake("points between data and fakes", NOBODY, dragan_between),
        Mistake("one shift for all pixels of a sample", NOBODY, dragan_shift),
    ),
)

PullingAway = Callable[[Tensor], Tensor]


def measure_pulling_away(term: PullingAway) -> Measured:
    """The term on codes whose cosines are known."""
    one_line = torch.ones(64, 32, dtype=torch.float64)
    signs = torch.cat((torch.ones(32, 1), -torch.ones(32, 1))).double()
    square = torch.eye(32, dtype=torch.float64)
    codes = {"collapsed": one_line, "antipodal": signs * one_line, "orthogonal": 3 * square}
    return {name: term(s).item() for name, s in codes.items()}


def unsquared(codes: Tensor) -> Tensor:
    """The mean cosine, with its sign."""
    unit_codes, n = codes / codes.norm(dim=1, keepdim=True), len(codes)
    return ((unit_codes @ unit_codes.T).sum() - n) / (n * (n - 1))


def whole_norm(codes: Tensor) -> Tensor:
    """Divided by the L1 norm of the whole matrix, so that next to nothing but the diagonal's constant is left."""
    small, n = codes / codes.abs().sum(), len(codes)
    return ((small @ small.T).sum() - n) / (n * (n - 1))


def batch_axis(codes: Tensor) -> Tensor:
    """Normalised over the batch, the diagonal kept."""
    columns, n = F.normalize(codes, dim=0), len(codes)
    return (columns @ columns.T).square().sum() / (n * (n - 1))


PULLING_AWAY = Row[PullingAway](
    number=12,
    name="pulling-away",
    property="the pulling-away term is 1 for collapsed and for antipodal codes, 0 for orthogonal ones",
    paper="Zhao et al. 2017, eq. 14",
    equation="1/(N (N-1)) sum over i != j of (s_i.s_j / (|s_i| |s_j|))^2",
    right={"collapsed": near(1, 1e-9), "antipodal": near(1, 1e-9), "orthogonal": near(0, 1e-9)},
    measure=measure_pulling_away,
    ours=penalties.pulling_away,
    mistakes=(
        Mistake("not squared", "PTGAN ebgan.py:142-148, hwalsuk EBGAN.py:54-65", unsquared),
        Mistake("divided by the norm of the whole matrix", "znxlwm EBGAN.py:213", whole_norm),
        Mistake("normalised over the batch, diagonal kept", "torchgan functional.py:134-140", batch_axis),
    ),
)

ROWS = (UNIT_SLOPE, PER_SAMPLE, ONE_SIDED, FINITE, DRAGAN, PULLING_AWAY)
