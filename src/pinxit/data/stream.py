"""Images decoded on demand from a folder or zip, by worker processes that read ahead in the given order."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.labels import unlabelled
from pinxit.core.spec import Spec
from pinxit.data.decode import BadImage, Form, decode, quiet
from pinxit.data.filelist import Files, Reader
from pinxit.data.splits import WithTest
from pinxit.data.store import to_float

# Batches that each worker may be ahead of the reader.
AHEAD = 2


class Stream(WithTest):
    """A data set on disk; meets `pinxit.core.protocols.Data`, and gives what a packed `Store` of the same files gives.

    Args:
        name: what a report calls it.
        files: the images.
        form: what each becomes.
        kept: (n,) int64, which of `files` are samples, in order.
        labels: (n,) int64, -1 where unknown, or None.
        class_names, notes, mirror, has_test, fingerprint: as in `Store`.
        workers: processes that decode ahead in `batches`; 0 decodes in this one.
    """

    def __init__(
        self,
        name: str,
        files: Files,
        form: Form,
        kept: Tensor,
        labels: Tensor | None,
        *,
        class_names: Sequence[str],
        notes: Sequence[str],
        mirror: bool,
        has_test: bool,
        fingerprint: str,
        workers: int,
    ) -> None:
        self.name, self.labels, self.fingerprint = name, labels, fingerprint
        self.class_names, self.notes = tuple(class_names), tuple(notes)
        self.mirror, self.has_test, self.workers = mirror, has_test, workers
        classes, part = len(self.class_names), unlabelled(labels)
        self.spec = Spec(form.channels, form.height, form.width, levels=256, classes=classes, unlabelled=part)
        self._files, self._form, self._kept, self._read = files, form, kept, Reader(files)

    def __len__(self) -> int:
        """The number of samples, flipped ones included."""
        return len(self._kept) * (2 if self.mirror else 1)

    def pixels(self, indices: Tensor) -> Tensor:
        """The images at `indices` (int64, (n,)) as uint8 (n, c, h, w); raises InputError naming a file that can't be read."""
        out = np.empty((len(indices), *self.spec.shape), np.uint8)
        n = len(self._kept)
        files = self._kept.index_select(0, indices % n if self.mirror else indices).tolist()
        for row, (file, index) in enumerate(zip(files, indices.tolist(), strict=True)):
            try:
                image = decode(self._read(file), self._form)
            except BadImage as error:
                where = self._files.root / self._files.entries[file].name
                raise InputError(f"can't read {where} ({error}): replace it, or --skip-bad to leave such files out") from None
            out[row] = image[..., ::-1] if index >= n else image
        return torch.from_numpy(out)

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64 on the CPU, (n,)): images (n, c, h, w) float32 in [-1, 1], labels (n,) or None."""
        with quiet():
            return self._batch(indices, self.pixels(indices), None)

    def batches(self, order: Iterable[Tensor], device: torch.device | None = None) -> Iterator[Batch]:
        """`batch` of each index tensor of `order`, in order, on `device`; workers read at most AHEAD batches each ahead."""
        if not self.workers:
            for indices in order:
                with quiet():
                    pixels = self.pixels(indices)
                yield self._batch(indices, pixels, device)
            return
        for indices, pixels in self._ahead(order, device):
            if isinstance(pixels, InputError):
                raise pixels
            yield self._batch(indices, pixels, device)

    def _ahead(self, order: Iterable[Tensor], device: torch.device | None) -> Iterator[tuple[Tensor, Tensor | InputError]]:
        """(indices, pixels) of each of `order`, from the workers, which end when this iterator is dropped."""
        from torch.utils.data import DataLoader

        with warnings.catch_warnings():
            # The number of workers is the user's to choose; forked workers touch neither torch's threads nor the device.
            warnings.simplefilter("ignore")
            loader = DataLoader(
                _Decoder(self),
                batch_size=None,
                sampler=order,
                num_workers=self.workers,
                collate_fn=_as_is,
                worker_init_fn=_start_worker,
                prefetch_factor=AHEAD,
                pin_memory=device is not None and device.type == "cuda",
                # Its own generator: the loader draws a seed for its workers, which must not come from the run's.
                generator=torch.Generator(),
                multiprocessing_context="fork" if sys.platform == "linux" else None,
            )
            ahead = iter(loader)
        yield from ahead

    def _batch(self, indices: Tensor, pixels: Tensor, device: torch.device | None) -> Batch:
        labels = None if self.labels is None else self.labels[indices % len(self._kept)]
        if device is not None and device.type != "cpu":
            pixels = pixels.to(device, non_blocking=True)
            labels = None if labels is None else labels.to(device, non_blocking=True)
        return Batch(to_float(pixels), labels)


class _Decoder(torch.utils.data.Dataset[Any]):
    """Maps a tensor of indices to itself and its pixels; an InputError is handed over whole, not wrapped in a traceback."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor | InputError]:
        try:
            return index, self._stream.pixels(index)
        except InputError as error:
            return index, error


def _as_is(item: Any) -> Any:
    return item


def _start_worker(_: int) -> None:
    # Ctrl-C is for the main process, which ends its workers itself; its handler of SIGTERM is not for them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.simplefilter("ignore")
