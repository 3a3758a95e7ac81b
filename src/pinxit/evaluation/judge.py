"""The judge: real samples, a feature network and metrics, before which any number of subjects come and are treated alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame
from pinxit.core.labels import as_often
from pinxit.core.protocols import Data, Likelihood, Reconstructs, Samples, Splits, Weighs
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.evaluation import abilities, controls, measures
from pinxit.evaluation.measures import Measure, Real, Seen
from pinxit.evaluation.scores import Evaluation, Score, Value
from pinxit.metrics import extraction, features
from pinxit.metrics.extraction import Source
from pinxit.metrics.features.judge import LeNetFeatures
from pinxit.metrics.features.protocol import Classifies, Features
from pinxit.metrics.features.sources import Watched, evaluating

SHOWN = 512
"""Images kept of a set for the metrics that look at pixels."""
SMALL = 40
"""Images up to this side, with labels, have the classifier that pinxit trains on them as their feature network."""
BANK = 60_000
"""Training samples that copies are looked for among."""
TELLERS = ("lenet", "efficientnet", "inception")
"""Feature networks that tell classes: of their data, or ImageNet's."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Subject:
    """What is judged.

    Args:
        name: as printed.
        source: of its samples.
        model: the trained model, where there is one.
        about: kind, system, weights, recipe, label: what is kept beside the scores.
        cost: training time, parameters and the like.
        lines: sentences to print with the scores.
    """

    name: str
    source: Source
    model: Any = None
    about: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    lines: Sequence[str] = ()


