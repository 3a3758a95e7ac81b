"""Suites: named experiments as files. Each says its data, systems, budget, seeds, metrics and bars; playing one fills a table.

A file (TOML) has, besides `about`, `data`, `seeds` and `metrics`:

    [common]                    options of every run's system
    [settings]                  of the trainer
    [evaluate]                  n, features, seed of the evaluation
    [runs.NAME]                 system, preset, and `config`: its own options; `data` where it differs
    [[bars]]                    name, why; runs, `over` the seeds; conditions (metric, at_least, at_most)

Every run has a folder, trained by `pinxit train` and judged by `pinxit evaluate` in a process of its own; what is done is not
done again, so that a suite which was cut off goes on.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pinxit.core import files
from pinxit.core.config import Config, merge, read_file
from pinxit.core.errors import InputError, Interrupted, RunError, near
from pinxit.evaluation import abilities, scores

Measured = Mapping[str, Sequence[Mapping[str, float]]]
EVALUATION, RESULT, DECLARED = "evaluation.json", "result.json", ".declared.json"


class Run(Config):
    """One model of a suite, trained from each of its seeds."""

    system: str
    """Which system."""
    preset: str = "small"
    """Where its options start from."""
    data: str | None = None
    """Other data than the suite's."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Options of the system, over the preset's and the suite's."""
    alone: bool = False
    """Do not take the suite's common options."""


class Condition(Config):
    """What a metric must be."""

    metric: str
    """The name of a score; NAME/floor or NAME/CONTROL of what stands beside it; log/NAME of a run's last log line."""
    at_least: float | None = None
    """The least value that holds."""
    at_most: float | None = None
    """The greatest value that holds."""
    of_metric: str | None = None
    """The bounds are multiples of this metric of the same run and seed."""
    of_run: str | None = None
    """The bounds are multiples of the mean over seeds that this run has of the metric."""

    def holds(self, value: float, unit: float = 1.0) -> bool:
        """Whether a value is within the bounds, in units of `unit`; NaN never is."""
        low = -math.inf if self.at_least is None else self.at_least * unit
        high = math.inf if self.at_most is None else self.at_most * unit
        return low <= value <= high

    def __str__(self) -> str:
        unit = (
            f" x {self.of_metric or ''}{f'that of {self.of_run}' if self.of_run else ''}" if self.of_metric or self.of_run else ""
        )
        bounds = [f">= {self.at_least:g}{unit}"] if self.at_least is not None else []
        bounds += [f"<= {self.at_most:g}{unit}"] if self.at_most is not None else []
        return f"{self.metric} {' and '.join(bounds)}"


class Bar(Config):
    """What is asked of runs."""

    name: str
    """Of the bar: a short code, such as 2D-1, and what it is about where several share one."""
    runs: tuple[str, ...]
    """Which runs."""
    any_of_them: bool = False
    """One of the runs is enough."""
    over: Literal["every", "most", "mean", "median", "best"] = "every"
    """What must hold: every seed, most seeds, the mean or the median over seeds, or one seed."""
    conditions: tuple[Condition, ...]
    """All of them, of the same seed where seeds are taken one by one."""


class Evaluate(Config):
    """How the runs are judged."""

    n: int = Field(10_000, ge=2)
    """Samples."""
    features: str | None = None
    """The feature network; None for what fits the data."""
    seed: int = Field(0, ge=0)
    """Of the samples."""


class Suite(Config):
    """A named experiment."""

    about: str
    """The protocol in words."""
    data: str
    """What is learned."""
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    """Every run is trained from each of them."""
    metrics: tuple[str, ...]
    """What is measured."""
    common: dict[str, Any] = Field(default_factory=dict)
    """Options of every run's system."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the trainer."""
    evaluate: Evaluate = Evaluate()
    """How the runs are judged."""
    runs: dict[str, Run]
    """The models by name."""
    bars: tuple[Bar, ...] = ()
    """What the results are held against."""


@dataclass(frozen=True)
class Job:
    """One run from one seed."""

    name: str
    seed: int
    run: Run
    folder: Path

    @property
    def label(self) -> str:
        """NAME-sSEED."""
        return f"{self.name}-s{self.seed}"

    def beside(self, suffix: str) -> Path:
        """The file of the folder's name and `suffix`; a name may hold dots."""
        return self.folder.with_name(self.folder.name + suffix)


@dataclass(frozen=True)
class Verdict:
    """A bar beside what was measured."""

    bar: str
    asked: str
    measured: str
    holds: bool


def names() -> list[str]:
    """The suites that pinxit knows."""
    return sorted(file.name.removesuffix(".toml") for file in resources.files("pinxit.evaluation").joinpath("suites").iterdir())


