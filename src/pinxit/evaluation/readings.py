"""What evaluations say in plain words: what is better beyond noise, what is not told apart, what cannot be compared and why."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pinxit.evaluation.scores import SIGMAS, Evaluation, Value, differences


@dataclass(frozen=True)
class Group:
    """The evaluations of one recipe, a seed each.

    Args:
        name: as printed.
        members: of the group.
    """

    name: str
    members: Sequence[Evaluation]

    def value(self, metric: str) -> Value | None:
        """The mean of a metric over the seeds.

        Its error is the greater of what is known of two kinds of noise: that of each seed's samples, and, from two seeds on,
        that of the seeds themselves.
        """
        found = [score.value for member in self.members if (score := member.score(metric)) is not None]
        if not found or not all(math.isfinite(value.value) for value in found):
            return None
        numbers = [value.value for value in found]
        own = math.sqrt(sum((value.error or 0.0) ** 2 for value in found)) / len(found)
        over = statistics.stdev(numbers) / math.sqrt(len(numbers)) if len(numbers) > 1 else 0.0
        return Value(metric, statistics.fmean(numbers), max(own, over) or None, found[0].better)


def grouped(evaluations: Sequence[Evaluation]) -> list[Group]:
    """The evaluations by recipe, in their order: those that differ in the seed of training alone are one group."""
    groups: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        groups.setdefault(str(evaluation.about.get("recipe") or evaluation.subject), []).append(evaluation)
    names = [_name(members) for members in groups.values()]
    # Two recipes of one system and preset are told apart by their first runs.
    told = [
        name if names.count(name) == 1 else f"{name} ({m[0].subject}, ...)"
        for name, m in zip(names, groups.values(), strict=True)
    ]
    return [Group(name, members) for name, members in zip(told, groups.values(), strict=True)]


def _name(members: Sequence[Evaluation]) -> str:
    return members[0].subject if len(members) == 1 else str(members[0].about.get("label") or members[0].subject)


def parts(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """The evaluations, those together that can be compared: of one protocol."""
    found: list[list[Evaluation]] = []
    for evaluation in evaluations:
        for part in found:
            if not differences(part[0], evaluation):
                part.append(evaluation)
                break
        else:
            found.append([evaluation])
    return found


def read(evaluations: Sequence[Evaluation]) -> list[str]:
    """The sentences of a comparison: of what can be compared, then why the rest can't."""
    first, *others = parts(evaluations)
    sentences = _of_part(first)
    for part in others:
        why = "; ".join(differences(first[0], part[0]))
        names = _listed([evaluation.subject for evaluation in part])
        sentences += [*_of_part(part), f"{names} can't be compared with {first[0].subject}: they differ in {why}."]
    return sentences


def _of_part(same: Sequence[Evaluation]) -> list[str]:
    """The sentences on evaluations of one protocol."""
    groups = grouped(same)
    names = metrics(same)
    if len(groups) == 1 and len(same) > 1:
        sentences = [s for metric in names for s in _of_seeds(metric, groups[0])]
    else:
        sentences = [s for metric in names for s in (*_of_metric(metric, groups), *_absent(metric, groups))]
    if len(groups) > 1 and any(len(group.members) == 1 for group in groups):
        sentences.append(
            "Where a recipe was trained from one seed, its error holds the noise of the samples, not that of training."
        )
    return [*sentences, *_blind(same), *_floors(groups)]


def _of_seeds(metric: str, group: Group) -> list[str]:
    """What the seeds of one recipe have in common, and whether they differ by more than the noise of their samples."""
    values = [score.value for member in group.members if (score := member.score(metric)) is not None]
    mean = group.value(metric)
    if mean is None or len(values) < 2 or any(value.error is None for value in values):
        return []
    low, high = (choose(values, key=lambda value: value.value) for choose in (min, max))
    beyond = high.value - low.value > SIGMAS * math.hypot(low.error or 0, high.error or 0)
    told = "differ beyond the noise of their samples" if beyond else "differ no more than their samples' noise"
    return [f"{metric}: {len(values)} seeds of {group.name} {told} ({_said(low)} to {_said(high)}; mean {_said(mean)})."]


