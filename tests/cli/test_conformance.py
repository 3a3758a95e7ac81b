"""`pinxit conformance`: the table, one row in full, and the exit status."""

from __future__ import annotations

import pytest

from pinxit import conformance
from pinxit.conformance.record import Missing, near


def test_one_row_shows_every_number_ours_and_theirs(pinxit):
    answer = pinxit("conformance", "--only", "pulling-away")
    assert (answer.status, answer.err) == (0, "")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert "antipodal 1 +- 1e-09 1 -0.0159 -0.0159 0.254" in lines
    assert "mistake 1 not squared (PTGAN ebgan.py:142-148, hwalsuk EBGAN.py:54-65)" in lines
    assert "torchgan torchgan/torchgan at fe86d7c" in lines
    assert lines[-1] == "held 1 of 1 rows; 3 of 3 planted mistakes found"
    assert "mimicry" not in answer.out, "only the repositories that the row names"


def test_the_table_has_a_line_a_mistake(pinxit, monkeypatch):
    row = next(row for row in conformance.rows() if row.name == "gp-unit-slope")
    absent = next(row for row in conformance.rows() if isinstance(row, Missing))
    monkeypatch.setattr(conformance, "rows", lambda: [row, absent])
    answer = pinxit("conformance")
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert [word in lines[0] for word in ("row", "property", "paper", "ours", "the mistake", "who makes it", "verdict")] == [
        True
    ] * 7
    assert lines[1].split()[0] == "gp-unit-slope"
    assert "49: one norm over the whole batch" in lines[1]
    assert "torchgan functional.py:93" in lines[1]
    assert lines[1].split()[-1] == "held"
    assert [line.split()[-1] for line in lines[2:4]] == ["WGAN_GP.py:118", "default"]
    assert f"not yet here: {absent.why}" in lines[4]
    assert answer.out.splitlines()[-2:] == ["held      1 of 1 rows; 3 of 3 planted mistakes found", "not here  1: discogan"]


@pytest.mark.parametrize("words", [(), ("--only", "pulling-away")])
def test_a_row_that_does_not_hold_ends_with_status_1(pinxit, monkeypatch, words):
    from dataclasses import replace

    row = next(row for row in conformance.rows() if row.name == "pulling-away")
    swapped = replace(row, ours=row.mistakes[0].planted)
    monkeypatch.setattr(conformance, "rows", lambda: [swapped])
    answer = pinxit("conformance", *words)
    assert answer.status == 1
    assert "FAILED: antipodal: -0.0159" in answer.out
    assert "held      0 of 1 rows" in answer.out
    assert "FAILED    pulling-away" in answer.out


def test_a_check_that_finds_no_mistake_is_blind_and_ends_with_status_1(pinxit, monkeypatch):
    from dataclasses import replace

    row = next(row for row in conformance.rows() if row.name == "pulling-away")
    blind = replace(row, right={"collapsed": near(1, 1e-9)})
    monkeypatch.setattr(conformance, "rows", lambda: [blind])
    answer = pinxit("conformance")
    assert answer.status == 1
    assert "blind     pulling-away (not squared)" in answer.out
    assert "held      1 of 1 rows; 2 of 3 planted mistakes found" in answer.out


def test_what_is_not_here_yet_is_said_and_not_counted(pinxit):
    answer = pinxit("conformance", "--only", "discogan")
    assert answer.status == 0
    assert "not yet here: " in answer.out
    assert "held      0 of 0 rows" in answer.out


def test_a_wrong_name_is_answered_with_the_near_one(refused):
    assert "did you mean `pulling-away`?" in refused("conformance", "--only", "puling-away")


@pytest.mark.slow
def test_the_whole_table(pinxit):
    answer = pinxit("conformance")
    assert answer.status == 0, answer.out
    rows = conformance.rows()
    assert [line.split()[0] for line in answer.out.splitlines() if line.startswith(tuple(f" {row.name} " for row in rows))] == [
        row.name for row in rows
    ]
