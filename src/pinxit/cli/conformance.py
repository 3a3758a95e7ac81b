"""`pinxit conformance`: our implementation beside the mistakes of public code, in the same measurements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pinxit import conformance
from pinxit.cli import console, options, shelf
from pinxit.conformance.record import PEERS, Measured, Missing, Mistake

FAILED = 1
HEAD = ("row", "property", "paper", "ours", "the mistake", "who makes it", "verdict")


def show(chosen: options.Conformance) -> None:
    """Measure and print the table, or one row of it in full; ends with status 1 where a row of ours does not hold."""
    rows = conformance.chosen(chosen.only)
    missing = [row for row in rows if isinstance(row, Missing)]
    outcomes = [conformance.judge(row) for row in rows if not isinstance(row, Missing)]
    if chosen.only is None:
        lines = {row.number: [_absent(row)] for row in missing} | {o.row.number: list(_lines(o)) for o in outcomes}
        shelf.table(HEAD, [line for number in sorted(lines) for line in lines[number]])
        console.say()
    else:
        for outcome in outcomes:
            _in_full(outcome)
        for row in missing:
            console.say(f"{row.name}: {row.property}\nnot yet here: {row.why}; {row.who} fails it\n")
    _peers([*(m.who for o in outcomes for m in o.row.mistakes), *(row.who for row in missing)])
    held, planted = sum(o.held for o in outcomes), [m for o in outcomes for m in o.row.mistakes]
    missed = [f"{o.row.name} ({mistake.what})" for o in outcomes for mistake in o.missed]
    console.say(
        f"held      {held} of {len(outcomes)} rows; {len(planted) - len(missed)} of {len(planted)} planted mistakes found"
    )
    if missing:
        console.say(f"not here  {len(missing)}: {', '.join(row.name for row in missing)}")
    failed = [o.row.name for o in outcomes if not o.held]
    if failed:
        console.say(f"FAILED    {', '.join(failed)}")
    if missed:
        console.say(f"blind     {', '.join(missed)}")
    if failed or missed:
        raise SystemExit(FAILED)


def verdict(outcome: conformance.Outcome) -> str:
    """held, FAILED with the numbers that are not right, or blind where a mistake passes too."""
    if not outcome.held:
        return "FAILED: " + ", ".join(_number(name, outcome.ours) for name in outcome.row.wrong(outcome.ours))
    return "blind" if outcome.missed else "held"


def _lines(outcome: conformance.Outcome) -> Iterator[tuple[str, ...]]:
    """A line a mistake: the last of the numbers that it gets wrong, ours beside it."""
    row = outcome.row
    for place, (mistake, measured) in enumerate(outcome.planted):
        name = (row.wrong(measured) or list(row.right))[-1]
        left = (row.name, row.property, row.paper) if place == 0 else ("", "", "")
        theirs = f"{_value(name, measured)}: {mistake.what}"
        yield (*left, _number(name, outcome.ours), theirs, mistake.who, verdict(outcome) if place == 0 else "")


def _absent(row: Missing) -> tuple[str, ...]:
    return (row.name, row.property, "", "", "", row.who, f"not yet here: {row.why}")


def _in_full(outcome: conformance.Outcome) -> None:
    """Every number of a row: what is right, ours, and each mistake's."""
    row = outcome.row
    console.say(f"{row.name}: {row.property}")
    console.say(f"paper     {row.paper}\nequation  {row.equation}\nverdict   {verdict(outcome)}\n")
    columns: list[tuple[Mistake[Any] | None, Measured]] = [(None, outcome.ours), *outcome.planted]
    marks = ["ours", *(f"mistake {number}" for number in range(1, len(columns)))]
    names = [*row.right, *(name for name in outcome.ours if name not in row.right)]
    shelf.table(
        ("number", "right", *marks),
        [(name, str(row.right.get(name, "(a count)")), *(_value(name, measured) for _, measured in columns)) for name in names],
    )
    console.say()
    for number, mistake in enumerate(row.mistakes, 1):
        console.say(f"mistake {number}  {mistake.what} ({mistake.who})")
    console.say()


def _peers(who: list[str]) -> None:
    """Where the short names lead."""
    named = {short: repository for short, repository in PEERS.items() if any(short in text for text in who)}
    shelf.table(("short", "repository"), list(named.items()))
    console.say()


def _number(name: str, measured: Measured) -> str:
    return f"{name}: {_value(name, measured)}"


def _value(name: str, measured: Measured) -> str:
    return f"{measured[name]:.3g}" if name in measured else "-"
