"""Times named sides interleaved in one run of the process, and prints the ratios of each pair with their spread."""

from __future__ import annotations

import datetime
import gc
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

PAIRS = 7
"""Rounds of all sides; a benchmark or --rounds may say otherwise."""

Work = Callable[[], float | None]


@dataclass(frozen=True)
class Options:
    """What the command line says. `rounds` 0 leaves the number to the benchmark; `quick` proves only that it runs."""

    rounds: int = 0
    out: Path = Path(__file__).parent / "results"
    quick: bool = False


@dataclass(frozen=True)
class Side:
    """One way to do the work: `make` prepares it, untimed, and returns it; it may return its own measure instead of the time."""

    name: str
    make: Callable[[], Work]


@dataclass(frozen=True)
class Ratio:
    """`factor` * top / bottom of every pair (or `top` alone), and what its median is wanted to be."""

    name: str
    top: str
    bottom: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    factor: float = 1.0

    def verdict(self, value: float) -> str:
        """The target and whether `value` meets it."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}: {'met' if value >= self.at_least else 'NOT MET'}"
        if self.at_most is not None:
            return f"at most {self.at_most:g}: {'met' if value <= self.at_most else 'NOT MET'}"
        return ""


@dataclass(frozen=True)
class Section:
    """One comparison: every side's measures in order, what came of the ratios, and further facts."""

    title: str
    unit: str
    measures: dict[str, list[float]] = field(default_factory=dict)
    ratios: dict[str, dict[str, float | str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def compare(
    title: str,
    sides: Sequence[Side],
    ratios: Sequence[Ratio],
    options: Options,
    *,
    rounds: int = PAIRS,
    unit: str = "s",
    notes: Sequence[str] = (),
    warm: bool = True,
) -> Section:
    """Warm every side up once, run all of them `rounds` times in alternating order, print and return what came of it.

    Sides that begin anew every time, in a process of their own, have nothing to warm up: `warm` False.
    """
    rounds = options.rounds or (2 if options.quick else rounds)
    section = Section(title, unit, {side.name: [] for side in sides}, notes=list(notes))
    for number in range(-1 if warm else 0, rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            value = measure(side)
            if number >= 0:
                section.measures[side.name].append(value)
    print(f"\n{title} ({rounds} rounds)")
    for name, values in section.measures.items():
        print(f"  {name:<44}{show(statistics.median(values), unit):>12}   {show(min(values), unit)} .. {show(max(values), unit)}")
    for ratio in ratios:
        values = per_pair(section.measures, ratio)
        low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        median = statistics.median(values)
        spread = {"min": min(values), "q1": low, "median": median, "q3": high, "max": max(values)}
        section.ratios[ratio.name] = {**spread, "verdict": ratio.verdict(median)}
        spread_line = f"{min(values):.3f} [{low:.3f} {high:.3f}] {max(values):.3f}"
        print(f"  {ratio.name:<44}{median:>12.3f}   {spread_line}   {ratio.verdict(median)}")
    for note in section.notes:
        print(f"  {note}")
    return section


def measure(side: Side) -> float:
    """Prepare a side afresh and run it once, the garbage collector held."""
    work = side.make()
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        own = work()
        elapsed = time.perf_counter() - start
    finally:
        gc.enable()
    return elapsed if own is None else own


def apart(make: Callable[[], Work]) -> Callable[[], Work]:
    """A side's `make` in a process of its own, started once, which tells the time measured there.

    For other software: how pinxit sets up the process that it is in, memory above all, would otherwise speed that up too.
    """
    # Spawned: a forked child would have pinxit's allocator, and threads that are not there.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(make, there), daemon=True).start()
    there.close()

    def work() -> float:
        here.send(True)
        return here.recv()

    return lambda: work


def _serve(make: Callable[[], Work], pipe: Connection) -> None:
    """Measure a side at every word, until nobody is there to send one."""
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(measure(Side("", make)))


def per_pair(measures: dict[str, list[float]], ratio: Ratio) -> list[float]:
    """The ratio in every round."""
    top = measures[ratio.top]
    bottom = measures[ratio.bottom] if ratio.bottom else [1.0] * len(top)
    return [ratio.factor * a / b for a, b in zip(top, bottom, strict=True)]


def show(value: float, unit: str) -> str:
    """A measure as people read it."""
    if unit != "s":
        return f"{value:,.1f} {unit}"
    return f"{value:.3f} s" if value >= 1 else f"{value * 1e3:.2f} ms"


def machine() -> dict[str, str | int]:
    """Where and with what the measuring is done."""
    import torch

    info = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": load,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def write(name: str, sections: Sequence[Section], before: dict[str, str | int], options: Options) -> Path:
    """Keep the results of a benchmark as JSON; `before` is the machine as it was at the start."""
    path = options.out / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"benchmark": name, "quick": options.quick, "machine": before, "load_after": machine()["load"]}
    path.write_text(json.dumps({**about, "sections": [asdict(section) for section in sections]}, indent=1) + "\n")
    return path
