"""The page of a comparison: one HTML file in which any number of systems stand before the same judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from pinxit.evaluation import readings
from pinxit.evaluation.scores import Evaluation, Value
from pinxit.viz import html, reports

ABSENT = "\N{EN DASH}"
ABSENT_CELL = f'<td class="number">{ABSENT}</td>'
ARROWS = {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}", "floor": "\N{RIGHTWARDS ARROW} floor"}


def page(
    evaluations: Sequence[Evaluation], title: str, pictures: Mapping[str, Image.Image], runs: Mapping[str, Path],
    left_out: Sequence[str] = (),
) -> str:  # fmt: skip
    """The page.

    Args:
        evaluations: of the subjects, in their order.
        title: of the page.
        pictures: samples of each subject, under the same seed.
        runs: the run folders of the subjects that have one, whose own pages are part of this one.
        left_out: why others are not on it.
    """
    body = "".join((
        f"<header><h1>{html.text(title)}</h1></header>",
        _cards(evaluations, pictures, runs),
        "<h3>What the scores say</h3>",
        "".join(f"<p>{html.text(sentence)}</p>" for sentence in [*readings.read(evaluations), *left_out]),
        "<h3>Scores</h3>",
        *(_scores(part) + _protocol(part[0]) for part in readings.parts(evaluations)),
        "<h3>Cost</h3>",
        _costs(evaluations),
        _warnings(evaluations),
        reports.sections(list(runs.values())),
    ))  # fmt: skip
    return html.page(title, body, "Made by pinxit: every subject was judged by the same evaluator on the same data.")


def _cards(evaluations: Sequence[Evaluation], pictures: Mapping[str, Image.Image], runs: Mapping[str, Path]) -> str:
    places = {subject: place for place, subject in enumerate(runs, 1)}
    cards = []
    for evaluation in evaluations:
        subject, picture = evaluation.subject, pictures.get(evaluation.subject)
        shown = "" if picture is None else html.image(html.png(picture), "image/png", f"Samples of {subject}", picture.size)
        words = f"{shown}<span>{html.text(subject)}</span>{html.text(evaluation.about.get('health', ''))}"
        target = f' href="#run-{places[subject]}"' if subject in places else ""
        cards.append(f"<a{target}>{words}</a>")
    return f'<nav class="cards" aria-label="Samples">{"".join(cards)}</nav>'


def _scores(evaluations: Sequence[Evaluation]) -> str:
    """A row a metric: every subject, then the floor, the controls, the number of samples and the seconds that it took."""
    names = readings.metrics(evaluations)
    controls = list(dict.fromkeys(c for e in evaluations for s in e.scores for c in s.controls))
    head = "".join(_head(e.subject) for e in evaluations) + "".join(map(_head, ("floor: real", *controls, "n", "seconds")))
    rows = ""
    for name in names:
        found = [evaluation.score(name) for evaluation in evaluations]
        first = next(score for score in found if score is not None)
        cells = "".join(ABSENT_CELL if score is None else _cell(score.value, score.note) for score in found) + _cell(first.floor)
        cells += "".join(_cell(Value(name, first.controls[c]) if c in first.controls else None) for c in controls)
        seconds = max(score.seconds for score in found if score is not None)
        cells += f'<td class="number">{first.value.n:,}</td>' if first.value.n else ABSENT_CELL
        cells += f'<td class="number">{html.text(html.number(seconds))}</td>'
        rows += f"<tr><td>{html.text(name)} {ARROWS[first.value.better]}</td>{cells}</tr>"
    return _table(_head("metric", left=True) + head, rows)


def _table(head: str, rows: str) -> str:
    return f'<div class="scroll"><table class="overview"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _head(name: str, *, left: bool = False) -> str:
    return f'<th scope="col"{"" if left else " class=number"}>{html.text(name)}</th>'


def _cell(value: Value | None, title: str = "") -> str:
    shown = ABSENT if value is None or not math.isfinite(value.value) else html.number(value.value, value.error)
    told = f' title="{html.text(title)}"' if title else ""
    return f'<td class="number"{told}>{html.text(shown)}</td>'


def _protocol(evaluation: Evaluation) -> str:
    said = "; ".join(f"{name} {value}" for name, value in evaluation.protocol.items())
    return f'<p class="paper">Protocol, the same for every column: {html.text(said)}. Values with their standard error; ' + (
        "real samples and spoilt ones are judged at the same n, unless a remark says another; seconds are of the slowest column, "
        "features not included. An arrow tells which way is better.</p>"
    )


def _costs(evaluations: Sequence[Evaluation]) -> str:
    names = list(dict.fromkeys(name for evaluation in evaluations for name in evaluation.cost))
    head = "".join(map(_head, names))
    rows = ""
    for evaluation in evaluations:
        values = [evaluation.cost.get(name) for name in names]
        cells = "".join(f'<td class="number">{ABSENT if v is None else html.text(html.number(v))}</td>' for v in values)
        rows += f"<tr><td>{html.text(evaluation.subject)}</td>{cells}</tr>"
    return _table(_head("subject", left=True) + head, rows)


def _warnings(evaluations: Sequence[Evaluation]) -> str:
    lines = [f"{e.subject}: {line}" for e in evaluations for line in e.lines]
    noted: dict[str, list[str]] = {}
    for e in evaluations:
        for s in e.scores:
            if s.note:
                noted.setdefault(f"{s.name}: {s.note}", []).append(e.subject)
    lines += [line if len(of) == len(evaluations) else f"{', '.join(of)}: {line}" for line, of in noted.items()]
    items = "".join(f"<p>{html.text(line)}</p>" for line in lines)
    return f"<details open><summary>Verdicts and remarks</summary>{items}</details>" if items else ""
