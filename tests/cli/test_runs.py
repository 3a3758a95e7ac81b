"""Training from the command line, and what can be done with a run."""

from __future__ import annotations

import filecmp
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pinxit.cli import compose
from pinxit.training import from_pretrained
from pinxit.viz.grids import to_uint8

pytestmark = pytest.mark.xdist_group("runs")  # one process: what they share is trained once


def size(path: str) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.slow
def test_training_says_where_things_are_and_repeats_as_a_resume(pinxit):
    words = ("train", "gan", "--preset", "tiny", "--seed", "3", "--rounds", "4")
    folder = compose.compose("gan", words[2:]).folder
    first = pinxit(*words)
    assert first.status == 0
    head, *rest = first.out.splitlines()
    assert head.startswith("gan (tiny) on fashion-mini, 14,000 samples 1x28x28; 4 rounds on cpu; in ")
    assert head.endswith(str(folder))
    assert f"report   {folder}/report.html" in rest
    assert f"samples  {folder}/samples/step-000000004.png" in rest
    assert any(line.endswith(f"sample {folder}") for line in rest)
    assert not any("reconstruct" in line for line in rest)
    again = pinxit(*words)
    assert again.status == 0
    assert "4 rounds done before" in again.out
    assert [path.name for path in Path("runs").iterdir()] == [folder.name]


def test_a_share_that_a_system_can_t_do_with_is_refused_before_the_folder_is_made(refused):
    lone = refused("train", "ebgan", "--preset", "tiny", "--batch-size", 2, "--accumulate", 2, "--rounds", 3, "--run", "r")
    assert "`batch_size` 2 over 2 shares is one sample each (1 processes x `accumulate` 2)" in lone
    pack = refused("train", "gan", "--preset", "tiny", "--batch-size", 8, "--pack", 4, "--accumulate", 4, "--run", "r")
    assert "does not divide into packs of `pack` 4: take a multiple of 16" in pack


@pytest.mark.slow
def test_a_run_keeps_where_its_data_came_from(pinxit):
    rng = np.random.default_rng(0)
    Path("photos").mkdir()
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(f"photos/{number}.png")
    words = ("train", "vae", "--data", "photos", "--size", "12", "--preset", "tiny", "--run", "r", "--decoder", "logistic")
    assert pinxit(*words).status == 0
    about = yaml.safe_load(Path("r/config.yaml").read_text())
    assert about["preset"] == "tiny"
    assert about["source"]["data"] == str(Path("photos").resolve())
    assert (about["data"]["height"], about["data"]["channels"], about["config"]["decoder"]) == (12, 3, "logistic")
    assert pinxit("reconstruct", "r", "-n", "3").status == 0
    # The run's own file repeats the run, from elsewhere too.
    Path("elsewhere").mkdir()
    plan = compose.compose("vae", ["--config", "r/config.yaml"])
    assert plan.source.data == str(Path("photos").resolve())
    assert plan.config == compose.compose("vae", words[2:]).config


@pytest.mark.slow
def test_another_configuration_in_the_same_folder_is_refused(pinxit, gan_run):
    before = (gan_run / "config.yaml").read_bytes()
    answer = pinxit("train", "gan", "--preset", "tiny", "--run", gan_run, "--log-every", "2", "--lr", "0.5")
    assert answer.status == 2
    assert answer.err.count("\n") == 1
    assert "config.lr" in answer.err
    assert (gan_run / "config.yaml").read_bytes() == before


def test_the_notes_of_the_data_are_printed(pinxit):
    Path("grey").mkdir()
    for number in range(9):
        Image.new("L", (12, 12), number).save(f"grey/{number}.png")
    Path("grey/one").mkdir()
    Image.new("L", (12, 12), 99).save("grey/one/a.png")
    answer = pinxit("train", "gan", "--data", "grey", "--preset", "tiny", "--rounds", "1")
    from pinxit import data

    notes = data.load("grey").notes
    assert notes
    assert all(f"note: {note}" in answer.out.splitlines() for note in notes)


