"""What a user should know of the labels of a set before training on it, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

TINY = 10


def first_few(items: Sequence[str], most: int = 3) -> str:
    """Up to `most` of `items`, and how many more there are."""
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest} more" if rest > 0 else "")


def on_labels(labels: np.ndarray | None, class_names: Sequence[str]) -> list[str]:
    """Notes on labels (n,) in [0, len(class_names)): one class only, empty and tiny classes."""
    if labels is None:
        return []
    import numpy as np

    counts = np.bincount(labels, minlength=len(class_names)).tolist()
    present = [name for name, count in zip(class_names, counts, strict=True) if count]
    if len(present) == 1:
        return [f"all {len(labels)} images have one label, `{present[0]}`: nothing can be learned about classes"]
    notes = []
    if empty := [f"`{name}`" for name, count in zip(class_names, counts, strict=True) if not count]:
        notes.append(f"{len(empty)} of {len(counts)} classes have no images: {first_few(empty)}")
    if tiny := [f"`{name}` ({count})" for name, count in zip(class_names, counts, strict=True) if 0 < count < TINY]:
        notes.append(f"{len(tiny)} of {len(counts)} classes have fewer than {TINY} images: {first_few(tiny)}")
    return notes