class Judge:
    """Holds samples against real ones.

    Args:
        data: what was trained on; its test split is the reference, where it has one, else half of it.
        n: samples of every set; fewer where there are fewer real ones.
        network: the name of the features, of `pinxit.metrics.features.load`; None for what fits the data.
        weights: of inception-2015, a file.
        metrics: names of `pinxit.evaluation.measures` and `abilities`; none given are the usual ones.
        controls: judge spoilt real samples too.
        progress: called with (what, done, in all).

    Raises:
        InputError: an unknown metric or network, or one that does not fit the data.
    """

    def __init__(
        self, data: Data, *, n: int = 10_000, network: str | None = None, weights: Path | None = None,
        metrics: Sequence[str] = (), controls: bool = True, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self.data, self.spec = data, data.spec
        self.progress = progress or (lambda what, done, total: None)
        test = data.test() if isinstance(data, Splits) else None
        self.held_out = test is not None
        rows = self._order(data)
        if test is None:
            if len(data) < 4:
                raise InputError(f"{data.name} has {len(data)} samples and no test split: half of them can't be a reference")
            self.reference, self.reference_rows, self.train_rows = data, rows[: len(rows) // 2], rows[len(rows) // 2 :]
        else:
            self.reference, self.reference_rows, self.train_rows = test, self._order(test), rows
        self.n = min(n, len(self.reference_rows), len(self.train_rows))
        self.asked = n
        if isinstance(metrics, str):
            raise InputError(f"`metrics` is the name {metrics!r}: give a list of names")
        names = tuple(metrics) or self._usual()
        self.measures, self.abilities = abilities.told_apart(names)
        self.with_controls = controls
        self._network, self._weights = network or self._fitting(), weights
        self._check()

    @staticmethod
    def _order(data: Data) -> Tensor:
        """Which samples are taken first: a function of the data alone, so that every evaluation takes the same."""
        return torch.randperm(len(data), generator=torch.Generator().manual_seed(seed_of("reference", data.name, len(data))))

    def _usual(self) -> tuple[str, ...]:
        if self.spec.continuous:
            return measures.POINTS if self._centred else tuple(name for name in measures.POINTS if name != "modes")
        names = measures.USUAL if self._has_classifier else tuple(name for name in measures.USUAL if name != "classes")
        return names if min(self.spec.height, self.spec.width) >= 16 else tuple(name for name in names if name != "ms-ssim")

    @cached_property
    def network(self) -> Features | None:
        """The feature network; None where only models are asked, who need none and no classifier that takes minutes to train."""
        if not self.measures and not any(ability.features for ability in self.abilities):
            return None
        told = lambda done, total: self.progress("classifier", done, total)  # noqa: E731
        return features.load(self._network, self.data, weights=self._weights, progress=told)

    def _asks(self, need: str) -> bool:
        return any(measure.needs == need for measure in self.measures)

    @property
    def _teller(self) -> str:
        """Who the inception score asks."""
        teller = self.network if isinstance(self.network, Classifies) else self.classifier if self._asks("told") else None
        return "" if teller is None else teller.name

    @property
    def _sees_classes(self) -> bool:
        """Whether a metric asks for the data's classes: without one, no classifier is trained."""
        needs = {measure.needs for measure in self.measures}
        return "classes" in needs or ("told" in needs and not isinstance(self.network, Classifies))

    @property
    def _has_classifier(self) -> bool:
        return self.spec.classes > 1 and not self.spec.continuous and min(self.spec.height, self.spec.width) >= 16

    def _fitting(self) -> str:
        if self.spec.continuous:
            return "pixels"
        small = max(self.spec.height, self.spec.width) <= SMALL
        if self.spec.channels not in (1, 3):
            return "pixels"
        return "lenet" if small and self._has_classifier else "efficientnet_lite0"

    def _check(self) -> None:
        for measure in self.measures:
            if self.n < measure.least:
                raise InputError(f"metric `{measure.name}` of {self.n} samples: it takes at least {measure.least}; raise --n")
            if measure.needs == "told" and not (self._reads_classes or self._network.startswith(TELLERS)):
                raise InputError(
                    f"metric `{measure.name}` needs a classifier, `{self._network}` is none: choose other --features"
                )
            if measure.needs == "classes" and not self._reads_classes:
                raise InputError(f"metric `{measure.name}` needs classes, {self.data.name} has no labels: leave it out")
            if measure.needs == "modes" and not (self._centred or self._stacked):
                name = self.data.name + (", which says no `centres`" if self.spec.continuous else "")
                raise InputError(f"metric `modes` counts those of points or stacked digits, not of {name}: leave it out")

    @property
    def _reads_classes(self) -> bool:
        return self._has_classifier and self.spec.channels in (1, 3)

    @property
    def _centred(self) -> bool:
        return self.spec.continuous and getattr(self.data, "centres", None) is not None

    @property
    def _stacked(self) -> bool:
        return self.data.name.startswith("stacked-mnist")

    def check(self, subjects: Sequence[Subject]) -> None:
        """Raise InputError, before anything is computed, where a metric fits none of the subjects."""
        for ability in self.abilities:
            if not any(ability.has(subject.model) for subject in subjects):
                raise InputError(ability.lacking(subjects[0]))

    @cached_property
    def classifier(self) -> LeNetFeatures | None:
        """What tells the data's classes: the network itself where it is the data's classifier, else that classifier."""
        if isinstance(self.network, LeNetFeatures) and self.network.name == f"lenet:{self.data.name}":
            return self.network
        if not self._reads_classes:
            return None
        found = features.load("lenet", self.data, progress=lambda a, b: self.progress("classifier", a, b))
        assert isinstance(found, LeNetFeatures)
        return found

    @cached_property
    def stacks(self) -> Callable[[Tensor], Tensor] | None:
        """The digit classifier, for stacked digits."""
        if not self._stacked:
            return None
        from pinxit import data
        from pinxit.metrics.classifier import lenet

        return lenet(data.load("mnist")).logits

    @property
    def protocol(self) -> dict[str, Any]:
        """What two evaluations must share to be compared."""
        kind = "test split" if self.held_out else "half of the training samples"
        said: dict[str, Any] = {"reference": f"{self.n:,} samples of {self.data.name}, {kind}", "n": self.n}
        if self.network is not None:
            said["reference"] += f" (content {self._reference.key()[:8]})"
            said["features"] = self.network.describe()
            if self._sees_classes and self.classifier is not None and self.classifier is not self.network:
                said["classes"] = self.classifier.describe()
        return said

    def seen(self, source: Source, what: str) -> Seen:
        """A set as metrics see it."""
        assert self.network is not None
        looked = {measure.images for measure in self.measures}
        source = Watched(source, self.n if "all" in looked else SHOWN if "some" in looked else 0)
        found = extraction.extract(self.network, source, progress=lambda a, b: self.progress(what, a, b))
        rows = torch.as_tensor(found.features)
        told = self.network.told(rows) if isinstance(self.network, Classifies) and self._asks("told") else None
        probabilities = None
        if self._sees_classes and self.classifier is not None:
            of = rows if self.classifier is self.network else extraction.extract(self.classifier, source).features
            probabilities = self.classifier.told(torch.as_tensor(of))
        pixels = source.first() if source.count else torch.empty(0, *self.spec.shape)
        return Seen(rows, pixels, probabilities, probabilities if told is None else told)

    @cached_property
    def _reference(self) -> extraction.DataSource:
        return extraction.DataSource(self.reference, self.reference_rows[: self.n])

    @cached_property
    def real(self) -> Real:
        """The real samples; the training ones in full where copies are looked for."""
        bank = BANK if any(measure.needs == "train" for measure in self.measures) else self.n
        train = extraction.DataSource(self.data, self.train_rows[:bank])
        centres = getattr(self.data, "centres", None) if self.spec.continuous else None
        return Real(
            self.seen(self._reference, "reference"), self.seen(train, "training samples"), self.held_out, centres,
            float(getattr(self.data, "sigma", 0.0)) if centres is not None else 0.0,
            self.classifier.name if self._sees_classes and self.classifier is not None else "", self._teller,
            tuple(getattr(self.data, "class_names", ())), self.stacks,
        )  # fmt: skip

    @cached_property
    def floors(self) -> dict[str, Value]:
        """The values of real samples by name."""
        found: dict[str, Value] = {}
        train, halves = self.real.train.part(torch.arange(self.n)), _halves(self.real)
        for place, measure in enumerate(self.measures):  # of the same sets, so that metrics which share work find it done
            self.progress(f"floor: {measure.name}", place, len(self.measures))
            sets = (train, self.real) if measure.floor == "train" else halves
            values = [_counted(value, len(sets[0].features)) for value in measure.compute(*sets, 0)]
            found |= {value.name: value for value in values}
        return found

    @cached_property
    def controls(self) -> dict[str, dict[str, float]]:
        """The values of spoilt samples, by metric and control."""
        found: dict[str, dict[str, float]] = {}
        rows = self.train_rows[: self.n]
        for control in controls.CONTROLS if self.with_controls else ():
            if (self.spec.continuous and not control.points) or (control.name == "class dropped" and not self.spec.classes):
                continue
            seen = self.seen(controls.Spoilt(control, self.data, rows), control.name)
            for place, measure in enumerate(self.measures):
                self.progress(f"{control.name}: {measure.name}", place, len(self.measures))
                for value in measure.compute(seen, self.real, 0):
                    found.setdefault(value.name, {})[control.name] = value.value
        if self.with_controls:
            copies = self.real.train.part(torch.arange(self.n))
            for measure in self.measures:
                for value in measure.compute(copies, self.real, 0) if measure.needs == "train" else ():
                    found.setdefault(value.name, {})["copies"] = value.value
        return found

    def evaluate(self, subject: Subject) -> Evaluation:
        """Everything that the metrics say of a subject; raises InputError where one of a model's is asked that it lacks."""
        self.check([subject])
        return self.evaluate_one(subject)

    def evaluate_one(self, subject: Subject) -> Evaluation:
        """The same of one of several: what a model lacks is said, not refused."""
        scores = []
        if self.measures:
            seen = self.seen(subject.source, subject.name)
            for place, measure in enumerate(self.measures):
                self.progress(f"{subject.name}: {measure.name}", place, len(self.measures))
                scores += self._scores(measure, seen)
        lines = list(subject.lines)
        for ability in self.abilities:
            self.progress(f"{subject.name}: {ability.name}", 0, 1)
            scores += ability.compute(subject, self) if ability.has(subject.model) else []
            lines += [] if ability.has(subject.model) else [ability.lacking(subject)]
        if self.n < self.asked:
            lines.append(f"n is {self.n:,}, not {self.asked:,}: there are no more real samples kept apart")
        if not self.held_out:
            name = self.data.name
            lines.append(
                f"{name} has no test split, half of it is the reference: who was trained on {name} has seen the reference"
            )
        return Evaluation(subject.name, dict(subject.about), self.protocol, tuple(scores), dict(subject.cost), tuple(lines))

    def _scores(self, measure: Measure, seen: Seen) -> list[Score]:
        real, floors, spoilt = self.real, self.floors, self.controls
        start = time.perf_counter()
        values = [_counted(value, self.n) for value in measure.compute(seen, real, 0)]
        seconds = time.perf_counter() - start
        return [Score(value, floors.get(value.name), spoilt.get(value.name, {}), seconds / len(values)) for value in values]


def of_model(model: Any, name: str, n: int, spec: Spec, *, seed: int = 0, data: Data | None = None, **about: Any) -> Subject:
    """A trained model as a subject, its classes as often as in `data`; raises InputError where it does not sample."""
    if not isinstance(model, Samples):
        raise InputError(f"{name} draws no samples: {_instead(model)}")
    if isinstance(model, AbstractGame) and model.spec.shape != spec.shape:
        raise InputError(f"{name} makes samples of shape {model.spec.shape}, the data's are {spec.shape}: compare like with like")
    weights = () if data is None else as_often(model, data)
    source = extraction.SampleSource(model, n, spec, seed=seed, name=name, weights=weights)
    lines = [f"its classes were drawn as often as {data.name} has them"] if data is not None and weights else []
    return Subject(name, source, model, about, sampling_cost(model), lines)


def _instead(model: Any) -> str:
    """What to do with a model that does not sample, or with what is none."""
    if isinstance(model, (Likelihood, Weighs)):
        return "judge it by `--likelihood`"
    if isinstance(model, Reconstructs):
        return "see `pinxit reconstruct`"
    if isinstance(model, (str, Path)):
        return "give the model, pinxit.from_pretrained(path)"
    return "a model has a method sample(n, *, generator=None)"


def sampling_cost(model: Any, n: int = 64) -> dict[str, float]:
    """Seconds a thousand samples (of one batch of `n`, after a first one) and the number of parameters."""
    generator, parameters = torch.Generator().manual_seed(0), model.parameters() if isinstance(model, torch.nn.Module) else ()
    # In eval mode as its samples are drawn: in training these two batches would move the statistics of batch norm.
    with seeded(seed_of("cost")), evaluating(model), torch.no_grad():
        model.sample(2, generator=generator)
        start = time.perf_counter()
        model.sample(n, generator=generator)
        seconds = (time.perf_counter() - start) * 1000 / n
    return {"seconds a 1,000 samples": round(seconds, 3), "parameters": float(sum(p.numel() for p in parameters))}


def _counted(value: Value, n: int) -> Value:
    """The value with the number of samples that it is of, where the metric said none of its own."""
    return value if value.n else replace(value, n=n)


def _halves(real: Real) -> tuple[Seen, Real]:
    """One half of the reference as samples, the other as the reference."""
    order = torch.randperm(len(real.reference.features), generator=torch.Generator().manual_seed(seed_of("halves")))
    a, b = order.chunk(2)
    held = replace(real, reference=real.reference.part(b))
    return real.reference.part(a), held