def load(name: str) -> Suite:
    """A suite by its name, or from a file of one's own; raises InputError for a field that is not one."""
    path = Path(name)
    if path.suffix in (".toml", ".yaml", ".json"):
        return checked(Suite.of(read_file(path), where=name), name)
    if name not in names():
        raise InputError(f"unknown suite `{name}`: {near(name, names())} A file of one's own ends in .toml")
    with resources.as_file(resources.files("pinxit.evaluation").joinpath("suites", f"{name}.toml")) as file:
        return checked(Suite.of(read_file(file), where=f"suite {name}"), name)


def checked(suite: Suite, name: str) -> Suite:
    """The suite, if its metrics and the runs that its bars speak of are there, and its runs' names can be folders'."""
    abilities.told_apart(suite.metrics)
    for run in suite.runs:
        if "/" in run or run.startswith("."):
            raise InputError(f"run `{run}` of {name}: its name is a folder's, so it can hold no slash and begin with no dot")
    for bar in suite.bars:
        for run in (*bar.runs, *(c.of_run for c in bar.conditions if c.of_run)):
            if run not in suite.runs:
                raise InputError(f"bar `{bar.name}` of {name} names the run `{run}`: {near(run, list(suite.runs))}")
    return suite


def jobs(suite: Suite, folder: Path, only: str = "") -> list[Job]:
    """Every run from every seed, or those whose name contains `only`."""
    every = [Job(name, seed, run, folder / f"{name}-s{seed}") for name, run in suite.runs.items() for seed in suite.seeds]
    return [job for job in every if only in job.label]


def train_command(suite: Suite, job: Job, threads: int) -> list[str]:
    """The words that train a job, its options in a file beside its folder."""
    config = job.run.config if job.run.alone else merge(suite.common, job.run.config)
    said = {
        "preset": job.run.preset,
        "seed": job.seed,
        "source": {"data": job.run.data or suite.data},
        "config": config,
        "settings": {"accelerator": "cpu", "threads": threads, **suite.settings},
    }
    path = job.beside(".json")
    files.write(path, json.dumps(said, indent=1) + "\n")
    return ["train", job.run.system, "--config", str(path), "--run", str(job.folder)]


def evaluate_command(suite: Suite, job: Job) -> list[str]:
    """The words that judge a job."""
    chosen = suite.evaluate
    words = ["evaluate", str(job.folder), "--n", str(chosen.n), "--seed", str(chosen.seed), "--metrics", *suite.metrics]
    words += ["--features", chosen.features] if chosen.features else []
    return [*words, "--json", str(job.folder / EVALUATION)]


def declared(suite: Suite, job: Job) -> str:
    """Everything that decides what a job's evaluation says."""
    said = [job.run.model_dump(), job.seed, suite.data, suite.common, suite.settings, suite.metrics, suite.evaluate.model_dump()]
    return json.dumps(said, indent=1) + "\n"


def done(suite: Suite, job: Job) -> bool:
    """Whether a job was trained and judged as it is declared now."""
    path = job.beside(DECLARED)
    return (job.folder / EVALUATION).exists() and path.exists() and path.read_text() == declared(suite, job)


def conduct(suite: Suite, todo: Sequence[Job], *, processes: int, threads: int, say: Callable[[str], None]) -> list[str]:
    """Train and judge what is not yet, `processes` at a time; the names of those that failed."""
    waiting = [job for job in todo if not done(suite, job)]
    playing: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
    failed = []
    try:
        while waiting or playing:
            while waiting and len(playing) < processes:
                job = waiting.pop(0)
                playing[job.label] = (_start(suite, job, threads), time.monotonic())
            time.sleep(0.2)
            for label, (process, since) in list(playing.items()):
                if process.poll() is None:
                    continue
                del playing[label]
                minutes = (time.monotonic() - since) / 60
                if process.returncode:
                    failed.append(label)
                state = "failed, see its .log" if process.returncode else f"done in {minutes:.1f} minutes"
                say(f"{label}: {state}; {len(playing) + len(waiting)} left")
    except Interrupted:  # of this process alone, by SIGTERM
        for process, _ in playing.values():
            process.terminate()
        raise
    finally:
        for process, _ in playing.values():  # a terminal's Ctrl-C reaches the children too; they save and stop
            process.wait()
    return failed


