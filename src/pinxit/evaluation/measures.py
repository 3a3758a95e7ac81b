"""The metrics of an evaluation: each sees a set of samples beside the real ones and gives named values.

One function a metric, the same for the samples that are judged, for real samples (the floor) and for spoilt ones (the controls),
so that no score has a protocol of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from pinxit.core.rng import seed_of
from pinxit.evaluation.scores import Value

if TYPE_CHECKING:
    from pinxit.metrics.kernel import KernelDistance
    from pinxit.metrics.precision_recall import Neighbourhoods

REPEATS = 10
"""Bootstrap repeats of a metric that has no error of its own."""
FEW = 1000
"""Below so many samples the neighbourhoods of precision and recall are wide."""
EXACT = 1000
"""Samples of which the exact transport distance is taken."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A set of samples as metrics see it.

    Args:
        features: (n, d).
        images: the first of them in [-1, 1]; all of them where they are stacked digits.
        probabilities: p(class | sample) by a classifier of real samples, (n, k); None where there is none.
        told: p(class | sample) by the feature network itself, where it tells classes, else the same as `probabilities`.
    """

    features: Tensor
    images: Tensor
    probabilities: Tensor | None = None
    told: Tensor | None = None

    def part(self, rows: Tensor) -> Seen:
        """The samples at `rows` alone; the images are those of the whole."""
        probabilities, told = (None if p is None else p[rows] for p in (self.probabilities, self.told))
        return Seen(self.features[rows], self.images, probabilities, told)


@dataclass(frozen=True, eq=False)
class Real:
    """What samples are held against.

    Args:
        reference: real samples that were not trained on, where there are such.
        train: training samples.
        held_out: whether the reference was not trained on.
        centres: of the modes of points, with `sigma` their standard deviation.
        classifier: what tells the data's classes, as printed.
        teller: what made `told`.
        names: of the classes.
        stacks: from stacked digits to their modes; None elsewhere.
    """

    reference: Seen
    train: Seen
    held_out: bool
    centres: Tensor | None = None
    sigma: float = 0.0
    classifier: str = ""
    teller: str = ""
    names: tuple[str, ...] = ()
    stacks: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Measure:
    """A metric.

    Args:
        name: as the command line spells it.
        about: in words.
        compute: (samples, real samples, seed) to values.
        needs: besides features: the data's classes, those of any classifier, every training sample, or modes that are known.
        images: how many of a set's images it looks at.
        floor: what the floor is the value of: training samples, or the half of the held-out samples that is not the null.
        least: samples that it needs.
    """

    name: str
    about: str
    compute: Callable[[Seen, Real, int], list[Value]]
    needs: Literal["", "classes", "told", "train", "modes"] = ""
    images: Literal["none", "some", "all"] = "none"
    floor: Literal["train", "held-out"] = "train"
    least: int = 2


def generator(seed: int, name: str) -> torch.Generator:
    """The generator of a metric."""
    return torch.Generator().manual_seed(seed_of("measure", name, seed))


def frechet(x: Seen, real: Real, seed: int) -> list[Value]:
    """Its error is the bootstrap's over the judged samples; the distance of two sets of one law at this n is the floor."""
    from pinxit.metrics.frechet import frechet_distance, frechet_note

    value = frechet_distance(x.features, real.reference.features)
    error = bootstrapped(lambda rows: frechet_distance(rows, real.reference.features), x.features, generator(seed, "frechet"))
    return [Value("frechet distance", value, error, "lower", frechet_note(*x.features.shape))]


def frechet_infinity(x: Seen, real: Real, seed: int) -> list[Value]:
    """Chong & Forsyth 2020, both sets cut down; how it scatters about its line is not the noise of the samples."""
    from pinxit.metrics.frechet import frechet_infinity as extrapolated

    both = len(real.reference.features) >= len(x.features)
    found = extrapolated(x.features, real.reference.features, generator=generator(seed, "frechet-infinity"), both=both)
    kept = "" if both else "; the reference keeps its n, and its bias"
    note = f"from n = {found.sizes[0]:,} to {found.sizes[-1]:,}, scatter about the line {found.standard_error:.2g}{kept}"
    return [Value("frechet distance, n = infinity", found.distance, None, "lower", note)]


