import io
import json
import math

import pytest
import torch
from PIL import Image
from rich.console import Console

from pinxit.core.clock import Clock
from pinxit.core.protocols import Splits
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec
from pinxit.data.store import Store
from pinxit.observers import standard
from pinxit.observers.figures import Figures
from pinxit.observers.pictures import Pictures
from pinxit.observers.progress import Progress, clock_time, shortened
from pinxit.observers.samples import Samples, drawable
from pinxit.observers.timing import Timing, seconds
from pinxit.systems import cvae, vae
from viz.vizkit import AutoEncoder, Generator, Pixels, Split

STATS = {"discriminator/loss": 1.25, "discriminator/D(x)": 0.5, "generator/loss": 0.75}


def observe(run_dir, game, data, steps=(0, 10, 20), rounds=20, seed=0):
    """What a trainer does with the observers of a run."""
    observers = standard(run_dir, data, 10, 10, rounds, seed)
    for step in steps:
        clock = Clock(step=step, round=step, images=8 * step)
        if step:
            with (run_dir / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, "stage": 0, "round": step, "images": 8 * step, **STATS}) + "\n")
        for observer in observers:
            if step == rounds or step % observer.every == 0:
                observer(game, clock, STATS if step else {})
    for observer in observers:
        observer.finish(game, clock)
    return {path.relative_to(run_dir).as_posix(): path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}


SAMPLES = {f"samples/step-{k:09d}.png" for k in (0, 10, 20)}
COMMON = {
    "timeline.webp",
    "strip.png",
    "real_beside_fake.png",
    "curves.png",
    "report.html",
    "figures.json",
    "timing.json",
    "metrics.jsonl",
    "health.json",
    "health.jsonl",
}


@pytest.mark.parametrize(
    ("game", "more"),
    [(Generator, {"interpolation.png"}), (AutoEncoder, {"interpolation.png", "manifold.png", "reconstructions.png"})],
)
@pytest.mark.parametrize("spec", [Spec(1, 6, 6), Spec(3, 5, 9)], ids=["grey", "colour, not square"])
def test_a_run_leaves_the_pictures_its_model_can_make(tmp_path, game, more, spec):
    assert set(observe(tmp_path, game(spec), Pixels(spec))) == SAMPLES | COMMON | more


def test_points_are_plotted_and_nothing_else(tmp_path):
    spec = Spec(2, 1, 1, levels=0)
    assert set(observe(tmp_path, Generator(spec), Pixels(spec))) == SAMPLES | COMMON


def test_what_cannot_be_drawn_still_has_figures_and_a_report(tmp_path):
    spec = Spec(4, 3, 3)
    assert not drawable(spec)
    assert not drawable(Spec(7, 1, 1, levels=0))
    assert set(observe(tmp_path, Generator(spec), Pixels(spec))) == {
        "curves.png",
        "report.html",
        "figures.json",
        "timing.json",
        "metrics.jsonl",
        "health.json",
        "health.jsonl",
    }


def test_pictures_are_a_function_of_weights_and_seed(tmp_path):
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(made))
        torch.randn(len(made))
        (tmp_path / name / "run").mkdir(parents=True)
        made.append(observe(tmp_path / name / "run", AutoEncoder(), Split(), seed=seed))
    same, other = ({k for k in made[0] if made[0][k] == made[n][k]} for n in (1, 2))
    assert set(made[0]) - same <= {"timing.json", "figures.json", "report.html"}  # wall time
    assert not other & (SAMPLES | {"real_beside_fake.png", "reconstructions.png", "interpolation.png"})


def test_samples_are_of_the_same_noise_at_every_time(tmp_path):
    files = observe(tmp_path, Generator(), Pixels())
    pictures = [Image.open(io.BytesIO(files[name])).tobytes() for name in sorted(SAMPLES)]
    assert pictures[0] == pictures[1] == pictures[2]


def test_neither_the_model_nor_any_generator_is_changed(tmp_path):
    game = AutoEncoder().eval()
    before = {name: value.clone() for name, value in game.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    observe(tmp_path, game, Split())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in game.state_dict().items())
    assert not game.training
    assert all(p.grad is None for p in game.parameters())


