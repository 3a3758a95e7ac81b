"""What is asked of a model and not of a set of samples: whether it draws the class asked for, what is learned from its draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pinxit.core.errors import InputError, near
from pinxit.core.protocols import Conditional, Data, Likelihood
from pinxit.evaluation.measures import MEASURES, Measure
from pinxit.evaluation.scores import Score, Value

if TYPE_CHECKING:
    from pinxit.evaluation.judge import Subject


@dataclass(frozen=True)
class Ability:
    """A metric of a model.

    Args:
        name: as the command line spells it.
        about: in words.
        compute: (subject, training data) to scores; raises InputError where the model can't.
    """

    name: str
    about: str
    compute: Callable[[Subject, Data], list[Score]]


def labels(subject: Subject, data: Data) -> list[Score]:
    """The share of samples in which a classifier of real samples sees the class that was asked for; the floor is its accuracy."""
    from pinxit.metrics.classifier import lenet
    from pinxit.metrics.conditioning import label_accuracy

    model, judge, start = conditional(subject, "labels"), lenet(data), time.perf_counter()
    found = label_accuracy(model, judge)
    value = Value("label accuracy", found.accuracy, found.error, "higher")
    return [Score(value, Value("label accuracy", judge.accuracy), {"chance": 1 / data.spec.classes}, time.perf_counter() - start)]


def tstr(subject: Subject, data: Data) -> list[Score]:
    """Train on synthetic, test on real (Esteban et al. 2017); the floor is training on as many real samples."""
    from pinxit.metrics.classifier import train_on_synthetic
    from pinxit.metrics.lenet import CHEAP

    model = conditional(subject, "tstr")
    with torch.enable_grad():
        found = train_on_synthetic(model, data, n=min(60_000, 6 * len(data)), protocol=CHEAP)
    controls = {"labels shuffled": found.shuffled}
    one = Value("TSTR", found.tstr, found.error, "higher", found.protocol)
    other = Value("TRTS", found.trts, None, "higher")
    return [Score(one, Value("TSTR", found.real), controls, found.seconds), Score(other)]


def likelihood(subject: Subject, data: Data) -> list[Score]:
    """Exact on all test images, or the bound of 5,000 samples of 1,000 of them; the protocol is the note."""
    from pinxit.metrics import likelihood as likelihoods

    start = time.perf_counter()
    exact = isinstance(subject.model, Likelihood)
    found = likelihoods.report(subject.model, data, k=5000, n=0 if exact else 1000)
    row = found["likelihood"][-1]
    note = f"{row['estimator']}; {row['measure']}{' given its ' + row['given'] if row['given'] else ''}; {row['n']:,} images"
    seconds = time.perf_counter() - start
    values = [Value("NLL, nats", row["nats"], row["error"], "lower", note), Value("bits/dim", row["bits_per_dim"], None, "lower")]
    return [Score(value, seconds=seconds / len(values)) for value in values]


ABILITIES = (
    Ability("likelihood", "-log p(x) of the test split, exact or bounded", likelihood),
    Ability("labels", "accuracy of the classes that were asked for", labels),
    Ability("tstr", "train on synthetic, test on real, and the reverse; minutes", tstr),
)


def conditional(subject: Subject, metric: str) -> Conditional:
    """The subject's model, if it draws given classes."""
    if not isinstance(subject.model, Conditional):
        raise InputError(f"{subject.name} draws no given classes: metric `{metric}` is for cgan, acgan, cvae and the like")
    return subject.model


def told_apart(names: Sequence[str]) -> tuple[list[Measure], list[Ability]]:
    """The metrics of samples and those of models; raises InputError for an unknown name."""
    of_samples, of_models = {m.name: m for m in MEASURES}, {a.name: a for a in ABILITIES}
    for name in names:
        if name not in of_samples and name not in of_models:
            raise InputError(f"unknown metric `{name}`: {near(name, [*of_samples, *of_models])}")
    unique = list(dict.fromkeys(names))
    return [of_samples[name] for name in unique if name in of_samples], [of_models[n] for n in unique if n in of_models]
