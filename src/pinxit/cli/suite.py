"""`pinxit suite`: a named experiment, from its file to its table of bars."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from pinxit import systems
from pinxit.cli import console, options, shelf
from pinxit.core import files
from pinxit.core.errors import Interrupted, RunError
from pinxit.evaluation import suites

LIST = "list"


def suite(chosen: options.PlaySuite) -> None:
    """List the suites, or play one."""
    if chosen.name == LIST:
        rows = [(name, suites.load(name)) for name in suites.names()]
        shelf.table(
            ("suite", "data", "runs", "what it is"),
            [(name, s.data, str(len(s.runs) * len(s.seeds)), " ".join(s.about.split())) for name, s in rows],
        )
        return
    declared = suites.load(chosen.name)
    for run in declared.runs.values():
        systems.load(run.system)  # an unknown one is named before anything is trained
    name = Path(chosen.name).stem
    folder = chosen.run or Path("runs") / "suites" / name
    todo = suites.jobs(declared, folder, chosen.only)
    if not todo:
        raise RunError(f"no run of {name} has {chosen.only!r} in its name: they are {', '.join(declared.runs)}")
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        failed = suites.conduct(declared, todo, processes=chosen.processes, threads=chosen.threads, say=console.say)
    finally:
        signal.signal(signal.SIGTERM, before)
    if failed:
        raise RunError(f"not finished: {', '.join(failed)}; see their .log in {folder}; the same command goes on")
    if chosen.only:
        return
    measured = {run: [suites.found(job) for job in todo if job.name == run] for run in declared.runs}
    verdicts = suites.judge(declared, measured)
    files.write(folder / suites.RESULT, json.dumps(suites.result(declared, name, todo, verdicts), indent=1) + "\n")
    shelf.table(
        ("bar", "asked", "measured", ""),
        [(v.bar, v.asked, v.measured, "pass" if v.holds else "MISS") for v in verdicts],
    )
    console.say(str(folder / suites.RESULT))


def _stop(signum: int, frame: object) -> None:
    """SIGTERM reaches this process alone: it stops its runs, which save first."""
    raise Interrupted("stopped, its runs saved", signum)
