"""What is asked of a model and not of a set of samples: whether it draws the class asked for, what is learned from its draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinxit.core.errors import InputError, near
from pinxit.core.labels import labelled
from pinxit.core.protocols import Conditional, HasCodes, HasLatents, Likelihood, Weighs, ZeroSum
from pinxit.evaluation.measures import MEASURES, Measure
from pinxit.evaluation.scores import Score, Value
from pinxit.metrics.conditioning import Matches

if TYPE_CHECKING:
    from pinxit.evaluation.judge import Judge, Subject


@dataclass(frozen=True)
class Ability:
    """A metric of a model.

    Args:
        name: as the command line spells it.
        about: in words.
        compute: (subject, judge) to scores, of a model that has it.
        has: whether a model has it.
        of: which models have, for who asks of others.
        features: whether it looks at samples through the judge's feature network.
    """

    name: str
    about: str
    compute: Callable[[Subject, Judge], list[Score]]
    has: Callable[[Any], bool]
    of: str
    features: bool = False

    def lacking(self, subject: Subject) -> str:
        """Why a subject that does not have it is not judged by it."""
        return f"{subject.name} can't be judged by `{self.name}`: it is for {self.of}"


def labels(subject: Subject, judge: Judge) -> list[Score]:
    """The share of samples in which a classifier of real samples sees the class that was asked for; the floor is its accuracy."""
    from pinxit.metrics.classifier import lenet
    from pinxit.metrics.conditioning import label_accuracy

    reader, start = lenet(judge.data, progress=_told(judge, "classifier")), time.perf_counter()
    found = label_accuracy(subject.model, reader)
    value = Value("label accuracy", found.accuracy, found.error, "higher", n=found.n, by=str(reader))
    floor = Value("label accuracy", reader.accuracy, n=reader.n_test)
    return [Score(value, floor, {"chance": 1 / judge.spec.classes}, time.perf_counter() - start)]


def swap(subject: Subject, judge: Judge) -> list[Score]:
    """The class changes with c, and the style of z stays; and how much of the data's variety each class has."""
    from pinxit.metrics.classifier import lenet
    from pinxit.metrics.conditioning import intra_class_diversity, swap_test

    reader, start = lenet(judge.data, progress=_told(judge, "classifier")), time.perf_counter()
    found, by = swap_test(subject.model, reader), str(reader)
    pairs, chance = found.n * found.classes, {"chance": 1 / judge.spec.classes}
    follows = Value("swap: class follows", found.follows, found.error, "higher", str(found), pairs, by)
    rows = [Score(follows, Value("swap: class follows", reader.accuracy, n=reader.n_test), chance, time.perf_counter() - start)]
    if found.style is not None:
        style = Value("swap: style kept", found.style, None, "higher", n=pairs, by="pixels")
        rows.append(Score(style, None, {"chance": found.style_chance or 0.0}))
    start = time.perf_counter()
    varied = intra_class_diversity(subject.model, reader, judge.data)
    n = varied.n * judge.spec.classes
    value = Value("diversity in classes", varied.ratio, varied.error, "floor", str(varied), n, by)
    return [*rows, Score(value, Value("diversity in classes", varied.floor, n=n), {}, time.perf_counter() - start)]


def match(subject: Subject, judge: Judge) -> list[Score]:
    """How well the model's own judge of pairs tells real images with their class from real images with another."""
    from pinxit.metrics.conditioning import match_auc

    start = time.perf_counter()
    batch = judge.reference.batch(labelled(judge.reference, judge.reference_rows)[:5000])
    assert batch.labels is not None
    found = match_auc(subject.model.match, batch.images, batch.labels, judge.spec.classes)
    of = f"images of {judge.reference.name} with right and wrong classes"
    value = Value("match AUC", found.auc, found.error, "higher", f"{found}; {of}", found.n, "the model's own discriminator")
    return [Score(value, None, {"chance": 0.5}, time.perf_counter() - start)]


def tstr(subject: Subject, judge: Judge) -> list[Score]:
    """Train on synthetic, test on real (Esteban et al. 2017), on synthetic too; the floor is training on as many real samples."""
    from pinxit.metrics.classifier import train_on_synthetic
    from pinxit.metrics.lenet import CHEAP

    data = judge.data
    progress = _told(judge, f"{subject.name}: classifiers")
    found = train_on_synthetic(subject.model, data, n=min(60_000, 6 * len(data)), protocol=CHEAP, progress=progress)
    controls = {"labels shuffled": found.shuffled}
    one = Value("TSTR", found.tstr, found.error, "higher", found.protocol, found.n_test, "a classifier of samples")
    other = Value("TRTS", found.trts, None, "higher", "", found.n_generated, "a classifier of real samples")
    error, note = (found.tsts * (1 - found.tsts) / found.n_held) ** 0.5, "tested on samples too"
    own = Value("TSTS", found.tsts, error, "floor", note, found.n_held, "a classifier of samples")
    real = [Value(name, found.real, n=found.n_test) for name in ("TSTR", "TSTS")]
    return [Score(one, real[0], controls, found.seconds), Score(other), Score(own, real[1])]


