"""The tree of commands, its help, its refusals and exit statuses."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import pinxit as package
from pinxit import systems
from pinxit.cli import commands, console, parse
from pinxit.cli.compose import compose
from pinxit.core.errors import InputError, Interrupted, NonFiniteError, RunError


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_every_command(pinxit, words):
    answer = pinxit(*words)
    assert answer.status == 0
    assert answer.err == ""
    for word in ("train", "data", *commands.COMMANDS):
        assert re.search(rf"• {word}\b", answer.out)


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_help(pinxit, name):
    answer = pinxit(name, "--help")
    assert answer.status == 0
    assert all(flag in answer.out for flag in parse.flags(commands.COMMANDS[name].options))


def test_every_function_of_the_tree_is_there():
    from importlib import import_module

    for command in (*commands.COMMANDS.values(), *commands.DATA.values()):
        assert callable(getattr(import_module(f"pinxit.cli.{command.home}"), command.function))


@pytest.mark.parametrize("system", systems.names())
def test_help_of_a_system_shows_its_paper_and_every_option(pinxit, system):
    answer = pinxit("train", system, "--preset", "tiny", "--help")
    assert answer.status == 0
    assert systems.about(system).link in answer.out.replace("\n", "")
    for group in ("run", "data", system, "settings"):
        assert f"{group} options" in answer.out
    fields = type(systems.preset(system, "tiny")).model_fields
    for flag in ("--data", "--average.half-life", "--devices", *(f"--{name.replace('_', '-')}" for name in fields)):
        assert flag in answer.out
    text = " ".join(answer.out.replace("│", " ").split())
    assert f"(default: {systems.preset(system, 'tiny').rounds})" in text


@pytest.mark.parametrize("words", [["train"], ["train", "--help"]])
def test_help_of_train_lists_the_systems(pinxit, words):
    answer = pinxit(*words)
    assert answer.status == 0
    assert all(systems.about(name).title in answer.out for name in systems.names())


def test_version(pinxit):
    assert pinxit("--version") == (0, f"pinxit {package.__version__}\n", "")


def test_list_shows_every_system(pinxit):
    answer = pinxit("list")
    assert answer.status == 0
    for name in systems.names():
        about = systems.about(name)
        row = next(line for line in answer.out.splitlines() if line.startswith(f" {name} "))
        assert all(part in row for part in (about.title, about.authors, str(about.year), *systems.presets(name)))


def test_data_list_shows_every_set(pinxit):
    answer = pinxit("data", "list")
    assert answer.status == 0
    for row in package.data.listing():
        assert any(all(part in line for part in row) for line in answer.out.splitlines())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["trian"], ["`pinxit trian`", "did you mean `train`?"]),
        (["gan"], ["did you mean `pinxit train gan`?"]),
        (["--foo"], ["`--foo`", "pinxit --help"]),
        (["data", "lits"], ["`pinxit data lits`", "did you mean `list`?"]),
        (["train", "dcgn"], ["unknown system `dcgn`", "did you mean `dcgan`?"]),
        (["train", "--lr", "1"], ["system first", "gan"]),
        (["train", "gan", "--preset", "smal"], ["`smal`", "did you mean `small`?"]),
        (["train", "gan", "--lrr", "1"], ["`--lrr`", "did you mean `--lr`?"]),
        (["train", "gan", "--lr", "abc"], ["--lr", "not a number: 'abc'"]),
        (["train", "gan", "--rounds", "1e3"], ["--rounds", "not a whole number: '1e3'"]),
        (["train", "gan", "--rounds", "-5"], ["`rounds` is -5", "greater than or equal to 1"]),
        (["train", "gan", "--data", "fashion-mnits"], ["`fashion-mnits`", "did you mean `fashion-mnist`?"]),
        (["train", "gan", "--data", "nowhere/"], ["`nowhere/`"]),
        (["train", "gan", "--workers", "2"], ["`workers` is 2", "--stream"]),
        (["train", "gan", "--config", "nix.yaml"], ["nix.yaml", "No such file"]),
        (["train", "gan", "--config", "nix.txt"], ["nix.txt", ".yaml"]),
        (["train", "gan", "--lr", "x", "--print-config"], ["--lr"]),
        (["sample", "nix"], ["no run in `nix`", "train"]),
        (["sample"], ["missing RUN"]),
        (["sample", "nix", "-n", "0"], ["`n` is 0"]),
        (["sample", "nix", "--out", "a.jpg"], ["a.jpg", ".png"]),
        (["interpolate", "nix", "--steps", "1"], ["`steps` is 1"]),
        (["reconstruct", "nix", "--out", "a"], ["--out", ".png"]),
        (["info", "nix"], ["no run in `nix`"]),
        (["demo", "--preset", "smal"], ["`smal`", "did you mean `small`?"]),
        (["data", "inspect", ""], ["no data ``"]),
        (["data", "inspect", "fashion-mnits"], ["did you mean `fashion-mnist`?"]),
        (["completion", "fish"], ["'fish'", "bash", "zsh"]),
    ],
)
def test_a_mistake_is_one_line(refused, words, parts):
    line = refused(*words)
    assert all(part in line for part in parts), line


def test_a_run_that_is_missing_names_the_near_one(refused):
    Path("runs/gan-a").mkdir(parents=True)
    Path("runs/gan-a/config.yaml").write_text("system: gan\n")
    assert "did you mean `gan-a`?" in refused("info", "runs/gan-b")
    assert "gan-a" in refused("sample", "gan-a")
    assert "`runs` is a folder of runs (1): give one of them, such as runs/gan-a" in refused("info", "runs")


def test_print_config_is_a_file_for_config_and_writes_nothing(pinxit):
    answer = pinxit("train", "gan", "--preset", "tiny", "--lr", "0.5", "--print-config")
    assert (answer.status, answer.err) == (0, "")
    assert list(Path().iterdir()) == []
    Path("c.yaml").write_text(answer.out)
    assert pinxit("train", "gan", "--config", "c.yaml", "--print-config").out == answer.out
    values = yaml.safe_load(answer.out)
    assert values["config"] == compose("gan", ["--preset", "tiny", "--lr", "0.5"]).config.model_dump(mode="json")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("wrong\nword"), 2, "pinxit: wrong word\n"),
        (RunError("disk full"), 2, "pinxit: disk full\n"),
        (NonFiniteError("loss is NaN"), 1, "pinxit: loss is NaN\n"),
        (KeyboardInterrupt(), 130, "pinxit: interrupted\n"),
        (Interrupted("saved", 15), 143, "pinxit: saved; go on with: pinxit train gan --data 'my photos'\n"),
        (Interrupted("saved", 2), 130, "pinxit: saved; go on with: pinxit train gan --data 'my photos'\n"),
    ],
)
def test_how_a_run_ends_is_its_status(pinxit, monkeypatch, error, status, said):
    def fail(words: list[str]) -> None:
        raise error

    monkeypatch.setattr(commands, "run", fail)
    assert pinxit("train", "gan", "--data", "my photos") == (status, "", said)


def test_a_bug_keeps_its_traceback(pinxit, monkeypatch):
    monkeypatch.setattr(commands, "run", lambda words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pinxit("list")


def test_debug_keeps_tracebacks_wherever_it_stands(pinxit):
    for words in (["--debug", "train", "gann"], ["train", "gann", "--debug"]):
        with pytest.raises(InputError, match="did you mean `gan`"):
            pinxit(*words)


def test_only_the_first_process_prints(pinxit, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pinxit("list") == (0, "", "")
    assert pinxit("--version") == (0, "", "")
    assert pinxit("train", "gann") == (2, "", "")
    monkeypatch.setattr(commands, "run", lambda words: (_ for _ in ()).throw(RunError("mine alone")))
    assert pinxit("train", "gan").err == "pinxit (process 1): mine alone\n"


def test_the_global_rank_counts_before_the_local_one(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert console.rank() == 2


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_covers_the_tree_and_is_valid(pinxit, shell):
    answer = pinxit("completion", shell)
    assert answer.status == 0
    for word in ("train", "data", "inspect", *commands.COMMANDS, *systems.names()):
        assert word in answer.out
    for flag in ("--average.half-life", "--print-config", "--preset", "--lr", "--steps"):
        assert flag in answer.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=answer.out, text=True, check=True)


def test_what_goes_on_where_it_was_cut_off_says_so(pinxit, monkeypatch):
    def stop(words: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run", stop)
    assert pinxit("evaluate", "my run") == (130, "", "pinxit: interrupted; go on with: pinxit evaluate 'my run'\n")
    assert pinxit() == (130, "", "pinxit: interrupted\n")