def kid(x: Seen, real: Real, seed: int) -> list[Value]:
    """Binkowski et al. 2018, from all samples at once."""
    found, _ = _pairwise(x, real)
    return [Value("kernel distance", found.value, found.standard_error, "lower")]


def precision_recall(x: Seen, real: Real, seed: int) -> list[Value]:
    """Kynkaanniemi et al. 2019 with k = 3; Naeem et al. 2020 with k = 5. The errors of shares are binomial."""
    n, m = len(x.features), len(real.reference.features)
    _, found = _pairwise(x, real)
    pr, dc = found.precision_recall, found.density_coverage
    note = f"n = {n:,} makes wide neighbourhoods: compare at equal n only" if n < FEW else ""
    return [
        Value("precision", pr.precision, _binomial(pr.precision, n), "higher", note),
        Value("recall", pr.recall, _binomial(pr.recall, m), "higher"),
        Value("density", dc.density, dc.density_error, "higher"),
        Value("coverage", dc.coverage, _binomial(dc.coverage, m), "higher"),
    ]


def prd(x: Seen, real: Real, seed: int) -> list[Value]:
    """Sajjadi et al. 2018; how it scatters over the runs of k-means is not the noise of the samples."""
    from pinxit.metrics.prd import prd as curve

    found = curve(real.reference.features, x.features, generator=generator(seed, "prd"))
    scatter = "scatter over the runs of k-means {:.2g}"
    return [
        Value("PRD F8 (recall)", found.f_8, None, "higher", scatter.format(found.f_8_error)),
        Value("PRD F1/8 (precision)", found.f_eighth, None, "higher", scatter.format(found.f_eighth_error)),
    ]


def inception(x: Seen, real: Real, seed: int) -> list[Value]:
    """Salimans et al. 2016; an "inception-style" score unless the classifier is Inception-2015's.

    The mean p(y) of a split of m samples has m - 1 degrees of freedom over k classes, which lowers the score by a factor of at
    most about exp(-(k - 1) / (2 m)).
    """
    from pinxit.metrics.inception_score import inception_score

    assert x.told is not None
    found = inception_score(x.told, classifier=real.teller, generator=generator(seed, "inception"))
    lower = 1 - math.exp(-(found.classes - 1) * found.splits / (2 * found.n))
    few = f"; splits of {found.n // found.splits:,} lower it by up to {100 * lower:.0f} %" if lower > 0.01 else ""
    error = found.error / math.sqrt(found.splits)
    return [Value(found.name, found.score, error, "higher", f"sees no real sample{few}")]


def sliced(x: Seen, real: Real, seed: int) -> list[Value]:
    """Sliced W1 among features (Rabin et al. 2011); its error is the bootstrap's, the directions are the same for all sets."""
    from pinxit.metrics.transport import sliced as distance

    found = distance(x.features, real.reference.features)
    error = bootstrapped(lambda rows: distance(rows, real.reference.features).value, x.features, generator(seed, "sliced"))
    return [Value("sliced W1", found.value, error, "lower", f"error of the directions {found.standard_error:.2g}")]


def exact(x: Seen, real: Real, seed: int) -> list[Value]:
    """Exact W1 of a thousand samples of each, by POT, with the bootstrap's error."""
    from pinxit.metrics.transport import wasserstein

    n = min(EXACT, len(x.features), len(real.reference.features))
    ours, theirs = x.features[:n], real.reference.features[:n]
    error = bootstrapped(lambda rows: wasserstein(rows, theirs), ours, generator(seed, "wasserstein"))
    return [Value("exact W1", wasserstein(ours, theirs), error, "lower", n=n)]