def test_samples_are_those_of_the_seed(pinxit, gan_run):
    assert pinxit("sample", gan_run, "-n", "7", "--seed", "5", "--out", "x.npz") == (0, "x.npz: x (7, 28, 28, 1) uint8\n", "")
    expected = to_uint8(from_pretrained(gan_run).sample(7, generator=torch.Generator().manual_seed(5)))
    assert np.array_equal(np.load("x.npz")["x"], expected)
    pinxit("sample", gan_run, "-n", "7", "--seed", "6", "--out", "y.npz")
    assert not np.array_equal(np.load("y.npz")["x"], expected)


def test_files_hold_the_same_samples_as_the_array(pinxit, gan_run):
    assert pinxit("sample", gan_run, "-n", "3", "--files", "f", "--out", "x.npz").status == 0
    assert sorted(path.name for path in Path("f").iterdir()) == ["000000.png", "000001.png", "000002.png"]
    stored = np.load("x.npz")["x"]
    for number in range(3):
        with Image.open(f"f/{number:06d}.png") as picture:
            assert np.array_equal(np.asarray(picture), stored[number, ..., 0])


def test_files_alone_make_no_grid(pinxit, gan_run):
    pinxit("sample", gan_run, "-n", "2", "--files", "f")
    assert not Path("samples.png").exists()


def test_the_default_is_a_grid_of_64(pinxit, gan_run):
    answer = pinxit("sample", gan_run)
    assert answer == (0, "samples.png\n", "")
    width, height = size("samples.png")
    assert width == height >= 8 * 28


def test_more_samples_than_a_chunk(pinxit, gan_run):
    pinxit("sample", gan_run, "-n", "300", "--out", "x.npz")
    x = np.load("x.npz")["x"]
    assert len(x) == 300
    assert not np.array_equal(x[:44], x[256:])


def test_a_saved_model_will_do_for_a_run(pinxit, gan_run):
    pinxit("sample", gan_run, "-n", "4", "--out", "a.png")
    pinxit("sample", gan_run / "model", "-n", "4", "--out", "b.png")
    assert filecmp.cmp("a.png", "b.png", shallow=False)


def test_interpolation_has_a_row_a_walk(pinxit, vae_run):
    assert pinxit("interpolate", vae_run, "-n", "3", "--steps", "6", "--out", "a.png").status == 0
    assert pinxit("interpolate", vae_run, "-n", "3", "--steps", "6", "--seed", "1", "--out", "b.png").status == 0
    width, height = size("a.png")
    assert (width - 2) * 3 == (height - 2) * 6
    assert not filecmp.cmp("a.png", "b.png", shallow=False)


def test_reconstruction_of_the_run_s_own_set_and_of_another(pinxit, vae_run):
    assert pinxit("reconstruct", vae_run, "-n", "4") == (0, "reconstructions.png\n", "")
    np.save("other.npy", np.random.default_rng(0).integers(0, 256, (6, 40, 40), np.uint8))
    assert pinxit("reconstruct", vae_run, "-n", "4", "--data", "other.npy", "--out", "other.png").status == 0
    assert not filecmp.cmp("reconstructions.png", "other.png", shallow=False)


def test_what_is_said_to_come_next_is_for_that_run(pinxit):
    answer = pinxit("train", "gan", "--preset", "tiny", "--data", "ring", "--run", "r")
    assert answer.status == 0
    assert [line.split()[-2] for line in answer.out.splitlines() if line.endswith(" r")][1:] == ["sample"]
    assert pinxit("sample", "r").status == 0
    assert "interpolations are of images" in pinxit("interpolate", "r").err


