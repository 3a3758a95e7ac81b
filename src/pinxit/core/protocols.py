"""What a trained system can do. Metrics, pictures and commands ask for one of these, never for a system."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pinxit.core.likelihoods import Bound, ConditionalBound, ConditionalLikelihood, Likelihood, Scores, Weighs
from pinxit.core.spec import Spec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pinxit.core.clock import Clock
    from pinxit.core.game import AbstractGame, Batch

__all__ = [
    "Bound", "Completes", "Conditional", "ConditionalBound", "ConditionalLikelihood", "Data", "Decodes", "Encodes",
    "HasCodes", "HasLatents", "Likelihood", "Matches", "Observer", "Reconstructs", "Samples", "Scores", "Splits", "Weighs",
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
        """The samples at `indices` (int64, (n,)): images (n, c, h, w) float32 in [-1, 1], labels (n,) int64 or None."""
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
class HasLatents(Protocol):
    """Draws through a latent code that can be held fixed."""

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes (n, d) from the prior."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """The samples (n, c, h, w) of codes (n, d)."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """Maps data to codes."""

    def encode(self, x: Tensor) -> Tensor:
        """The codes (n, d) of x (n, c, h, w): the posterior mean where there is a posterior."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """Maps codes to data."""

    def decode(self, z: Tensor) -> Tensor:
        """The samples (n, c, h, w) of codes (n, d)."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Maps data to itself through a bottleneck."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """x_hat (n, c, h, w)."""
        ...


@runtime_checkable
class Conditional(Protocol):
    """Draws data of a given class."""

    def sample_class(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """One sample a label: (n,) int64 to (n, c, h, w)."""
        ...


@runtime_checkable
class HasClassLatents(HasLatents, Protocol):
    """Draws data of a given class through a latent code that can be held fixed."""

    def latents_of(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """One code a label: (n,) int64 to (n, d); what tells the class is equal in all codes of one."""
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


@runtime_checkable
class HasCodes(Protocol):
    """Draws through codes that it named itself: a category and numbers."""

    def codes(self) -> tuple[int, int]:
        """The number of categories, and of numbers."""
        ...

    def sample_code(self, category: Tensor, continuous: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """One sample a code: categories (n,) int64 and numbers (n, d), of [-1, 1] in training, to (n, c, h, w)."""
        ...

    def infer(self, x: Tensor) -> Tensor:
        """The category that it sees in each image: (n, c, h, w) to (n,) int64."""
        ...
