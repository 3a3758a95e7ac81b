"""`pinxit sample RUN --class 8`: the classes that are asked for, or one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
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


def test_names_are_those_of_the_training_wherever_the_data_are(pinxit, numbered, tmp_path):
    run, data = numbered / "eleven-run", numbered / "eleven"
    from_pretrained(run).save_pretrained(tmp_path / "saved")
    names = sorted(str(number) for number in range(11))
    assert yaml.safe_load((run / "config.yaml").read_text())["classes"] == names
    for folder in (run / "model", tmp_path / "saved"):
        assert json.loads((folder / "config.json").read_text())["classes"] == names
        assert from_pretrained(folder).class_names == tuple(names)
    (data / "0").rename(data / "another")  # the same number of classes, in another order
    moved = data.rename(numbered / "elsewhere")
    try:
        for folder in (run, tmp_path / "saved"):
            assert pinxit("sample", folder, "--class", "2", "10", "-n", "2", "--out", "x.npz").status == 0
            assert np.load("x.npz")["y"].tolist() == [3, 2]
    finally:
        (moved.rename(data) / "another").rename(data / "0")


def test_where_no_names_are_said_numbers_are_places(pinxit, refused, numbered, tmp_path):
    """As of runs and models that earlier versions wrote, and of data whose classes have no names."""
    game = from_pretrained(numbered / "eleven-run")
    game.class_names = ()
    game.save_pretrained(tmp_path / "saved")
    answer = pinxit("sample", tmp_path / "saved", "--class", "2", "-n", "1", "--out", "x.npz")
    assert answer.out.startswith(f"note: {tmp_path / 'saved'} does not say the names of its classes")
    assert np.load("x.npz")["y"].tolist() == [2]
    assert "`--class` is coat, and" in refused("sample", tmp_path / "saved", "--class", "2", "coat")
    file = tmp_path / "saved" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "classes": ["a", "b"]}))
    assert "names 2 classes and has 11" in refused("sample", tmp_path / "saved", "--class", "a")


def test_a_label_that_is_another_class_now_is_said(pinxit, numbered, tmp_path):
    data, run = numbered / "mixed", tmp_path / "run"
    train = ["train", "cvae", "--preset", "tiny", "--data", data, "--run", run, "--log-every", 2]
    assert pinxit(*train).status == 0
    looks = (
        ["reconstruct", run, "-n", 2],
        ["evaluate", run, "--likelihood", "-n", 2, "--samples", 5],
        ["evaluate", run, "--metrics", "sliced", "--features", "pixels", "--n", 4, "--no-controls"],
    )
    answers = [pinxit(*look) for look in looks]
    assert [answer.status for answer in answers] == [0, 0, 0]
    assert not any("note: label" in answer.out for answer in answers)
    (data / "9").rename(data / "7")
    try:
        for look in looks:
            assert f"note: label 1 is 9 to {run} and 7 in " in pinxit(*look).out
    finally:
        (data / "7").rename(data / "9")
