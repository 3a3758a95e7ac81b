"""What the toys share: a small network, points to images, a penalty in float32, a tiny data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from pinxit.core.game import AbstractGame, Batch
from pinxit.core.rng import normal, seed_of, seeded
from pinxit.core.spec import Spec

LATENT = 4


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def built(make: Callable[[], AbstractGame], seed: int) -> AbstractGame:
    with seeded(seed_of("build", seed)):
        return make()


def shaped(flat: Tensor, spec: Spec) -> Tensor:
    """(n, dim) to (n, c, h, w), in [-1, 1] for images."""
    return (flat if spec.continuous else flat.tanh()).view(-1, *spec.shape)


class Sampling(AbstractGame):
    """A game whose `generator` maps codes to data."""

    generator: nn.Module

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        z = normal(n, LATENT, device=self.device, generator=generator)
        return shaped(self.generator(z), self.spec)


def penalty(critic: Callable[[Tensor], Tensor], x: Tensor, x_fake: Tensor) -> Tensor:
    """E(|grad critic| - 1)^2 between x and x_fake, in float32 whatever the precision of the run."""
    with torch.autocast(x.device.type, enabled=False):
        share = torch.rand(len(x), 1, 1, 1, device=x.device)
        between = (x.float() + share * (x_fake.float() - x.float())).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        assert slope.dtype == torch.float32
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()


class Tiny:
    """`n` samples of `spec` in memory, random but fixed; remembers every index it was asked for in `seen`."""

    def __init__(self, spec: Spec, n: int = 48, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        if spec.continuous:
            self.images = torch.randn(n, *spec.shape, generator=generator)
        else:
            values = torch.randint(spec.levels, (n, *spec.shape), generator=generator)
            self.images = values.float() / (spec.levels - 1) * 2 - 1
        self.labels = torch.arange(n) % spec.classes if spec.classes else None
        if spec.unlabelled:
            self.labels[::3] = -1
        self.spec, self.name = spec, "tiny"
        self.fingerprint = hashlib.sha256(self.images.numpy().tobytes()).hexdigest()
        self.seen: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> Batch:
        self.seen.append(indices.tolist())
        return Batch(self.images[indices], None if self.labels is None else self.labels[indices])

    def batches(self, order: Iterable[Tensor], device: torch.device | None = None) -> Iterator[Batch]:
        for indices in order:
            yield self.batch(indices).to(device or torch.device("cpu"))