def _start(suite: Suite, job: Job, threads: int) -> subprocess.Popen[bytes]:
    (job.folder / EVALUATION).unlink(missing_ok=True)  # of another declaration, if there is one
    files.write(job.beside(DECLARED), declared(suite, job))
    train, evaluate = train_command(suite, job, threads), evaluate_command(suite, job)
    both = f"import sys; from pinxit.cli import main; sys.exit(main({train!r}) or main({evaluate!r}))"
    with job.beside(".log").open("ab") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        return subprocess.Popen([sys.executable, "-c", both], env=environment, stdout=log, stderr=log)


def found(job: Job) -> dict[str, float]:
    """Every number that is known of a job, by name; raises RunError where its files were damaged or removed since."""
    try:
        (evaluation,) = scores.read(job.folder / EVALUATION)
        lines = (job.folder / "metrics.jsonl").read_text().splitlines()
        last = json.loads(lines[-1]) if lines else {}
    except (OSError, ValueError, InputError):
        raise RunError(
            f"{job.folder} has no evaluation that can be read: remove the folder, and the same command plays that run again"
        ) from None
    numbers = {score.name: score.value.value for score in evaluation.scores}
    for score in evaluation.scores:
        numbers |= {f"{score.name}/{control}": value for control, value in score.controls.items()}
        numbers |= {} if score.floor is None else {f"{score.name}/floor": score.floor.value}
    numbers |= {f"cost/{key}": value for key, value in evaluation.cost.items() if isinstance(value, (int, float))}
    return numbers | {f"log/{key}": float(value) for key, value in last.items() if isinstance(value, (int, float))}


def judge(suite: Suite, measured: Measured) -> list[Verdict]:
    """Every bar against the numbers of each run, a mapping a seed."""
    return [_verdict(bar, measured) for bar in suite.bars]


def _verdict(bar: Bar, measured: Measured) -> Verdict:
    held = {run: _holds(bar, run, measured) for run in bar.runs}
    told = []
    for run in bar.runs:
        asked_of = dict.fromkeys(c.metric for c in bar.conditions)
        values = [f"{metric} {_listed([_number(seed, metric, run) for seed in measured[run]])}" for metric in asked_of]
        told.append(f"{run}: {', '.join(values)}")
    which = f"{'any' if bar.any_of_them else 'all'} of {', '.join(bar.runs)}: " if len(bar.runs) > 1 else ""
    asked = f"{which}{bar.over} seed, {' and '.join(map(str, bar.conditions))}"
    holds = any(held.values()) if bar.any_of_them else all(held.values())
    return Verdict(bar.name, asked, "; ".join(told), holds)


def _holds(bar: Bar, run: str, measured: Measured) -> bool:
    rows = [[_number(seed, c.metric, run) for c in bar.conditions] for seed in measured[run]]
    units = [[_unit(c, seed, run, measured) for c in bar.conditions] for seed in measured[run]]
    each = [all(map(Condition.holds, bar.conditions, row, unit)) for row, unit in zip(rows, units, strict=True)]
    match bar.over:
        case "every":
            return all(each)
        case "most":
            return 2 * sum(each) > len(each)
        case "best":
            return any(each)
    middle = statistics.fmean if bar.over == "mean" else statistics.median
    values, scales = ([middle(column) for column in zip(*table, strict=True)] for table in (rows, units))
    return all(map(Condition.holds, bar.conditions, values, scales))


def _unit(condition: Condition, seed: Mapping[str, float], run: str, measured: Measured) -> float:
    """What the bounds are multiples of."""
    unit = 1.0 if condition.of_metric is None else _number(seed, condition.of_metric, run)
    if condition.of_run is not None:
        unit *= statistics.fmean(_number(other, condition.metric, condition.of_run) for other in measured[condition.of_run])
    return unit


def _number(values: Mapping[str, float], metric: str, where: str) -> float:
    if metric not in values:
        likely = difflib.get_close_matches(metric, values, n=3, cutoff=0.4)
        raise RunError(
            f"`{metric}` was not measured of {where}: its evaluation has {', '.join(likely or sorted(values)[:8])} and others"
        )
    return values[metric]


def _listed(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def result(suite: Suite, name: str, todo: Sequence[Job], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Everything that a suite found, as plain values."""
    import torch

    numbers = [found(job) for job in todo]
    rows = [
        {"run": job.label, "system": job.run.system, **scores.finite(known)} for job, known in zip(todo, numbers, strict=True)
    ]
    return {
        "suite": name,
        "about": " ".join(suite.about.split()),
        "command": f"pinxit suite {name}",
        "torch": torch.__version__,
        "minutes of training": round(sum(known.get("cost/training, minutes", 0.0) for known in numbers), 1),
        "bars": [vars(verdict) for verdict in verdicts],
        "runs": rows,
    }
