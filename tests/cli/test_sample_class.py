"""`pinxit sample RUN --class 8`: the classes that are asked for, or one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pinxit.cli import main
from pinxit.training import from_pretrained
from pinxit.viz.grids import to_uint8

pytestmark = pytest.mark.xdist_group("runs")  # one process: what they share is trained once


@pytest.fixture(scope="session")
def cgan_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "cgan-run"
    assert main(["train", "cgan", "--preset", "tiny", "--run", str(folder), "--log-every", "2"]) == 0
    return folder


def test_one_class(pinxit, cgan_run):
    assert pinxit("sample", cgan_run, "--class", "8", "-n", "5", "--seed", "2", "--out", "x.npz").status == 0
    with np.load("x.npz") as archive:
        assert archive["y"].tolist() == [8] * 5
        game = from_pretrained(cgan_run)
        expected = game.sample_class(torch.full((5,), 8), generator=torch.Generator().manual_seed(2))
        assert np.array_equal(archive["x"], to_uint8(expected))


def test_several_classes_share_the_samples_in_their_order(pinxit, cgan_run):
    assert pinxit("sample", cgan_run, "--class", "3", "8", "0", "-n", "7", "--out", "x.npz").status == 0
    with np.load("x.npz") as archive:
        assert archive["y"].tolist() == [3, 3, 3, 8, 8, 0, 0]
    assert pinxit("sample", cgan_run, "--class", "3").status == 0
    assert Path("samples.png").exists()


def test_without_classes_no_label_is_written(pinxit, cgan_run):
    assert pinxit("sample", cgan_run, "-n", "3", "--out", "x.npz").status == 0
    with np.load("x.npz") as archive:
        assert archive.files == ["x"]


@pytest.mark.parametrize("label", ["10", "-1"])
def test_a_class_that_is_not_there(refused, cgan_run, label):
    line = refused("sample", cgan_run, "--class", label)
    assert f"`--class` is {label}" in line
    assert "0 to 9" in line


def test_classes_by_their_names(pinxit, refused, cgan_run):
    assert pinxit("sample", cgan_run, "--class", "Dress", "0", "-n", "4", "--out", "x.npz").status == 0
    assert np.load("x.npz")["y"].tolist() == [3, 3, 0, 0]
    assert "`--class` is dres, no class of its data" in refused("sample", cgan_run, "--class", "dres")
    assert "did you mean `dress`?" in refused("interpolate", cgan_run, "--class", "dres")


def test_a_model_without_classes_names_those_that_have_them(refused, gan_run):
    line = refused("sample", gan_run, "--class", "8")
    assert "gan can't sample a class" in line
    assert "acgan" in line
    assert "cgan" in line
    assert "infogan" not in line


def test_a_run_ends_with_its_classes_in_the_report(cgan_run):
    assert (cgan_run / "classes.png").exists()
    assert "one class a column" in (cgan_run / "report.html").read_text()


def test_each_class_gets_a_sample(refused, cgan_run):
    for word in ("sample", "interpolate"):
        assert "each needs at least one" in refused(word, cgan_run, "--class", 0, 1, 2, "-n", 2)


@pytest.mark.parametrize("word", ["sample", "interpolate", "directions"])
def test_the_flag_without_a_class_is_refused(refused, cgan_run, word):
    assert "`--class` has no value" in refused(word, cgan_run, "--class")


def test_a_walk_in_a_class(pinxit, cgan_run):
    assert pinxit("interpolate", cgan_run, "--class", 3, "-n", 2, "--steps", 4, "--out", "w.png").status == 0
    assert "the classes of" in pinxit("interpolate", cgan_run, "--class", 11).err


def test_a_model_without_classes_has_no_walks_in_one(refused, gan_run):
    assert "can't walk within a class" in refused("interpolate", gan_run, "--class", 1)


@pytest.fixture(scope="session")
def numbered(tmp_path_factory) -> Path:
    """A run on folders named 0 to 10, whose tenth is the third in order; the folders beside it."""
    place = tmp_path_factory.mktemp("numbered")
    for name in (*range(11), "A", "a"):
        for kind, few in (("eleven", range(11)), ("mixed", (9, 10, "A", "a"))):
            if name in few:
                (place / kind / str(name)).mkdir(parents=True)
                for k in range(2):
                    Image.fromarray(np.full((8, 8), 20 * (len(str(name)) + k), np.uint8)).save(
                        place / kind / str(name) / f"{k}.png"
                    )
    for kind in ("eleven", "mixed"):
        words = ["train", "cgan", "--preset", "tiny", "--data", str(place / kind), "--run", str(place / f"{kind}-run")]
        assert main([*words, "--log-every", "2"]) == 0
    return place


def test_classes_that_are_named_by_numbers_are_asked_for_by_these(pinxit, refused, numbered):
    """Sorted as names are, 10 comes before 2: their places would give other classes without a word."""
    run = numbered / "eleven-run"
    assert pinxit("sample", run, "--class", "2", "10", "9", "-n", "3", "--out", "x.npz").status == 0
    assert np.load("x.npz")["y"].tolist() == [3, 2, 10]
    assert "`--class` is 11, no class of its data" in refused("sample", run, "--class", "11")
    assert pinxit("sample", numbered / "mixed-run", "--class", "9", "a", "A", "-n", "3", "--out", "y.npz").status == 0
    assert np.load("y.npz")["y"].tolist() == [1, 3, 2]


def test_names_that_are_not_at_hand_or_not_those_of_the_run(pinxit, refused, numbered, monkeypatch):
    run, data = numbered / "eleven-run", numbered / "eleven"
    said = "note: `--class` is taken for places in the sorted order of the classes' names"
    moved = data.rename(numbered / "elsewhere")
    try:
        answer = pinxit("sample", run, "--class", "2", "-n", "1", "--out", "x.npz")
        assert answer.out.startswith(said)
        assert np.load("x.npz")["y"].tolist() == [2]
    finally:
        moved.rename(data)
    from_pretrained(run).save_pretrained(numbered / "saved")
    assert pinxit("sample", numbered / "saved", "--class", "2", "-n", "1", "--out", "x.npz").out.startswith(said)
    extra = data / "another" / "0.png"
    extra.parent.mkdir()
    extra.write_bytes((data / "0" / "0.png").read_bytes())
    try:
        assert f"has 12 classes, {run} was trained on 11" in refused("sample", run, "--class", "another")
    finally:
        extra.unlink()
        extra.parent.rmdir()
