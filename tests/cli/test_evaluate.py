"""`evaluate`, `compare`, `complete`: what they print and write, and one clear line for whatever is wrong."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import pinxit
from pinxit import data
from pinxit.cli import main, shelf
from pinxit.core.config import Settings
from pinxit.core.errors import InputError
from pinxit.data.store import Store
from pinxit.evaluation.judge import Judge
from pinxit.metrics import ais, likelihood
from pinxit.observers.figures import Figures
from pinxit.systems import autoencoder, cvae, gan, pixelcnn, vae
from pinxit.training import Trainer

pytestmark = pytest.mark.xdist_group("runs")  # one process: what they share is trained once


def played(module, folder, real, **changes):
    config = module.PRESETS["tiny"].replace(**changes)
    Trainer(module.build(config, real.spec, seed=0), real, folder, settings=Settings(accelerator="cpu")).fit()
    return folder


def played_points(folder):
    ring = data.load("ring")
    game = gan.build(gan.PRESETS["points"].replace(rounds=6), ring.spec, seed=0)
    Trainer(game, ring, folder, settings=Settings(accelerator="cpu")).fit()
    return folder


@pytest.fixture(scope="module")
def real():
    return data.load()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, real):
    folder = tmp_path_factory.mktemp("runs")
    return {
        "gan": played(gan, folder / "gan", real),
        "pixels": played(pixelcnn, folder / "pixels", real),
        "codes": played(autoencoder, folder / "codes", real),
    }


def said(capsys, *words, status=0):
    assert main([str(word) for word in words]) == status
    out = capsys.readouterr()
    return out.out if status == 0 else out.err


QUICK = ("--n", 200, "--metrics", "frechet", "precision-recall", "--features", "random-conv")


@pytest.mark.slow
def test_evaluate_prints_floor_and_controls_and_keeps_json(runs, capsys, tmp_path):
    told = said(capsys, "evaluate", runs["gan"], *QUICK, "--json", tmp_path / "e.json")
    head = next(line for line in told.splitlines() if "floor" in line)
    assert all(name in head for name in ("value", "better", "blurred", "noisy", "one mode", "class dropped", " n", " s"))
    (found,) = json.loads((tmp_path / "e.json").read_text())
    row = next(s for s in found["scores"] if s["value"]["name"] == "frechet distance")
    assert row["value"]["error"] > 0
    assert row["value"]["n"] == 200
    assert row["floor"]["value"] < row["value"]["value"]
    assert set(row["controls"]) == {"blurred", "noisy", "one mode", "class dropped"}
    assert found["about"]["weights"] == "averaged"
    assert found["cost"]["parameters"] > 0


@pytest.mark.slow
def test_images_of_any_software_get_the_score_of_the_run_that_they_came_from(runs, capsys, tmp_path, real):
    said(capsys, "sample", runs["gan"], "-n", 200, "--files", tmp_path / "files", "--out", tmp_path / "s.png")
    told = said(
        capsys, "evaluate", "--images", tmp_path / "files", "--data", "fashion-mini", *QUICK, "--json", tmp_path / "i.json"
    )
    assert "files: reference" in told
    said(capsys, "evaluate", runs["gan"], *QUICK, "--json", tmp_path / "r.json")
    a, b = (json.loads((tmp_path / f"{k}.json").read_text())[0]["scores"][0]["value"] for k in "ir")
    # Other draws of the same sampler: the same within the errors of both.
    assert abs(a["value"] - b["value"]) < 4 * (a["error"] ** 2 + b["error"] ** 2) ** 0.5


def test_bad_files_are_left_out_when_asked_and_classes_are_named(capsys, tmp_path):
    """A folder of two sub-folders and one broken file: refused, or judged without it, and both are said."""
    for i in range(40):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((28, 28), 6 * i, dtype=np.uint8)).save(path)
    (tmp_path / "set/a/bad.png").write_bytes(b"nothing")
    args = ("evaluate", "--images", tmp_path / "set", "--data", "fashion-mini", "-n", 40, "--features", "pixels")
    args = (*args, "--metrics", "frechet", "--no-controls")
    assert "bad.png" in said(capsys, *args, status=2)
    told = said(capsys, *args, "--skip-bad")
    assert "1 of 41 files were left out: a/bad.png" in told
    assert "the images of the 2 classes" in told


def test_grey_files_are_held_against_bits_as_bits_and_what_was_made_of_files_is_said(capsys, tmp_path, real):
    """Grey levels of the data's own law score as its bits do."""
    where, out = tmp_path / "grey.npy", tmp_path / "e.json"
    np.save(where, real.images[:300, 0].numpy())
    args = ("evaluate", "--images", where, "-n", 300, "--features", "pixels", "--no-controls")
    told = said(capsys, *args, "--data", "fashion-mini-dynamic", "--metrics", "frechet", "precision-recall", "--json", out)
    assert f"{where} is judged as bits, as fashion-mini-dynamic is: each pixel is drawn" in told
    for score in json.loads(out.read_text())[0]["scores"]:
        error = (score["value"]["error"] ** 2 + score["floor"]["error"] ** 2) ** 0.5
        assert abs(score["value"]["value"] - score["floor"]["value"]) < 4 * error, score["value"]["name"]
    told = said(capsys, *args, "--data", "fashion-mini", "--metrics", "sliced")
    assert "bits" not in told
    np.save(where, np.repeat(real.images[:300, 0].numpy(), 2, axis=1))
    told = said(capsys, *args, "--data", "fashion-mini", "--metrics", "sliced", "--convert")
    assert f"{where}, made 28x28 grey of 28x56 grey (Lanczos" in told


