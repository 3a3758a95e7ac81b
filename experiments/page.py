"""docs/experiments.md from the results: for each experiment its protocol, its command, its bars and its runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.harness import RESULTS, Measured

PAGE = Path(__file__).parents[1] / "docs" / "experiments.md"
HEAD = """# Experiments

What was measured, by which command, against which bar. This page is made from `experiments/results/*.json` by
`python -m experiments page`; nothing on it is written by hand. A bar that is missed says so. Training is noisy: every seed is
shown.
"""
LEFT_OUT = (
    "run",
    "system",
    "preset",
    "changes",
    "data",
    "seed",
    "images",
    "measuring_seconds",
    "last interval",
    "cpu_seconds",
    "trace",
    "dropped",
)
LONGEST = 60


def text() -> str:
    """The whole page."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return HEAD + "".join(section(result) for result in found if "experiment" in result)


def section(result: Measured) -> str:
    """One experiment."""
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    bars = [["bar", "asked", "measured", ""]]
    bars += [
        [bar["name"], bar["asked"], plain(bar["measured"]), "holds" if bar["holds"] else "**missed**"] for bar in result["bars"]
    ]
    columns = list(dict.fromkeys(key for run in result["runs"] for key, value in run.items() if shown(key, value)))
    runs = [["run", *columns], *([run["run"], *(plain(run.get(key)) for key in columns)] for run in result["runs"])]
    head = f"\n## {result['experiment']}\n\n{result['protocol']}\n\n`{result['command']}` ({machine})\n\n"
    return f"{head}{table(bars)}\n{table(runs)}"


def shown(key: str, value: Any) -> bool:
    """Whether a value of a run has a column: short ones that differ from run to run."""
    return key not in LEFT_OUT and len(plain(value)) <= LONGEST


def plain(value: Any) -> str:
    """A value in a cell."""
    if isinstance(value, dict):
        return "; ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(plain(inner) for inner in value) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value).replace("|", "/")


def table(rows: list[list[str]]) -> str:
    """Rows, the first of them the head, as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"