def ms_ssim(x: Seen, real: Real, seed: int) -> list[Value]:
    """Odena et al. 2017: the similarity of pairs of samples; diversity is judged beside that of real ones."""
    from pinxit.metrics.ms_ssim import pair_similarity

    found = pair_similarity(x.images, generator=generator(seed, "ms-ssim"))
    return [Value("MS-SSIM of pairs", found.value, found.standard_error, "floor", n=len(x.images), by="pixels")]


def classes(x: Seen, real: Real, seed: int) -> list[Value]:
    """The classes that a classifier sees, held against those it sees in the reference."""
    from pinxit.metrics.two_sample import class_histogram

    assert x.probabilities is not None
    assert real.reference.probabilities is not None
    found, reference = class_histogram(_counts(x), _counts(real.reference)), _counts(real.reference)
    said, k = x.probabilities.argmax(1), x.probabilities.shape[1]

    def again(rows: Tensor) -> float:
        return class_histogram(rows.bincount(minlength=k), reference).kl

    error = bootstrapped(again, said, generator(seed, "classes"))
    missing = ", ".join(real.names[k] if k < len(real.names) else str(k) for k in found.missing)
    note = f"G-test p = {found.p:.2g}" + (f"; missing: {missing}" if missing else "")
    if found.n < 5 * len(_counts(x)):
        note += f"; n = {found.n} is fewer than five a class: its law is not known there"
    return [Value("class KL", found.kl, error, "lower", note, by=real.classifier)]


def two_sample(x: Seen, real: Real, seed: int) -> list[Value]:
    """Lopez-Paz & Oquab 2017: how often nearest neighbours tell samples from real ones; 1/2 where they can't."""
    from pinxit.metrics.two_sample import neighbour_test

    found = neighbour_test(real.reference.features, x.features, generator=generator(seed, "two-sample"))
    note = f"p = {found.p:.2g} where the laws are equal; real ones {found.real:.2f}, generated ones {found.generated:.2f}"
    return [Value("1-NN accuracy", found.accuracy, _binomial(found.accuracy, found.n), "floor", note)]


