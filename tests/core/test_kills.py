"""A run killed anywhere and started again equals one that was left alone, in every bit and every line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DRIVERS = Path(__file__).parent / "drivers"


def environment(**more):
    paths = [str(TESTS.parent / "src"), str(TESTS)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", **more}


def drive(tmp_path, *arguments):
    command = [sys.executable, str(DRIVERS / "kills.py"), str(tmp_path), *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    found = drive(tmp_path, "random", "critic", "growth", "normed", "equilibrium")
    assert len(found) == 4
    for toy, result in found.items():
        assert result["exit"] == 0, (toy, result)
        assert result["killed"] >= 2, (toy, result)
        assert result["places"] >= 2, (toy, result, "the kills should have met the run at work")
        assert result["differing"] == [], (toy, result)


@pytest.mark.slow
def test_killed_inside_a_write(tmp_path):
    found = drive(tmp_path, "inside", "pretraining")
    assert len(found) > 25
    for name, result in found.items():
        assert result["first"] == -9, (name, result, "it should have died there")
        assert result["last"] == 0, (name, result)
        assert result["differing"] == [], (name, result)
        assert result["rest"] == [], (name, result)


@pytest.mark.slow
def test_signals_save_first(tmp_path):
    found = drive(tmp_path, "signals", "pretraining")
    assert len(found) == 6
    for name, result in found.items():
        assert result["last"] == 0, (name, result)
        assert result["differing"] == [], (name, result)
        number = 2 if "SIGINT" in name else 15
        step = 35 if "on a checkpoint" in name else 34
        if "twice" in name and result["first"] == 128 + number:
            # The second signal came when the first one's save was done: nothing was left to break off.
            assert result["steps"][-1] == f"step-{step:09d}", (name, result)
        elif "twice" in name:
            assert result["first"] == (99 if number == 2 else -15), (name, result)
            assert result["steps"][-1] == "step-000000028", (name, result)
            assert number == 15 or result["left"] == [], (name, result)
        else:
            assert result["first"] == 128 + number, (name, result)
            assert result["steps"][-1] == f"step-{step:09d}", (name, result)
            assert f"stopped and saved at round {step} of 50 in " in result["said"]
            assert result["said"].endswith("the same command goes on from there")


@pytest.mark.slow
def test_pictures_of_a_killed_run(tmp_path):
    found = drive(tmp_path, "pictures")
    assert found["exit"] == 0
    assert found["killed"] >= 2
    assert found["places"] >= 2, (found, "the kills should have met the run at work")
    assert found["pictures"] >= 8
    assert found["differing"] == []