def metrics(evaluations: Sequence[Evaluation]) -> list[str]:
    """Every metric that was measured, in order."""
    return list(dict.fromkeys(score.name for evaluation in evaluations for score in evaluation.scores))


def _of_metric(metric: str, groups: Sequence[Group]) -> list[str]:
    """Who is best by one metric, and who is not told from it."""
    found = [(group.name, value) for group in groups if (value := group.value(metric)) is not None]
    if len(found) < 2 or found[0][1].better == "floor":
        return []
    better = found[0][1].better
    found.sort(key=lambda pair: pair[1].value, reverse=better == "higher")
    (best, top), *rest = found
    protocols = {note for group in groups for member in group.members if (note := _protocol(member, metric))}
    if len(protocols) > 1:
        return [f"{metric}: not compared, for its protocols differ: {' / '.join(sorted(protocols))}."]
    equal = [name for name, value in found if value.value == top.value]
    if len(equal) > 1 and any(value.error is None for _, value in found):
        what = "are equal" if len(equal) == len(found) else "are equal and before the rest"
        return [f"{metric}: {_listed(equal)} {what} ({_said(top)})."]
    if any(value.error is None for _, value in found):
        return [f"{metric}: {best} has the {'highest' if better == 'higher' else 'lowest'} value; its noise is not known."]
    near = [name for name, value in rest if abs(value.value - top.value) <= SIGMAS * math.hypot(top.error or 0, value.error or 0)]
    if not near:
        name, second = rest[0]
        return [f"{metric}: {best} is best beyond noise ({_said(top)}; next {name}, {_said(second)})."]
    if len(near) == len(rest):
        return [f"{metric}: {_listed([best, *near])} are not told apart ({_said(top)} to {_said(rest[-1][1])})."]
    return [f"{metric}: {_listed([best, *near])} are not told apart and better than the rest ({best}: {_said(top)})."]


def _absent(metric: str, groups: Sequence[Group]) -> list[str]:
    """Who was measured without a finite result, and so has no place among the rest."""
    names = [group.name for group in groups if group.value(metric) is None and any(m.score(metric) for m in group.members)]
    return [f"{metric}: {_listed(names)} left out, for lack of a finite value."] if names else []


def _protocol(evaluation: Evaluation, metric: str) -> str:
    """What a likelihood is of and how it was estimated; other metrics have the protocol of the whole evaluation."""
    score = evaluation.score(metric)
    return "" if score is None or not metric.startswith(("NLL", "bits/dim")) else score.value.note


def _blind(evaluations: Sequence[Evaluation]) -> list[str]:
    """The metrics by which spoilt samples are as good as real ones: a high score there is no sign of quality."""
    told: dict[str, list[str]] = {}
    for score in {score.name: score for evaluation in evaluations for score in evaluation.scores}.values():
        if score.floor is None or score.value.better == "floor" or not math.isfinite(score.floor.value):
            continue
        sign = -1 if score.value.better == "lower" else 1
        slack = SIGMAS * (score.floor.error or 0.0)
        for control, value in score.controls.items():
            if math.isfinite(value) and sign * (value - score.floor.value) >= -slack:
                told.setdefault(score.name, []).append(control)
    return [
        f"{metric} does not tell spoilt samples from real ones ({_listed(names)}): it says little alone."
        for metric, names in told.items()
    ]


def _floors(groups: Sequence[Group]) -> list[str]:
    """Who reaches the floor of real samples by some metric."""
    lines = []
    for group in groups:
        reached = []
        for score in group.members[0].scores:
            value, floor = group.value(score.name), score.floor
            if value is not None and floor is not None and value.error is not None and math.isfinite(floor.value):
                sigma = math.hypot(value.error, floor.error or 0.0)
                if abs(value.value - floor.value) <= SIGMAS * sigma:
                    reached.append(score.name)
        if reached:
            lines.append(f"{group.name} is not told from real samples by {_listed(reached)}.")
    return lines


def _said(value: Value) -> str:
    if value.error is None:
        return f"{value.value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(value.error))) if value.error > 0 else 3
    return f"{value.value:.{digits}f} ± {value.error:.{digits}f}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
