"""Plays toys in forked children that die in every way, starts them again, and compares with children that were left alone.

The parent imports torch once and never computes, so a new start costs milliseconds. Prints one JSON object.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning_fabric  # noqa: F401  imported here for all children
import torch
import torch._dynamo

from pinxit.core import files, trainer
from pinxit.core.config import Settings
from pinxit.core.errors import Interrupted
from toys._nets import Tiny
from toys._play import PLANE, differing, of_folder

torch.set_num_threads(1)
SETTINGS = Settings(save_every=7, log_every=5)
ROUNDS = {"growth": {"rounds": 60}, "pretraining": {"before": 20, "rounds": 30}}


def play(toy: str, run_dir: Path, before=None) -> int:
    """Run a toy in a child; `before` (in the child) prepares its end. The raw wait status."""
    child = start(toy, run_dir, before)
    return os.waitpid(child, 0)[1]


def start(toy: str, run_dir: Path, before=None) -> int:
    child = os.fork()
    if child:
        return child
    code = 0
    try:
        module = importlib.import_module(f"toys.{toy}")
        tiny = module.PRESETS["tiny"]
        config = tiny.replace(**ROUNDS.get(toy, {"rounds": 150}))
        run = trainer.Trainer(module.build(config, PLANE), Tiny(PLANE), run_dir, settings=SETTINGS)
        if before:
            before(run)
        run.fit()
    except Interrupted as stopped:
        (run_dir.parent / "said").write_text(str(stopped))
        code = 128 + stopped.signum
    except KeyboardInterrupt:
        code = 99
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        code = 1
    os._exit(code)


def picture(run_dir: Path) -> int:
    """A run as a user starts it, with its pictures, in a child."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        from pinxit import training
        from pinxit.core.spec import Spec
        from pinxit.systems import gan

        data = Tiny(Spec(1, 16, 16))
        game = gan.build(gan.PRESETS["tiny"].replace(rounds=60), data.spec)
        training.Trainer(game, data, run_dir, settings=SETTINGS.replace(sample_every=6)).fit()
        code = 0
    finally:
        os._exit(code)


def pictures(folder: Path, kills: int) -> dict:
    """SIGKILL at random moments of a run with all its observers; every picture and the model, byte for byte."""
    begin = time.monotonic()
    os.waitpid(picture(folder / "a"), 0)
    found = at_random(picture, folder / "b", kills, time.monotonic() - begin, random.Random(3))
    kept = [
        {str(p.relative_to(folder / run)): p for p in (folder / run).rglob("*") if p.suffix in (".png", ".safetensors", ".jsonl")}
        for run in "ab"
    ]
    same = {name for name in set(kept[0]) & set(kept[1]) if kept[0][name].read_bytes() == kept[1][name].read_bytes()}
    pngs = sum(name.endswith(".png") for name in same)
    unequal = sorted((set(kept[0]) | set(kept[1])) - same) + differing(of_folder(folder / "a"), of_folder(folder / "b"))
    return {**found, "pictures": pngs, "differing": unequal}


