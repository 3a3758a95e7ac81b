"""What a model that knows how probable data are can do; `pinxit.core.protocols` names these with all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@runtime_checkable
class Likelihood(Protocol):
    """Has an exact likelihood."""

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats per sample, (n,)."""
        ...


@runtime_checkable
class ConditionalLikelihood(Protocol):
    """Has an exact likelihood of data given its class."""

    def log_prob_of_class(self, x: Tensor, labels: Tensor) -> Tensor:
        """log p(x|y) in nats per sample, (n,), of samples with their classes (n,) int64."""
        ...


@runtime_checkable
class Bound(Protocol):
    """Has a lower bound of the likelihood."""

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(E log p(x|z), KL) in nats per sample, each (n,); their difference bounds log p(x) from below."""
        ...

    @property
    def measure(self) -> str:
        """What p(x) is a probability or density of: numbers of different measures must not be compared."""
        ...


@runtime_checkable
class ConditionalBound(Protocol):
    """Has a lower bound of the likelihood of data given its class."""

    def elbo_given(self, x: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(E log p(x|z, y), KL) in nats per sample, each (n,); their difference bounds log p(x|y) from below."""
        ...

    @property
    def measure(self) -> str:
        """What p(x|y) is a probability or density of."""
        ...


@runtime_checkable
class Targets(Protocol):
    """Makes of images what it scores: themselves where it models them as they are, else their bits."""

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What is scored of images (n, c, h, w): themselves, or their bits; scored again it stays what it is."""
        ...


@runtime_checkable
class Weighs(Targets, Protocol):
    """Weighs draws of a Gaussian posterior: the more are drawn, the tighter their mean weight bounds the likelihood.

    `labels` (n,) int64 are for models that condition on them, others ignore them.
    """

    def posterior(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (n, d) of q(z|x), of targets."""
        ...

    def rate(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """KL(q(z|x) || p(z)) of targets, in nats, (n,)."""
        ...

    def log_weights(self, x: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x, z) - log q(z|x) of targets, (k, n), z the draws of q that noise ~ N(0, I), (k, n, d), makes."""
        ...

    @property
    def measure(self) -> str:
        """What p(x) is a probability or density of."""
        ...