def test_a_model_gone_wrong_is_still_drawn(tmp_path):
    game = Generator()
    with torch.no_grad():
        game.net.bias.fill_(math.nan)
    Samples(tmp_path, Pixels(), 1, 0)(game, Clock(), {})
    assert (tmp_path / "samples" / "step-000000000.png").exists()


def test_reporting_a_finished_run_again_changes_nothing(tmp_path):
    game = AutoEncoder()
    first = observe(tmp_path, game, Split())
    for observer in standard(tmp_path, Split(), 10, 10, 20, 0):
        observer.finish(game, Clock(step=20, round=20, images=160))
    again = {name: (tmp_path / name).read_bytes() for name in first}
    assert [name for name in first if first[name] != again[name]] == []


def test_figures_are_measured_on_the_test_split_and_say_how(tmp_path):
    data, game = Split(), AutoEncoder()
    assert isinstance(data, Splits)
    observe(tmp_path, game, data)
    figures = {row["name"]: row for row in json.loads((tmp_path / "figures.json").read_text())}
    x = data.test().images.flatten(1).double().sum(1)
    assert figures["ELBO"]["value"] == pytest.approx(float(x.mean()) - 2, abs=1e-5)
    assert figures["ELBO"]["standard_error"] == pytest.approx(float(x.std() / math.sqrt(40)), rel=1e-5)
    assert (figures["KL"]["value"], figures["KL"]["standard_error"]) == (2.0, 0.0)
    assert "40 images of the test split" in figures["ELBO"]["protocol"]
    assert figures["D(x)"]["value"] == 0.5
    assert "rounds 11 to 20" in figures["D(x)"]["protocol"]
    assert figures["parameters"]["value"] == 3 * 36 + 36
    assert figures["images shown"]["value"] == 160
    assert all(row["protocol"] for row in figures.values())


