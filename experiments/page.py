"""docs/experiments.md from the results: for each experiment its protocol, its command, its bars and its runs."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from experiments import readings
from experiments.harness import RESULTS, Measured

PAGE = Path(__file__).parents[1] / "docs" / "experiments.md"
HEAD = """# Experiments

What was measured, by which command, against which bar. This page is made from `experiments/results/*.json` by
`python -m experiments page`; nothing on it is written by hand. A bar that is missed says by how much and why. Training is noisy:
every seed is shown. Codes such as 2D-1 or NLL-4 name bars (and "targets" in a text are its bars), and mean nothing else.
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
    "settings",
    "last interval",
    "cpu_seconds",
    "trace",
    "dropped",
    "values",
)
TOLD = ("swap", "match_auc", "diversity")
"""What is told below the table, in words."""
LONGEST = 60
PROTOCOLS = """Two protocols, those by which the observer looks at a game that draws its samples in one pass: `live` during the
run, `final` when it ends. No discriminator and no losses are looked at. `wrong` are false alarms on real and good samplers,
misses on all others; `named` is how often the dropped modes were named exactly, where it can be said which ones they are.
"""


def text() -> str:
    """The whole page."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    suites = "".join(suite_section(result) for result in found if "suite" in result)
    health = "".join(rates(result) for result in found if "what" in result)
    return HEAD + "".join(section(result) for result in found if "experiment" in result) + health + suites


def section(result: Measured) -> str:
    """One experiment."""
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    bars = [["bar", "asked", "measured", ""]]
    bars += [[bar["name"], bar["asked"], plain(bar["measured"]), verdict(bar)] for bar in result["bars"]]
    columns = list(dict.fromkeys(key for run in result["runs"] for key, value in run.items() if shown(key, value)))
    runs = [["run", *columns], *([run["run"], *(plain(run.get(key)) for key in columns)] for run in result["runs"])]
    head = f"\n## {result['experiment']}\n\n{result['protocol']}\n\n`{result['command']}` ({machine})\n\n"
    told = [f"- {run['run']}: {run[key]}\n" for run in result["runs"] for key in TOLD if key in run]
    return f"{head}{table(bars)}\n{table(runs)}" + ("\n" + "".join(told) if told else "") + readings.rings(result)


def verdict(bar: Measured) -> str:
    """Whether a bar holds, and why not."""
    return "holds" if bar["holds"] else f"**missed**: {bar['why']}" if bar.get("why") else "**missed**"


def rates(result: Measured) -> str:
    """How often the health check is wrong by both protocols, a row a set and condition."""
    protocols = list(result["protocols"])
    drawn = [f"- {protocol}, {name}: {said}\n" for protocol, sets in result["protocols"].items() for name, said in sets.items()]
    found: dict[tuple[str, str], dict[str, Measured]] = {}
    for row in result["rows"]:
        found.setdefault((row["set"], row["condition"]), {})[row["protocol"]] = row
    heads = [f"{protocol}: {what}" for protocol in protocols for what in ("states", "wrong", "true rate below, 95 %", "named")]
    rows = [["set", "condition", "runs", *heads]]
    for (name, condition), by in found.items():
        cells = [cell for protocol in protocols for cell in judged(by[protocol])]
        rows.append([name, condition, plain(by[protocols[0]]["n"]), *map(plain, cells)])
    told = "".join(f"- {p}: {errors([row for row in result['rows'] if row['protocol'] == p])}\n" for p in protocols)
    head = f"\n## health\n\n{result['what']}\n\n`{result['command']}` (torch {result['torch']})\n\n"
    return f"{head}{PROTOCOLS}\n{''.join(drawn)}\n{told}\n{table(rows)}"


def judged(row: Measured) -> tuple[Any, ...]:
    """States, errors, the bound on their rate, and how often the dropped modes were named exactly."""
    return row["states"], wrong(row), row["rate below, 95 %"], row.get("dropped modes named exactly")


def wrong(row: Measured) -> int:
    """False alarms of a good sampler, misses of a bad one."""
    return row["misses"] if "misses" in row else row["false alarms"]


def totals(rows: list[Measured]) -> tuple[int, int, int, int]:
    """False alarms, in how many runs, misses, in how many."""
    good, bad = ([row for row in rows if key in row] for key in ("false alarms", "misses"))
    return sum(map(wrong, good)), sum(row["n"] for row in good), sum(map(wrong, bad)), sum(row["n"] for row in bad)


def errors(rows: list[Measured]) -> str:
    """False alarms and misses in a sentence, with the conditions that have some."""
    alarms, good, misses, bad = totals(rows)
    named = [f"{row['condition']} of {row['set']} {wrong(row)} of {row['n']}" for row in rows if wrong(row)]
    return f"{alarms} false alarms in {good}; {misses} misses in {bad}" + (f": {', '.join(named)}" if named else "")


def suite_section(result: Measured) -> str:
    """One suite: its bars, each metric's mean over the seeds with their scatter, and every seed of what the bars are about."""
    bars = [["bar", "asked", "measured", ""]]
    bars += [[bar["bar"], bar["asked"], bar["measured"], verdict(reasoned(bar, result))] for bar in result["bars"]]
    named: dict[str, list[Measured]] = {}
    for run in result["runs"]:
        named.setdefault(run["run"].rpartition("-s")[0], []).append(run)
    metrics = [key for key, value in result["runs"][0].items() if "/" not in key and not isinstance(value, str)]
    rows = [["run", *metrics]]
    rows += [[name, *(over_seeds([run[key] for run in runs]) for key in metrics)] for name, runs in named.items()]
    floors = [result["runs"][0].get(f"{key}/floor") for key in metrics]
    rows.append(["floor: real samples", *(plain(value) for value in floors)])
    seeds = [run["run"].rpartition("-s")[2] for run in next(iter(named.values()))]
    trained = f"; {minutes:g} minutes of training on one thread" if (minutes := result.get("minutes of training")) else ""
    head = f"\n## Suite {result['suite']}\n\n{result['about']}\n\n`{result['command']}` (torch {result['torch']}{trained})\n\n"
    told = f"\nMeans over {len(seeds)} seeds, ± their standard deviation.\n\n" if len(seeds) > 1 else f"\nSeed {seeds[0]}.\n\n"
    seen = every_seed(result["suite"], named, seeds) + readings.rings(result) + trained_health(result["runs"])
    return f"{head}{table(bars)}{told}{table(rows)}{seen}"


