"""What the README promises is there: the systems of its table, the commands it shows, the lines of its example."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pinxit import systems

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_table_names_every_system_and_no_other():
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", TEXT, flags=re.MULTILINE) == sorted(systems.names(), key=_place)


def _place(name: str) -> int:
    return TEXT.index(f"| `{name}` |") if f"| `{name}` |" in TEXT else len(TEXT)


def test_every_row_gives_the_paper_of_the_system_s_docstring():
    for name in systems.names():
        about = systems.about(name)
        assert f"| `{name}` | {about.authors}, {about.year} |" in TEXT


def test_make_has_the_two_commands():
    rules = (ROOT / "Makefile").read_text()
    for command in ("demo", "test"):
        assert f"make {command}" in TEXT
        assert re.search(rf"^{command}:", rules, flags=re.MULTILINE)


def test_ci_runs_the_test_command():
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.slow
def test_the_example_runs_with_the_tiny_preset(tmp_path, monkeypatch):
    """The shown lines, to the letter but for the preset and the width, which a test can't wait for."""
    (code,) = blocks("python")
    assert 'PRESETS["small"].replace(width=64)' in code
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    exec(compile(code.replace('PRESETS["small"].replace(width=64)', 'PRESETS["tiny"].replace(width=2)'), "README", "exec"), scope)
    assert (tmp_path / "samples.png").exists()
    assert (tmp_path / "runs/dcgan/report.html").exists()
    assert type(scope["again"]).__name__ == "DCGAN"


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("pinxit ")])
def test_the_commands_shown_parse(line, capsys, tmp_path, monkeypatch):
    """Up to the point where they would need files that are not there."""
    from pinxit.cli import main

    monkeypatch.chdir(tmp_path)
    words = shlex.split(line, comments=True)[1:]
    status = main([*words, "--print-config"] if words[0] == "train" and "photos/" not in words else words)
    said = capsys.readouterr()
    assert status == 0 or "photos" in said.err or "runs/RUN" in said.err, said.err
