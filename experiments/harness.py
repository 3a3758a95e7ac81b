"""Plays the runs of an experiment side by side, keeps what was measured of each, and holds it against the bars."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Measured = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One model: a system's preset with changes, on named data (or `name[:n]`, its first n samples), from a seed."""

    name: str
    system: str
    data: str
    preset: str = "small"
    seed: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """What was asked for, what came out, and whether it holds; where it does not, `why` says by how much and for what reason."""

    name: str
    asked: str
    measured: Any
    holds: bool
    why: str = ""


@dataclass(frozen=True)
class Experiment:
    """Runs, the measure of each trained model, and the bars over all of them.

    Args:
        name: of the results file.
        about: the protocol in words.
        runs: what is trained.
        measure: (averaged model, training data, run) to plain values.
        bars: what the results are held against.
        settings: of the trainer, besides one thread.
    """

    name: str
    about: str
    runs: Sequence[Run]
    measure: Callable[[Any, Any, Run], Measured]
    bars: Callable[[list[Measured]], list[Bar]]
    settings: Mapping[str, Any] = field(default_factory=dict)


def play(experiment: Experiment, name: str, runs: Path) -> None:
    """Train one run to its end, from its checkpoint if there is one, and keep what is measured."""
    import torch

    from experiments import parts
    from pinxit import systems
    from pinxit.core import files
    from pinxit.core.config import Settings
    from pinxit.observers.timing import seconds
    from pinxit.training import Trainer

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run = next(run for run in experiment.runs if run.name == name)
    module, real = systems.load(run.system), parts.load(run.data)
    config = module.PRESETS[run.preset].replace(**run.changes)
    game = module.build(config, real.spec, seed=run.seed)
    folder = runs / experiment.name / run.name
    settings = Settings(accelerator="cpu", save_every=2000, log_every=200).replace(**experiment.settings)
    trainer = Trainer(game, real, folder, seed=run.seed, settings=settings)
    model = trainer.fit()
    trained = time.process_time()  # of this process: less than the whole where a run was resumed
    started = time.perf_counter()
    with torch.no_grad():
        measured = experiment.measure(model, real, run)
    about = {
        "run": run.name,
        "system": run.system,
        "preset": run.preset,
        "changes": dict(run.changes),
        "data": run.data,
        "seed": run.seed,
        "settings": dict(experiment.settings),
        "rounds": trainer.rounds,
        "images": trainer.clock.images,
        "parameters": sum(p.numel() for p in game.parameters()),
        "training_seconds": round(seconds(folder / "timing.json"), 1),
        "cpu_seconds": round(trained, 1),
        "measuring_seconds": round(time.perf_counter() - started, 1),
        "last interval": {key: round(value, 5) for key, value in trainer.records.last.items()},
    }
    files.write(folder / "result.json", json.dumps({**about, **measured}, indent=1) + "\n")


def conduct(experiment: Experiment, runs: Path, *, processes: int, threads: int, only: str) -> None:
    """Play what is not yet measured, `processes` at a time, and write the results once every run has some."""
    waiting = [run for run in experiment.runs if only in run.name and read(experiment, run, runs) is None]
    playing: dict[str, tuple[subprocess.Popen[bytes], Any]] = {}
    failed: list[str] = []
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    while waiting or playing:
        while waiting and len(playing) < processes:
            run = waiting.pop(0)
            log = runs / experiment.name / f"{run.name}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "experiments", experiment.name, "--play", run.name, "--runs", str(runs)]
            file = log.open("ab")
            playing[run.name] = (subprocess.Popen(command, env=environment, stdout=file, stderr=file), file)
        time.sleep(0.2)
        for name, (process, file) in list(playing.items()):
            if process.poll() is not None:
                file.close()
                del playing[name]
                if process.returncode:
                    failed.append(name)
                print(f"{name}: {'failed, see its log' if process.returncode else 'measured'}", flush=True)
    found = [read(experiment, run, runs) for run in experiment.runs]
    if failed or None in found:
        missing = [run.name for run, result in zip(experiment.runs, found, strict=True) if result is None]
        sys.exit(f"not yet measured: {', '.join(missing)}; the same command goes on")
    write(experiment, [result for result in found if result is not None], processes, threads)


def read(experiment: Experiment, run: Run, runs: Path) -> Measured | None:
    """What was measured of a run as it is declared now; None where it was not, or was declared otherwise."""
    path = runs / experiment.name / run.name / "result.json"
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    declared = json.loads(json.dumps([run.system, run.preset, dict(run.changes), run.data, run.seed, dict(experiment.settings)]))
    return result if [result.get(k) for k in ("system", "preset", "changes", "data", "seed", "settings")] == declared else None


def write(experiment: Experiment, results: list[Measured], processes: int, threads: int) -> None:
    """Print the bars and keep everything as JSON."""
    import torch

    from pinxit.core import files

    bars = experiment.bars(results)
    for bar in bars:
        print(f"{'holds ' if bar.holds else 'MISSED'}  {bar.name}: asked {bar.asked}; measured {bar.measured}")
    about = {
        "experiment": experiment.name,
        "protocol": " ".join(experiment.about.split()),
        "command": f"python -m experiments {experiment.name}",
        "machine": {"cpu": cpu(), "processes": processes, "threads a process": threads, "torch": torch.__version__},
        "bars": [vars(bar) for bar in bars],
        "runs": results,
    }
    files.write(RESULTS / f"{experiment.name}.json", json.dumps(finite(about), indent=1, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """The value with null for every number that is not finite: JSON has no others."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cpu() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}"


def over(results: list[Measured], key: str, system: str) -> list[Any]:
    """The values under `key` of the runs whose name begins with `system` and a dash-separated seed."""
    return [result[key] for result in results if result["run"].rpartition("-s")[0] == system]