def reasoned(bar: Measured, result: Measured) -> Measured:
    """A suite's bar with the reason why it was missed."""
    reason = readings.MISSED.get((result["suite"], bar["bar"]))
    return bar if bar["holds"] or reason is None else {**bar, "why": reason(result)}


def every_seed(suite: str, named: dict[str, list[Measured]], seeds: list[str]) -> str:
    """What the suite's bars are about, a value a seed; nothing where there is one seed, whose values stand above."""
    from pinxit.evaluation import suites

    if len(seeds) < 2:
        return ""
    metrics = list(dict.fromkeys(condition.metric for bar in suites.load(suite).bars for condition in bar.conditions))
    rows = [["run", *metrics]]
    rows += [[name, *(", ".join(plain(run[key]) or "none" for run in runs) for key in metrics)] for name, runs in named.items()]
    return f"\nWhat the bars are about, of seeds {', '.join(seeds)} in this order:\n\n{table(rows)}"


def trained_health(runs: list[Measured]) -> str:
    """What the live health check said at the end of trained runs of the ring, beside what the metrics say of their averages."""
    from pinxit.diagnostics.health import STATES

    kinds: dict[str, list[str]] = {"good (2D-1: 8 modes, KL <= 0.10, HQ >= 0.60)": [], "at most 4 modes": [], "in between": []}
    good, few, between = kinds.values()
    for run in runs:
        if not {"log/health/state", "high quality"} <= run.keys() or run["modes"] is None:
            continue
        kl, quality = run["reverse KL of modes"], run["high quality"]
        whole = run["modes"] == 8 and kl is not None and kl <= 0.10 and quality >= 0.60
        kind = good if whole else few if run["modes"] <= 4 else between
        kind.append(f"{STATES[int(run['log/health/state'])]} ({run['run']})")
    if not good:
        return ""
    rows = [["runs that are", "how many", "healthy", "called otherwise"]]
    for kind, said in kinds.items():
        others = [one for one in said if not one.startswith("healthy")]
        rows.append([kind, str(len(said)), str(len(said) - len(others)), ", ".join(others) or "none"])
    return f"\nWhat the health check said of these runs when they ended:\n\n{table(rows)}"


def over_seeds(values: list[float | None]) -> str:
    """Mean and standard deviation over seeds."""
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return plain(there[0]) if there else ""
    return f"{statistics.fmean(there):.4g} ± {statistics.stdev(there):.2g}"


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
