"""Images held in memory (or memory-mapped) as one uint8 tensor: a batch is one index operation, then tensor arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from pinxit.core.game import Batch
from pinxit.core.labels import unlabelled
from pinxit.core.spec import Spec
from pinxit.data.splits import WithTest

# A set up to this many bytes is moved to an accelerator whole, so that indexing happens there.
MOVED_WHOLE = 2 * 1024**3


def to_float(pixels: Tensor) -> Tensor:
    """uint8 in [0, 255] to a new float32 tensor x / 127.5 - 1 in [-1, 1], the ends exact."""
    return pixels.to(torch.float32).mul_(1 / 127.5).sub_(1.0)


def gather(flat: Tensor, indices: Tensor, shape: Sequence[int], mirror: bool) -> Tensor:
    """Rows of `flat` (n, c*h*w) as uint8 images (len(indices), c, h, w); with `mirror`, index n + i is image i flipped."""
    n = len(flat)
    if not mirror:
        return flat.index_select(0, indices).view(-1, *shape)
    images = flat.index_select(0, indices % n).view(-1, *shape)
    both = torch.cat([images, images.flip(-1)])
    # Choosing rows is three times as fast as torch.where over the pixels.
    row = torch.arange(len(indices), device=indices.device)
    return both.index_select(0, row.add_(indices >= n, alpha=len(indices)))


class Store(WithTest):
    """A data set in memory; meets `pinxit.core.protocols.Data`.

    Args:
        name: what a report calls it.
        images: (n, c, h, w) uint8 on the CPU.
        labels: (n,) int64 in [0, classes), -1 where unknown, or None.
        class_names: the names of the classes; empty where there are no labels.
        notes: one line each, what a user should know of this data.
        mirror: double the set with each image flipped left to right: index n + i is image i flipped.
        has_test: whether `load(..., split="test")` of the same source would succeed.
        fingerprint: a hash of the content; by default it is taken over labels and pixels when first asked for.
    """

    def __init__(
        self,
        name: str,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        class_names: Sequence[str] = (),
        notes: Sequence[str] = (),
        mirror: bool = False,
        has_test: bool = False,
        fingerprint: str | None = None,
    ) -> None:
        self.name, self.images, self.labels = name, images.contiguous(), labels
        self.class_names, self.notes = tuple(class_names), tuple(notes)
        self.mirror, self.has_test = mirror, has_test
        _, channels, height, width = images.shape
        self.spec = Spec(channels, height, width, levels=256, classes=len(self.class_names), unlabelled=unlabelled(labels))
        self._flat = self.images.view(len(images), -1)
        self._moved: dict[torch.device, tuple[Tensor, Tensor | None]] = {}
        self._given = fingerprint

    def __len__(self) -> int:
        """The number of samples, flipped ones included."""
        return len(self._flat) * (2 if self.mirror else 1)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the content, 32 hexadecimal digits."""
        if self._given is not None:
            return self._given
        digest = hashlib.blake2b(repr((self.spec, tuple(self.images.shape), self.mirror)).encode(), digest_size=16)
        if self.labels is not None:
            digest.update(self.labels.contiguous().numpy().data)
        for chunk in self._flat.split(4096):
            digest.update(chunk.numpy().data)
        return digest.hexdigest()

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64 on the CPU, (n,)): images (n, c, h, w) float32 in [-1, 1], labels (n,) or None."""
        return self._take(self._flat, self.labels, indices)

    def batches(self, order: Iterable[Tensor], device: torch.device | None = None) -> Iterator[Batch]:
        """`batch` of each index tensor of `order` on `device`; indexed on an accelerator where the set fits there."""
        if device is None or device.type == "cpu":
            yield from map(self.batch, order)
        elif self._flat.nbytes > MOVED_WHOLE:
            for indices in order:
                images = gather(self._flat, indices, self.spec.shape, self.mirror)
                yield Batch(to_float(images.to(device, non_blocking=True)), self._labels_at(indices, device))
        else:
            flat, labels = self._on(device)
            for indices in order:
                yield self._take(flat, labels, indices.to(device, non_blocking=True))

    def _take(self, flat: Tensor, labels: Tensor | None, indices: Tensor) -> Batch:
        images = to_float(gather(flat, indices, self.spec.shape, self.mirror))
        if labels is None:
            return Batch(images)
        return Batch(images, labels.index_select(0, indices % len(flat) if self.mirror else indices))

    def _labels_at(self, indices: Tensor, device: torch.device) -> Tensor | None:
        return None if self.labels is None else self.labels[indices % len(self._flat)].to(device, non_blocking=True)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        if device not in self._moved:
            self._moved[device] = (self._flat.to(device), None if self.labels is None else self.labels.to(device))
        return self._moved[device]
