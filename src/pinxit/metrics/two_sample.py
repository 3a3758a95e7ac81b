"""Are two sets of samples of one law? Tests with a p-value: a classifier's, a nearest neighbour's, and of class histograms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.distances import checked, smallest, wide
from pinxit.metrics.modes import binomial_tail, kl_floor, kl_to

EXCHANGES = 999
STEPS = 50
ALPHA = 0.001


@dataclass(frozen=True)
class ClassifierTest:
    """How well real and generated samples are told apart.

    Args:
        accuracy: share told right, of equally many of both; 1/2 where the laws are equal.
        real: share of the real ones told right.
        generated: share of the generated ones told right.
        p: probability of so great an accuracy where the laws are equal.
        n: samples of both together that the accuracy is measured on.
        classifier: what told them apart.
    """

    accuracy: float
    real: float
    generated: float
    p: float
    n: int
    classifier: str


@dataclass(frozen=True)
class ClassHistogram:
    """The classes of generated samples against those of real ones.

    Args:
        kl: KL(generated || real), nats; infinite where a class occurs that real samples have none of.
        floor: its mean where the laws are equal, (K - 1)/2 (1/n + 1/m), to first order.
        statistic: G = 2 sum O log(O / E) over both histograms.
        freedom: classes seen, less one.
        p: probability of a greater G where the laws are equal.
        missing: classes that real samples have and no generated one.
        n: generated samples.
        m: real samples; infinite where the shares are known.
    """

    kl: float
    floor: float
    statistic: float
    freedom: int
    p: float
    missing: tuple[int, ...]
    n: int
    m: float

    @property
    def differs(self) -> bool:
        """Whether p is at most 0.001, which is the rate of false alarms."""
        return self.p <= ALPHA


def logistic_test(
    real: Float[Tensor, "n d"], generated: Float[Tensor, "m e"], *, generator: torch.Generator, ridge: float = 1.0
) -> ClassifierTest:
    """The classifier two-sample test with a logistic regression, fitted on one half and judged on the other.

        min_w sum_i log(1 + exp(-s_i <w, x_i>)) + ridge/2 |w|^2,   p = P(Bin(n_test, 1/2) >= correct)

    With q the share that the fitted rule calls generated, `correct` varies by n_test q (1 - q) where the laws are equal, which is
    at most the binomial's n_test / 4: so p is never too small. It sees what a half-space of the features sees: means above all.

    Reference: Lopez-Paz & Oquab 2017, Revisiting classifier two-sample tests, section 3.

    Args:
        real: features of real samples.
        generated: features of generated samples; the larger set is cut down to the smaller.
        generator: of the choice and of the halves.
        ridge: of the weights of standardised features, > 0; the intercept is free.

    Raises:
        InputError: different dimensions, fewer than four rows, numbers that are not finite, or `ridge` <= 0.
    """
    checked(real, generated, least=4)
    if not ridge > 0:
        raise InputError(f"`ridge` is {ridge}: separable samples have no greatest likelihood without it, give > 0")
    n = min(len(real), len(generated))
    a, b = (wide(x[torch.randperm(len(x), generator=generator)[:n].to(x.device)]) for x in (real, generated))
    half = n // 2
    train = torch.cat([a[:half], b[:half]])
    mean, scale = train.mean(0), train.std(0)
    scale = torch.where(scale > 0, scale, 1)
    signs = torch.cat([train.new_full((half,), -1.0), train.new_full((half,), 1.0)])
    w = _logistic(_bordered((train - mean) / scale), signs, ridge)
    rights = [sign * (_bordered((part[half:] - mean) / scale) @ w) > 0 for part, sign in ((a, -1), (b, 1))]
    right, total = sum(int(r.sum()) for r in rights), 2 * (n - half)
    of_real, of_generated = (float(r.cpu().double().mean()) for r in rights)
    p = binomial_tail(total - right, total, 0.5)
    return ClassifierTest(right / total, of_real, of_generated, p, total, "logistic regression")


def neighbour_test(
    real: Float[Tensor, "n d"],
    generated: Float[Tensor, "m e"],
    *,
    generator: torch.Generator,
    exchanges: int = EXCHANGES,
) -> ClassifierTest:
    """The leave-one-out accuracy of the nearest neighbour among all samples, with the p-value of exchanging the labels.

    1/2 where the laws are equal, 1 where they are apart, and below 1/2 where each generated sample is a copy of a real one: then
    the neighbour of each is of the other set. A low share among generated samples alone says that they lie among real ones, and a
    high one among real samples that these lie elsewhere as well: dropped modes.

    Reference: Xu et al. 2018, An empirical study on evaluation metrics of generative adversarial networks, section 2.

    Args:
        real: features of real samples.
        generated: features of generated samples; the larger set is cut down to the smaller.
        generator: of the choice and the exchanges.
        exchanges: of labels; the p-value is at least 1 / (1 + exchanges).

    Raises:
        InputError: different dimensions, fewer than two rows, or numbers that are not finite.
    """
    checked(real, generated, least=2)
    n = min(len(real), len(generated))
    both = torch.cat([x[torch.randperm(len(x), generator=generator)[:n].to(x.device)] for x in (real, generated)])
    near = smallest(both, both, 1, exclude=torch.arange(2 * n, device=both.device))[1][:, 0].cpu()
    label = torch.arange(2 * n) >= n
    right = label == label[near]
    found = int(right.sum())
    greater = 0
    for _ in range(exchanges):
        drawn = label[torch.randperm(2 * n, generator=generator)]
        greater += int((drawn == drawn[near]).sum()) >= found
    of_real, of_generated = (float(part.double().mean()) for part in right.split(n))
    p = (1 + greater) / (1 + exchanges)
    return ClassifierTest(found / (2 * n), of_real, of_generated, p, 2 * n, "nearest neighbour")


def class_histogram(generated: Int[Tensor, " k"], real: Int[Tensor, " k"] | Float[Tensor, " k"]) -> ClassHistogram:
    """The G-test of class counts against those of real samples, or against known shares.

        G = 2 sum_c (a_c log(a_c / (n q_c)) + b_c log(b_c / (m q_c))),   q = (a + b) / (n + m);   chi-square, K - 1 degrees

    Against shares q that are known, G = 2 n KL(a/n || q). Wilks' law holds where every class expects about five samples or more.

    Args:
        generated: samples a class by a classifier, n in all.
        real: real samples a class by the *same* classifier (whose mistakes are then in both), or shares, as floating point.

    Raises:
        InputError: no samples, or fewer than two classes.
    """
    known = real.is_floating_point()
    a, b = generated.double(), real.double()
    n, m = float(a.sum()), math.inf if known else float(b.sum())
    seen = (b if known else a + b) > 0
    if not n or not m or not float(b.sum()) > 0 or int(seen.sum()) < 2:
        raise InputError(f"{n:g} and {m:g} samples of {int(seen.sum())} classes: both need samples, of two classes or more")
    shares = b / b.sum()
    kl = kl_to(generated, shares)
    if known:
        statistic = 2 * n * kl
    else:
        pooled = (a + b) / (n + m)
        statistic = 2 * (n * kl_to(generated, pooled) + m * kl_to(real.long(), pooled))
    classes = int(seen.sum())
    half = torch.tensor([(classes - 1) / 2, statistic / 2], dtype=torch.float64).clamp(min=0)
    p = float(torch.special.gammaincc(half[0], half[1])) if math.isfinite(statistic) else 0.0
    missing = tuple(((b > 0) & (a == 0)).nonzero()[:, 0].tolist())
    return ClassHistogram(kl, kl_floor(classes, int(n), m), statistic, classes - 1, p, missing, int(n), m)


def _bordered(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_ones(len(x), 1)], 1)


def _logistic(x: Tensor, signs: Tensor, ridge: float) -> Tensor:
    """Newton's method with halved steps; the last weight, the intercept's, has no penalty."""
    penalty = x.new_full((x.shape[1],), ridge)
    penalty[-1] = 1e-8

    def objective(w: Tensor) -> Tensor:
        return torch.nn.functional.softplus(-signs * (x @ w)).sum() + (penalty * w.square()).sum() / 2

    w = x.new_zeros(x.shape[1])
    value = objective(w)
    for _ in range(STEPS):
        p = torch.sigmoid(-signs * (x @ w))
        gradient = -(x.T @ (signs * p)) + penalty * w
        hessian = (x.T * (p * (1 - p))) @ x + penalty.diag()
        step = torch.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-4 and objective(w - size * step) > value - 1e-4 * size * (gradient @ step):
            size /= 2
        w = w - size * step
        value = objective(w)
        if float(gradient @ step) < 1e-10 * len(x):
            break
    return w
