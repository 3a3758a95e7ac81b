"""What an evaluation found: scores that carry their error, floor, controls and protocol, as plain values for JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pinxit.core import files
from pinxit.core.errors import InputError

FORMAT = 1
SIGMAS = 3.0
"""A difference counts that is more than this many standard errors; among a dozen metrics two would be met by chance."""
BIASED = 0.25
"""A distance of which the floor is more than this share is said to be of too few samples."""
Better = Literal["lower", "higher", "floor"]


@dataclass(frozen=True)
class Value:
    """One number that a metric gives of one set of samples.

    Args:
        name: as printed.
        value: NaN where it can't be told.
        error: its standard error over samples; None where none is known.
        better: which way is good; `floor`: as near to that of real samples as can be.
        note: what a reader must know of it.
        n: samples that it is of; 0 where nobody said.
        by: what looked at them, where that is not the feature network of the protocol.
    """

    name: str
    value: float
    error: float | None = None
    better: Better = "lower"
    note: str = ""
    n: int = 0
    by: str = ""

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "not finite"
        if self.error is None or self.error <= 0:
            return f"{self.value:.4g}"
        digits = max(0, 1 - math.floor(math.log10(self.error)))
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


@dataclass(frozen=True)
class Score:
    """A value beside what real and spoilt samples get by the same metric at the same n.

    Args:
        value: of the samples that are judged.
        floor: of real samples.
        controls: of real samples that were spoilt, by the name of what was done to them.
        seconds: time taken, features not included.
    """

    value: Value
    floor: Value | None = None
    controls: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Of the metric."""
        return self.value.name

    @property
    def note(self) -> str:
        """What must be known of it: who looked, how much of it is the bias of its n, whether it is told from real samples."""
        notes = [f"by {self.value.by}"] if self.value.by else []
        notes += [self.value.note] if self.value.note else []
        if self.floor is None:
            return "; ".join(notes)
        value, floor = self.value.value, self.floor.value
        if (sigma := spread(self.value, self.floor)) and abs(value - floor) <= SIGMAS * sigma:
            notes.append("not told from real samples")
        elif self.value.better == "lower" and 0 < floor < value and floor / value > BIASED:
            notes.append(f"n is small for it: real samples get {100 * floor / value:.0f} % of this")
        if self.floor.n != self.value.n:
            notes.append(f"its floor is of n = {self.floor.n:,}")
        return "; ".join(notes)


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found of one subject.

    Args:
        subject: what was judged, as a name.
        about: of the subject: kind, weights, system, seed.
        protocol: what two evaluations must share to be compared: reference, split, n, features, weights' hash, preprocessing.
        scores: what was measured.
        cost: seconds of sampling a thousand, parameters, and the like.
        lines: sentences besides: verdicts, warnings.
    """

    subject: str
    about: Mapping[str, Any]
    protocol: Mapping[str, Any]
    scores: Sequence[Score]
    cost: Mapping[str, float] = field(default_factory=dict)
    lines: Sequence[str] = ()

    def __str__(self) -> str:
        """A line of protocol, one a metric with value, error and floor, and what must be known of them."""
        head = f"{self.subject}: " + "; ".join(f"{key} {value}" for key, value in self.protocol.items())
        width = max((len(score.name) for score in self.scores), default=0)
        rows = (
            f"  {score.name:{width}}  {score.value}" + (f"  (real samples {score.floor})" if score.floor else "")
            for score in self.scores
        )
        notes = (f"{score.name}: {score.note}" for score in self.scores if score.note)
        return "\n".join([head, *rows, *self.lines, *notes])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(str(self))

    def score(self, name: str) -> Score | None:
        """The score of a metric by its name."""
        return next((score for score in self.scores if score.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values, no number of which is not finite."""
        return finite({"format": FORMAT, **asdict(self)})


def spread(one: Value, other: Value) -> float:
    """The standard error of a difference; 0 where neither value has one."""
    return math.hypot(one.error or 0.0, other.error or 0.0)


def differences(one: Evaluation, other: Evaluation) -> list[str]:
    """Why two evaluations can't be compared: the parts of their protocols that differ."""
    keys = dict.fromkeys([*one.protocol, *other.protocol])
    pairs = {k: (str(one.protocol.get(k)), str(other.protocol.get(k))) for k in keys}
    return [f"{k}: {_short(a, b)} and {_short(b, a)}" for k, (a, b) in pairs.items() if a != b]


def _short(said: str, other: str) -> str:
    """A feature network's name and digest without what it is in full, where these differ already."""
    name, _, rest = said.partition("): ")
    return f"{name})" if rest and not other.startswith(f"{name}): ") else said


def of_json(found: Mapping[str, Any], where: str) -> Evaluation:
    """The evaluation that `to_json` wrote; raises InputError where it is not one."""
    try:
        if found["format"] != FORMAT:
            raise InputError(f"{where} has the format {found['format']}, this version reads {FORMAT}: evaluate again")
        scores = tuple(
            Score(_value(s["value"]), s["floor"] and _value(s["floor"]), _numbers(s["controls"]), s["seconds"])
            for s in found["scores"]
        )
        return Evaluation(
            found["subject"], found["about"], found["protocol"], scores, _numbers(found["cost"]), tuple(found["lines"])
        )
    except (KeyError, TypeError):
        raise InputError(f"{where} does not hold an evaluation: delete it and evaluate again") from None


def read(path: Path) -> list[Evaluation]:
    """The evaluations of a file that `write` wrote."""
    if not path.exists():
        raise InputError(f"no file {path}: write one with `pinxit evaluate RUN --json {path}`")
    try:
        rows = json.loads(path.read_text())
    except json.JSONDecodeError:
        raise InputError(f"{path} is not JSON: delete it and evaluate again") from None
    return [of_json(row, str(path)) for row in (rows if isinstance(rows, list) else [rows])]


def write(path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Keep evaluations as JSON, whole or not at all."""
    files.write(path, json.dumps([e.to_json() for e in evaluations], indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """The value with None for every number that is not finite: JSON has no others."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _value(found: Mapping[str, Any]) -> Value:
    value = math.nan if found["value"] is None else float(found["value"])
    return Value(found["name"], value, found["error"], found["better"], found["note"], found.get("n", 0), found.get("by", ""))


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {key: math.nan if value is None else value for key, value in found.items()}
