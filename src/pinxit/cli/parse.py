"""From words to validated configurations: tyro parses and writes the help, pydantic validates, errors are one line.

tyro sees plain mirrors of the configurations, without their constraints: so whatever a value's mistake, it is pydantic's
answer to `Config.of`, the same for a flag as for a file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import tyro
from pydantic.fields import FieldInfo

from pinxit.core.config import Config
from pinxit.core.errors import InputError

_HELP = ("-h", "--help")
_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)")
_PYTHON = {
    "invalid literal for int() with base 10: ": "not a whole number: ",
    "could not convert string to float: ": "not a number: ",
}
"""Python's words for a value of the wrong type, and a user's."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Options that stand together in the help.

    Args:
        title: heads them in the help.
        model: the configuration that they make.
        values: defaults that differ from the model's own.
    """

    title: str
    model: type[Config]
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> str:
        """The title as a Python name."""
        return self.title.replace("-", "_")


def parse(groups: Sequence[Group], argv: Sequence[str], prog: str, description: str) -> list[Config]:
    """One configuration a group, from flags over the groups' values.

    Raises:
        InputError: an unknown flag, a value of the wrong type or out of its range, a word too many or missing.
        SystemExit: with status 0, after the help was printed.
    """
    check_flags(argv, groups, prog)
    parsed = _tyro(mirror(groups, description), argv, prog)
    parts = [parsed] if len(groups) == 1 else [getattr(parsed, group.key) for group in groups]
    return [group.model.of(dataclasses.asdict(part)) for group, part in zip(groups, parts, strict=True)]


def mirror(groups: Sequence[Group], description: str) -> Any:
    """What tyro is given: a dataclass of one dataclass a group, their options flat; of a single group, its own."""
    owners: dict[str, str] = {}
    for group in groups:
        for name in group.model.model_fields:
            if name in owners:
                raise TypeError(f"field `{name}` of {group.title} is also an option of {owners[name]}: rename one")
            owners[name] = group.title
    parts = [_mirror(group.model, group.values) for group in groups]
    fields = [(group.key, _helped(part, group.model.__doc__)) for group, part in zip(groups, parts, strict=True)]
    made = parts[0] if len(parts) == 1 else dataclasses.make_dataclass("Options", fields)
    made.__doc__ = description
    return tyro.conf.OmitArgPrefixes[made]


def flags(model: type[Config], prefix: str = "") -> Iterator[str]:
    """The flags of a configuration, nested ones dotted."""
    for name, field in model.model_fields.items():
        dashed = name.replace("_", "-")
        if (nested := _nested(field)) is not None:
            yield from flags(nested, f"{prefix}{dashed}.")
        elif tyro.conf.Positional not in field.metadata:
            yield from _names(f"{prefix}{dashed}", field)
            if field.annotation is bool:
                yield f"--{prefix}no-{dashed}"


def check_flags(argv: Sequence[str], groups: Sequence[Group], prog: str) -> None:
    """Refuse a flag that no group has, naming the near one; and a list that says nothing, or that is there twice.

    Of two the first would be lost. A list without values is one of its own where the default has some (no hidden layers).
    """
    known = [*_HELP, *(flag for group in groups for flag in flags(group.model))]
    fields = [item for group in groups for item in group.model.model_fields.items() if _is_list(item[1])]
    lists = {flag: field.default for name, field in fields for flag in _names(name, field)}
    seen: set[str] = set()
    for word, following in pairwise([*argv, "--"]):
        flag = word.partition("=")[0].replace("_", "-")
        if _is_flag(word) and flag not in known:
            match = difflib.get_close_matches(flag, known, n=1)
            fix = f"did you mean `{match[0]}`?" if match else f"see {prog} --help"
            raise InputError(f"unknown option `{word.partition('=')[0]}` of {prog}: {fix}")
        if flag in lists and flag in seen:
            raise InputError(f"`{flag}` is given twice: give it once, with all its values behind it")
        if word.replace("_", "-") in lists and lists[flag] == () and _is_flag(following):
            raise InputError(f"`{flag}` has no value: give at least one behind it, or leave it out")
        seen.add(flag)


def value_of(flag: str, argv: Sequence[str]) -> str | None:
    """The last value given to `flag` in `argv`, for what must be known before the rest can be parsed."""
    value = None
    for number, word in enumerate(argv):
        if word == flag and number + 1 < len(argv) and not argv[number + 1].startswith("--"):
            value = argv[number + 1]
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


def _mirror(model: type[Config], values: Mapping[str, Any], prefix: str = "") -> type:
    """The fields of `model` as a frozen dataclass: types, help and defaults, no constraints; `prefix` goes before flags."""
    fields: list[Any] = []
    for name, field in model.model_fields.items():
        default = values.get(name, field.default)
        if (nested := _nested(field)) is not None:
            inner = _mirror(nested, default if isinstance(default, Mapping) else default.model_dump(), f"{prefix}{name}.")
            fields.append((name, _helped(inner, nested.__doc__), inner()))
            continue
        about = tyro.conf.arg(name=f"{prefix}{name}" if prefix else None, help=" ".join((field.description or "").split()))
        kind = field.annotation
        if isinstance(kind, UnionType):  # of `|` tyro asks typeguard, whose import takes a while
            kind = Union[get_args(kind)]  # type: ignore[misc]  # noqa: UP007
        hint = Annotated[(kind, *field.metadata, about)]  # type: ignore[misc]
        fields.append((name, hint) if field.is_required() and name not in values else (name, hint, default))
    made = dataclasses.make_dataclass(model.__name__, fields, frozen=True, kw_only=True)
    made.__doc__ = model.__doc__
    return made


def _helped(kind: type, text: str | None) -> Any:
    """`kind` with its help said: tyro would read the source of the module that made it, in search of a comment."""
    return Annotated[kind, tyro.conf.arg(help=text)]


def _names(name: str, field: FieldInfo) -> Iterator[str]:
    """The flags that say one field."""
    yield f"--{name.replace('_', '-')}"
    for extra in field.metadata:
        yield from getattr(extra, "aliases", None) or ()


def _is_flag(word: str) -> bool:
    """Whether a word starts an option: neither a value, nor a negative number."""
    return word.startswith("-") and len(word) > 1 and not _NUMBER.match(word)


def _is_list(field: FieldInfo) -> bool:
    """Whether the field takes any number of values."""
    return get_origin(field.annotation) is tuple and get_args(field.annotation)[-1] is Ellipsis


def _nested(field: FieldInfo) -> type[Config] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Config) else None


def _tyro(kind: Any, argv: Sequence[str], prog: str) -> Any:
    """`tyro.cli`, its boxed error turned into one line."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=list(argv), prog=prog)
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise InputError(f"{_condensed(said.getvalue())}; see {prog} --help") from None


def _condensed(box: str) -> str:
    """The message in tyro's box, with the usage of the argument that it is about."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    # The first line is the title. Where stdout is not UTF-8 the box has no sides, and rules are of hyphens.
    lines = [line.strip(" │╭╮╰╯") for line in plain.strip("\n").splitlines()[1:]]
    rules = [n for n, line in enumerate(lines) if line and set(line) in ({"─"}, {"-"})]
    if rules[:1] == [0]:
        rules, lines = [n - 1 for n in rules[1:]], lines[1:]
    rule = min(rules, default=len(lines))
    message = " ".join(lines[:rule]).partition(" Got errors")[0].strip().removeprefix("Error parsing ").rstrip(".")
    if message.startswith("Missing from"):
        name, _, text = message.partition(": ")[2].strip().partition(" ")
        return f"missing {name}: {text.partition('(required)')[0].strip().rstrip('.')}"
    for python, plainly in _PYTHON.items():
        message = message.replace(python, plainly)
    usage = next((lines[n + 1] for n, line in enumerate(lines) if line == "Argument helptext:"), "")
    return f"{message} (usage: {usage})" if usage else message
