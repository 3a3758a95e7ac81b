"""`pinxit theory`: list, one figure, all of them, and mistakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from pinxit import theory


def test_list_shows_every_figure(pinxit):
    answer = pinxit("theory", "list")
    assert answer.status == 0
    for name in theory.names():
        assert any(line.split()[0] == name and theory.title(name) in line for line in answer.out.splitlines() if line.strip())


def test_list_needs_no_torch(pinxit, monkeypatch):
    for module in ("torch", "matplotlib"):
        monkeypatch.setitem(sys.modules, module, None)
    assert pinxit("theory", "list").status == 0


def test_one_figure_writes_its_picture_and_prints_its_numbers(pinxit):
    answer = pinxit("theory", "transport", "--out", "deep/plan.png", "--numbers", "plan.json")
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == f"transport: {theory.title('transport')}"
    assert lines[-2:] == ["deep/plan.png", "plan.json"]
    with Image.open("deep/plan.png") as picture:
        assert picture.format == "PNG"
    assert [path.name for path in Path("deep").iterdir()] == ["plan.png"]
    record = json.loads(Path("plan.json").read_text())
    assert record["command"] == "pinxit theory transport --seed 0 --numbers FILE.json"
    found = record["figures"]["transport"]
    assert found["w1_dual"] == pytest.approx(found["w1_pot"], rel=1e-7)
    assert f"  w1_dual              {found['w1_dual']:.6g}" in lines


def test_the_seed_decides_and_the_file_has_a_default(pinxit):
    outputs = [pinxit("theory", "transport", "--seed", seed).out for seed in (0, 0, 1)]
    assert outputs[0] == outputs[1] != outputs[2]
    assert Path("theory-transport.png").exists()


def test_all_makes_every_figure(pinxit, monkeypatch):
    monkeypatch.setattr(theory, "names", lambda: ["divergences", "transport"])
    answer = pinxit("theory", "all", "--out", "lab", "--numbers", "lab/theory.json")
    assert answer.status == 0
    assert sorted(path.name for path in Path("lab").iterdir()) == [
        "theory-divergences.png",
        "theory-transport.png",
        "theory.json",
    ]
    assert set(json.loads(Path("lab/theory.json").read_text())["figures"]) == {"divergences", "transport"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trnsport"], "unknown figure `trnsport`: did you mean `transport`?"),
        (["zzz"], "choose from all, clipped-weights"),
        (["transport", "--out", "plan.svg"], "must end in .png"),
        (["all", "--out", "plan.png"], "give a folder"),
        (["transport", "--numbers", "plan.txt"], "must end in .json"),
        (["transport", "--sed", "1"], "did you mean `--seed`?"),
        (["transport", "--seed", "-1"], "greater than or equal to 0"),
        ([], "missing"),
    ],
)
def test_mistakes(refused, words, said):
    assert said in refused("theory", *words)


def test_a_missing_package_is_one_line(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    assert "pip install 'pinxit[eval]'" in refused("theory", "transport")
