"""The mistakes that public code makes, each planted beside our own implementation and measured in the same way.

A module here holds the rows of one topic in its tuple `ROWS`; `rows` walks the folder. Importing this package imports no torch.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinxit.conformance.record import Measured, Missing, Mistake, Row
from pinxit.core.errors import InputError, near

__all__ = ["Outcome", "chosen", "judge", "rows"]


def rows() -> list[Row[Any] | Missing]:
    """Every row of the table, in order (this imports torch)."""
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    modules = [importlib.import_module(f"{__name__}.{file.stem}") for file in files]
    found = [row for module in modules for row in vars(module).get("ROWS", ())]
    return sorted(found, key=lambda row: row.number)


def chosen(only: str | None) -> list[Row[Any] | Missing]:
    """All rows, or the one of that name; raises InputError naming the near one."""
    table = rows()
    if only is None:
        return table
    found = [row for row in table if row.name == only]
    if not found:
        raise InputError(f"no row `{only}` in the conformance table: {near(only, [row.name for row in table])}")
    return found


@dataclass(frozen=True)
class Outcome:
    """What came of a row.

    Args:
        row: the property.
        ours: our numbers.
        planted: each mistake with its numbers.
    """

    row: Row[Any]
    ours: Measured
    planted: tuple[tuple[Mistake[Any], Measured], ...]

    @property
    def held(self) -> bool:
        """Whether our numbers are right."""
        return self.row.holds(self.ours)

    @property
    def missed(self) -> list[Mistake[Any]]:
        """The mistakes that the measurement did not find: with one of them, `held` says little."""
        return [mistake for mistake, measured in self.planted if self.row.holds(measured)]


def judge(row: Row[Any]) -> Outcome:
    """Measure ours and every mistake."""
    planted = tuple((mistake, row.of(mistake.planted)) for mistake in row.mistakes)
    return Outcome(row, row.of(row.ours), planted)
