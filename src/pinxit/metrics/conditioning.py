"""Does a conditional model obey its label, and does the label change only what it should?

label accuracy    the judge reads the label that was asked for off the sample
swap test         z is held, c is changed: what of x changes, and what stays
match AUC         a scorer of pairs (image, label) tells true pairs from mismatched ones
diversity         mean distance within a class against the data's: accuracy alone is blind to collapse within classes
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.protocols import Conditional, Data
from pinxit.core.rng import seed_of
from pinxit.metrics.classifier import CHUNK, Classifier, Part
from pinxit.metrics.distances import wide

STYLES = ("ink", "slant", "width", "height")
Scorer = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LabelAccuracy:
    """How often the judge reads the label that was asked for.

    Args:
        accuracy: share of samples; it can't be expected above the judge's own.
        error: its binomial standard error, sqrt(p (1 - p) / n).
        per_class: the accuracy of each class.
        n: samples, as many of each class.
        judge_accuracy: the judge's on held-out real images.
        judge: its name and the hash of its weights.
    """

    accuracy: float
    error: float
    per_class: tuple[float, ...]
    n: int
    judge_accuracy: float
    judge: str

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Wilson (1927), which has a width at 0 and 1 too."""
        z2 = 1.959964**2
        centre = (self.accuracy + z2 / (2 * self.n)) / (1 + z2 / self.n)
        half = math.sqrt(z2) / (1 + z2 / self.n) * math.sqrt(self.error**2 + z2 / (4 * self.n**2))
        return centre - half, centre + half

    def __str__(self) -> str:
        score = f"{100 * self.accuracy:.2f} % +- {100 * self.error:.2f} of {self.n:,}"
        return f"label accuracy {score}; the judge {self.judge} on real images {100 * self.judge_accuracy:.2f} %"


def label_accuracy(model: Conditional, judge: Classifier, *, n: int = 10_000, seed: int = 0) -> LabelAccuracy:
    """E 1[argmax judge(x) = c], x ~ model(c), with every class asked for equally often.

    Args:
        model: draws samples of given classes.
        judge: a classifier trained on real data.
        n: samples, rounded down to a multiple of the number of classes.
        seed: of the samples.

    Raises:
        InputError: `n` is below the number of classes, or the model is not conditional.
    """
    _conditional(model)
    classes = judge.spec.classes
    if n < classes:
        raise InputError(f"`n` is {n}: at least one sample of each of {classes} classes is needed")
    n -= n % classes
    labels = torch.arange(n) % classes
    generator = torch.Generator().manual_seed(seed_of("label accuracy", seed))
    right = torch.cat([judge.predict(_draw(model, y, generator)) == y for y in labels.split(CHUNK)]).double()
    accuracy = right.mean().item()
    per_class = tuple(right.view(-1, classes).mean(0).tolist())
    error = math.sqrt(accuracy * (1 - accuracy) / n)
    return LabelAccuracy(accuracy, error, per_class, n, judge.accuracy, f"{judge.name} ({judge.hash})")


@dataclass(frozen=True)
class SwapTest:
    """What changes in x(z, c) when c is swapped and z is held.

    The variance of x over z and c, independent, is the sum of three parts: of the mean image of each c, of the mean image of
    each z, and of what only both together explain (the two-way analysis of variance; Sobol's indices).

    Args:
        change: root mean square of |x(z, c) - x(z, c')|, c' != c: 0 for a model that ignores c.
        within: root mean square of |x(z, c) - x(z', c)|, z' != z: 0 for a model that ignores z.
        class_share: of the variance, explained by c alone.
        latent_share: explained by z alone.
        joint_share: explained by both together only.
        follows: share of x(z, c) that the judge takes for c.
        error: of `follows`, over z.
        style: correlation over z of a style feature of x(z, c) with that of x(z, c'), c' != c, averaged over pairs and features:
            1 where a swap keeps the style exactly, 0 where it draws a new one; None where no feature varies with z.
        style_chance: as `style`, of different z: how far from 0 chance goes.
        styles: `style` of each feature that varies: `ink` the mean intensity, `slant` the shear of the intensity, `width` and
            `height` its standard deviations in pixels.
        n: codes z, each shown with every class.
        classes: number of classes.
    """

    change: float
    within: float
    class_share: float
    latent_share: float
    joint_share: float
    follows: float
    error: float
    style: float | None
    style_chance: float | None
    styles: dict[str, float]
    n: int
    classes: int

    @property
    def ratio(self) -> float:
        """change / within: infinite for a model that ignores z, not a number for one that is constant."""
        return self.change / self.within if self.within else math.inf if self.change else math.nan

    def __str__(self) -> str:
        style = "not varying" if self.style is None else f"kept {self.style:.2f} (by chance {self.style_chance:.2f})"
        follows = f"the class follows in {100 * self.follows:.2f} % +- {100 * self.error:.2f}"
        return f"swapping c changes x by {self.ratio:.2f} of what z does; {follows}; style {style}"


