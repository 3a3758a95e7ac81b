"""docs/theory.md shows every figure, and each of its numbers is the one in docs/results/theory.json."""

import json
import re
from pathlib import Path

import pytest

from pinxit import theory

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "theory.md").read_text(encoding="utf-8")
FIGURES = json.loads((DOCS / "results" / "theory.json").read_text(encoding="utf-8"))["figures"]


def section(name: str) -> str:
    return TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0]


def test_the_record_has_every_figure():
    assert sorted(FIGURES) == theory.names()


@pytest.mark.parametrize("name", theory.names())
def test_every_figure_has_its_command_and_picture(name):
    assert f"`pinxit theory {name}`" in section(name)
    assert f"](images/theory-{name}.png)" in section(name)
    assert 0 < (DOCS / "images" / f"theory-{name}.png").stat().st_size < 150_000


@pytest.mark.parametrize("name", theory.names())
def test_every_number_is_the_recorded_one(name):
    rows = re.findall(r"^\| `([^`]+)` \| ([-+.\de]+) \|", section(name), re.MULTILINE)
    assert len(rows) >= 3
    for key, shown in rows:
        digits = len(re.sub(r"e.*|[-.]", "", shown).lstrip("0")) or 1
        assert float(f"{FIGURES[name][key]:.{digits}g}") == float(shown), f"{key}: {FIGURES[name][key]} is not {shown}"
