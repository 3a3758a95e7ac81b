"""A data set and games for the tests of pictures and observers: protocols met by hand, no system involved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from pinxit.core.config import Config
from pinxit.core.game import AbstractGame, Batch, Player, Stage
from pinxit.core.rng import normal
from pinxit.core.spec import Spec


class Pixels:
    """`n` images of noise; meets `Data`."""

    def __init__(self, spec: Spec = Spec(1, 6, 6), n: int = 90, seed: int = 0, name: str = "pixels") -> None:
        self.spec, self.name, self.fingerprint = spec, name, f"{name}-{seed}"
        self.images = torch.randn(n, *spec.shape, generator=torch.Generator().manual_seed(seed))
        if not spec.continuous:
            self.images.clamp_(-1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.images[indices])

    def batches(self, order: Iterable[Tensor], device: torch.device | None = None) -> Iterator[Batch]:
        return map(self.batch, order)


class Split(Pixels):
    """Meets `Splits` too."""

    def test(self) -> Pixels:
        return Pixels(self.spec, n=40, seed=7, name=self.name)


class Generator(AbstractGame):
    """Meets `Samples` and `HasLatents`."""

    def __init__(self, spec: Spec = Spec(1, 6, 6), latent: int = 3) -> None:
        super().__init__(Config(), spec)
        self.latent = latent
        self.net = nn.Linear(latent, spec.dim)
        with torch.no_grad():
            weights = torch.linspace(-1, 1, self.net.weight.numel()).view_as(self.net.weight)
            self.net.weight.copy_(weights)
            self.net.bias.zero_()

    def players(self) -> dict[str, Player]:
        return {}

    def stages(self) -> tuple[Stage, ...]:
        return ()

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return normal(n, self.latent, device=self.device, generator=generator)

    def decode(self, z: Tensor) -> Tensor:
        return torch.tanh(self.net(z)).view(-1, *self.spec.shape)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return self.decode(self.latents(n, generator=generator))


class AutoEncoder(Generator):
    """Meets all of `Samples`, `HasLatents`, `Encodes`, `Reconstructs`, `Bound`."""

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return x.flatten(1)[:, : self.latent]

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return x * 0.5 + 0.01 * torch.randn_like(x)  # draws from the default generator, as a careless model might

    measure = "density of toys"

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        noise = torch.randn(len(x), generator=generator)
        return x.flatten(1).sum(1) + 0 * noise, torch.full((len(x),), 2.0)
