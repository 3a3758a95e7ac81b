"""Features of many images in bounded memory: of data, of a model's samples, of folders; kept by content, resumed when cut off.

from pinxit.metrics import extraction, features
network = features.load("efficientnet_lite0")
real = extraction.extract(network, extraction.DataSource(data))
fake = extraction.extract(network, extraction.SampleSource(model, 10_000, data.spec, seed=0))
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.features import kept
from pinxit.metrics.features.protocol import Features
from pinxit.metrics.features.sources import UNIT, DataSource, SampleSource, Source, folder

__all__ = [
    "BLOCK", "UNIT", "DataSource", "Extracted", "Moments", "SampleSource", "Source", "check_comparable", "extract", "folder",
]  # fmt: skip

BLOCK = kept.BLOCK
FORMAT = 1
LEAST = 2
Progress = Callable[[int, int], None]


class Moments:
    """The running mean and covariance of rows, in float64.

    Of two sets, n = n_a + n_b, delta = mu_b - mu_a:

        mu = mu_a + delta n_b / n,   M = M_a + M_b + delta delta^T n_a n_b / n,   covariance = M / (n - 1)

    Reference: Chan, Golub & LeVeque 1983, eq. 2.1.
    """

    def __init__(self, dim: int) -> None:
        self.n = 0
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self._scatter = torch.zeros(dim, dim, dtype=torch.float64)

    def add(self, rows: Float[Tensor, "n d"]) -> None:
        """Take in more rows."""
        if not len(rows):
            return
        x, n = rows.double(), self.n + len(rows)
        mean = x.mean(0)
        x, delta = x - mean, mean - self.mean
        self._scatter.addmm_(x.T, x)
        self._scatter.addr_(delta, delta, alpha=self.n * len(rows) / n)
        self.mean += delta * (len(rows) / n)
        self.n = n

    @property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Unbiased; raises InputError for fewer than two rows."""
        if self.n < 2:
            raise InputError(f"{self.n} rows of features have no covariance: give at least 2")
        return self._scatter / (self.n - 1)


@dataclass(frozen=True)
class Extracted:
    """Features with what a reader of a score among them must know.

    Args:
        features: (n, d) float32, a memory map where they are kept on disk.
        labels: the class of each row, where the source has classes.
        name: of the feature network.
        digest: of the feature network.
        about: the feature network in one line.
        source: the images in one line.
        path: the file where they are kept, or None.
    """

    features: Float[Tensor, "n d"] = field(repr=False)
    labels: Int[Tensor, " n"] | None = field(repr=False)
    name: str
    digest: str
    about: str
    source: str
    path: Path | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.features)

    def moments(self) -> Moments:
        """Mean and covariance in float64, block by block."""
        found = Moments(self.features.shape[1])
        for rows in self.features.split(BLOCK):
            found.add(rows)
        return found


def extract(
    features: Features, source: Source, *, cache: bool = True, block: int = BLOCK, progress: Progress | None = None
) -> Extracted:
    """The features of every image of a source.

    Images are read, or sampled, and passed on UNIT at a time; `block` decides how often the file is brought up to date and
    nothing of the result. Kept under a hash of (the features' digest, the source's key): features of the same images are never
    computed twice, and never taken for others. After an interruption the next call goes on at the last block, to the same result.

    Args:
        features: of `pinxit.metrics.features.load`.
        source: `DataSource`, `SampleSource` or `folder`.
        cache: read and write `features` in `pinxit.data.catalogue.folder()`, else in ~/.cache/pinxit.
        block: images between two savings; rounded up to a multiple of UNIT.
        progress: called with (images done, images in all).

    Raises:
        InputError: fewer than two images, images that don't fit the features, or features that are not finite.
        RunError: the disk is full.
    """
    n = len(source)
    if n < LEAST:
        raise InputError(f"{source.about}: {n} images are too few to compare distributions, which takes at least {LEAST}")
    if block < 1:
        raise InputError(f"`block` is {block}: it must be >= 1 images")
    key = _key(features, source) if cache else None
    about = (source.labels(), features.name, features.digest, features.describe(), source.about)
    if key is not None and (found := kept.read(key, n, features.dim)) is not None:
        if progress is not None:
            progress(n, n)
        return Extracted(found[0], *about, path=found[1])
    with kept.writer(key, n, features.dim, block) as sink:
        for unit, images in enumerate(source.units(sink.done), sink.done):
            first = unit * UNIT
            # A sampler's last unit is whole, and passes through the network whole: n samples are the first n of more.
            rows = features(images)[: n - first]
            _check(rows, features, source, first, n)
            sink.add(rows)
            if progress is not None:
                progress(first + len(rows), n)
        return Extracted(sink.finish(), *about, path=sink.path)


def check_comparable(x: Extracted, y: Extracted) -> None:
    """Raise InputError where two sets of features are not of the same network with the same weights and preprocessing."""
    if x.digest != y.digest:
        raise InputError(
            f"features of {x.name} ({x.digest}) and of {y.name} ({y.digest}) can't be compared: extract both with one"
        )


def _key(features: Features, source: Source) -> str | None:
    """The name of the file: it changes with whatever decides the numbers in it."""
    content = source.key()
    if content is None:
        return None
    parts = (FORMAT, UNIT, features.digest, features.dim, content, len(source))
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _check(rows: Tensor, features: Features, source: Source, first: int, n: int) -> None:
    want = (min(UNIT, n - first), features.dim)
    if tuple(rows.shape) != want:
        raise InputError(
            f"{features.name} made {tuple(rows.shape)} of images {first} to {first + want[0] - 1}: it must make {want}"
        )
    if not math.isfinite(float(rows.sum())) and len(bad := (~rows.isfinite()).any(1).nonzero().flatten()):
        which = ", ".join(str(first + int(row)) for row in bad[:5]) + (", ..." if len(bad) > 5 else "")
        raise InputError(
            f"{features.name} gives features that are not finite for {len(bad)} of images {first} to {first + want[0] - 1} "
            f"of {source.about} ({which}, counted from 0): look at them, or choose other features"
        )
