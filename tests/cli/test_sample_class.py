"""`pinxit sample RUN --class 8`: the classes that are asked for, or one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

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