def test_a_missing_capability_names_the_systems_that_have_it(pinxit, gan_run):
    answer = pinxit("reconstruct", gan_run)
    assert answer.status == 2
    assert answer.err.startswith("pinxit: gan can't reconstruct: ")
    assert "vae" in answer.err
    assert "dcgan" not in answer.err
    assert not Path("reconstructions.png").exists()


@pytest.mark.slow
def test_points_are_an_array_or_a_plot_but_not_files(pinxit):
    assert pinxit("train", "gan", "--data", "ring", "--preset", "tiny", "--run", "r").status == 0
    assert pinxit("sample", "r", "-n", "9", "--out", "x.npz").status == 0
    assert np.load("x.npz")["x"].shape == (9, 2)
    assert pinxit("sample", "r").status == 0
    for words in (["sample", "r", "--files", "f"], ["interpolate", "r"]):
        answer = pinxit(*words)
        assert (answer.status, answer.err.count("\n")) == (2, 1)


def test_info_tells_what_a_run_is(pinxit, vae_run):
    out = pinxit("info", vae_run).out
    game = from_pretrained(vae_run)
    for part in ("Kingma", "fashion-mini", "lr 0.001", "round 6", "finished", "average.half_life", "ELBO"):
        assert part in out
    assert f"{sum(p.numel() for p in game.parameters()):,}" in out


def test_info_of_a_run_without_a_checkpoint_is_one_line(pinxit):
    Path("r").mkdir()
    Path("r/config.yaml").write_text("system: gan\n")
    answer = pinxit("info", "r")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    Path("r/config.yaml").write_text("- a list\n")
    assert "list" in pinxit("info", "r").err


def test_inspect_prints_and_draws(pinxit):
    answer = pinxit("data", "inspect", "fashion-mini", "--split", "test", "--out", "look.png")
    assert answer.status == 0
    assert "2000" in answer.out.replace(",", "")
    assert size("look.png")[0] > 64


@pytest.mark.slow
def test_the_demo_trains_three_systems_and_resumes(pinxit):
    first = pinxit("demo", "--preset", "tiny")
    assert first.status == 0
    assert sorted(path.name for path in Path("runs/demo").iterdir()) == ["dcgan", "gan", "report.html", "vae"]
    page = Path("runs/demo/report.html").read_text()
    assert "<img" in page or "<title>" in page
    assert 'src="http' not in page
    again = pinxit("demo", "--preset", "tiny")
    assert again.out.count("done before") == 3


def images(folder, n=20):
    folder.mkdir(parents=True)
    for i in range(n):
        Image.new("L", (16, 16), 10 * i).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ("q", "`--run` q holds 0.png and is no run's folder"),
        ("q/r", "within the data q"),
        ("notes.txt", "is a file"),
        ("", "`--run` ."),
    ],
)
def test_a_run_is_not_mixed_with_other_files(refused, tmp_path, run, line):
    images(tmp_path / "q")
    (tmp_path / "notes.txt").touch()
    assert line in refused("train", "vae", "--preset", "tiny", "--data", "q", "--run", run)


def test_a_run_is_no_data(refused, gan_run):
    assert "is the folder of a run" in refused("train", "vae", "--preset", "tiny", "--data", gan_run)


def test_files_are_not_mixed_with_others(pinxit, gan_run):
    assert pinxit("sample", gan_run, "-n", 3, "--files", "f").status == 0
    assert pinxit("sample", gan_run, "-n", 3, "--files", "f").status == 0
    again = pinxit("sample", gan_run, "-n", 2, "--files", "f")
    assert again.status == 2
    assert "`--files` f holds 000002.png besides" in again.err


def test_a_seed_too_great_is_one_line(refused, gan_run):
    assert "`seed` is" in refused("sample", gan_run, "--seed", 2**64)


def test_fewer_images_than_asked_for_is_said(pinxit, vae_run):
    few = pinxit("reconstruct", vae_run, "-n", 20_000, "--out", "r.png")
    assert few.status == 0
    assert "fewer than -n 20,000" in few.out
