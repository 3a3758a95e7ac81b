"""What a user should know of the labels of a set before training on it, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pinxit.core.labels import UNKNOWN

if TYPE_CHECKING:
    import numpy as np

TINY = 10


def first_few(items: Sequence[str], most: int = 3) -> str:
    """Up to `most` of `items`, and how many more there are."""
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest} more" if rest > 0 else "")


def counts_of(labels: np.ndarray, class_names: Sequence[str]) -> list[tuple[str, int]]:
    """Each class with the number of its images, of labels (n,) in [0, len(class_names)), -1 where unknown."""
    import numpy as np

    counts = np.bincount(labels[labels != UNKNOWN], minlength=len(class_names)).tolist()
    return list(zip(class_names, counts, strict=True))


def on_labels(labels: np.ndarray | None, class_names: Sequence[str]) -> list[str]:
    """Notes on labels as of `counts_of`: unknown ones, one class only, empty and tiny classes."""
    if labels is None:
        return []
    found = counts_of(labels, class_names)
    known = sum(count for _, count in found)
    notes = [f"the class of {len(labels) - known} of {len(labels)} images is unknown"] if known < len(labels) else []
    present = [name for name, count in found if count]
    if len(present) == 1:
        return [*notes, f"all {known} images have one label, `{present[0]}`: nothing can be learned about classes"]
    if empty := [f"`{name}`" for name, count in found if not count]:
        notes.append(f"{len(empty)} of {len(found)} classes have no images: {first_few(empty)}")
    if tiny := [f"`{name}` ({count})" for name, count in found if 0 < count < TINY]:
        notes.append(f"{len(tiny)} of {len(found)} classes have fewer than {TINY} images: {first_few(tiny)}")
    return notes
