"""What a model with latent codes can do; `pinxit.core.protocols` names these with all the others.

`labels` (n,) int64, `pinxit.core.labels.UNKNOWN` where there is none, are for models that are told the class; others ignore them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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
class HasClassLatents(HasLatents, Protocol):
    """Draws data of a given class through a latent code that can be held fixed."""

    def latents_of(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """One code a label: (n,) int64 to (n, d); what tells the class is equal in all codes of one."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """Maps data to codes."""

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The codes (n, d) of x (n, c, h, w), as `bits.shown_to` gives it: the posterior mean where there is a posterior."""
        ...


@runtime_checkable
class EncodesGiven(Encodes, HasClassLatents, Protocol):
    """Maps data to codes given its class: a code is what was encoded, and beside it the class."""

    def free(self) -> int:
        """The numbers of a code that are drawn; the others tell the class."""
        ...

    def placed(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """The codes (n, d) of noise (n, free) ~ N(0, I) under the prior of its class."""
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

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """x_hat (n, c, h, w) of x, as `bits.shown_to` gives it."""
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