@pytest.mark.parametrize("other", ["", "--mirror", "--seed"])
def test_it_is_said_where_copies_are_sought_among_others_than_the_training_samples(capsys, tmp_path, other):
    """A copied flip, or a copied point of another seed, is not found."""
    name = "ring" if other == "--seed" else "fashion-mini"
    words = ["gan", "--preset", "tiny", *(["--data", name] if name == "ring" else []), *([other] if other else [])]
    assert main(["train", *words, *(["1"] if other == "--seed" else []), "--run", str(tmp_path / "run")]) == 0
    args = ("evaluate", tmp_path / "run", "--n", 60, "--features", "pixels", "--no-controls", "--metrics")
    line = f"copies were sought among {name}, but it was trained on other samples"
    assert (line in said(capsys, *args, "memorisation")) is bool(other)
    assert line not in said(capsys, *args, "sliced")


@pytest.mark.slow
def test_compare_writes_a_page_that_needs_nothing_else_and_says_what_is_better(runs, capsys, tmp_path):
    told = said(capsys, "compare", runs["gan"], runs["pixels"], *QUICK, "--out", tmp_path / "page.html", "--title", "Two <b>")
    page = (tmp_path / "page.html").read_text()
    assert "Two &lt;b&gt;" in page
    assert "http" not in page.replace("http-equiv", "").replace("https://arxiv.org", "").replace("http://www.w3.org", "")
    assert page.count("data:image/png") >= 2
    line = next(line for line in told.splitlines() if line.startswith("frechet distance:"))
    assert line.replace("±", "&#177;").split(":")[0] in page
    assert (tmp_path / "page.json").exists()


@pytest.mark.slow
def test_one_recipe_on_other_data_is_another_and_it_is_said_what_a_run_was_trained_on(runs, capsys, tmp_path, real):
    other = Store("others", real.images[:500], real.labels[:500], class_names=real.class_names)
    trained = played(gan, tmp_path / "other", other)
    told = said(capsys, "compare", runs["gan"], trained, *QUICK, "--out", tmp_path / "page.html")
    assert any(line.startswith("frechet distance:") for line in told.splitlines()), "two recipes are held against each other"
    found = json.loads((tmp_path / "page.json").read_text())
    # Its own data are not at hand, so it is held against those of the first.
    assert [any("trained on" in line for line in one["lines"]) for one in found] == [False, True]
    assert "trained on others, judged on fashion-mini" in found[1]["lines"]


@pytest.mark.slow
@pytest.mark.slow
def test_what_is_of_other_data_stands_on_the_page_beside_its_reason_and_what_draws_nothing_is_left_out(runs, capsys, tmp_path):
    ring = played_points(tmp_path / "ring")
    words = ("--n", 60, "--metrics", "sliced", "--features", "pixels", "--no-controls", "--out", tmp_path / "page.html")
    told = said(capsys, "compare", runs["gan"], ring, runs["codes"], *words)
    assert "ring can't be compared with gan: they differ in reference" in told
    assert "codes is left out: codes draws no samples" in told
    assert [row["subject"] for row in json.loads((tmp_path / "page.json").read_text())] == ["gan", "ring"]
    page = (tmp_path / "page.html").read_text()
    assert page.count('<th scope="col">metric</th>') == 2, "a table for each reference"
    assert "codes is left out" in page
    assert "codes draws no samples" in said(capsys, "compare", runs["codes"], *words, status=2)


