"""A likelihood and the protocol that it was measured by: numbers of different protocols are refused, not compared."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.labels import labelled
from pinxit.core.protocols import ConditionalBound, ConditionalLikelihood, Data


@dataclass(frozen=True)
class Protocol:
    """What a likelihood depends on besides the model.

    Args:
        estimator: "exact", "ELBO", "L_5000", "AIS ...".
        measure: what p(x) is a probability or density of, with the binarisation where there is one.
        given: what p is conditional on: "" or "label".
        data: name of the data set.
        split: of it, "test" or "train"; "only" of data that has no splits, "given" where nobody said.
        images: how many, and which: "all", or chosen by a seed.
        n: their number.
        k: samples of z an image; 0 where there are none.
        weights: "averaged" or "raw"; "published" of a model saved by itself, "given" where nobody said.
        seed: of bits and samples.
    """

    estimator: str
    measure: str
    given: str
    data: str
    split: str
    images: str
    n: int
    k: int
    weights: str
    seed: int

    def __str__(self) -> str:
        given = f" given its {self.given}" if self.given else ""
        return (
            f"{self.estimator}; {self.measure}{given}; {self.n:,} images ({self.images}) of the {self.split} split of "
            f"{self.data}; {self.weights} weights; seed {self.seed}"
        )


@dataclass(frozen=True)
class Estimate:
    """-log p(x) of a data set.

    Args:
        nats: mean over images; of a bound, no less than the truth but for its error.
        error: its standard error over images.
        bits_per_dim: nats / (D ln 2).
        ess: mean effective sample size (sum w)^2 / sum w^2 of the k weights, at most k; None where nothing is weighed.
        protocol: without which the number says nothing.
        values: log p(x), or its bound, of each image, float64.
    """

    nats: float
    error: float
    bits_per_dim: float
    ess: float | None
    protocol: Protocol
    values: Tensor = field(repr=False, compare=False)

    def __str__(self) -> str:
        ess = "" if self.ess is None else f", effective samples {self.ess:.1f} of {self.protocol.k:,}"
        return f"{self.nats:.3f} +- {self.error:.3f} nats ({self.bits_per_dim:.4f} bits/dim){ess}; {self.protocol}"


def check(model: Any, data: Data) -> None:
    """Refuse a model that has no likelihood of this data: at once, for its numbers take minutes.

    Raises:
        InputError: no images, a model without likelihood or of other data, or missing labels.
    """
    if not len(data):
        raise InputError(f"{data.name} has no images: there must be some to score")
    if "no likelihood" in getattr(model, "measure", ""):
        raise InputError(f"this model has no likelihood ({model.measure}): train it with --binarise dynamic")
    if model.spec.shape != data.spec.shape or model.spec.binarised != data.spec.binarised:
        raise InputError(
            f"the model was built for {model.spec}, the data {data.name} has {data.spec}: take the data it was trained on"
        )
    if isinstance(model, (ConditionalBound, ConditionalLikelihood)) and not len(labelled(data)):
        raise InputError(f"{type(model).__name__} needs labels, {data.name} has none: take data that has")


def comparable(a: Protocol, b: Protocol) -> tuple[str, ...]:
    """What a reader must know before comparing two numbers, empty where nothing; see `Protocol`.

    Raises:
        InputError: the numbers are not of the same quantity: another measure, binarisation, data set, split, images or condition.
    """
    for name in ("measure", "given", "data", "split", "images", "n"):
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            what = {"given": "condition", "n": "number of images"}.get(name, name)
            raise InputError(
                f"these likelihoods can't be compared: their {what} differs, {one or 'none'!r} and {other or 'none'!r}"
            )
    notes = {"estimator": "bounds of different tightness", "weights": "different weights", "seed": "different draws"}
    return tuple(
        f"{text}: {getattr(a, name)}, {getattr(b, name)}" for name, text in notes.items() if getattr(a, name) != getattr(b, name)
    )


def estimated(values: Float[Tensor, " n"], data: Data, protocol: Protocol, ess: float | None = None) -> Estimate:
    """The estimate from log p(x) of each image, float64."""
    nats = -float(values.mean())
    error = float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.nan
    return Estimate(nats, error, nats / (data.spec.dim * math.log(2)), ess, protocol, values)


def as_row(estimate: Estimate) -> dict[str, Any]:
    """An estimate as plain values, for JSON; without the values of single images."""
    numbers = {name: getattr(estimate, name) for name in ("nats", "error", "bits_per_dim", "ess")}
    return {**numbers, **asdict(estimate.protocol)}
