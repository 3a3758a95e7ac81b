"""The first samples of a data set as a data set: `mnist[:500]`, with the whole's test split."""

from __future__ import annotations

from typing import Any


def load(name: str) -> Any:
    """Named data; of images `name[:n]` is the first n of the training split."""
    from pinxit import data
    from pinxit.data.store import Store

    whole, _, count = name.partition("[:")
    found: Any = data.load(whole)
    if not count:
        return found
    n = int(count.removesuffix("]"))
    part = Store(name, found.images[:n], found.labels[:n], class_names=found.class_names, has_test=found.has_test)
    part.load_test = found.load_test
    return part