@pytest.mark.slow
def test_a_metric_that_a_run_s_own_data_lack_leaves_it_out_and_does_not_judge_it_on_other_data(runs, capsys, tmp_path, real):
    np.save(tmp_path / "plain.npy", real.images[:400, 0].numpy())
    plain = data.load(str(tmp_path / "plain.npy"))
    trained = tmp_path / "plain"
    words = ("--preset", "tiny", "--run", trained, "--data", tmp_path / "plain.npy", "--log-every", "2")
    said(capsys, "train", "gan", *words)
    assert not plain.spec.classes
    words = ("--n", 60, "--metrics", "classes", "--features", "pixels", "--no-controls", "--out", tmp_path / "page.html")
    told = said(capsys, "compare", runs["gan"], trained, *words)
    assert "plain is left out: metric `classes` needs classes, plain has no labels" in told


@pytest.mark.slow
def test_an_evaluation_that_was_cut_off_leaves_the_older_file_and_goes_on(runs, capsys, tmp_path, monkeypatch):
    """The first subject is not judged again; the file of an earlier command is whole until there is a whole new one."""
    words = ("--n", 60, "--metrics", "sliced", "--features", "pixels", "--no-controls", "--json", tmp_path / "e.json")
    said(capsys, "evaluate", runs["pixels"], *words)
    before = (tmp_path / "e.json").read_text()
    whole, judged = Judge.evaluate_one, []

    def cut_off(self, subject):
        judged.append(subject.name)
        if len(judged) == 2:
            raise KeyboardInterrupt
        return whole(self, subject)

    monkeypatch.setattr(Judge, "evaluate_one", cut_off)
    assert main([str(word) for word in ("evaluate", runs["gan"], runs["pixels"], *words)]) != 0
    capsys.readouterr()
    assert (tmp_path / "e.json").read_text() == before
    assert (tmp_path / "e.json.begun").exists()
    told = said(capsys, "evaluate", runs["gan"], runs["pixels"], *words)
    assert judged == ["gan", "pixels", "pixels"]
    assert "gan: reference" in told
    assert [row["subject"] for row in json.loads((tmp_path / "e.json").read_text())] == ["gan", "pixels"]
    assert not (tmp_path / "e.json.begun").exists()


def test_what_was_begun_is_of_just_this_question(runs, capsys, tmp_path):
    """Another seed, n or metric is judged anew, and a damaged file is no hindrance."""
    from pinxit.evaluation.begun import Begun

    out, asked = tmp_path / "e.json", []

    def judge(**changes):
        from pinxit.evaluation import judge as judging

        options = {"n": 60, "metrics": ("sliced",), "seed": 0} | changes
        real = data.load()
        found = Judge(real, n=options["n"], metrics=options["metrics"], network="pixels", controls=False)
        found.evaluate_one = lambda subject: asked.append(1) or Judge.evaluate_one(found, subject)
        model = pinxit.from_pretrained(runs["gan"])
        return found, judging.of_model(
            model, "gan", found.n, real.spec, seed=options["seed"], **{"sampling seed": options["seed"]}
        )

    for changes in ({}, {}, {"n": 50}, {"seed": 1}, {"metrics": ("kid",)}, {}):
        Begun(out).evaluate(*judge(**changes))
    assert len(asked) == 4
    Begun(out).path.write_text("{")
    Begun(out).evaluate(*judge())
    assert len(asked) == 5


def test_complete_keeps_what_is_known_and_every_engine_paints_the_same(runs, capsys, tmp_path):
    for engine in ("naive", "cached"):
        said(capsys, "complete", runs["pixels"], "-n", 3, "--draws", 2, "--engine", engine, "--out", tmp_path / f"{engine}.png")
    a, b = (Image.open(tmp_path / f"{engine}.png") for engine in ("naive", "cached"))
    assert a.tobytes() == b.tobytes()


@pytest.mark.slow
def test_every_draw_of_a_completion_goes_on_from_the_same_bits(capsys, tmp_path, monkeypatch):
    run = played(pixelcnn, tmp_path / "bits", data.load("fashion-mini-dynamic"), output="bernoulli")
    shown = []
    monkeypatch.setattr("pinxit.viz.completions.completions", lambda *parts: shown.append(parts) or Image.new("L", (4, 4)))
    said(capsys, "complete", run, "-n", 2, "--draws", 3, "--data", "fashion-mini-dynamic", "--out", tmp_path / "c.png")
    ((x, known, drawn),) = shown
    assert set(x.unique().tolist()) == {-1.0, 1.0}
    parts = known[:, None].expand_as(x)
    for draw in drawn:
        assert torch.equal(draw[parts], x[parts])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.slow
