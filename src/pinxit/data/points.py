"""Mixtures of Gaussians in the plane, on which mode collapse can be counted: the ring of 8 and the grid of 25."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from pinxit.core.game import Batch
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec
from pinxit.data.splits import WithTest

SAMPLES = 100_000


def centres_of(name: str) -> Tensor:
    """The means, (k, 2) float32: ring (cos 2 pi i/8, sin 2 pi i/8), i = 0..7; grid {-4, -2, 0, 2, 4} squared."""
    if name == "ring":
        # The angle 2 pi itself is left out: an inclusive linspace would put two of the eight means in one place.
        return torch.tensor([(math.cos(math.tau * i / 8), math.sin(math.tau * i / 8)) for i in range(8)])
    side = [-4.0, -2.0, 0.0, 2.0, 4.0]
    return torch.tensor([(x, y) for x in side for y in side])


class Points(WithTest):
    """Samples of an equal mixture of round Gaussians in the plane; meets `pinxit.core.protocols.Data`.

        x = centres[k] + sigma * N(0, I_2),   k uniform

    Reference: Lin et al. 2018, PacGAN, section 4.1 (100,000 fixed training samples).

    Args:
        name: "ring" (8 means, sigma 0.01) or "grid" (25 means, sigma 0.05).
        split: "train" or "test", independent samples.
        seed: with the name and the split, fixes the samples.
        samples: how many.
    """

    def __init__(self, name: str, split: str = "train", *, seed: int = 0, samples: int = SAMPLES) -> None:
        self.name, self.has_test, self.notes = name, True, ()
        self.centres = centres_of(name)
        self.sigma = {"ring": 0.01, "grid": 0.05}[name]
        k = len(self.centres)
        self.class_names = tuple(f"({x:.2f}, {y:.2f})" for x, y in self.centres.tolist())
        self.spec = Spec(2, 1, 1, levels=0, classes=k)
        generator = torch.Generator().manual_seed(seed_of("points", name, split, seed))
        self.labels = torch.randint(k, (samples,), generator=generator)
        noise = torch.randn(samples, 2, generator=generator)
        self._flat = self.centres[self.labels] + self.sigma * noise

    @property
    def points(self) -> Tensor:
        """Every sample, (n, 2) float32."""
        return self._flat

    @property
    def fingerprint(self) -> str:
        """A hash of the samples, 32 hexadecimal digits."""
        return hashlib.blake2b(self._flat.numpy().data, digest_size=16).hexdigest()

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._flat)

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64, (n,)): images (n, 2, 1, 1) float32 unscaled, labels (n,) int64, the modes."""
        return Batch(self._flat.index_select(0, indices).view(-1, 2, 1, 1), self.labels.index_select(0, indices))

    def batches(self, order: Iterable[Tensor], device: torch.device | None = None) -> Iterator[Batch]:
        """`batch` of each index tensor of `order`, in order, on `device`."""
        for indices in order:
            batch = self.batch(indices)
            yield batch if device is None or device.type == "cpu" else batch.to(device)
