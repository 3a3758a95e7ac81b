"""Labels of which some may be unknown: such an image has the label -1, and its data says so in `Spec.unlabelled`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from pinxit.core.protocols import Data

UNKNOWN = -1
CHUNK = 1000


def unlabelled(labels: Tensor | None) -> bool:
    """Whether some of `labels` are unknown."""
    return labels is not None and bool((labels == UNKNOWN).any())


def labelled(data: Data, rows: Tensor | None = None) -> Tensor:
    """Those of `rows` (n,) int64, of all by default, whose class is known, in their order; none of data without labels."""
    import torch

    rows = torch.arange(len(data)) if rows is None else rows
    if not data.spec.classes:
        return rows[:0]
    if not data.spec.unlabelled:
        return rows
    found = [batch.labels for batch in data.batches(iter(rows.split(CHUNK)))]
    return rows[torch.cat([labels.cpu() for labels in found if labels is not None]) != UNKNOWN]
