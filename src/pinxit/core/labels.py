"""Labels of which some may be unknown: such an image has the label -1, and its data says so in `Spec.unlabelled`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
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


def counts(data: Data) -> list[int]:
    """How many samples of `data` each class has; unknown ones are not counted."""
    import torch

    found = torch.zeros(data.spec.classes, dtype=torch.long)
    labels = getattr(data, "labels", None)  # of a stream, images would be decoded for them
    parts = (
        [labels] if labels is not None else (batch.labels for batch in data.batches(iter(torch.arange(len(data)).split(CHUNK))))
    )
    for part in parts:
        if part is not None and len(found):
            found += part[part != UNKNOWN].cpu().bincount(minlength=len(found))
    return found.tolist()


def as_often(game: Any, data: Data) -> tuple[int, ...]:
    """How often the classes of `data` are to be asked of a model whose `sample` draws them alike often; () where it may do so.

    A conditional model learns p(x | y) and is judged as p(x) of its data: drawn alike often, rare classes would be taken for a
    fault of the model. So they are drawn as often as the data has them, unless that is alike, the classes are not the model's, or
    the model has an own code for "unknown", which is all the data.
    """
    from pinxit.core.game import AbstractGame
    from pinxit.core.protocols import Conditional

    if not isinstance(game, AbstractGame) or not isinstance(game, Conditional):
        return ()
    known = data.spec.classes and not data.spec.unlabelled and data.spec.classes == game.spec.classes
    if not known or vars(game.config).get("label_dropout", 0):
        return ()
    found = counts(data)
    return tuple(found) if len(set(found)) > 1 else ()


def sampler(game: Any, data: Data) -> Any:
    """What samples as `game` does, with classes as often as `data` has them: see `as_often`."""
    weights = as_often(game, data)
    return AsOften(game, weights) if weights else game


class AsOften:
    """Samples of a conditional model in which classes are as frequent as `weights` (classes,) say.

    Args:
        game: meets `Conditional`.
        weights: of `as_often`.
    """

    def __init__(self, game: Any, weights: tuple[int, ...]) -> None:
        self.game, self.weights = game, weights

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """`n` samples (n, c, h, w)."""
        import torch

        labels = torch.tensor(self.weights, dtype=torch.float64).multinomial(n, replacement=True, generator=generator)
        return self.game.sample_class(labels, generator=generator)