def likelihood(subject: Subject, judge: Judge) -> list[Score]:
    """Exact on all test images, or the bound of 5,000 samples of 1,000 of them; the protocol is the note."""
    from pinxit.metrics import likelihood as likelihoods

    start = time.perf_counter()
    exact = isinstance(subject.model, Likelihood)
    told = _told(judge, f"{subject.name}: likelihood, images")
    found = likelihoods.report(subject.model, judge.data, k=5000, n=0 if exact else 1000, progress=told)
    row = found["likelihood"][-1]
    note = f"{row['estimator']}; {row['measure']}{' given its ' + row['given'] if row['given'] else ''}; {row['n']:,} images"
    seconds = time.perf_counter() - start
    values = [
        Value("NLL, nats", row["nats"], row["error"], "lower", note, row["n"], "the model itself"),
        Value("bits/dim", row["bits_per_dim"], None, "lower", note, row["n"], "the model itself"),
    ]
    return [Score(value, seconds=seconds / len(values)) for value in values]


def path_length(subject: Subject, judge: Judge) -> list[Score]:
    """Perceptual path length in the judge's features (Karras et al. 2019)."""
    from pinxit.metrics.path_length import path_length as measured

    assert judge.network is not None
    start = time.perf_counter()
    found = measured(subject.model, judge.network)
    note = f"{found.n:,} pairs of codes; trimmed mean {found.trimmed:.4g}"
    value = Value("path length", found.value, found.error, "lower", note, found.n)
    return [Score(value, seconds=time.perf_counter() - start)]


def duality_gap(subject: Subject, judge: Judge) -> list[Score]:
    """What either side of the game could still win (Grnarova et al. 2019)."""
    from pinxit.metrics.duality import duality_gap as searched

    start = time.perf_counter()
    found = searched(subject.model, judge.data)
    value = Value("duality gap", found.gap, None, "lower", str(found), found.n, "the game's own players, trained on")
    return [Score(value, seconds=time.perf_counter() - start)]


def _told(judge: Judge, what: str) -> Callable[[int, int], None]:
    """Progress of a part of the judge's work."""
    return lambda done, total: judge.progress(what, done, total)


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda model: isinstance(model, kinds)


def _walks(model: Any) -> bool:
    """Whether codes are of the prior alone: on a walk between classes the length would be that of the class."""
    return isinstance(model, HasLatents) and not isinstance(model, (Conditional, HasCodes))


CLASSES = "models that draw a given class: cgan, acgan, cvae and the like"
ABILITIES = (
    Ability(
        "likelihood", "-log p(x) of the test split, exact or bounded", likelihood, _is(Likelihood, Weighs),
        "models with an exact likelihood or a bound: pixel models and auto-encoders with a prior",
    ),
    Ability("labels", "accuracy of the classes that were asked for", labels, _is(Conditional), CLASSES),
    Ability(
        "swap", "whether the class follows c, the style stays, and classes are as varied as real ones", swap, _is(Conditional),
        CLASSES,
    ),
    Ability("match", "how well the discriminator tells right pairs of image and class from wrong", match, _is(Matches), "cgan"),
    Ability("tstr", "train on synthetic, test on real, and the reverse; minutes", tstr, _is(Conditional), CLASSES),
    Ability(
        "path-length", "how far samples move in feature space as their code moves", path_length, _walks,
        "models that decode codes of a prior, without classes among them", features=True,
    ),
    Ability(
        "duality-gap", "what either player of a zero-sum GAN could still win", duality_gap, _is(ZeroSum), "gan and dcgan",
    ),
)  # fmt: skip


def told_apart(names: Sequence[str]) -> tuple[list[Measure], list[Ability]]:
    """The metrics of samples and those of models; raises InputError for an unknown name."""
    of_samples, of_models = {m.name: m for m in MEASURES}, {a.name: a for a in ABILITIES}
    for name in names:
        if name.lower() == "fid":
            raise InputError("unknown metric `fid`: it is `frechet` in the features `inception-2015`, and no other ones")
        if name not in of_samples and name not in of_models:
            raise InputError(f"unknown metric `{name}`: {near(name, [*of_samples, *of_models])}")
    unique = list(dict.fromkeys(names))
    return [of_samples[name] for name in unique if name in of_samples], [of_models[n] for n in unique if n in of_models]
