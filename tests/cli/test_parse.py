"""Words to configurations: types, constraints, near names, all in one line."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
import tyro
from pydantic import Field

from pinxit import systems
from pinxit.cli import compose, options, parse
from pinxit.core.config import Config, Settings
from pinxit.core.errors import InputError


class Inner(Config):
    """The inside."""

    half_life: float = Field(3.0, ge=0)
    """Half-life."""


class Toy(Config):
    """A toy."""

    lr: float = Field(0.1, gt=0)
    """Learning
    rate."""
    widths: tuple[int, ...] = (4, 5)
    """Widths."""
    betas: tuple[float, float] = (0.5, 0.9)
    """Two."""
    size: int | None = 7
    """Size."""
    mode: Literal["sgd", "adam"] = "sgd"
    """Mode."""
    flip_it: bool = False
    """Flip."""
    count: Annotated[int, tyro.conf.arg(aliases=("-n",))] = Field(1, ge=1)
    """Count."""
    average: Inner = Inner()
    """Inside."""


class Other(Config):
    seed: int = 0
    """Seed."""


def toy(*words: str, **values: object) -> Toy:
    made, _ = parse.parse([parse.Group("toy", Toy, values), parse.Group("other-thing", Other)], words, "prog", "About.")
    assert isinstance(made, Toy)
    return made


def test_no_words_give_the_defaults():
    assert toy() == Toy()


def test_values_become_the_defaults_and_flags_override_them():
    made = toy("--lr", "0.3", lr=0.2, widths=(1,), average={"half_life": 9.0})
    assert made == Toy(lr=0.3, widths=(1,), average=Inner(half_life=9.0))


@pytest.mark.parametrize(
    ("words", "change"),
    [
        (["--lr=1e-4"], {"lr": 1e-4}),
        (["--widths", "1", "2", "3"], {"widths": (1, 2, 3)}),
        (["--betas", "0", "0.99"], {"betas": (0.0, 0.99)}),
        (["--size", "None"], {"size": None}),
        (["--size", "3"], {"size": 3}),
        (["--mode", "adam"], {"mode": "adam"}),
        (["--flip-it"], {"flip_it": True}),
        (["--flip_it"], {"flip_it": True}),
        (["-n", "5"], {"count": 5}),
        (["--average.half-life", "2"], {"average.half_life": 2.0}),
        (["--lr", "1", "--lr", "2"], {"lr": 2.0}),
    ],
)
def test_every_kind_of_field(words, change):
    assert toy(*words) == Toy().replace(**change)


def test_a_flag_that_a_file_set_can_be_taken_back():
    assert toy("--no-flip-it", flip_it=True).flip_it is False


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--lr", "abc"], ["--lr: not a number: 'abc'"]),
        (["--lr", "-5"], ["`lr` is -5", "greater than 0"]),
        (["--lr", "nan"], ["`lr` is nan", "finite"]),
        (["--average.half-life", "-1"], ["`average.half_life` is -1", "greater than or equal to 0"]),
        (["--widths", "1", "x"], ["--widths", "'x'", "INT"]),
        (["--betas", "1"], ["--betas", "2 values"]),
        (["--size", "x"], ["--size", "['x']", "INT"]),
        (["--mode", "adm"], ["'adm'", "--mode", "sgd", "adam"]),
        (["--flip-it", "maybe"], ["maybe"]),
        (["--lr"], ["--lr"]),
        (["stray"], ["stray"]),
        (["--lrr", "1"], ["`--lrr`", "did you mean `--lr`?"]),
        (["--average.halflife=1"], ["`--average.halflife`", "did you mean `--average.half-life`?"]),
        (["--zzzzzz"], ["`--zzzzzz`", "prog --help"]),
        (["-m", "1"], ["`-m`"]),
    ],
)
def test_a_mistake_names_field_value_and_constraint(words, parts, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")  # a narrow terminal wraps tyro's boxes
    with pytest.raises(InputError) as caught:
        toy(*words)
    line = str(caught.value)
    assert all(part in line for part in parts), line
    assert not set("╭│─╰\n") & set(line)
    assert capsys.readouterr() == ("", "")


def test_a_required_word_that_is_missing_is_named():
    with pytest.raises(InputError, match=r"missing RUN: A run's folder.*; see prog --help"):
        parse.parse([parse.Group("command", options.Info)], [], "prog", "About.")


def test_help_shows_every_field_its_docstring_and_the_preset_value(capsys):
    with pytest.raises(SystemExit) as end:
        toy("--help", lr=0.625)
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in parse.flags(Toy))
    assert "Learning rate." in text
    assert "0.625" in text
    assert "other-thing options" in text


def test_two_groups_with_one_field_are_refused():
    class Clash(Config):
        lr: int = 1

    with pytest.raises(TypeError, match=r"`lr` of clash is also an option of toy"):
        parse.mirror([parse.Group("toy", Toy), parse.Group("clash", Clash)], "")


@pytest.mark.parametrize("system", systems.names())
def test_no_system_takes_the_name_of_an_option(system):
    assert parse.mirror(compose.groups(system), "")


def test_options_and_settings_have_help():
    models = [Settings, *(kind for kind in vars(options).values() if isinstance(kind, type) and issubclass(kind, Config))]
    silent = [(model.__name__, name) for model in models for name, field in model.model_fields.items() if not field.description]
    assert silent == [("Settings", "average")]


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--config", "a"], "a"),
        (["--config=a=b"], "a=b"),
        (["--config", "a", "--config", "b"], "b"),
        (["--configs", "a"], None),
        (["--config", "--preset", "x"], None),
        (["--config"], None),
    ],
)
def test_value_of(argv, value):
    assert parse.value_of("--config", argv) == value


def test_a_list_that_is_there_twice_is_refused_as_the_first_would_be_lost():
    for argv in (["--widths", "1", "--widths", "2"], ["--widths=1", "--widths", "2"]):
        with pytest.raises(InputError, match="`--widths` is given twice: give it once, with all its values behind it"):
            parse.check_flags(argv, [parse.Group("toy", Toy)], "prog")
    parse.check_flags(["--lr", "1", "--lr", "2", "--widths", "1"], [parse.Group("toy", Toy)], "prog")


@pytest.mark.parametrize("words", [["--class"], ["--classes"], ["--class", "-n", "3"], ["-n", "3", "--class"]])
def test_a_list_that_is_empty_by_default_needs_a_value_behind_its_flag(words):
    with pytest.raises(InputError, match="`--class(es)?` has no value: give at least one behind it, or leave it out"):
        parse.parse([parse.Group("sample", options.Sample)], ["run", *words], "prog", "About.")


def test_a_list_with_a_default_may_be_emptied():
    assert toy("--widths", "--lr", "1").widths == ()
    (made,) = parse.parse([parse.Group("sample", options.Sample)], ["run", "--class", "-1", "-n", "3"], "prog", "About.")
    assert made.classes == ("-1",)
