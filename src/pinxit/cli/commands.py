"""The tree of commands: from the first words to a function, and the help and completion of the whole."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

import pinxit
from pinxit import systems
from pinxit.cli import compose, console, options, parse
from pinxit.core.config import Config
from pinxit.core.errors import InputError, near


@dataclasses.dataclass(frozen=True)
class Command:
    """A command with options of its own: `home`, a module here, has the function that takes them."""

    about: str
    options: type[Config]
    home: str
    function: str


COMMANDS = {
    "list": Command("Show the systems, their papers and presets.", options.Nothing, "shelf", "show_systems"),
    "sample": Command("Draw new samples from a trained model.", options.Sample, "pictures", "sample"),
    "interpolate": Command("Walk through the latent space of a trained model.", options.Interpolate, "pictures", "interpolate"),
    "reconstruct": Command("Show images beside their reconstructions.", options.Reconstruct, "pictures", "reconstruct"),
    "complete": Command("Show how a trained model paints the covered part of images.", options.Complete, "pictures", "complete"),
    "directions": Command(
        "Walk along classes in the latent space of a trained model.", options.Directions, "pictures", "directions"
    ),
    "evaluate": Command(
        "Judge trained models, or images from any software, by one rule.", options.Evaluate, "evaluate", "evaluate"
    ),
    "compare": Command("Write a page that holds runs beside each other.", options.Compare, "evaluate", "compare"),
    "suite": Command("Play a named experiment to its table of bars.", options.PlaySuite, "suite", "suite"),
    "info": Command("Tell what a run is and how far it got.", options.Info, "shelf", "show_run"),
    "theory": Command("Compute a figure of the theory lab: its numbers and its picture.", options.Theory, "theory", "theory"),
    "demo": Command("Train three systems on the bundled images and write a page about them.", options.Demo, "demo", "demo"),
    "conformance": Command(
        "Compare our code with the mistakes of public code, by measurement.", options.Conformance, "conformance", "show"
    ),
    "completion": Command("Print a completion script for a shell.", options.Completion, "commands", "completion"),
}
DATA = {
    "list": Command("Show the data sets that are known by name.", options.Nothing, "shelf", "show_data"),
    "inspect": Command("Look a data set over before training.", options.Inspect, "shelf", "inspect_data"),
}
TRAIN = "Train a system, or go on with a run."
ABOUT = "The classic deep generative models. `pinxit COMMAND --help` says more; --debug keeps tracebacks; --version."


def run(words: list[str]) -> None:
    """Do what `words` say; raises InputError for words that say nothing."""
    match words:
        case [] | ["-h" | "--help", *_]:
            _help(_top(), "pinxit", ABOUT)
        case ["--version", *_]:
            console.say(f"pinxit {pinxit.__version__}")
        case ["train"] | ["train", "-h" | "--help", *_]:
            titles = {name: systems.about(name).title for name in systems.names()}
            _help(titles, "pinxit train", f"{TRAIN} The system comes first.")
        case ["train", system, *rest]:
            _train(system, rest)
        case ["data"] | ["data", "-h" | "--help", *_]:
            _help({name: command.about for name, command in DATA.items()}, "pinxit data", "Data sets.")
        case ["data", name, *rest]:
            _call(DATA, name, rest, "pinxit data")
        case [name, *rest]:
            _call(COMMANDS, name, rest, "pinxit")


def completion(chosen: options.Completion) -> None:
    """Print the completion script of every command, system and option."""
    tyro.cli(_tree(), args=["--tyro-print-completion", chosen.shell], prog="pinxit", config=(tyro.conf.OmitSubcommandPrefixes,))


def _train(system: str, rest: list[str]) -> None:
    if system.startswith("-"):
        raise InputError(f"pinxit train takes the system first, not `{system}`: choose from {', '.join(systems.names())}")
    plan = compose.compose(system, rest)
    if plan.run.print_config:
        console.say(plan.to_yaml().rstrip())
        return
    from pinxit.cli import train

    train.train(plan)


def _call(table: Mapping[str, Command], name: str, rest: list[str], prog: str) -> None:
    if name not in table:
        if table is COMMANDS and name in systems.names():
            raise InputError(f"`{name}` is a system: did you mean `pinxit train {name}`?")
        if name.startswith("-"):
            raise InputError(f"unknown option `{name}` of {prog}: see {prog} --help")
        raise InputError(f"unknown command `{prog} {name}`: {near(name, _top() if table is COMMANDS else table)}")
    command = table[name]
    group = parse.Group("command", command.options)
    (chosen,) = parse.parse([group], rest, f"{prog} {name}", command.options.__doc__ or command.about)
    getattr(importlib.import_module(f"pinxit.cli.{command.home}"), command.function)(chosen)


def _top() -> dict[str, str]:
    """Every first word and what it does."""
    return {"train": TRAIN, **{name: command.about for name, command in COMMANDS.items()}, "data": "Data sets: list, inspect."}


def _help(words: Mapping[str, str], prog: str, about: str) -> None:
    """Print the help of a command that has sub-commands, through tyro so that all help looks alike."""
    empty = dataclasses.make_dataclass("Empty", [])
    tyro.cli(_union({word: (empty, text) for word, text in words.items()}), args=["--help"], prog=prog, description=about)


def _tree() -> Any:
    """The type of the whole command line, every system included."""
    titles = {name: systems.about(name).title for name in systems.names()}
    trained = {name: (parse.mirror(compose.groups(name), title), title) for name, title in titles.items()}
    leaves = {name: (_leaf(command), command.about) for name, command in COMMANDS.items()}
    data = {name: (_leaf(command), command.about) for name, command in DATA.items()}
    train = dataclasses.make_dataclass("Train", [("system", _union(trained))])
    inspect = dataclasses.make_dataclass("Data", [("what", _union(data))])
    return _union({"train": (train, TRAIN), **leaves, "data": (inspect, "Data sets.")})


def _leaf(command: Command) -> Any:
    return parse.mirror([parse.Group("command", command.options)], command.about)


def _union(words: Mapping[str, tuple[Any, str]]) -> Any:
    members = [Annotated[kind, tyro.conf.subcommand(word, description=text)] for word, (kind, text) in words.items()]
    return reduce(or_, members)