def test_an_autoencoder_shows_what_it_makes_of_noise(runs):
    assert (runs["codes"] / "noise.png").exists()
    assert "this model generates nothing" in (runs["codes"] / "report.html").read_text()
    assert not (runs["gan"] / "noise.png").exists()


def test_directions_take_their_classes_from_the_data_that_is_given(tmp_path, real):
    from pinxit.cli import options, pictures

    few = Store("few", real.images[:40], real.labels[:40] % 3, class_names=["hat", "sock", "glove"])
    chosen = options.Directions(folder=tmp_path, classes=("Sock", "2"))
    assert pictures._classes(chosen, few.spec.classes, few) == (1, 2)  # whatever the model was trained on
    with pytest.raises(InputError, match="did you mean `glove`"):
        pictures._classes(options.Directions(folder=tmp_path, classes=("glov",)), 3, few)


def test_known_parts_are_the_parts_that_were_asked_for():
    from pinxit.cli import options, pictures

    x = torch.zeros(5, 1, 8, 6)
    top = pictures._known(options.Complete(folder="r", known="top", share=0.25), x)
    assert top.sum(dim=(1, 2)).tolist() == [2 * 6] * 5
    assert bool(top[:, :2].all())
    left = pictures._known(options.Complete(folder="r", known="left", share=0.5), x)
    assert bool(left[..., :3].all())
    assert not bool(left[..., 3:].any())
    some = pictures._known(options.Complete(folder="r", known="random", share=0.5), torch.zeros(200, 1, 8, 6))
    assert float(some.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert not torch.equal(some[0], some[1])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("evaluate",), "nothing to judge: name runs, or --images FOLDER"),
        (("evaluate", "RUN", "--metrics", "fid"), "unknown metric `fid`"),
        (("evaluate", "RUN", "--json", "x.txt"), "it must end in .json"),
        (("evaluate", "RUN", "RUN"), "the same folder is named twice"),
        (("evaluate", "CODES", "--features", "pixels", "--n", "50"), "codes draws no samples"),
        (("evaluate", "RUN", "--features", "lenett"), "no features `lenett`: did you mean `lenet`"),
        (("evaluate", "--images", "EMPTY", "--data", "fashion-mini", "--features", "pixels"), "EMPTY"),
        (("evaluate", "--images", "FEW", "--data", "fashion-mini", "--features", "pixels"), "has 3 images: give at least"),
        (("evaluate", "--images", "WIDE", "--data", "fashion-mini", "--features", "pixels"), "40x28"),
        (("evaluate", "--images", "FEW"), "give --data"),
        (("compare", "RUN", "--out", "x.png"), "it must end in .html"),
        (("complete", "RUN"), "gan can't complete images"),
        (("sample", "RUN", "--engine", "cached"), "draws an image at once"),
        (("suite", "fasion"), "did you mean `fashion`"),
        (("evaluate", "RUN", "--ais"), "`--ais` says nothing without --likelihood: add --likelihood"),
        (("evaluate", "RUN", "--likelihood", "--metrics", "kid"), "`--metrics` says nothing with --likelihood"),
        (("evaluate", "RUN", "--likelihood"), "has no likelihood"),
        (("evaluate", "PIXELS", "--likelihood", "--ais"), "has no codes to anneal: leave out --ais"),
        (("evaluate", "PIXELS", "PIXELS", "--likelihood"), "the same folder is named twice"),
        (("evaluate", "PIXELS", "--likelihood", "--data", "fashion-mini-dynamic"), "take the data it was trained on"),
        (("evaluate", "RUN", "--metrics", "likelihood"), "gan can't be judged by `likelihood`"),
        (("evaluate", "PIXELS", "--metrics", "path-length"), "pixels can't be judged by `path-length`"),
        (("evaluate", "PIXELS", "--metrics", "duality-gap"), "pixels can't be judged by `duality-gap`: it is for gan and dcgan"),
        (("evaluate", "RUN", "--n", "3", "--metrics", "precision-recall"), "it takes at least 6; raise --n"),
        (("evaluate", "RUN", "--data", "ring"), "gan makes samples of shape (1, 28, 28), the data's are (2, 1, 1)"),
        (("evaluate", "RUN", "--json", "FOLDER"), "Is a directory"),
        (("complete", "PIXELS", "--data", "ring"), "samples of ring are 2x1x1"),
        (("sample", "PIXELS", "--class", "3"), "can't sample a class as it was trained"),
        (("directions", "CODES", "--data", "FEW"), "has no labels: give --data that has"),
    ],
)
def test_mistakes_get_one_line(runs, capsys, tmp_path, words, line):
    for name, count, size in (("EMPTY", 0, (28, 28)), ("FEW", 3, (28, 28)), ("WIDE", 3, (40, 28))):
        (tmp_path / name).mkdir()
        for k in range(count):
            Image.new("L", size, 10 * k).save(tmp_path / name / f"{k}.png")
    (tmp_path / "FOLDER.json").mkdir()
    places = {"RUN": runs["gan"], "CODES": runs["codes"], "PIXELS": runs["pixels"], "FOLDER": tmp_path / "FOLDER.json"}
    places |= {name: tmp_path / name for name in ("EMPTY", "FEW", "WIDE")}
    told = said(capsys, *(places.get(word, word) for word in words), status=2)
    assert line in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("system", "changes", "words", "line"),
    [
        (vae, {}, ("--data", "fashion-mini-dynamic"), "take the data it was trained on"),
        (vae, {"binarise": "none"}, (), "has no likelihood"),
        (cvae, {}, (), "has a prior of each class"),
        (gan, {"prior": "normal"}, ("--data", "fashion-mini-dynamic"), "take the data it was trained on"),
        (gan, {"prior": "uniform"}, (), "train it with --prior normal"),
    ],
)
def test_what_can_not_be_annealed_is_refused_before_any_work(capsys, tmp_path, monkeypatch, real, system, changes, words, line):
    """Though another model comes first, and the bound of its own would be known after minutes."""

    def worked(*_, **__):
        raise AssertionError("work was done before the refusal")

    for module, name in ((likelihood, "report"), (ais, "annealed")):
        monkeypatch.setattr(module, name, worked)
    vae.build(vae.PRESETS["tiny"], real.spec).save_pretrained(tmp_path / "first")
    system.build(system.PRESETS["tiny"].replace(**changes), real.spec).save_pretrained(tmp_path / "second")
    runs = [tmp_path / "second"] if words else [tmp_path / "first", tmp_path / "second"]
    told = said(capsys, "evaluate", *runs, "--likelihood", "--ais", *(words or ("--data", "fashion-mini")), status=2)
    assert line in told
    assert told.count("\n") == 1


