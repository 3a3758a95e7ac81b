"""Parzen-window log-likelihood: historical and misleading, kept because the first GAN papers report nothing else.

A Gaussian is put on each sample and its likelihood called the model's. In 784 dimensions 10,000 windows estimate no density, and
the ranking is wrong: blurred averages of real digits score 339 nats where real digits themselves score 243, and k-means centres
win over the data (Theis et al. 2016, A note on the evaluation of generative models, section 3.3). So no number is given without
its control: the training set itself as "samples".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.distances import BLOCK, checked, wide

SIGMAS = tuple(10 ** (k / 9 - 1) for k in range(10))
"""Ten widths from 0.1 to 1, logarithmic, for pixels in [0, 1] (Goodfellow et al. 2014, section 5, and its code)."""


@dataclass(frozen=True)
class Window:
    """A Parzen estimate.

    Args:
        log_likelihood: mean over the test samples, nats.
        standard_error: of that mean.
        sigma: of the windows, chosen on the validation samples.
        n: windows.
    """

    log_likelihood: float
    standard_error: float
    sigma: float
    n: int

    def __str__(self) -> str:
        return f"{self.log_likelihood:.1f} +- {self.standard_error:.1f} nats (sigma {self.sigma:.3g}, {self.n:,} windows)"


@dataclass(frozen=True)
class Parzen:
    """The estimate of generated samples beside its control.

    Args:
        samples: of the generated samples.
        control: of as many training samples, as if a model had generated them. A model above it is no better than the data: it is
            the estimate that fails.
    """

    samples: Window
    control: Window

    @property
    def caveat(self) -> str:
        """What must stand beside the number."""
        above = self.samples.log_likelihood > self.control.log_likelihood
        fact = "the samples score above the data, so it ranks nothing" if above else "blurred images can score above the data"
        return f"historical and misleading: the training set itself scores {self.control.log_likelihood:.1f} nats, and {fact}"


def parzen(
    samples: Float[Tensor, "n d"],
    train: Float[Tensor, "t g"],
    validation: Float[Tensor, "v e"],
    test: Float[Tensor, "m f"],
    *,
    generator: torch.Generator,
    sigmas: Sequence[float] = SIGMAS,
) -> Parzen:
    """Parzen-window log-likelihood of a test set (historical, misleading), with the training set as a control.

    Reference: Breuleux et al. 2011; Goodfellow et al. 2014, section 5: 10,000 samples, sigma chosen on 1,000 validation images.

    Args:
        samples: generated, pixels in [0, 1].
        train: real ones that the model was trained on; as many as there are samples are drawn, or all.
        validation: real ones that choose sigma, in neither `train` nor `test`.
        test: real ones that are judged.
        generator: of the draw from `train`.
        sigmas: to choose from, > 0.

    Raises:
        InputError: different dimensions, no rows, numbers that are not finite, or a width that is not positive.
    """
    drawn = train[torch.randperm(len(train), generator=generator)[: len(samples)].to(train.device)]
    return Parzen(*(window(rows, validation, test, sigmas=sigmas) for rows in (samples, drawn)))


def window(
    samples: Float[Tensor, "n d"],
    validation: Float[Tensor, "v e"],
    test: Float[Tensor, "m f"],
    *,
    sigmas: Sequence[float] = SIGMAS,
) -> Window:
    """The estimate of one set of samples: sigma of the greatest mean log-density of the validation set, judged on the test set.

    Raises:
        InputError: as `parzen`.
    """
    checked(validation, samples)
    checked(test, samples, least=2)
    if not sigmas or not all(sigma > 0 for sigma in sigmas):
        raise InputError(f"`sigmas` are {tuple(sigmas)}: at least one width is needed, and each > 0")
    chosen = int(log_density(validation, samples, sigmas).mean(1).argmax())
    found = log_density(test, samples, sigmas[chosen : chosen + 1])[0]
    return Window(float(found.mean()), float(found.std()) / math.sqrt(len(test)), float(sigmas[chosen]), len(samples))


def log_density(x: Float[Tensor, "m d"], samples: Float[Tensor, "n d"], sigmas: Sequence[float]) -> Float[Tensor, "s m"]:
    """log 1/n sum_j N(x; s_j, sigma^2 I), nats, for each of the widths, in float64 and in blocks.

    Args:
        x: where.
        samples: the centres s.
        sigmas: widths, > 0.
    """
    n, d = samples.shape
    centre = wide(samples).mean(0)
    centres = wide(samples) - centre
    squares = centres.square().sum(1)
    rates = [1 / (2 * sigma**2) for sigma in sigmas]
    found = []
    for part in x.split(BLOCK // 2):
        rows = wide(part) - centre
        total = rows.new_full((len(rates), len(rows)), -math.inf)
        for start in range(0, n, 4 * BLOCK):
            here = slice(start, start + 4 * BLOCK)
            squared = torch.addmm(squares[here], rows, centres[here].T, alpha=-2).add_(rows.square().sum(1)[:, None])
            squared.clamp_(min=0)
            total = torch.logaddexp(total, torch.stack([(squared * -rate).logsumexp(1) for rate in rates]))
        found.append(total)
    norm = [d / 2 * math.log(2 * math.pi * sigma**2) + math.log(n) for sigma in sigmas]
    return torch.cat(found, 1) - torch.tensor(norm, dtype=centres.dtype, device=centres.device)[:, None]