def swap_test(model: Conditional, judge: Classifier, *, n: int = 200, seed: int = 0) -> SwapTest:
    """Hold z, change c: see `SwapTest` for the numbers.

    z is held by giving the model the same generator state; labels must not change what it draws.

    Args:
        model: draws samples of given classes, the same ones from the same generator state.
        judge: a classifier trained on real data.
        n: codes; more than the number of classes.
        seed: of the codes.

    Raises:
        InputError: `n` is too small, or the model does not repeat itself.
    """
    _conditional(model)
    classes = judge.spec.classes
    if n <= classes:
        raise InputError(f"`n` is {n}: more codes than the {classes} classes are needed")
    x = torch.stack([_of_class(model, c, n, seed) for c in range(classes)])  # (k, n, c, h, w)
    if not torch.equal(x[0], _of_class(model, 0, n, seed)):
        raise InputError("the model gives other samples from the same generator state: z can't be held; draw from `generator`")
    flat = x.flatten(2).double()
    mean, of_class, of_latent = flat.mean((0, 1)), flat.mean(1), flat.mean(0)
    total = (flat - mean).square().sum().item()
    by_class = n * (of_class - mean).square().sum().item()
    by_latent = classes * (of_latent - mean).square().sum().item()
    joint = (flat - of_class[:, None] - of_latent[None] + mean).square().sum().item()
    # A share of rounding errors is none: the model is constant.
    scale = total if total > 1e-12 * flat.square().sum().item() else math.inf
    right = (judge.predict(x.flatten(0, 1)).view(classes, n) == torch.arange(classes)[:, None]).double()
    styles, chance = _styles(x)
    return SwapTest(
        change=_root(2 * (by_class + joint) / (n * (classes - 1)), flat),
        within=_root(2 * (by_latent + joint) / (classes * (n - 1)), flat),
        class_share=by_class / scale,
        latent_share=by_latent / scale,
        joint_share=joint / scale,
        follows=right.mean().item(),
        error=right.mean(0).std().item() / math.sqrt(n),
        style=_mean(styles),
        style_chance=_mean(chance),
        styles=styles,
        n=n,
        classes=classes,
    )