def test_the_likelihood_of_a_run_without_averaging_says_raw(runs, capsys, tmp_path, real):
    run = shutil.copytree(runs["pixels"], tmp_path / "raw")
    config = (run / "config.yaml").read_text()
    assert "half_life: 10000.0" in config
    (run / "config.yaml").write_text(config.replace("half_life: 10000.0", "half_life: 0.0"))
    np.savez(tmp_path / "few.npz", x=real.images[:9].permute(0, 2, 3, 1).numpy())
    words = ("--likelihood", "--data", tmp_path / "few.npz", "--json", tmp_path / "l.json")
    told = said(capsys, "evaluate", run, *words)
    assert "9 images (all) of the only split of few" in told
    assert "raw weights" in told
    (row,) = json.loads((tmp_path / "l.json").read_text())[str(run)]["likelihood"]
    assert (row["weights"], row["split"], row["n"], row["estimator"]) == ("raw", "only", 9, "exact")
    for folder, kind in ((run, "raw"), (runs["pixels"], "averaged")):
        (figure,) = Figures(folder, real, 6, 0).of_the_likelihood(pinxit.from_pretrained(folder))
        assert f"; {kind} weights; " in figure["protocol"]


def test_a_model_that_diverged_is_neither_sampled_nor_judged(runs, capsys, tmp_path):
    game = pinxit.from_pretrained(runs["gan"])
    with torch.no_grad():
        next(iter(game.generator.parameters())).flatten()[3] = float("nan")
    game.save_pretrained(tmp_path / "model")
    for words in (("sample",), ("evaluate", "--data", "fashion-mini", "--features", "pixels")):
        told = said(capsys, words[0], tmp_path / "model", *words[1:], status=2)
        assert "holds weights that are not finite (`generator." in told
        assert told.count("\n") == 1