def die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at(point: str, count: int):
    """Prepares a child to kill itself at the `count`-th time it passes `point`."""

    def prepare(run) -> None:
        passed = 0

        def counted(real, then):
            def call(*args, **kwargs):
                nonlocal passed
                passed += 1
                if passed == count:
                    then(real, *args, **kwargs)
                    die()
                return real(*args, **kwargs)

            return call

        def half(real, path, content):
            real(path, bytes(content)[: len(content) // 2])

        def some(real, path, **kwargs):
            if path.exists():
                sorted(path.iterdir())[0].unlink()

        def line(real, path, *args, **kwargs):
            with real(path, "a") as file:
                file.write('{"step": 1')

        nothing = lambda *args, **kwargs: None  # noqa: E731
        after = lambda real, *args, **kwargs: real(*args, **kwargs)  # noqa: E731
        where, name, then = {
            "half a file": (pathlib.Path, "write_bytes", half),
            "before torch.save": (torch, "save", nothing),
            "before fsync": (files, "_flush", nothing),
            "before rename": (os, "replace", nothing),
            "after rename": (os, "replace", after),
            "half a removal": (files.shutil, "rmtree", some),
            "half a line": (pathlib.Path, "open", line),
            "before the average": (run._averaged, "update", nothing),
        }[point]
        setattr(where, name, counted(getattr(where, name), then))

    return prepare


def at_random(begin: Callable[[Path], int], folder: Path, kills: int, length: float, dice: random.Random) -> dict:
    """SIGKILL at random moments of a run that `begin` starts in a child, `kills` times or until one ends, then to the end.

    Each child lives for up to two more checkpoints and then a moment of up to a tenth of a run of `length` seconds: on a machine
    whose pace changes a time alone would meet runs that have ended, or not begun.
    """
    killed, places = 0, set()

    def last() -> str:
        return max((path.name for path in (folder / "checkpoints").glob("step-*")), default="")

    while True:
        ahead, seen = dice.randint(0, 2), last()
        child = begin(folder)
        if killed < kills:
            while ahead and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if (now := last()) != seen:
                    ahead, seen = ahead - 1, now
                time.sleep(1e-3)
            time.sleep(dice.uniform(0, 0.1) * length)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        killed += os.WIFSIGNALED(status)
        places.add(last())
        if not os.WIFSIGNALED(status):
            return {"killed": killed, "places": len(places), "exit": os.waitstatus_to_exitcode(status)}


def by_signal(number: int, round_: int, *, twice: bool = False):
    """Prepares a child that gets a signal in round `round_`, and one more while it saves itself."""

    def prepare(run) -> None:
        play_turn = run.play_turn

        def turn(*args):
            if run.clock.step == round_ and not sent:
                sent.append(1)
                os.kill(os.getpid(), number)
            return play_turn(*args)

        run.play_turn = turn
        write = pathlib.Path.write_bytes

        def writing(path, content):
            if sent and twice:
                write(path, bytes(content)[:10])
                os.kill(os.getpid(), number)
            return write(path, content)

        pathlib.Path.write_bytes = writing

    sent: list[int] = []
    return prepare


def main(folder: Path, what: str, *toys: str) -> dict:
    if what == "pictures":
        return pictures(folder, 6)
    found = {}
    for toy in toys:
        here = folder / toy
        begin = time.monotonic()
        assert play(toy, here / "whole" / "run") == 0
        length = time.monotonic() - begin
        whole = of_folder(here / "whole" / "run")
        if what == "random":
            result = at_random(partial(start, toy), here / "b" / "run", 10, length, random.Random(toy))
            result["differing"] = differing(whole, of_folder(here / "b" / "run"))
            found[toy] = result
            continue
        trials = {}
        if what == "inside":
            for point, counts in POINTS.items():
                trials |= {f"{point} {n}": dying_at(point, n) for n in counts}
        else:
            for number in (signal.SIGINT, signal.SIGTERM):
                trials[f"{number.name} once"] = by_signal(number, 33)
                trials[f"{number.name} on a checkpoint"] = by_signal(number, 34)
                trials[f"{number.name} twice"] = by_signal(number, 33, twice=True)
        for name, prepare in trials.items():
            run = here / name / "run"
            run.parent.mkdir(parents=True)
            first = os.waitstatus_to_exitcode(play(toy, run, prepare))
            steps = sorted(p.name for p in (run / "checkpoints").glob("step-*")) if run.exists() else []
            said = (run.parent / "said").read_text() if (run.parent / "said").exists() else ""
            left = [p.name for p in (run / "checkpoints").glob(".tmp-*")]
            last = os.waitstatus_to_exitcode(play(toy, run))
            rest = sorted(str(p.relative_to(run)) for p in run.rglob("*") if "tmp" in p.name)
            same = differing(whole, of_folder(run))
            found[f"{toy}: {name}"] = {
                "first": first, "last": last, "steps": steps, "said": said, "left": left, "rest": rest, "differing": same,
            }  # fmt: skip
    return found


POINTS = {
    "half a file": (1, 2, 3, 4, 8, 21),
    "before torch.save": (1, 2, 5),
    "before fsync": (1, 4, 5, 6, 9, 12),
    "before rename": (1, 2, 5, 8),
    "after rename": (1, 2, 5, 8),
    "half a removal": (2, 5, 7, 9),
    "half a line": (4, 9),
    "before the average": (1, 34, 36),
}

if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:])))
