"""`python -m experiments NAME [--processes 2] [--runs DIR] [--only TEXT]`: play an experiment's runs, measure, hold against bars.

Runs go side by side in processes of one thread each, in a folder each; a run that was cut off goes on from its checkpoint, and
a measured one is not played again. The results are kept in `experiments/results/NAME.json` with the protocol and the machine.
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

NAMES = (
    "ring", "grid", "collapse", "stacked", "infogan", "conditional", "fair", "vanishing", "likelihood", "importance",
    "density", "synthetic", "memorising", "duality",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("name", choices=(*NAMES, "page"), help="an experiment, or `page` for docs/experiments.md")
    parser.add_argument("--processes", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="where the runs' folders are")
    parser.add_argument(
        "--only", default="", help="play the runs whose name contains this text; the results are written if all are there"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of each run")
    parser.add_argument("--play", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.environ.setdefault("PINXIT_DATA", str(Path(__file__).parents[2] / "shared" / "data"))
    from experiments import harness

    if chosen.name == "page":
        from experiments import page

        page.PAGE.write_text(page.text())
        return
    experiment = importlib.import_module(f"experiments.{chosen.name}").EXPERIMENT
    if chosen.play:
        harness.play(experiment, chosen.play, chosen.runs)
    else:
        harness.conduct(experiment, chosen.runs, processes=chosen.processes, threads=chosen.threads, only=chosen.only)


if __name__ == "__main__":
    main()
