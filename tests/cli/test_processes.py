"""What only a process of its own can show: what is imported, signals, pipes, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "lightning_fabric", "matplotlib", "numpy", "PIL", "safetensors")
SOURCE = Path(__file__).parents[2] / "src"

PROBE = f"""
import contextlib, io, sys
from pinxit.cli import main
for line in sys.stdin.read().splitlines():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(line.split())
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    assert not heavy, (line, heavy)
    print(status, len(err.getvalue().splitlines()), line)
"""

LIGHT = """\
0 0 --help
0 0 --version
0 0 list
0 0 train --help
0 0 train gan --help
0 0 train vae --preset tiny --print-config
0 0 data list
0 0 completion bash
2 1 lits
2 1 train gam
2 1 train gan --preset smal
2 1 train gan --lrr 1
2 1 train gan --lr x
2 1 train gan --rounds -5
2 1 train gan --data fashion-mnits
2 1 train gan --config nix.yaml
2 1 train vae --samples 5 --beta 2
2 1 train cvae --samples 5 --beta 2
2 1 train gan --pack 3
2 1 train gan --r1 1 --normalisation batch
2 1 train lsgan --r1 1
2 1 train wgan --normalisation spectral
2 1 train sngan --regularise 1
2 1 train began --decay linear
2 1 train cgan --form matching --mismatch 1
2 1 train infogan --batch-size 1
2 1 train pixelrnn --layer row --wide-right
2 1 train pixelcnn --kernel 4
2 1 train dcgan --size 48
2 1 train dcgan --data ring
2 1 train vae --data ring
2 1 train vae --network conv --size 17
2 1 train autoencoder --data ring
2 1 train pixelcnn --data grid
2 1 train acgan --data mnist-larochelle
2 1 train gan --preset tiny --accumulate 3
2 1 train gan --preset tiny --devices 3
2 1 train gan --data mnist-larochelle --size 32
2 1 demo --preset smal
2 1 sample nix
2 1 interpolate nix
2 1 reconstruct nix
2 1 info nix
2 1 data inspect nix
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pinxit", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment(), text=True, stdout=pipe, stderr=pipe)


def test_help_lists_and_mistakes_import_nothing_heavy(tmp_path):
    words = "".join(line.split(" ", 2)[2] + "\n" for line in LIGHT.splitlines())
    probe = [sys.executable, "-c", PROBE]
    done = subprocess.run(probe, cwd=tmp_path, env=environment(), input=words, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == LIGHT
    assert list(tmp_path.iterdir()) == []


RUNS = """\
2 1 reconstruct images
2 1 complete images
2 1 directions images
2 1 sample images --class 3
2 1 interpolate images --class 3
2 1 sample images --engine cached
2 1 interpolate points
2 1 reconstruct coded-points
2 1 directions coded-points
2 1 sample points --files folder
2 1 sample classes --class 3
2 1 interpolate classes --class 3
2 1 sample classes --class 0 1 2 -n 2
"""


def test_what_a_run_can_not_do_is_said_before_its_model_is_loaded(tmp_path):
    image, point = {"channels": 1, "height": 28, "width": 28}, {"channels": 2, "height": 1, "width": 1, "levels": 0}
    for name, system, spec in (
        ("images", "gan", image),
        ("points", "gan", point),
        ("coded-points", "vae", point),
        ("classes", "acgan", {**image, "classes": 3}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"system": system, "config": {}, "spec": spec}))
    words = "".join(line.split(" ", 2)[2] + "\n" for line in RUNS.splitlines())
    probe = [sys.executable, "-c", PROBE]
    done = subprocess.run(probe, cwd=tmp_path, env=environment(), input=words, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == RUNS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes", "coded-points", "images", "points"]


def test_an_optional_value_is_understood_without_typeguard(tmp_path):
    code = "import sys; from pinxit.cli import main; main(['train', 'pixelcnn', '--lr', '-1']); print('typeguard' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), text=True, capture_output=True, check=False
    )
    assert done.stdout == "False\n", done.stderr


def test_a_mistake_in_a_process_of_its_own(tmp_path):
    process = start(tmp_path, "train", "gann")
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out, err) == (2, "", "pinxit: unknown system `gann`: did you mean `gan`?\n")


@pytest.mark.parametrize("words", [["list"], ["train", "gan", "--help"]])
def test_a_reader_that_leaves_is_no_error(tmp_path, words):
    with start(tmp_path, *words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=240) == 128 + signal.SIGPIPE
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_a_signal_saves_and_the_command_that_is_said_goes_on(tmp_path):
    words = ("train", "gan", "--preset", "tiny", "--rounds", "100000", "--run", "r")
    process = start(tmp_path, *words)
    deadline = time.monotonic() + 240
    while not (tmp_path / "r/checkpoints/step-000000000").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 128 + signal.SIGTERM
    last = err.splitlines()[-1]
    assert last.startswith("pinxit: stopped and saved at round ")
    assert last.endswith(f"go on with: python -m pinxit {' '.join(words)}")
    assert "Traceback" not in err


@pytest.mark.slow
def test_of_two_processes_one_prints(tmp_path):
    process = start(tmp_path, "train", "gan", "--preset", "tiny", "--devices", "2", "--accelerator", "cpu", "--run", "r")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out.count("gan (tiny)") == 1
    assert "on 2 processes on cpu" in out
    assert out.count("report ") == 1
    assert "distributed" not in out + err
