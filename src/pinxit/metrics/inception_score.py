"""exp E KL(p(y|x) || p(y)): "Inception score" only where the Inception-2015 classifier made the probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.distances import wide

INCEPTION = "inception-2015"


@dataclass(frozen=True)
class InceptionScore:
    """The score, in [1, classes].

    Args:
        score: mean over the splits.
        error: standard deviation over the splits, as the literature prints behind +-; 0 for one split.
        splits: how many.
        n: samples in all.
        classes: of the classifier: the greatest score there is.
        classifier: that made the probabilities.
    """

    score: float
    error: float
    splits: int
    n: int
    classes: int
    classifier: str

    @property
    def name(self) -> str:
        """The score's name, which only one classifier gives it."""
        return "Inception score" if self.classifier == INCEPTION else f"inception-style score ({self.classifier})"

    def __str__(self) -> str:
        return f"{self.name} {self.score:.3f} +- {self.error:.3f} of at most {self.classes} ({self.splits} splits of {self.n:,})"


def inception_score(
    probabilities: Float[Tensor, "n k"], *, classifier: str, splits: int = 10, generator: torch.Generator | None = None
) -> InceptionScore:
    """exp( 1/n sum_i sum_y p(y|x_i) log(p(y|x_i) / p(y)) ), p(y) the mean over the split, in float64.

    A split of few samples has too uneven a p(y) by chance, which lowers the score: compare scores of equal n and splits only.
    It does not see real data at all: one sharp image a class scores the maximum.

    Reference: Salimans et al. 2016, Improved techniques for training GANs, section 4 (10 splits of 50,000).

    Args:
        probabilities: p(y|x), rows that sum to 1.
        classifier: that made them; "inception-2015" gives the score its name.
        splits: consecutive parts, in [1, n].
        generator: shuffles the rows before; samples sorted by class must be. None takes them as they come.

    Raises:
        InputError: fewer rows than splits, or rows that are no probabilities.
    """
    n, k = probabilities.shape
    if not 1 <= splits <= n:
        raise InputError(f"{splits} `splits` of {n} samples: give from 1 to {n}")
    p = wide(probabilities)
    bad = ~((p >= 0).all(1) & ((p.sum(1) - 1).abs() < 1e-3))
    if bool(bad.any()):
        raise InputError(f"{int(bad.sum())} of {n} rows of `probabilities` are none: each must be >= 0 and sum to 1 (softmax)")
    if generator is not None:
        p = p[torch.randperm(n, generator=generator).to(p.device)]
    scores = []
    for i in range(splits):
        part = p[i * n // splits : (i + 1) * n // splits]
        kl = torch.special.xlogy(part, part).sum(1).mean() - torch.special.xlogy(part.mean(0), part.mean(0)).sum()
        scores.append(kl.exp())
    found = torch.stack(scores)
    return InceptionScore(float(found.mean()), float(found.std(correction=0)), splits, n, k, classifier)