def clothes(labels, test_labels):
    """Eight kinds of grey image and a test split, with such labels."""
    pixels = torch.randint(0, 256, (64, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    names = ["a", "b", "c"]
    data = Store("clothes", pixels, labels, class_names=names)
    data.load_test = lambda: Store("clothes", pixels[:24], test_labels, class_names=names if test_labels is not None else ())
    return data


KNOWN = torch.arange(64) % 3


@pytest.mark.parametrize(
    ("test_labels", "split"), [(KNOWN[:24], "24 images of the test"), (None, "64 images of the train"),
    (torch.full((24,), -1), "64 images of the train"), (KNOWN[:24].masked_fill(KNOWN[:24] == 0, -1), "16 images of the test")],
)  # fmt: skip
def test_a_model_that_is_told_the_class_is_shown_images_that_have_one(tmp_path, test_labels, split):
    data = clothes(KNOWN, test_labels)
    game = cvae.build(cvae.PRESETS["tiny"].replace(label_dropout=0.0), data.spec).eval()
    files = observe(tmp_path, game, data)
    assert {"reconstructions.png", "manifold.png", "interpolation.png", "classes.png"} <= set(files)
    assert f"{split} split" in json.loads(files["figures.json"])[0]["protocol"]


def test_reconstructions_stand_beside_the_bits_that_the_encoder_was_shown(tmp_path, monkeypatch):
    data = clothes(KNOWN, KNOWN[:24])
    for module in (vae, cvae):
        drawn = []
        monkeypatch.setattr("pinxit.viz.pairs", lambda *parts, drawn=drawn: drawn.append(parts) or Image.new("L", (4, 4)))
        game = module.build(module.PRESETS["tiny"].replace(decoder="bernoulli", binarise="dynamic"), data.spec).eval()
        for _ in range(2):
            Pictures(tmp_path, data, 1, 0).finish(game, Clock())
        (x, x_hat), (again, _) = drawn
        assert set(x.unique().tolist()) == {-1.0, 1.0}
        assert torch.equal(x, again)
        order = torch.randperm(24, generator=torch.Generator().manual_seed(seed_of("real", 0)))[:20]
        torch.testing.assert_close(x_hat, game.reconstruct(x, KNOWN[order]))


def test_without_a_test_split_the_figures_say_train(tmp_path):
    Figures(tmp_path, Pixels(), 1, 0).finish(AutoEncoder(), Clock())
    assert "90 images of the train split" in (tmp_path / "figures.json").read_text()


def test_wall_time_adds_up_over_resumptions(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("pinxit.observers.timing.time.monotonic", lambda: now[0])
    path = tmp_path / "timing.json"
    path.write_text('{"seconds": 999}')  # of an older run in the folder
    first, second = Timing(tmp_path, 1, 100), Timing(tmp_path, 1, 100)
    for step, at in ((0, 100), (10, 107), (11, 108)):
        now[0] = at
        first(Generator(), Clock(step=step), {})
    assert seconds(path) == 7  # at most every five seconds
    for step, at in ((5, 1000), (100, 1003)):
        now[0] = at
        second(Generator(), Clock(step=step), {})
    assert seconds(path) == 10
    path.write_text("{")
    assert seconds(path) == 0


def progress(terminal, **options):
    now, out = [50.0], io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=70, color_system=None, legacy_windows=False)
    return Progress(1000, often=5, log_every=50, console=console, now=lambda: now[0]), now, out


def test_off_a_terminal_there_is_a_plain_line_every_ten_seconds():
    show, now, out = progress(terminal=False)
    assert show.every == 50
    for step, at in ((0, 50), (50, 55), (100, 60), (150, 65), (200, 70.5), (1000, 71)):
        now[0] = at
        show(Generator(), Clock(step=step, images=10 * step), STATS if step else {})
    show.finish(Generator(), Clock(step=1000))
    lines = out.getvalue().splitlines()
    assert lines[0] == (
        "round 100 of 1,000 (10 %)  1,000 images  100 images/s  1:30 left  "
        "discriminator/loss 1.25  discriminator/D(x) 0.5  generator/loss 0.75"
    )
    assert [line.split(" (")[0] for line in lines] == ["round 100 of 1,000", "round 200 of 1,000", "round 1,000 of 1,000"]
    assert "\x1b" not in out.getvalue()


def test_the_rate_of_a_resumed_run_counts_from_where_it_resumed():
    show, now, out = progress(terminal=False)
    for step, at in ((800, 50), (900, 60)):
        now[0] = at
        show(Generator(), Clock(step=step, images=10 * step), {})
    assert "100 images/s  0:10 left" in out.getvalue()


def test_on_a_terminal_two_lines_renew_themselves_and_end_below():
    show, now, out = progress(terminal=True)
    assert show.every == 5
    for step in (0, 5, 10):
        now[0] += 1
        show(Generator(), Clock(step=step, images=step), STATS)
    frames = out.getvalue().split("\r\x1b[1A\x1b[2K\x1b[1A\x1b[2K")
    assert len(frames) == 3
    for frame in frames:
        assert frame.count("\n") == 2
        assert frame.endswith("\n")
        assert all(len(line) <= 70 for line in frame.splitlines())
        assert "\x1b[?25l" not in frame  # the cursor is never hidden: nothing to restore after an exception
    assert "1 %" in frames[2]
    assert "generator loss 0.75" in frames[2]


def test_a_terminal_is_drawn_on_at_most_ten_times_a_second():
    show, now, out = progress(terminal=True)
    for step in range(0, 100, 5):
        now[0] += 0.01
        show(Generator(), Clock(step=step), {})
    assert out.getvalue().count("\x1b[1A") // 2 == 1


def test_a_run_shorter_than_its_first_interval_has_one_line():
    show, _, out = progress(terminal=False)
    show(Generator(), Clock(step=1000, images=9), {})
    assert out.getvalue() == "round 1,000 of 1,000 (100 %)  9 images\n"


def test_names_and_times():
    assert list(shortened(STATS)) == ["discriminator loss", "D(x)", "generator loss"]
    assert list(shortened({"a/x": 1.0, "b/x": 2.0, "z": 3.0})) == ["a x", "b x", "z"]
    assert [clock_time(s) for s in (0, 59.6, 75, 4000)] == ["0:00", "1:00", "1:15", "1:06:40"]
