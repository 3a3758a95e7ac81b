"""The test split that belongs to a data set, loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from pinxit.core.protocols import Data


class WithTest:
    """Base of the data sets: `load` tells each how to load the test split of its source."""

    load_test: Callable[[], Data] | None = None

    @cached_property
    def _test(self) -> Data | None:
        return None if self.load_test is None else self.load_test()

    def test(self) -> Data | None:
        """The test split, in the same size and channels and never mirrored; None where the source has none."""
        return self._test
