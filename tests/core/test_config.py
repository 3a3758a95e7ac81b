"""Configurations are frozen, changed by `replace`, read from files, and refused with one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from pinxit.core.config import Average, Config, Settings, merge, nest, read_file
from pinxit.core.errors import InputError, near
from pinxit.core.spec import Spec


class Augment(Config):
    strength: float = Field(0.5, ge=0)


class Recipe(Config):
    lr: float = Field(1e-3, gt=0)
    layers: tuple[int, ...] = (3, 4)
    augment: Augment | None = None
    average: Average = Average()


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_replace_gives_another_and_leaves_the_first():
    first = Recipe()
    second = first.replace(lr=0.5)
    assert (first.lr, second.lr) == (1e-3, 0.5)
    assert second.replace(lr=1e-3) == first


def test_dotted_replace_keeps_the_neighbours():
    changed = Recipe().replace(**{"average.ramp": 0.25, "lr": 2})
    assert changed.average == Average(ramp=0.25)
    assert changed.lr == 2.0
    assert Recipe().replace(average={"half_life": 1}).average == Average(half_life=1)
    assert Recipe().replace(average=Average(half_life=2)).average.half_life == 2


def test_replace_into_an_optional_configuration():
    assert Recipe().replace(**{"augment.strength": 0.75}).augment == Augment(strength=0.75)
    assert Recipe(augment=Augment()).replace(augment=None).augment is None


@pytest.mark.parametrize(("changes", "unknown", "meant"), [
    ({"lrr": 1}, "lrr", "lr"),
    ({"average.half_lief": 1}, "average.half_lief", "half_life"),
    ({"augment.strenght": 1}, "augment.strenght", "strength"),
])  # fmt: skip
def test_a_typo_names_the_near_field(changes, unknown, meant):
    with pytest.raises(InputError) as error:
        Recipe().replace(**changes)
    assert one_line(error) == f"unknown field `{unknown}`: did you mean `{meant}`?"


def test_a_far_name_lists_the_fields():
    with pytest.raises(InputError) as error:
        Recipe().replace(zzz=1)
    assert one_line(error) == "unknown field `zzz`: choose from augment, average, layers, lr"


def test_a_typo_where_a_field_is_required():
    class Inner(Config):
        n: int

    class Outer(Config):
        inner: Inner

    with pytest.raises(InputError) as error:
        Outer.of({"inner": {"n": 1, "nn": 2}})
    assert one_line(error) == "unknown field `inner.nn`: did you mean `n`?"


@pytest.mark.parametrize(("changes", "line"), [
    ({"lr": -1}, "`lr` is -1: input should be greater than 0"),
    ({"lr": "fast"}, "`lr` is 'fast': input should be a valid number"),
    ({"lr": float("nan")}, "`lr` is nan: input should be a finite number"),
    ({"average.ramp": -0.5}, "`average.ramp` is -0.5: input should be greater than or equal to 0"),
    ({"lr.x": 1}, "`lr` is {'x': 1}: input should be a valid number"),
])  # fmt: skip
def test_a_bad_value_is_named_with_its_constraint(changes, line):
    with pytest.raises(InputError) as error:
        Recipe().replace(**changes)
    assert one_line(error).startswith(line)


def test_where_it_was_is_said():
    with pytest.raises(InputError, match=r"\(in my\.yaml\)$"):
        Recipe.of({"lr": 0}, where="my.yaml")


def test_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().lr = 1
    assert hash(Recipe()) == hash(Recipe())


class Pair(Config):
    low: int = 0
    high: int = 1

    def check(self):
        if self.low > self.high:
            raise InputError(f"`low` is {self.low} and `high` {self.high}: take another")


def test_fields_that_do_not_go_together_are_said_in_a_line_wherever_they_come_from():
    for call in (lambda: Pair().replace(low=2), lambda: Pair.of({"low": 2})):
        with pytest.raises(InputError) as error:
            call()
        assert one_line(error) == "`low` is 2 and `high` 1: take another"
    with pytest.raises(ValidationError, match="take another"):
        Pair(low=2)
    with pytest.raises(InputError, match=r"take another \(in a.yaml\)$"):
        Pair.of({"low": 2}, where="a.yaml")
    assert Pair.of({"low": 2}, partly=True).replace(high=3) == Pair(low=2, high=3)


def test_settings_refuse_what_is_not_offered():
    with pytest.raises(InputError, match="`precision` is '16-mixed'"):
        Settings.of({"precision": "16-mixed"})
    with pytest.raises(InputError, match="`log_every` is 0"):
        Settings.of({"log_every": 0})


@pytest.mark.parametrize(("name", "text"), [
    ("a.yaml", "lr: 0.5\naverage: {ramp: 0.1}\n"),
    ("a.yml", "lr: 0.5\naverage:\n  ramp: 0.1\n"),
    ("a.toml", "lr = 0.5\n[average]\nramp = 0.1\n"),
    ("a.json", json.dumps({"lr": 0.5, "average": {"ramp": 0.1}})),
])  # fmt: skip
def test_files(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_file(tmp_path / name) == {"lr": 0.5, "average": {"ramp": 0.1}}


@pytest.mark.parametrize(("name", "content", "line"), [
    ("a.ini", b"x", "ends in '.ini': it must end in one of .yaml, .yml, .toml, .json"),
    ("a.yaml", b"a: [1", "is not valid"),
    ("a.yaml", b"\xff\xfe\x00", "is not valid"),
    ("a.yaml", b"a: 1\nb: {c: 2, c: 3}\n", "`c` is there twice, again in line 2: keep one"),
    ("a.toml", b"a = ", "is not valid"),
    ("a.json", b"{", "is not valid"),
    ("a.yaml", b"", "holds NoneType: it must map field names to values"),
    ("a.json", b"[1]", "holds list: it must map field names to values"),
])  # fmt: skip
def test_bad_files_are_one_line(tmp_path, name, content, line):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_file(tmp_path / name)
    assert line in one_line(error)
    assert str(tmp_path / name) in one_line(error)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="can't read configuration file .*: No such file"):
        read_file(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        read_file(tmp_path / "b.yaml")


keys = st.text("abc", min_size=1, max_size=2)
trees = st.recursive(st.integers(), lambda inner: st.dictionaries(keys, inner, min_size=1, max_size=3), max_leaves=8)


def flatten(tree, head=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{head}{key}.")
        else:
            yield f"{head}{key}", value


@given(st.dictionaries(keys, trees, max_size=3))
def test_nest_is_the_inverse_of_flattening(tree):
    assert nest(dict(flatten(tree))) == tree


def test_merge_does_not_touch_its_arguments():
    base = {"a": {"b": 1, "c": 2}}
    assert merge(base, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
    assert base == {"a": {"b": 1, "c": 2}}


def test_near():
    assert near("dcgn", ["dcgan", "vae"]) == "did you mean `dcgan`?"
    assert near("xyz", ["vae", "dcgan"]) == "choose from dcgan, vae"


def test_a_channel_of_one_value_is_no_data():
    with pytest.raises(InputError, match="`levels` of a Spec is 1: a channel has 2 values or more, or 0"):
        Spec(1, 28, 28, levels=1)
