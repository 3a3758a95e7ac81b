"""What judging features costs: Frechet and kernel distance, precision, recall, density and coverage of 10,000 x 2,048 features.

Against torch-fidelity's functions for the first four and prdc's formulas in NumPy for the last two, on the same float32 features
and with the threads that torch has here. Ours are those that `pinxit evaluate` calls: the kernel distance of all samples, in one
pass with the balls; torch-fidelity's is its default, the mean over 100 subsets of 1,000, of the same expectation. Each side is a
process of its own, which reports what each part took, its peak memory, and the numbers, so that both sides are seen to agree.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Options, Ratio, Section, Side, Work, compare
from benchmarks.memory import peak

FULL, QUICK = (10_000, 2048), (1200, 64)
SUBSETS, SIZE = 100, 1000
OURS, THEIRS, NOTHING = "pinxit", "torch-fidelity and NumPy", "(imports and features alone)"
PARTS = ("frechet", "kernel and balls")
TOLERANCE = {"frechet": 1e-5, "precision": 1e-3, "recall": 1e-3, "density": 1e-3, "coverage": 1e-3}
"""Relative, of float32 products. The kernel distance of subsets scatters: they may differ by 5 standard errors."""
Numbers = dict[str, float]


def run(options: Options) -> list[Section]:
    """The time of both sides, the peak memory of the same runs; raises RuntimeError where their numbers differ."""
    n, d = QUICK if options.quick else FULL
    results: dict[str, list[Numbers]] = {name: [] for name in (OURS, THEIRS, NOTHING)}
    sides = [Side(name, lambda name=name: child(name, n, d, results[name])) for name in (OURS, THEIRS)]
    title = f"Frechet, kernel, precision, recall, density, coverage: {n:,} x {d:,} against as many"
    faster = Ratio("theirs / pinxit", THEIRS, OURS, at_least=2.0)
    timed = compare(title, sides, [faster], options, rounds=3)
    ours, theirs = results[OURS], results[THEIRS]
    for part in PARTS:
        a, b = (statistics.median(row[f"{part} seconds"] for row in rows[1:]) for rows in (theirs, ours))
        timed.notes.append(f"{part}: {a:.2f} s against {b:.2f} s, {a / b:.1f} times")
    bounds = {key: share * abs(theirs[-1][key]) for key, share in TOLERANCE.items()}
    bounds["kernel"] = 5 * theirs[-1]["kernel error"]
    timed.notes.append("theirs and ours: " + ", ".join(f"{key} {theirs[-1][key]:.6g} {ours[-1][key]:.6g}" for key in bounds))
    for key, bound in bounds.items():
        if abs(ours[-1][key] - theirs[-1][key]) > bound:
            raise RuntimeError(f"{key} is {ours[-1][key]} and {theirs[-1][key]}: both sides must compute the same")
    print("\n".join(f"  {note}" for note in timed.notes))
    for _ in ours:
        child(NOTHING, n, d, results[NOTHING])()
    replayed = {name: iter([row["peak"] for row in rows]) for name, rows in results.items()}
    sides = [Side(name, lambda name=name: partial(next, replayed[name])) for name in results]
    smaller = Ratio("pinxit / theirs", OURS, THEIRS, at_most=0.5)
    memory = compare("peak resident memory of these runs", sides, [smaller], options, rounds=len(ours) - 1, unit="MiB")
    return [timed, memory]


def child(side: str, n: int, d: int, results: list[Numbers]) -> Work:
    """Run a side in a process of its own, keep what it reports, and return its seconds."""

    def work() -> float:
        command = [sys.executable, "-m", "benchmarks.metrics", side, str(n), str(d)]
        threads = str(torch.get_num_threads())
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        root = Path(__file__).parents[1]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, env=environment)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        results.append(json.loads(done.stdout.splitlines()[-1]))
        return sum(results[-1].get(f"{part} seconds", 0.0) for part in PARTS)

    return work


def features(n: int, d: int, seed: int, shift: float) -> Tensor:
    """Correlated and not negative, as pooled activations are: relu(A z + b) with a spectrum that falls."""
    g, fixed = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(0)
    falling = torch.arange(1, d + 1).float().pow(-0.5)
    mix = torch.randn(d, d, generator=fixed) * falling[:, None]
    return torch.cat([((torch.randn(k, d, generator=g) + shift) @ mix / 4 + 0.2).relu() for k in _blocks(n)])


def _blocks(n: int) -> list[int]:
    return [min(1000, n - start) for start in range(0, n, 1000)]


def ours(real: Tensor, generated: Tensor, timed: Callable[[str, Callable[[], Numbers]], None]) -> None:
    """The functions of pinxit."""
    from pinxit.metrics.frechet import frechet_distance
    from pinxit.metrics.pairwise import kernel_and_neighbourhoods

    def pairs() -> Numbers:
        kernel, balls = kernel_and_neighbourhoods(real, generated)
        return {"kernel": kernel.value, **_numbers(balls.precision_recall), **_numbers(balls.density_coverage)}

    timed("frechet", lambda: {"frechet": frechet_distance(generated, real)})
    timed("kernel and balls", pairs)


def theirs(real: Tensor, generated: Tensor, timed: Callable[[str, Callable[[], Numbers]], None]) -> None:
    """torch-fidelity's, with its defaults; and prdc's density and coverage, with the two matrices they need."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    def frechet() -> Numbers:
        statistics_of = [fid_features_to_statistics(rows) for rows in (generated, real)]
        return {"frechet": fid_statistics_to_metric(*statistics_of, False)["frechet_inception_distance"]}

    def pairs() -> Numbers:
        options = {"kid_subsets": SUBSETS, "kid_subset_size": SIZE, "rng_seed": 2020, "verbose": False}
        kernel = kid_features_to_metric(generated, real, **options)
        mean, spread = (kernel[f"kernel_inception_distance_{name}"] for name in ("mean", "std"))
        found = prc_features_to_metric(generated, real, verbose=False)
        x, y, k = real.numpy(), generated.numpy(), 5
        radii = np.partition(_distances(x, x), k, axis=1)[:, k]
        between = _distances(x, y)
        density = (between < radii[:, None]).sum(0).mean() / k
        coverage = (between.min(1) < radii).mean()
        balls = {"precision": found["precision"], "recall": found["recall"], "density": density, "coverage": coverage}
        return {"kernel": mean, "kernel error": spread / SUBSETS**0.5, **balls}

    timed("frechet", frechet)
    timed("kernel and balls", pairs)


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """As plain NumPy has them, in place where it can be."""
    squared = x @ y.T
    squared *= -2
    squared += (x**2).sum(1)[:, None]
    squared += (y**2).sum(1)
    return np.sqrt(np.maximum(squared, 0, out=squared), out=squared)


def _numbers(found: object) -> Numbers:
    return {key: value for key, value in vars(found).items() if isinstance(value, float)}


def play(side: str, n: int, d: int) -> Numbers:
    """One side in this process: the seconds of each part, the numbers and the peak in MiB."""
    real, generated = features(n, d, 1, 0.0), features(n, d, 2, 0.02)
    report: Numbers = {}

    def timed(part: str, work: Callable[[], Numbers]) -> None:
        start = time.perf_counter()
        report.update({key: float(value) for key, value in work().items()})
        report[f"{part} seconds"] = time.perf_counter() - start

    if side != NOTHING:
        {OURS: ours, THEIRS: theirs}[side](real, generated, timed)
    return {**report, "peak": peak()}


if __name__ == "__main__":
    print(json.dumps(play(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
