"""Configurations: frozen pydantic models, read from files, changed by `replace`, refused with one line. No torch here."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from pinxit.core.errors import InputError, near
from pinxit.core.spec import Spec


class Config(BaseModel):
    """Base of every configuration: frozen, no unknown fields, the docstring below a field is its help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, defer_build=True)

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "", *, partly: bool = False) -> Self:
        """A configuration from plain values; raises InputError naming the field, its value and the constraint.

        Args:
            values: of the fields.
            where: they come from, for the error.
            partly: other values are still to come, so what holds among fields is not asked yet.
        """
        try:
            return cls.model_validate(dict(values), context={"partly": partly})
        except ValidationError as error:
            raise InputError(_line(cls, error) + (f" (in {where})" if where else "")) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`, validated; a key may be dotted (`{"average.ramp": 0.1}`)."""
        return type(self).of(merge(self.model_dump(), nest(changes)))

    def check(self) -> None:
        """Raise InputError where values do not go together; a configuration with constraints among its fields has them here."""

    def check_data(self, spec: Spec) -> None:
        """Raise InputError where data of shape `spec` will not do."""

    @model_validator(mode="after")
    def _together(self, info: ValidationInfo) -> Self:
        if not (info.context or {}).get("partly"):
            self.check()
        return self


class Average(Config):
    """The moving average of the weights."""

    half_life: float = Field(10_000, ge=0)
    """Half-life in images; 0 keeps the present weights."""
    ramp: float = Field(0.05, ge=0)
    """Greatest half-life as a share of the images shown; 0 for none."""


class Settings(Config):
    """How a run is executed, as opposed to what it computes."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""
    devices: int = Field(1, ge=1)
    """Processes on this machine, one per device."""
    num_nodes: int = Field(1, ge=1)
    """Machines."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Number format of the forward passes; penalties and likelihoods always run in float32."""
    accumulate: int = Field(1, ge=1)
    """Micro-batches per step: the batch is computed in this many equal parts."""
    threads: int = Field(0, ge=0)
    """CPU threads per process; 0 leaves the choice to torch."""
    log_every: int = Field(50, ge=1)
    """Rounds per line of metrics.jsonl."""
    sample_every: int = Field(0, ge=0)
    """Rounds between pictures; 0 makes 16 pictures in a run."""
    save_every: int = Field(1000, ge=1)
    """Rounds between checkpoints."""
    average: Average = Average()


def check_share(batch_size: int, processes: int, accumulate: int) -> None:
    """Raise InputError where a batch does not split evenly over processes and micro-batches."""
    if batch_size % (processes * accumulate):
        raise InputError(
            f"`batch_size` {batch_size} does not split over {processes} processes x `accumulate` {accumulate}: "
            f"take a multiple of {processes * accumulate}"
        )


def check_whole(of: object, what: str, *names: str) -> None:
    """Raise InputError where an attribute of `of`, which errors call `what`, is no whole number from 1 on."""
    for name in names:
        value = getattr(of, name)
        if not isinstance(value, int) or value < 1:
            must = ">= 1" if isinstance(value, int) else "a whole number"
            raise InputError(f"`{name}` of {what} is {value}: it must be {must}")


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, nested mappings key by key."""
    out = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merge(out[key], value) if both else value
    return out


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    out: dict[str, Any] = {}
    for key, value in flat.items():
        head, _, tail = key.partition(".")
        out = merge(out, {head: nest({tail: value}) if tail else value})
    return out


def read_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML, TOML or JSON file; raises InputError naming the file and what is wrong with it."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that is there twice, as TOML does."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value]
            for number, (key, _) in enumerate(node.value):
                if key.value in keys[:number]:
                    raise yaml.YAMLError(f"`{key.value}` is there twice, again in line {key.start_mark.line + 1}: keep one")
            return super().construct_mapping(node, deep)

    def parsed(text: str) -> Any:
        return yaml.load(text, Loader)

    readers = {".yaml": parsed, ".yml": parsed, ".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in readers:
        raise InputError(f"configuration file {path} ends in {path.suffix!r}: it must end in one of {', '.join(readers)}")
    try:
        values = readers[path.suffix](path.read_text())
    except OSError as error:
        raise InputError(f"can't read configuration file {path}: {error.strerror}") from None
    except (yaml.YAMLError, tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"configuration file {path} is not valid: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"configuration file {path} holds {type(values).__name__}: it must map field names to values")
    return values


def _fields(cls: type[BaseModel], path: list[int | str]) -> list[str]:
    """The fields of the configuration that `path` leads to from `cls`, through optional ones too."""
    for part in path:
        if field := cls.model_fields.get(str(part)):
            kinds = (field.annotation, *get_args(field.annotation))
            cls = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), BaseModel)
    return list(cls.model_fields)


def _line(cls: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *path, last = first["loc"]
        return f"unknown field `{name}`: {near(str(last), _fields(cls, path))}"
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    message = message[0].lower() + message[1:]
    return f"`{name}` is {first['input']!r}: {message}"