def test_a_run_that_is_not_complete_is_named_with_its_round(runs, tmp_path):
    assert shelf.unfinished(runs["gan"]) is None
    half = shutil.copytree(runs["gan"], tmp_path / "half")
    shutil.rmtree(half / "model")
    assert shelf.unfinished(half) == "round 6"


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["{bad", "[]", "[{}]", None])
def test_files_beside_a_run_that_no_score_depends_on_may_be_damaged(runs, capsys, tmp_path, damage):
    run = shutil.copytree(runs["gan"], tmp_path / "gan")
    for name in ("health.json", "figures.json"):
        (run / name).unlink()
        if damage is not None:
            (run / name).write_text(damage)
    told = said(capsys, "evaluate", run, "--n", 50, "--metrics", "sliced", "--features", "pixels", "--no-controls")
    assert "sliced W1" in told
    assert "minutes" not in told


@pytest.fixture(scope="module")
def told(tmp_path_factory, real):
    """A run that is told the class, labelled images of other attributes, and grey images without labels."""
    folder = tmp_path_factory.mktemp("told")
    played(cvae, folder / "run", real, label_dropout=0.0)
    x = real.images[:300, 0].numpy()
    np.savez(folder / "bright.npz", images=x, labels=x.mean(axis=(1, 2)) > 70)
    np.save(folder / "grey.npy", x)
    return folder


@pytest.mark.slow
def test_a_model_that_is_told_the_class_reconstructs_and_walks(told, capsys, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("pinxit.viz.pairs", lambda *parts: shown.append(parts) or Image.new("L", (4, 4)))
    said(capsys, "reconstruct", told / "run", "-n", 5, "--out", tmp_path / "r.png")
    ((x, x_hat),) = shown
    assert set(x.unique().tolist()) == {-1.0, 1.0}, "its encoder reads bits"
    assert x_hat.shape == x.shape
    line = said(capsys, "reconstruct", told / "run", "--data", told / "grey.npy", "--out", tmp_path / "r.png", status=2)
    assert "needs the class of every image: give labels" in line
    walk = said(capsys, "directions", told / "run", "--class", "dress", "--out", tmp_path / "d.png")
    assert "is told the class, so its codes need not tell it" in walk
    assert "the rest to dress: tells" in walk


def test_labels_of_another_kind_are_attributes_for_a_model_that_is_told_the_class(told, capsys, tmp_path, monkeypatch):
    walks = []
    monkeypatch.setattr(
        "pinxit.viz.directions.attribute_walk", lambda *_, labels, **__: walks.append(labels) or Image.new("L", (4, 4))
    )
    out = said(capsys, "directions", told / "run", "--data", told / "bright.npz", "--class", 1, "--out", tmp_path / "d.png")
    assert "bright has 2 labels and" in out
    assert "the labels are taken for attributes" in out
    assert walks[0].shape == (4,)
    assert 0 <= int(walks[0].min()) <= int(walks[0].max()) < 10


@pytest.mark.slow
@pytest.mark.parametrize(("how", "rule"), [
    ("fixed", "drawn, 1 with its grey level's"), ("dynamic", "drawn, 1 with its"), ("threshold", "above 1/2"),
])  # fmt: skip
def test_a_model_of_bits_completes_and_reconstructs_a_user_s_grey_files_and_says_by_which_rule(
    told, capsys, tmp_path, monkeypatch, how, rule
):
    shown = []
    monkeypatch.setattr("pinxit.viz.completions.completions", lambda *parts: shown.append(parts) or Image.new("L", (4, 4)))
    run = played(pixelcnn, tmp_path / "bits", data.load(f"fashion-mini-{how}"), output="bernoulli")
    out = said(capsys, "complete", run, "-n", 2, "--draws", 1, "--data", told / "grey.npy", "--out", tmp_path / "c.png")
    assert f"note: grey has grey levels, {run} was made for bits: " in out
    assert rule in out
    ((x, _, drawn),) = shown
    assert set(x.unique().tolist()) == set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert "note" not in said(capsys, "complete", run, "-n", 2, "--draws", 1, "--out", tmp_path / "c.png")


def test_a_model_of_grey_levels_takes_a_user_s_bits(runs, capsys, tmp_path, real):
    np.save(tmp_path / "bits.npy", real.images[:20, 0].numpy() > 127)
    told = said(capsys, "reconstruct", runs["codes"], "--data", tmp_path / "bits.npy", "-n", 3, "--out", tmp_path / "r.png")
    assert told == f"{tmp_path / 'r.png'}\n", "nothing is made of them, so no rule is said"
    assert (tmp_path / "r.png").stat().st_size > 0
