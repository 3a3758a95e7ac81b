"""Games of a user's own module, even one that is called as a system of pinxit is."""

import os
import subprocess
import sys

import pytest
import torch
import yaml

import pinxit
from pinxit.cli import main
from pinxit.core import checkpoint
from pinxit.core.config import Settings
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.systems import vae
from toys._nets import Tiny

SPEC = Spec(1, 16, 16)
OWN = """
from pinxit.systems.vae import *
from pinxit.systems import vae as ours
class VAE(ours.VAE):
    def decode(self, z):
        return -super().decode(z)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of a class VAE in a file vae.py that is not ours."""
    (tmp_path / "vae.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "vae", raising=False)
    import vae as own  # type: ignore[import-not-found]

    torch.manual_seed(0)
    trainer = pinxit.Trainer(own.VAE(vae.PRESETS["tiny"], SPEC), Tiny(SPEC), tmp_path / "run", settings=Settings(log_every=3))
    yield own, trainer.fit(), tmp_path / "run"
    sys.modules.pop("vae", None)


def test_it_is_not_taken_for_the_system_of_that_name(run):
    """The run was called a `vae`, its paper given, and `from_pretrained` built our class: other samples, without a word."""
    own, model, folder = run
    about = yaml.safe_load((folder / "config.yaml").read_text())
    assert about["system"] == "vae.VAE"
    assert about["paper"] == {}
    for path in (folder, folder / "model"):
        with pytest.raises(InputError, match="`vae.VAE` is a class of Python code and no system of pinxit's own: build it"):
            pinxit.from_pretrained(path)
    again = own.VAE(vae.PRESETS["tiny"], SPEC).eval()
    checkpoint.read_weights(folder / "model/model.safetensors", again)
    z = torch.zeros(1, 2)
    assert torch.equal(again.decode(z), model.decode(z))


def test_info_says_what_it_is(run, capsys):
    assert main(["info", str(run[2])]) == 0
    assert "vae.VAE, a class of Python code" in capsys.readouterr().out


def test_systems_of_ours_are_called_as_before(tmp_path):
    from pinxit.systems import wgan_gp

    game = wgan_gp.build(wgan_gp.PRESETS["tiny"], SPEC)
    trainer = pinxit.Trainer(game, Tiny(SPEC), tmp_path)
    assert trainer.about["system"] == "wgan-gp"
    game.save_pretrained(tmp_path / "model")
    assert '"system": "wgan_gp"' in (tmp_path / "model/config.json").read_text()


def test_features_that_are_no_rows_are_refused():
    """Without the shapes that tests check at every call."""
    code = """
import torch
from pinxit.metrics.frechet import frechet_distance
for wrong in (torch.rand(9), torch.rand(9, 2, 2, 2), torch.rand(9, 2).numpy()):
    try:
        frechet_distance(wrong, wrong)
    except ValueError as error:
        print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == [
        "features are a tensor of shape (9,): they must be a tensor of rows (n, d)",
        "features are a tensor of shape (9, 2, 2, 2): they must be a tensor of rows (n, d)",
        "features are a ndarray: they must be a tensor of rows (n, d)",
    ]


def test_names_of_authors_are_read_in_any_locale(tmp_path):
    """A system's file is UTF-8, as Python has it, whatever the terminal speaks."""
    (tmp_path / "own.py").write_text(
        '"""Attention (Łukasz Kaiser, 2017). https://arxiv.org/abs/1706.03762"""\n', encoding="utf-8"
    )
    code = "import sys, pathlib; from pinxit import systems; print(len(systems._parsed(pathlib.Path(sys.argv[1])).body))"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "own.py")], env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize("spec", [Tiny(SPEC), (1, 16, 16), torch.Size((8, 1, 16, 16))])
def test_a_game_is_built_of_a_spec_and_of_nothing_else(spec):
    with pytest.raises(InputError, match=f"`spec` is of type {type(spec).__name__}: it must be a Spec, `data.spec` of what"):
        vae.build(vae.PRESETS["tiny"], spec)


@pytest.mark.parametrize("data", [torch.zeros(8, 1, 16, 16), [torch.zeros(1, 16, 16)], "ring"])
def test_a_trainer_takes_a_data_set_and_nothing_else(data, tmp_path):
    game = vae.build(vae.PRESETS["tiny"], SPEC)
    with pytest.raises(InputError, match=f"`data` is of type {type(data).__name__}: give what pinxit.data.load makes of it"):
        pinxit.Trainer(game, data, tmp_path)
    assert not list(tmp_path.iterdir())
