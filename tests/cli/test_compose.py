"""Defaults, then preset, then file, then flags; and the folder that follows from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pinxit import systems
from pinxit.cli.compose import compose
from pinxit.core.errors import InputError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)


def written(values: dict, name: str = "c.yaml") -> str:
    Path(name).write_text(yaml.safe_dump(values))
    return name


def test_the_preset_is_small_unless_said():
    assert compose("gan", []).config == systems.preset("gan", "small")
    assert compose("gan", ["--preset", "tiny"]).config == systems.preset("gan", "tiny")


def test_file_over_preset_and_flags_over_file():
    file = written({"preset": "tiny", "seed": 3, "config": {"lr": 0.5, "latent": 9}, "settings": {"average": {"ramp": 0.5}}})
    plan = compose("gan", ["--config", file, "--latent", "10", "--average.half-life", "7"])
    assert plan.config == systems.preset("gan", "tiny").replace(lr=0.5, latent=10)
    assert (plan.run.seed, plan.run.preset) == (3, "tiny")
    assert (plan.settings.average.half_life, plan.settings.average.ramp) == (7, 0.5)


def test_a_file_keeps_its_values_under_another_preset():
    file = written({"preset": "tiny", "config": {"latent": 9}})
    plan = compose("gan", ["--config", file, "--preset", "paper"])
    assert plan.config == systems.preset("gan", "paper").replace(latent=9)


def test_a_value_of_the_file_that_equals_the_default_overrides_the_preset():
    default = type(systems.preset("gan", "tiny"))().latent
    assert default != systems.preset("gan", "tiny").latent
    plan = compose("gan", ["--preset", "tiny", "--config", written({"config": {"latent": default}})])
    assert plan.config.latent == default


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_other_formats(suffix):
    text = {".toml": "[config]\nlatent = 9\n", ".json": json.dumps({"config": {"latent": 9}})}[suffix]
    Path(f"c{suffix}").write_text(text)
    assert compose("gan", ["--config", f"c{suffix}"]).config.latent == 9


@pytest.mark.parametrize("system", systems.names())
def test_the_printed_configuration_gives_the_same_plan(system):
    Path("photos").mkdir()
    words = ["--data", "photos", "--size", "64", "--preset", "tiny", "--seed", "4", "--mirror", "--precision", "bf16-mixed"]
    plan = compose(system, [*words, "--average.ramp", "0"])
    Path("again.yaml").write_text(plan.to_yaml())
    again = compose(system, ["--config", "again.yaml"])
    assert (again.config, again.settings) == (plan.config, plan.settings)
    assert again.source == plan.source.replace(data=str(Path("photos").resolve()))
    assert again.folder == plan.folder
    assert again.to_yaml() == plan.to_yaml()


def test_the_folder_says_system_data_preset_and_seed():
    assert compose("gan", []).folder == Path("runs/gan-fashion-mini-small-s0")
    words = ["--data", "my photos/", "--preset", "tiny", "--seed", "2"]
    assert compose("dcgan", words).folder == Path("runs/dcgan-my-photos-tiny-s2")
    assert compose("gan", ["--data", "a/b.zip"]).folder == Path("runs/gan-b-small-s0")
    assert compose("gan", ["--run", "here"]).folder == Path("here")


CHANGES = [
    ["--lr", "0.5"],
    ["--lr", "0.25"],
    ["--rounds", "5"],
    ["--size", "64"],
    ["--channels", "3"],
    ["--mirror"],
    ["--crop", "stretch"],
    ["--skip-bad"],
    ["--precision", "bf16-mixed"],
    ["--accumulate", "2"],
    ["--devices", "2"],
    ["--average.ramp", "0.5"],
]


def test_what_decides_the_result_decides_the_folder():
    folders = {compose("gan", words).folder for words in [[], *CHANGES]}
    assert len(folders) == len(CHANGES) + 1
    assert all(str(folder).startswith("runs/gan-fashion-mini-small-s0") for folder in folders)


@pytest.mark.parametrize(
    "words",
    [
        ["--threads", "1"],
        ["--accelerator", "cpu"],
        ["--save-every", "7"],
        ["--sample-every", "7"],
        ["--log-every", "7"],
        ["--latent", "100"],
        ["--stream", "--workers", "2"],
    ],
)
def test_what_does_not_decide_it_leaves_the_folder(words):
    assert compose("gan", words).folder == compose("gan", []).folder


def test_the_folder_does_not_depend_on_the_order_of_flags_or_where_they_stand():
    words = ["--lr", "0.5", "--rounds", "5"]
    one = compose("gan", words).folder
    assert compose("gan", words[2:] + words[:2]).folder == one
    assert compose("gan", ["--config", written({"config": {"rounds": 5, "lr": 0.5}})]).folder == one


def test_torchrun_decides_the_number_of_processes(monkeypatch):
    two = compose("gan", ["--devices", "2"]).folder
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert compose("gan", []).folder == two


def test_a_run_made_by_python_names_its_data_only():
    file = written({"system": "gan", "config": {"latent": 9}, "data": {"name": "ring", "fingerprint": "0"}, "seed": 1, "new": 1})
    plan = compose("gan", ["--config", file])
    assert (plan.source.data, plan.run.seed, plan.config.latent) == ("ring", 1, 9)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"config": {"lrr": 1}}, ["`lrr`", "did you mean `lr`?", "c.yaml"]),
        ({"config": {"rounds": -5}}, ["`rounds` is -5", "greater", "c.yaml"]),
        ({"settings": {"average": {"ramp": "x"}}}, ["`average.ramp` is 'x'", "c.yaml"]),
        ({"source": {"crop": "center"}}, ["`crop` is 'center'", "centre", "c.yaml"]),
        ({"seed": -1}, ["`seed` is -1", "c.yaml"]),
        ({"lr": 1}, ["`lr`", "config:", "c.yaml"]),
        ({"setings": {}}, ["`setings`", "did you mean `settings`?", "c.yaml"]),
        ({"config": [1]}, ["`config`", "[1]", "c.yaml"]),
        ({"system": "vae"}, ["`vae`", "`gan`", "c.yaml"]),
        ({"preset": "tini"}, ["`tini`", "did you mean `tiny`?"]),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_names_it(values, parts):
    with pytest.raises(InputError) as caught:
        compose("gan", ["--config", written(values)])
    line = str(caught.value)
    assert all(part in line for part in parts), line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("system", "words", "line"),
    [
        ("dcgan", ["--size", "48"], "the dcgan networks take square images of .*, not 48x48$"),
        ("dcgan", ["--data", "photos", "--size", "48"], "not 48x48$"),
        ("dcgan", ["--data", "ring"], "not points: take another system, such as gan with --backbone mlp$"),
        ("lsgan", ["--data", "ring"], "not points: take --backbone mlp$"),
        ("vae", ["--data", "grid"], "`decoder` 'logistic' needs grey levels, this data is continuous: take gaussian$"),
        ("vae", ["--data", "mnist-fixed", "--network", "conv", "--size", "20"], "`network` conv takes .*, not 20x20"),
        ("acgan", ["--data", "mnist-larochelle"], "^acgan needs labels"),
        ("pixelcnn", ["--data", "ring"], "continuous: take vae with --decoder gaussian$"),
        ("pixelcnn", ["--data", "mnist-larochelle", "--conditional"], "a conditional pixel model needs labels"),
        ("gan", ["--preset", "tiny", "--accumulate", "3"], "`batch_size` 8 does not split over 1 processes x `accumulate` 3"),
        ("gan", ["--preset", "tiny", "--devices", "3"], "`batch_size` 8 does not split over 3 processes"),
        ("vae", ["--samples", "5"], "`samples` 5 has no KL to weigh"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(system, words, line):
    with pytest.raises(InputError, match=line):
        compose(system, words)


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("dcgan", ["--data", "mnist", "--size", "32"]),
        ("lsgan", ["--data", "ring", "--backbone", "mlp"]),
        ("gan", ["--data", "ring"]),
        ("vae", ["--data", "ring", "--decoder", "gaussian"]),
        ("acgan", ["--data", "photos", "--size", "64"]),
        ("dcgan", ["--data", "photos"]),
    ],
)
def test_what_goes_together_or_is_not_known_yet_is_taken(system, words):
    assert compose(system, words).system == system


def test_flags_may_mend_what_a_file_and_a_preset_say_together():
    file = written({"config": {"samples": 5}})
    assert compose("vae", ["--config", file, "--warmup", "0"]).config.samples == 5
    with pytest.raises(InputError, match="no KL to weigh"):
        compose("vae", ["--config", file])


def test_torchrun_decides_over_how_many_a_batch_is_split(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match="over 3 processes"):
        compose("gan", ["--preset", "tiny"])