def style_features(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 4"]:
    """Ink, slant, width and height of images in [-1, 1], in float64: moments of the intensity w = (x + 1) / 2.

    ink = mean w;  slant = cov(col, row) / var(row);  width, height = the standard deviations of col and row, in pixels.
    """
    w = ((wide(x) + 1) / 2).mean(1)
    _, height, width = w.shape
    rows, columns = (torch.arange(side, dtype=w.dtype, device=w.device) for side in (height, width))
    row, col = torch.meshgrid(rows, columns, indexing="ij")
    mass = w.sum((1, 2)).clamp_min(1e-9)

    def mean(values: Tensor) -> Tensor:
        return (w * values).sum((1, 2)) / mass

    r, c = row - mean(row)[:, None, None], col - mean(col)[:, None, None]
    down, across, shear = mean(r * r), mean(c * c), mean(r * c)
    return torch.stack([w.mean((1, 2)), shear / down.clamp_min(1e-9), across.sqrt(), down.sqrt()], dim=1)


@runtime_checkable
class Matches(Protocol):
    """A game that judges pairs of a sample and a class."""

    def match(self, x: Tensor, labels: Tensor) -> Tensor:
        """The logits (n,) of samples with classes (n,)."""


@dataclass(frozen=True)
class MatchAUC:
    """How well a scorer tells true pairs (image, label) from mismatched ones.

    Args:
        auc: probability that a true pair outscores a mismatched pair of any image, ties half; .5 is blind, 1 perfect.
        error: its standard error over images: the structural components of DeLong et al. (1988), summed over the pairs of one
            image, which are not independent (Obuchowski 1997).
        paired: probability that an image's true label outscores another label of the same image, ties half. A scorer that also
            rates realism may have this high and `auc` low.
        n: images.
        classes: number of classes; each image has one true pair and classes - 1 mismatched ones.
    """

    auc: float
    error: float
    paired: float
    n: int
    classes: int

    def __str__(self) -> str:
        return f"match AUC {self.auc:.4f} +- {self.error:.4f}, within an image {self.paired:.4f} ({self.n:,} images)"


@torch.no_grad()
def match_auc(score: Scorer, x: Float[Tensor, "n c h w"], y: Int[Tensor, " m"], classes: int) -> MatchAUC:
    """Area under the ROC curve of (x, y) against (x, (y + s) mod K), s = 1..K-1, exact by mid-ranks.

    Args:
        score: maps images (m, c, h, w) and labels (m,) to scores (m,), higher for a better match.
        x: real images, in [-1, 1].
        y: their labels, in [0, classes).
        classes: number of classes K, at least 2.

    Raises:
        InputError: fewer than two images or classes, labels out of range, or scores that are not (m,) finite numbers.
    """
    if len(x) < 2 or classes < 2 or len(y) != len(x) or int(y.min()) < 0 or int(y.max()) >= classes:
        got = f"{len(x)} images, {len(y)} labels, {classes} classes"
        raise InputError(f"match AUC of {got}: give at least 2 images and classes, and labels in [0, `classes`)")
    table = torch.stack([_scores(score, x, (y + shift) % classes) for shift in range(classes)], dim=1)  # (n, k)
    true, other = table[:, 0].contiguous(), table[:, 1:].contiguous()
    above = _below(true, other)
    under = 1 - _below(other.reshape(-1), true).view_as(other).mean(1)
    auc = above.mean().item()
    components = above + under - 2 * auc
    error = math.sqrt(components.square().sum().item() / (len(x) * (len(x) - 1)))
    wins = (true[:, None] > other).double() + (true[:, None] == other).double() / 2
    return MatchAUC(auc, error, wins.mean().item(), len(x), classes)


@dataclass(frozen=True)
class Diversity:
    """Distances within classes, against the data's.

    Args:
        ratio: mean over classes of (mean pairwise feature distance of samples) / (that of real images): 0 is collapse within
            classes, 1 the data's spread; samples of wrong classes raise it, so read it beside the label accuracy.
        error: its standard error.
        least: the smallest ratio of a class.
        floor: `ratio` of other real images: what 1 looks like at this n.
        per_class: the ratio of each class.
        n: images of each class on either side.
        judge: the feature network and the hash of its weights.
    """

    ratio: float
    error: float
    least: float
    floor: float
    per_class: tuple[float, ...]
    n: int
    judge: str

    def __str__(self) -> str:
        worst = f"least {self.least:.3f} in class {self.per_class.index(self.least)}"
        return f"diversity within classes {self.ratio:.3f} +- {self.error:.3f} of the data's, {worst}; real {self.floor:.3f}"


def intra_class_diversity(model: Conditional, judge: Classifier, data: Data, *, n: int = 200, seed: int = 0) -> Diversity:
    """Mean over classes of E|f(x) - f(x')|, x and x' samples of one class, over the same of real images; f is the judge's.

    Args:
        model: draws samples of given classes.
        judge: the feature network.
        data: labelled real images, of which 2 `n` of each class are used: the reference, and its like as a control.
        n: images of each class, at least 2.
        seed: of the samples and the choice of real images.

    Raises:
        InputError: `n` is below 2, or a class has fewer than 2 `n` real images.
    """
    _conditional(model)
    if n < 2:
        raise InputError(f"`n` is {n}: distances within a class need at least 2 images of it")
    generator = torch.Generator().manual_seed(seed_of("diversity", seed))
    ratios, errors, floors = [], [], []
    for label, rows in enumerate(_rows_per_class(data, judge.spec.classes, 2 * n, generator)):
        real = judge.features(torch.cat([x for x, _ in Part(data, rows).in_order()])).double()
        fake = [judge.features(_draw(model, y, generator)) for y in torch.full((n,), label).split(CHUNK)]
        (d_real, e_real), (d_other, _), (d_fake, e_fake) = map(_spread, (real[:n], real[n:], torch.cat(fake).double()))
        ratios.append(d_fake / d_real)
        floors.append(d_other / d_real)
        errors.append(math.hypot(e_fake, d_fake / d_real * e_real) / d_real)
    k = len(ratios)
    error = math.sqrt(sum(e * e for e in errors)) / k
    judged = f"{judge.name} ({judge.hash})"
    return Diversity(sum(ratios) / k, error, min(ratios), sum(floors) / k, tuple(ratios), n, judged)


def _conditional(model: object) -> None:
    if not isinstance(model, Conditional):
        raise InputError(f"a {type(model).__name__} has no classes to ask for: take a model with `sample_class`")


@torch.no_grad()
def _draw(model: Conditional, labels: Tensor, generator: torch.Generator) -> Tensor:
    return model.sample_class(labels, generator=generator).cpu()


def _of_class(model: Conditional, label: int, n: int, seed: int) -> Tensor:
    """x(z_1, c), ..., x(z_n, c): the codes are a function of the seed and their place."""
    pieces = []
    for start in range(0, n, CHUNK):
        generator = torch.Generator().manual_seed(seed_of("swap", seed, start))
        pieces.append(_draw(model, torch.full((min(CHUNK, n - start),), label), generator))
    return torch.cat(pieces)


def _root(square: float, flat: Tensor) -> float:
    """The root of a mean square distance; 0 where it is the rounding of the sums that it came from."""
    return math.sqrt(square) if square > 1e-24 * flat.shape[-1] else 0.0


def _mean(values: dict[str, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _styles(x: Tensor) -> tuple[dict[str, float], dict[str, float]]:
    """The mean correlation of each style feature across classes, at the same z and at different z; x is (k, n, c, h, w)."""
    k, n = x.shape[:2]
    features = style_features(x.flatten(0, 1)).view(k, n, -1)
    kept, chance = {}, {}
    for name, f in zip(STYLES, features.unbind(-1), strict=True):
        centred = f - f.mean(1, keepdim=True)
        norm = centred.norm(dim=1, keepdim=True)
        if bool((norm > 1e-9 * math.sqrt(n)).all()):
            unit = centred / norm
            moved = torch.stack([row.roll(place) for place, row in enumerate(unit)])
            for found, rows in ((kept, unit), (chance, moved)):
                found[name] = ((rows @ rows.T).sum().item() - k) / (k * (k - 1))
    return kept, chance


def _scores(score: Scorer, x: Tensor, y: Tensor) -> Tensor:
    """The scores of pairs, (n,) float64 on the CPU."""
    pieces = []
    for images, labels in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
        out = score(images, labels)
        if tuple(out.shape) != (len(images),) or not bool(out.isfinite().all()):
            raise InputError(f"`score` gave {tuple(out.shape)} for {len(images)} pairs: it must give one finite score a pair")
        pieces.append(out.cpu().double())
    return torch.cat(pieces)


def _below(values: Tensor, others: Tensor) -> Tensor:
    """For each value the share of `others` below it, equal ones counting half."""
    ordered = others.reshape(-1).sort().values
    less = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    return (less + up_to).double() / (2 * len(ordered))


def _spread(f: Tensor) -> tuple[float, float]:
    """The mean distance between two of the rows, and its standard error, 2 sd(mean distance from a row) / sqrt(n)."""
    n = len(f)
    per_row = torch.cdist(f, f, compute_mode="donot_use_mm_for_euclid_dist").sum(1) / (n - 1)
    return per_row.mean().item(), 2 * per_row.std().item() / math.sqrt(n)


def _rows_per_class(data: Data, classes: int, n: int, generator: torch.Generator) -> list[Tensor]:
    """`n` rows of each class, chosen at random."""
    labels = torch.cat([y for _, y in Part(data, torch.arange(len(data))).in_order()])
    chosen = []
    for label in range(classes):
        rows = (labels == label).nonzero().squeeze(1)
        if len(rows) < n:
            raise InputError(f"{data.name} has {len(rows)} images of class {label}: {n} are needed; take a smaller `n`")
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:n]])
    return chosen
