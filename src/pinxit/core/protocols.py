"""What a trained system can do. Metrics, pictures and commands ask for one of these, never for a system."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pinxit.core.codes import Decodes, Encodes, EncodesGiven, HasClassLatents, HasCodes, HasLatents, Reconstructs
from pinxit.core.likelihoods import Bound, ConditionalBound, ConditionalLikelihood, Likelihood, Targets, Weighs
from pinxit.core.spec import Spec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pinxit.core.clock import Clock
    from pinxit.core.game import AbstractGame, Batch

__all__ = [
    "Bound", "Completes", "Conditional", "ConditionalBound", "ConditionalLikelihood", "Data", "Decodes", "Encodes",
    "EncodesGiven", "HasClassLatents", "HasCodes", "HasLatents", "Likelihood", "Matches", "Observer", "Reconstructs", "Samples",
    "Splits", "Targets", "Weighs", "ZeroSum",
]  # fmt: skip


@runtime_checkable
class Data(Protocol):
    """A data set: pure functions of indices, so that the order of a run is a function of (seed, images shown)."""

    @property
    def spec(self) -> Spec:
        """The shape of one sample."""
        ...

    @property
    def name(self) -> str:
        """What a run folder and a report call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of the content: a resumed run refuses other data."""
        ...

    def __len__(self) -> int:
        """The number of samples; indices run from 0 to this."""
        ...

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64, (n,)): images (n, c, h, w) float32, labels (n,) int64 or None: see `Batch`."""
        ...

    def batches(self, order: Iterable[Tensor], device: torch.device | None = None) -> Iterator[Batch]:
        """`batch` of each index tensor of the endless `order`, in order, on `device`; may read ahead."""
        ...


@runtime_checkable
class Splits(Protocol):
    """Data that may have samples kept from training."""

    def test(self) -> Data | None:
        """The test split of the same source, prepared in the same way; None where there is none."""
        ...


class Observer(Protocol):
    """Sees a run and changes nothing of it.

    Called before the first round, after every `every` rounds and after the last one, on the first process only.
    """

    every: int

    def __call__(self, game: AbstractGame, clock: Clock, stats: Mapping[str, float]) -> None:
        """`game` is the averaged model in eval mode; `stats` the means of the last closed logging interval."""
        ...

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        """Called once more when the run is complete."""
        ...


@runtime_checkable
class Samples(Protocol):
    """Draws new data."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """`n` samples (n, c, h, w), in [-1, 1] for images; the same generator state gives the same samples."""
        ...


@runtime_checkable
class Conditional(Protocol):
    """Draws data of a given class."""

    def sample_class(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """One sample a label: (n,) int64 to (n, c, h, w)."""
        ...


@runtime_checkable
class Completes(Protocol):
    """Paints images pixel by pixel, by one of several exact engines: so it draws the unknown pixels of any image."""

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        engine: str = "auto",
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """`x` (n, c, h, w) with the pixels drawn that `known`, bool (h, w) or (n, h, w), says are not known."""
        ...


@runtime_checkable
class Matches(Protocol):
    """Judges whether a sample is of a class."""

    def match(self, x: Tensor, labels: Tensor) -> Tensor:
        """A logit for each pair of a sample (n, c, h, w) and a label (n,) int64, (n,)."""
        ...


@runtime_checkable
class ZeroSum(Protocol):
    """A game whose generator lowers and whose other players raise one and the same value."""

    def game_value(self, x: Tensor) -> Tensor:
        """V of real data x (n, c, h, w) and as many samples, a differentiable scalar."""
        ...