def logistic(x: Seen, real: Real, seed: int) -> list[Value]:
    """Lopez-Paz & Oquab 2017: how often a plane among the features tells held-out samples from real ones; 1/2 where none can."""
    from pinxit.metrics.two_sample import logistic_test

    found = logistic_test(real.reference.features, x.features, generator=generator(seed, "logistic"))
    note = f"p = {found.p:.2g} where the laws are equal; judged on the half that it was not fitted to"
    return [Value("logistic accuracy", found.accuracy, _binomial(found.accuracy, found.n), "floor", note, n=found.n // 2)]


def memorisation(x: Seen, real: Real, seed: int) -> list[Value]:
    """Whether samples lie nearer to training samples than held-out ones do."""
    from pinxit.metrics.memorisation import memorisation as examined

    found = examined(x.features, real.train.features, real.reference.features, generator=generator(seed, "memorisation"))
    tail, own = found.tail.value, found.authenticity.value
    few = "" if found.held_out >= 100 else f"; 1 % of {found.held_out} held-out samples is less than one of them"
    return [
        Value("copies: nearest 1 %", tail, _binomial(tail, found.generated), "floor", found.verdict + few),
        Value("copies: Z_U", found.z.value, 1.0, "floor"),
        Value("copies: C_T", found.c_t.value, 1.0, "floor"),
        Value("authenticity", own, _binomial(own, found.generated), "floor"),
    ]


def modes(x: Seen, real: Real, seed: int) -> list[Value]:
    """Modes of points by distance, of stacked digits by a classifier."""
    from pinxit.metrics.modes import mixture_modes, stacked_modes

    if real.stacks is not None:
        stacks = stacked_modes(x.images, real.stacks)
        note, by = f"dropped: {', '.join(stacks.dropped[:10])}" if stacks.dropped else "", "a classifier of MNIST's digits"
        return [
            Value("modes", float(stacks.captured), None, "higher", note, by=by),
            Value("reverse KL of modes", stacks.kl, None, "lower", by=by),
            Value("confident", stacks.confident, _binomial(stacks.confident, len(x.images)), "higher", by=by),
        ]
    assert real.centres is not None
    found = mixture_modes(x.features, real.centres, real.sigma, real.names)
    note = f"dropped: {', '.join(found.dropped)}" if found.dropped else ""
    return [
        Value("modes", float(found.captured), None, "higher", note),
        Value("high quality", found.high_quality, _binomial(found.high_quality, len(x.features)), "floor"),
        Value("reverse KL of modes", found.reverse_kl, None, "lower"),
        Value("spread within modes", found.spread, None, "floor", "1 is the data's; less are shrunken modes"),
    ]


def parzen(x: Seen, real: Real, seed: int) -> list[Value]:
    """The historical score of pixels, misleading: half of the reference chooses the width, the other half is judged."""
    from pinxit.metrics.parzen import parzen as estimate

    pixels = [(part.images.flatten(1) + 1) / 2 for part in (x, real.train, real.reference)]
    validation, test = pixels[2].chunk(2)
    found = estimate(pixels[0], pixels[1], validation, test, generator=generator(seed, "parzen"))
    value = found.samples
    return [Value("Parzen log-likelihood", value.log_likelihood, value.standard_error, "higher", found.caveat, by="pixels")]


MEASURES = (
    Measure("frechet", "Frechet distance of Gaussians fitted to features", frechet),
    Measure("frechet-infinity", "the same, extrapolated to infinitely many samples", frechet_infinity),
    Measure("kid", "squared MMD with a cubic kernel, unbiased", kid),
    Measure("precision-recall", "precision, recall, density, coverage", precision_recall, least=6),
    Measure("prd", "precision against recall on clusters", prd, least=10),
    Measure("inception", "inception-style score", inception, needs="told", least=10),
    Measure("sliced", "sliced Wasserstein distance", sliced),
    Measure("wasserstein", "exact Wasserstein distance of 1,000 samples", exact),
    Measure("ms-ssim", "similarity of pairs of samples", ms_ssim, images="some"),
    Measure("classes", "histogram of classes against the data's", classes, needs="classes"),
    Measure("two-sample", "whether nearest neighbours tell samples from real ones", two_sample),
    Measure("logistic", "whether a plane among the features tells samples from real ones", logistic, least=4),
    Measure(
        "memorisation", "whether samples are copies of training ones", memorisation, needs="train", floor="held-out", least=4
    ),
    Measure("modes", "modes of points or of stacked digits", modes, needs="modes", images="all"),
    Measure("parzen", "Parzen window, historical and misleading", parzen, images="all"),
)
USUAL = ("frechet", "kid", "precision-recall", "classes", "ms-ssim", "memorisation")
POINTS = ("modes", "sliced", "precision-recall")


@lru_cache(maxsize=1)
def _pairwise(x: Seen, real: Real) -> tuple[KernelDistance, Neighbourhoods]:
    """What the two metrics of pairs share, for whichever is asked first: equal only where the very same tensors are meant."""
    from pinxit.metrics.pairwise import kernel_and_neighbourhoods

    return kernel_and_neighbourhoods(real.reference.features, x.features)


def bootstrapped(compute: Callable[[Tensor], float], rows: Tensor, drawn: torch.Generator) -> float:
    """The standard deviation of a metric over sets of as many rows, drawn from these with replacement (Efron 1979)."""
    n = len(rows)
    values = [compute(rows[torch.randint(n, (n,), generator=drawn)]) for _ in range(REPEATS)]
    return float(torch.tensor(values, dtype=torch.float64).std())


def _counts(x: Seen) -> Tensor:
    assert x.probabilities is not None
    return x.probabilities.argmax(1).bincount(minlength=x.probabilities.shape[1])


def _binomial(share: float, n: int) -> float:
    """The standard error of a share of n; at 0 and 1 that of half a sample."""
    p = min(max(share, 0.5 / n), 1 - 0.5 / n)
    return math.sqrt(p * (1 - p) / n)
