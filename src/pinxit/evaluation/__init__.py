"""One honest evaluator for every family. Importing this package does not import torch.

>>> pinxit.evaluate(model, data)                                        # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pinxit.core.protocols import Data
    from pinxit.evaluation.scores import Evaluation

__all__ = ["evaluate"]


def evaluate(
    model: Any, data: Data, *, n: int = 10_000, features: str | None = None, metrics: Sequence[str] = (), seed: int = 0,
    controls: bool = True, progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:  # fmt: skip
    """What the judge says of a model: scores with error, floor, controls and protocol.

    Args:
        model: draws samples in the shape of `data`.
        data: what it was trained on; the test split is the reference, where there is one.
        n: samples of every set; fewer where there are fewer real ones.
        features: a feature network's name (`pinxit.metrics.features.NAMES`); None for what fits the data.
        metrics: names (`pinxit evaluate --metrics help`); none given are the usual ones.
        seed: of the samples.
        controls: judge spoilt real samples too.
        progress: called with (what, done, in all): the first look at a data set may train a classifier, for minutes.

    Raises:
        InputError: a model that does not sample, an unknown name, features that do not fit.
    """
    from pinxit.core.arriving import data_set
    from pinxit.evaluation.judge import Judge, of_model

    judge = Judge(data_set(data), n=n, network=features, metrics=metrics, controls=controls, progress=progress)
    return judge.evaluate(of_model(model, type(model).__name__, judge.n, data.spec, seed=seed, data=data))
