"""`python -m benchmarks [name ...] [--rounds N] [--out DIR] [--quick]`: run benchmarks, print ratios, keep JSON."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

from benchmarks import harness

NAMES = (
    "gan_epoch", "vae_pythae", "overhead", "dcgan_flops", "wgan_gp_epoch", "discriminator", "allocator", "extraction",
    "metrics", "pixel_sampling", "engines", "masked_training", "pixelrnn", "iwae_pythae", "startup", "memory",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--rounds", type=int, default=0, help="times that every side is run (default: the benchmark's, mostly 7)")
    parser.add_argument("--out", type=Path, default=harness.Options.out, help="folder for the JSON results")
    parser.add_argument("--quick", action="store_true", help="little work, two rounds: shows that it runs, measures nothing")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.names) - set(NAMES)):
        parser.error(f"unknown benchmark {unknown[0]!r}: choose from {', '.join(NAMES)}")
    if chosen.rounds < 0:
        parser.error(f"--rounds is {chosen.rounds}: it must be >= 1")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler chats, unless told before torch is imported
    options = harness.Options(chosen.rounds, chosen.out, chosen.quick)
    for name in chosen.names or NAMES:
        before = harness.machine()
        facts = "{cpu}, {cores} cores, {threads} threads, torch {torch}, load {load}, {date}".format(**before)
        print(f"\n== {name}: {facts}{' (QUICK: no measurement)' if options.quick else ''}", flush=True)
        sections = importlib.import_module(f"benchmarks.{name}").run(options)
        print(f"  kept in {harness.write(name, sections, before, options)}", flush=True)


if __name__ == "__main__":
    main()
