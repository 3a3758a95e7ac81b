"""Own folders of photographs: RGB, of many sizes, in classes of any name."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from pinxit import data
from pinxit.cli import main, shelf
from pinxit.core.config import Settings
from pinxit.systems import acgan
from pinxit.training import Trainer

pytestmark = pytest.mark.xdist_group("runs")

NAMES = ("10 dusk", unicodedata.normalize("NFD", "plage d'été"), "森 forest")
COLOURS = ((120, 40, 110), (240, 200, 90), (20, 110, 40))
SIZES = ((20, 16), (16, 24), (30, 30))


def photographs(folder, each=12, seed=0, sizes=SIZES):
    rng = np.random.default_rng(seed)
    for name, colour in zip(NAMES, COLOURS, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            width, height = sizes[number % len(sizes)]
            pixels = rng.normal(colour, 12, (height, width, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    source = {"data": str(photographs(folder / "photos")), "size": 16}
    real = data.load(**{("source" if k == "data" else k): v for k, v in source.items()})
    game = acgan.build(acgan.PRESETS["tiny"].replace(rounds=2), real.spec, seed=0)
    trainer = Trainer(game, real, folder / "run", settings=Settings(accelerator="cpu"), about={"source": source})
    trainer.observers = []
    trainer.fit()
    return folder / "run"


def test_a_run_is_judged_on_a_folder_of_other_photographs_in_the_size_that_it_makes(run, tmp_path, capsys):
    others = photographs(tmp_path / "held out", seed=1)
    words = ["evaluate", str(run), "--features", "pixels", "--metrics", "frechet", "--no-controls", "--n", "10"]
    assert main([*words, "--data", str(others), "--json", str(tmp_path / "a.json")]) == 0
    (found,) = json.loads((tmp_path / "a.json").read_text())
    assert found["protocol"]["reference"].startswith("10 samples of held out")
    assert main([*words, "--data", str(others), "--size", "16", "--json", str(tmp_path / "b.json")]) == 0
    (same,) = json.loads((tmp_path / "b.json").read_text())
    assert same["scores"][0]["value"] == found["scores"][0]["value"]
    said = capsys.readouterr().out
    assert "who was trained on held out has seen the reference" in said, "this run was trained on others"
    assert "reference was trained on" not in said
    assert main([*words, "--data", str(others), "--size", "20"]) == 2
    assert "compare like with like" in capsys.readouterr().err


def test_images_of_other_software_are_held_against_photographs_of_a_size_that_is_said(tmp_path, capsys):
    others = photographs(tmp_path / "real")
    made = photographs(tmp_path / "made", seed=2, sizes=((16, 16),))
    words = ["evaluate", "--images", str(made), "--features", "pixels", "--metrics", "frechet", "--no-controls", "--n", "10"]
    assert main([*words, "--data", str(others)]) == 2
    assert "--size 16" in capsys.readouterr().err
    assert main([*words, "--data", str(others), "--size", "16"]) == 0
    assert main(["evaluate", str(tmp_path), "--images", str(made), "--size", "16"]) == 2


@pytest.mark.parametrize("options", [{}, {"mirror": True}, {"crop": "stretch"}], ids=str)
def test_another_folder_of_the_name_of_a_run_s_data_is_not_taken_for_them(tmp_path, capsys, monkeypatch, options):
    real = data.load(photographs(tmp_path / "a" / "photos"), size=16, **options)
    photographs(tmp_path / "b" / "photos", seed=1)
    trainer = Trainer(acgan.build(acgan.PRESETS["tiny"].replace(rounds=2), real.spec, seed=0), real, tmp_path / "run")
    trainer.observers = []
    trainer.fit()
    words = ["evaluate", str(tmp_path / "run"), "--features", "pixels", "--metrics", "frechet", "--no-controls", "--n", "10"]
    monkeypatch.chdir(tmp_path / "a")
    assert main(words) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path / "b")
    assert main(words) == 2
    assert "`photos` here are others: give --data" in capsys.readouterr().err
    assert main([*words, "--data", str(tmp_path / "a" / "photos")]) == 0


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_class_is_found_however_its_accents_are_stored(run, tmp_path, form):
    word = unicodedata.normalize(form, "Plage d'Été")
    assert main(["sample", str(run), "-n", "2", "--class", word, "--out", str(tmp_path / "a.npz")]) == 0
    index = list(shelf.class_names(run)).index(NAMES[1])
    assert np.load(tmp_path / "a.npz")["y"].tolist() == [index, index]
