"""Which modes of the data a sampler reaches: mixtures with known centres, stacked digits, classes.

A share that is estimated from n samples differs from the truth by chance alone. So every histogram here comes with its floor:
KL(p_hat || p) of a perfect sampler is (K - 1) / 2n on average (Wilks: 2n KL is chi-square with K - 1 degrees of freedom).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core.errors import InputError

STARVED = 0.25
"""A mode is starved where its share is under this part of the data's, and chance does not explain it."""


@dataclass(frozen=True)
class MixtureModes:
    """How a sampler covers a mixture of known centres.

    Args:
        captured: modes with at least one high-quality sample.
        total: modes.
        high_quality: share of samples within 3 sigma of a centre; a perfect sampler in the plane has 1 - exp(-4.5) = 0.98889.
        reverse_kl: KL(histogram of the high-quality samples || uniform), nats; NaN where there is none.
        spread: sigma-hat / sigma within modes; 1 for a perfect sampler, below 1 for shrunken modes; NaN where no mode has two.
        counts: high-quality samples a mode.
        dropped: the names of the modes that are not captured.
    """

    captured: int
    total: int
    high_quality: float
    reverse_kl: float
    spread: float
    counts: tuple[int, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class StackedModes:
    """How a sampler covers stacks of digits.

    Args:
        captured: modes (digit of every channel) with at least one sample.
        total: modes, classes ** channels.
        kl: KL(histogram of the modes || uniform), nats.
        floor: its mean for a uniform sampler, (K - 1) / 2n to first order.
        max_softmax: mean over samples and channels of the classifier's greatest probability.
        confident: share of samples of which every digit has a probability above 0.9.
        counts: samples a mode.
        dropped: the names of the modes without a sample, "0-7-3" for 0 in the first channel.
    """

    captured: int
    total: int
    kl: float
    floor: float
    max_softmax: float
    confident: float
    counts: tuple[int, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test.

    Args:
        statistic: sum of (observed - expected)^2 / expected.
        freedom: degrees of freedom.
        p: the probability of a greater statistic where the hypothesis holds.
    """

    statistic: float
    freedom: int
    p: float


def mixture_modes(
    x: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], sigma: float, names: Sequence[str] = ()
) -> MixtureModes:
    """Modes captured, high-quality share, reverse KL and spread of samples of a mixture of round Gaussians.

        m_i = argmin_k |x_i - c_k|,   high quality: |x_i - c_m| < 3 sigma (strictly),   KL = sum_k p_k log(K p_k)

    The spread is the pooled standard deviation of the high-quality samples about their own mean in each mode, over that of
    N(0, sigma^2) cut at 3 sigma: E[r^2 | r < 3 sigma] = d sigma^2 P(chi2_{d+2} < 9) / P(chi2_d < 9).

    Reference: Srivastava et al. 2017 (VEEGAN), section 4.1; Lin et al. 2018 (PacGAN), section 4.1; both with n = 2,500.

    Args:
        x: samples.
        centres: the means, which should be distinct: of two within sigma/1000 only the first is ever captured.
        sigma: standard deviation of each Gaussian, > 0.
        names: of the modes; by default their centres.

    Raises:
        InputError: no samples, `sigma` <= 0, or another number of names than of modes.
    """
    k, d = centres.shape
    if not len(x) or not sigma > 0:
        raise InputError(f"{len(x)} samples and `sigma` {sigma}: modes are counted with at least one sample and `sigma` > 0")
    x, places = x.cpu().double(), centres.cpu().double()
    names = _names(names, k) if names else tuple(f"({', '.join(f'{v:.2f}' for v in c)})" for c in centres.tolist())
    # The matrix product form of the distance loses the digits that tell 2.99 sigma from 3.01.
    plain = "donot_use_mm_for_euclid_dist"
    distance, mode = torch.cdist(x, places, compute_mode=plain).min(1)
    mode = (torch.cdist(places, places, compute_mode=plain) < 1e-3 * sigma).int().argmax(1)[mode]
    good = distance < 3 * sigma
    counts = mode[good].bincount(minlength=k)
    return MixtureModes(
        captured=int((counts > 0).sum()),
        total=k,
        high_quality=float(good.double().mean()),
        reverse_kl=kl_to(counts, torch.full((k,), 1 / k)),
        spread=_spread(x[good], mode[good], counts) / (sigma * _cut(d)),
        counts=tuple(counts.tolist()),
        dropped=tuple(name for name, count in zip(names, counts.tolist(), strict=True) if not count),
    )


def stacked_modes(
    images: Float[Tensor, "n c h w"], classify: Callable[[Tensor], Tensor], *, classes: int = 10, chunk: int = 1000
) -> StackedModes:
    """Modes of stacked digits by the argmax of a digit classifier in every channel.

        mode = sum_c digit_c K^(C-1-c),   KL = sum p log(K^C p)

    Without a threshold the argmax of noise covers modes too: read `captured` beside `max_softmax` and `confident`.

    Reference: Metz et al. 2017 (Unrolled GAN), section 3.3.1; protocol of Lin et al. 2018 (PacGAN): 26,000 samples.

    Args:
        images: stacked samples in [-1, 1], a digit a channel.
        classify: from (m, 1, h, w) to logits (m, classes).
        classes: of the classifier, K.
        chunk: images classified at once.

    Raises:
        InputError: no images.
    """
    if not len(images):
        raise InputError("no images: modes are counted with at least one sample")
    channels = images.shape[1]
    digits, sure = [], []
    for part in images.split(chunk):
        probabilities = classify(part.reshape(-1, 1, *part.shape[2:])).cpu().double().softmax(1)
        greatest, digit = probabilities.view(len(part), channels, -1).max(2)
        digits.append(digit)
        sure.append(greatest)
    confidence, total = torch.cat(sure), classes**channels
    weights = classes ** torch.arange(channels - 1, -1, -1)
    counts = (torch.cat(digits) * weights).sum(1).bincount(minlength=total)
    names = stack_names(channels, classes)
    return StackedModes(
        captured=int((counts > 0).sum()),
        total=total,
        kl=kl_to(counts, torch.full((total,), 1 / total)),
        floor=kl_floor(total, len(images)),
        max_softmax=float(confidence.mean()),
        confident=float((confidence > 0.9).all(1).double().mean()),
        counts=tuple(counts.tolist()),
        dropped=tuple(name for name, count in zip(names, counts.tolist(), strict=True) if not count),
    )


def stack_names(channels: int, classes: int = 10) -> tuple[str, ...]:
    """The names of the modes of stacked digits, in order: "0-0", "0-1", ..., "9-9"."""
    rows = range(classes**channels)
    return tuple("-".join(str(row // classes**c % classes) for c in range(channels - 1, -1, -1)) for row in rows)


def kl_to(counts: Int[Tensor, " k"], shares: Float[Tensor, " k"]) -> float:
    """KL(counts / n || shares) in nats; infinite where a count lies outside the support, NaN for no counts at all."""
    n = int(counts.sum())
    if not n:
        return math.nan
    p, q = counts.double() / n, shares.double() / shares.double().sum()
    seen = p > 0
    return float((p[seen] * (p[seen] / q[seen]).log()).sum())


def kl_floor(modes: int, n: int, m: int | float = math.inf) -> float:
    """(K - 1)/2 * (1/n + 1/m): the mean KL between the histograms of n and m samples of one law; m infinite where it is known.

    First order in 1/n: it holds where every mode expects a few samples.
    """
    return (modes - 1) / 2 * (1 / n + 1 / m)


def chi_square(counts: Int[Tensor, " k"], shares: Float[Tensor, " k"]) -> ChiSquare:
    """Pearson's test that counts come from known shares: sum (O - nq)^2 / nq, K - 1 degrees of freedom.

    Classes of share 0 are left out; a sample in one of them makes the statistic infinite and p zero.

    Args:
        counts: samples a class, n in all; n q >= 5 for the p-value to hold.
        shares: the classes' shares q; they are divided by their sum.

    Raises:
        InputError: fewer than two classes have a share, or there are no samples.
    """
    q, n = shares.double() / shares.double().sum(), counts.double().sum()
    there = q > 0
    if not n or int(there.sum()) < 2:
        raise InputError(f"{int(n)} samples of {int(there.sum())} classes: a test of shares needs samples and two classes")
    expected = n * q[there]
    statistic = float(((counts.double()[there] - expected) ** 2 / expected).sum())
    if bool((counts[~there] > 0).any()):
        statistic = math.inf
    return _chi_square(statistic, int(there.sum()) - 1)


def chi_square_two(counts: Int[Tensor, " k"], others: Int[Tensor, " k"]) -> ChiSquare:
    """Pearson's test that two histograms come from one law.

        sum (sqrt(m/n) a - sqrt(n/m) b)^2 / (a + b),   n = sum a, m = sum b; one degree less than classes seen

    Raises:
        InputError: one of them is empty, or fewer than two classes are seen.
    """
    a, b = counts.double(), others.double()
    n, m, seen = a.sum(), b.sum(), (a + b) > 0
    if not n or not m or int(seen.sum()) < 2:
        raise InputError(f"{int(n)} and {int(m)} samples of {int(seen.sum())} classes: both need samples, of two classes or more")
    a, b = a[seen], b[seen]
    statistic = float((((m / n).sqrt() * a - (n / m).sqrt() * b) ** 2 / (a + b)).sum())
    return _chi_square(statistic, int(seen.sum()) - 1)


def starved(counts: Int[Tensor, " k"], shares: Float[Tensor, " k"], *, below: float = STARVED, alpha: float = 0.01) -> list[int]:
    """The modes that a sampler neglects: count < below * n q and P(Bin(n, q) <= count) <= alpha / K.

    Both conditions are needed: the first that the mode matters, the second (Bonferroni over the modes) that chance does not
    explain it. So real data of the shares q yields any mode at all with a probability of at most `alpha`.

    Args:
        counts: samples a mode.
        shares: the data's shares of the modes.
        below: the part of its share under which a mode counts as neglected.
        alpha: greatest probability of a false alarm over all modes.
    """
    n, k = int(counts.sum()), len(counts)
    q = (shares.double() / shares.double().sum()).tolist()
    few = [i for i, count in enumerate(counts.tolist()) if count < below * n * q[i]]
    return [i for i in few if binomial_tail(int(counts[i]), n, q[i]) <= alpha / k]


def binomial_tail(count: int, n: int, q: float) -> float:
    """P(Bin(n, q) <= count)."""
    if q >= 1:
        return float(count >= n)
    j = torch.arange(count + 1, dtype=torch.float64)
    choose = math.lgamma(n + 1) - torch.lgamma(j + 1) - torch.lgamma(n - j + 1)
    return min(1.0, float((choose + j * math.log(q) + (n - j) * math.log1p(-q)).exp().sum())) if q > 0 else 1.0


def _chi_square(statistic: float, freedom: int) -> ChiSquare:
    half = torch.tensor(freedom / 2, dtype=torch.float64)
    p = float(torch.special.gammaincc(half, torch.tensor(statistic / 2, dtype=torch.float64))) if statistic < math.inf else 0.0
    return ChiSquare(statistic, freedom, p)


def _spread(x: Tensor, mode: Tensor, counts: Tensor) -> float:
    """Standard deviation an axis about the modes' own means, one degree of freedom a mode taken off."""
    held = counts > 0
    free = int((counts[held] - 1).sum())
    if not free:
        return math.nan
    means = torch.zeros(len(counts), x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, mode, x)
    means = means / counts.clamp(min=1)[:, None]
    return math.sqrt(float((x - means[mode]).square().sum()) / (free * x.shape[1]))


def _cut(d: int) -> float:
    """The standard deviation an axis of N(0, I_d) given a norm below 3."""
    half, limit = torch.tensor([d / 2 + 1, d / 2], dtype=torch.float64), torch.tensor(4.5, dtype=torch.float64)
    above, below = torch.special.gammainc(half, limit).tolist()
    return math.sqrt(above / below)


def _names(names: Sequence[str], k: int) -> tuple[str, ...]:
    if len(names) != k:
        raise InputError(f"{len(names)} `names` for {k} modes: give one a mode")
    return tuple(names)
