"""Where images come from: a data set, a model that samples, a folder of any software; cut into units of a fixed size.

A unit is what is sampled with one generator and goes through a feature network at once. Because units are the same whatever is
saved or held between them, results do not depend on that; because a sampler always draws whole units, n samples are the first n
of any greater number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pinxit.core.bits import as_bits
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame
from pinxit.core.labels import AsOften
from pinxit.core.protocols import Data, Samples
from pinxit.core.rng import seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.metrics.features.protocol import digest_of

UNIT = 64


@runtime_checkable
class Source(Protocol):
    """Images in a fixed order."""

    @property
    def about(self) -> str:
        """One line: what they are and how many."""
        ...

    def key(self) -> str | None:
        """A hash of everything that decides the images; None where that can't be known, so that nothing is kept of them."""
        ...

    def labels(self) -> Tensor | None:
        """The class of each, (n,) int64, or None."""
        ...

    def __len__(self) -> int:
        """The number of images."""
        ...

    def units(self, start: int = 0) -> Iterator[Tensor]:
        """The images, UNIT at a time from unit `start`, (n, c, h, w) float32 in [-1, 1]; the last unit may hold more or fewer."""
        ...


class Watched:
    """A source of which the first images are kept as they pass, so that they are not drawn a second time to be looked at.

    Args:
        source: what is watched.
        count: images to keep.
    """

    def __init__(self, source: Source, count: int) -> None:
        self.source, self.count = source, min(count, len(source))
        self.about = source.about
        self._passed: list[Tensor] = []

    def __len__(self) -> int:
        """The number of images of the source."""
        return len(self.source)

    def key(self) -> str | None:
        """The source's."""
        return self.source.key()

    def labels(self) -> Tensor | None:
        """The source's."""
        return self.source.labels()

    def units(self, start: int = 0) -> Iterator[Tensor]:
        """The source's, the first of them kept."""
        for unit, images in enumerate(self.source.units(start), start):
            if unit == len(self._passed) and unit * UNIT < self.count:
                self._passed.append(images)
            yield images

    def first(self) -> Tensor:
        """The first `count` images; what has not passed, as features were kept from before, is drawn now. (count, c, h, w)."""
        missing = -(-self.count // UNIT) - len(self._passed)
        for _ in zip(range(missing), self.units(len(self._passed)), strict=False):
            pass
        return torch.cat(self._passed)[: self.count]


class DataSource:
    """Some or all images of a data set.

    The key is a hash of the very pixels and labels, read once for it: the fingerprint of a folder is one of names and sizes.

    Args:
        data: the data set, in the order of its indices.
        indices: (n,) int64, which images; all by default.
        note: what the line about it says besides.
        spec: of the data that they are held against, by default their own: where that is of bits, they are made bits.

    Raises:
        InputError: indices that are not there.
    """

    def __init__(self, data: Data, indices: Tensor | None = None, note: str = "", spec: Spec | None = None) -> None:
        if indices is not None and (indices.ndim != 1 or indices.dtype != torch.int64):
            raise InputError(f"`indices` are {tuple(indices.shape)} {indices.dtype}: they must be (n,) int64")
        if indices is not None and len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(data):
            got = f"{int(indices.min())} to {int(indices.max())}"
            raise InputError(f"`indices` run from {got}: {data.name} has {len(data)} images, 0 to {len(data) - 1}")
        self.data, self.note, self.spec = data, note, spec or data.spec
        self.indices = torch.arange(len(data)) if indices is None else indices
        count = f"{len(self.indices):,} of {len(data):,} images" if indices is not None else f"all {len(data):,} images"
        self.about = f"{data.name}, {count}{note}"

    def __len__(self) -> int:
        """The number of images."""
        return len(self.indices)

    def units(self, start: int = 0) -> Iterator[Tensor]:
        """The images, UNIT at a time."""
        parts = self.indices.split(UNIT)[start:]
        for unit, batch in enumerate(self.data.batches(iter(parts)), start):
            yield as_bits(batch.images, self.spec, unit, *self._drawn(parts[unit - start]))

    def key(self) -> str:
        """A hash of pixels and labels."""
        return self._content[0]

    def labels(self) -> Tensor | None:
        """The class of each image, where the data has classes."""
        return self._content[1]

    def _drawn(self, indices: Tensor) -> tuple[int | str, ...]:
        """What decides the bits: which images of which set they are. One number for two sets would make them alike."""
        return ("data", self.data.fingerprint, *indices.tolist()) if self.spec.binarised else ()

    @cached_property
    def _content(self) -> tuple[str, Tensor | None]:
        parts = ("data", len(self), self.spec.shape, *([self.spec.binarised] if self.spec.binarised else []))
        parts += self._drawn(self.indices)
        digest = hashlib.blake2b(repr(parts).encode(), digest_size=16)
        labels: list[Tensor] = []
        for batch in self.data.batches(iter(self.indices.split(UNIT))):
            digest.update(batch.images.cpu().contiguous().numpy().data)
            if batch.labels is not None:
                labels.append(batch.labels.cpu())
                digest.update(labels[-1].contiguous().numpy().data)
        return digest.hexdigest(), torch.cat(labels) if labels else None


class SampleSource:
    """Samples of a model, rounded to the levels of its data as a file would hold them.

    Unit i is drawn with a generator seeded by (seed, i), in eval mode; model and default generator are left as they were.

    Args:
        model: draws images; must meet `pinxit.core.protocols.Samples`.
        n: how many.
        spec: of the data that they are compared with.
        seed: of the samples.
        name: what the line about it calls the model; by default its class.
        digest: a hash of all that decides the samples, for models that are no torch modules; without it nothing is kept of those.
        weights: how often each class is drawn, of `pinxit.core.labels.as_often`; () leaves it to the model.

    Raises:
        InputError: the model can't sample.
    """

    def __init__(
        self, model: Any, n: int, spec: Spec, *, seed: int = 0, name: str = "", digest: str = "", weights: tuple[int, ...] = ()
    ) -> None:
        self.name = name or type(model).__name__
        if not isinstance(model, Samples):
            raise InputError(
                f"{self.name} can't sample: it has no `sample(n, generator=...)`; evaluate a system that draws images"
            )
        self.model, self.spec, self.seed, self._n, self._digest = model, spec, seed, n, digest
        self.weights, self._sampler = weights, AsOften(model, weights) if weights else model
        rounding = "" if spec.continuous else ", as bits" if spec.binarised else f", rounded to {spec.levels} levels"
        self.about = f"{n:,} samples of {self.name}, seed {seed}{rounding}"

    def __len__(self) -> int:
        """The number of images."""
        return self._n

    def labels(self) -> Tensor | None:
        """Samples have none."""
        return None

    def key(self) -> str | None:
        """A hash of the model's class, configuration, parameters and buffers, of n, seed, rounding and classes."""
        made = self._digest
        if not made and isinstance(self.model, nn.Module):
            config = self.model.config if isinstance(self.model, AbstractGame) else None
            state = {**dict(self.model.named_buffers()), **self.model.state_dict()}
            others = sorted((name, repr(value)) for name, value in state.items() if not isinstance(value, Tensor))
            tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
            made = digest_of(tensors, repr((type(self.model).__name__, config, others)))
        if not made:
            return None
        parts = ("samples", UNIT, made, self._n, self.seed, self.spec.shape, self.spec.binarised or self.spec.levels)
        parts += (self.weights,) if self.weights else ()
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    def units(self, start: int = 0) -> Iterator[Tensor]:
        """The images, always UNIT at a time."""
        for unit in range(start, -(-self._n // UNIT)):
            generator = torch.Generator().manual_seed(seed_of("samples", self.seed, unit))
            with seeded(seed_of("sampler", self.seed, unit)), evaluating(self.model), torch.no_grad():
                x = self._sampler.sample(UNIT, generator=generator)
            yield self._checked(x, unit)

    def _checked(self, x: Any, unit: int) -> Tensor:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            got = f"{x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise InputError(f"samples of {self.name} are {got}: they must be a tensor of floats (n, c, h, w)")
        if tuple(x.shape) != (UNIT, *self.spec.shape):
            got, want = shown(tuple(x.shape[1:])), shown(self.spec.shape)
            count = "" if len(x) == UNIT else f" ({len(x)} were drawn where {UNIT} were asked for)"
            raise InputError(
                f"samples of {self.name} are {got}{count}, the data's images {want}: compare it with data of its own"
            )
        if bad := int((~x.isfinite()).flatten(1).any(1).sum()):
            first = unit * UNIT
            raise InputError(f"{bad} of samples {first} to {first + UNIT - 1} of {self.name} are not finite: it has diverged")
        x = x.float().cpu()
        if self.spec.continuous:
            return x
        low, high = (float(end) for end in x.aminmax())
        if low >= 0 and high > 2:  # a decoder without bounds errs to both sides
            raise InputError(f"samples of {self.name} have values of {low:g} to {high:g}: they must be in [-1, 1]")
        if self.spec.binarised:
            return as_bits(x, self.spec, "samples", self.seed, unit)
        top = self.spec.levels - 1
        # The arithmetic of pinxit.data.store, so that a sample and the file of it are the same image.
        return x.clamp(-1, 1).add(1).mul(top / 2).round().mul_(1 / (top / 2)).sub_(1)


def folder(
    source: Any, spec: Spec | None = None, *, convert: bool = False, skip_bad: bool = False, split: str = "train"
) -> DataSource:
    """The images of a folder, zip or array file, written by any software.

    Args:
        source: anything that `pinxit.data.load` takes; files are decoded on the way, not packed.
        spec: of the data that they are compared with, of whose bits they are made bits; None takes them as they are.
        convert: make them of that size and those channels, by Lanczos and the luma of ITU-R 601, and say so; else refuse others.
        skip_bad: leave out files that can't be decoded, and say how many; else refuse them.
        split: "train" or "test", where the folder has both.

    Raises:
        InputError: sizes that differ, images that are not of `spec`, or what `pinxit.data.load` refuses.
    """
    from pinxit.data import loading

    load = partial(loading.load, source, split=split, stream=loading.kind_of(source) == "files", skip_bad=skip_bad)
    if spec is None:
        return DataSource(load())
    try:
        data = load()
    except InputError as error:
        if not convert:
            said, several, _ = str(error).partition("; give one to scale")
            raise (InputError(f"{said}; make them alike, or let them be made so (--convert)") if several else error) from None
        data = None  # of several sizes, or bad in a way that the second attempt tells
    if data is not None and data.spec.shape == spec.shape:
        return DataSource(data, spec=spec)
    if not convert:
        got, want = shown(data.spec.shape), shown(spec.shape)  # type: ignore[union-attr]
        raise InputError(f"images in {source} are {got}, the data's {want}: make them alike, or let them be made so (--convert)")
    before = "several sizes" if data is None else shown(data.spec.shape)
    data = load(size=(spec.height, spec.width), channels=spec.channels)
    note = f", made {shown(spec.shape)} of {before} (Lanczos, centre crop; luma of ITU-R 601)"
    return DataSource(data, note=note, spec=spec)


def shown(shape: tuple[int, ...]) -> str:
    """A shape (c, h, w) as people write it: `28x28 grey`."""
    if len(shape) != 3:
        return f"of shape {shape}"
    c, h, w = shape
    return f"{w}x{h} {({1: 'grey', 3: 'RGB'}).get(c, f'of {c} channels')}"


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """A module in eval mode, and each of its parts back in the mode it was in."""
    modes = {part: part.training for part in model.modules()} if isinstance(model, nn.Module) else {}
    if isinstance(model, nn.Module):
        model.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
