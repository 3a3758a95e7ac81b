"""Folders and zips of images: decoded once into a cache beside them, or surveyed for streaming."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import torch

from pinxit.core import files as whole
from pinxit.core.errors import InputError, RunError
from pinxit.data import cache, notes
from pinxit.data.cache import Index
from pinxit.data.decode import BadImage, Form, Header, decode, header, quiet
from pinxit.data.filelist import Files, Reader, scan
from pinxit.data.store import Store
from pinxit.data.stream import Stream

T = TypeVar("T")
Progress = Callable[[int, int], None]


def load_files(
    path: Path,
    *,
    split: str,
    size: tuple[int, int] | None,
    channels: int | None,
    crop: str,
    mirror: bool,
    stream: bool,
    workers: int,
    skip_bad: bool,
    progress: Progress | None,
) -> Store | Stream:
    """The images of a folder or zip, packed or streamed; see `pinxit.data.load`.

    Raises:
        InputError: nothing to load, files that can't be read (unless `skip_bad`), sizes that differ without `size`.
    """
    files = scan(path, split)
    want = cache.Want(size, channels, crop)
    with quiet():
        index, pixels = survey(files, want, skip_bad, progress) if stream else pack(files, want, skip_bad, progress)
    kept = [i for i in range(len(files)) if i not in index.bad]
    labels = None if files.labels is None else torch.tensor([files.labels[i] for i in kept])
    said = [*files.notes, *notes.on_labels(None if labels is None else labels.numpy(), files.class_names)]
    if index.bad:
        said.append(f"{len(index.bad)} of {len(files)} files were left out: {told(files, index.bad)}")
    about = {"class_names": files.class_names, "notes": said, "mirror": mirror, "has_test": files.has_test}
    fingerprint = _fingerprint(files, index, mirror)
    if pixels is None:
        return Stream(path.name, files, index.form, torch.tensor(kept), labels, fingerprint=fingerprint, workers=workers, **about)
    return Store(path.name, torch.from_numpy(pixels), labels, fingerprint=fingerprint, **about)


def survey(files: Files, want: cache.Want, skip_bad: bool, progress: Progress | None) -> tuple[Index, None]:
    """What every image becomes and which can't be read, from headers alone; with `skip_bad`, by decoding each once."""
    index = cache.read_index(files, want)
    if index is None or (skip_bad and not index.thorough):
        index = _index(files, want)
        if skip_bad:
            for _ in _decoded(files, index, progress):
                pass
            index.thorough = True
        cache.write_index(files, want, index)
    _refuse(files, index, skip_bad)
    return index, None


def pack(files: Files, want: cache.Want, skip_bad: bool, progress: Progress | None) -> tuple[Index, np.ndarray]:
    """Every readable image, (n, c, h, w) uint8, memory-mapped from the cache, which is made where it is not there."""
    index = cache.read_index(files, want)
    if index is not None and index.thorough:
        _refuse(files, index, skip_bad)
        pixels = cache.read_pixels(files, want, index)
        if pixels is not None:
            return index, pixels
    index = _index(files, want)
    for place in cache.places(files, want, to_write=True):
        try:
            whole.write_with(place / cache.PIXELS, lambda temporary: _write(temporary, files, index, skip_bad, progress))  # noqa: B023
        except RunError:  # read-only, or full: try the next place
            index = _index(files, want)
            continue
        cache.write_index(files, want, index)
        pixels = cache.read_pixels(files, want, index)
        if pixels is not None:
            return index, pixels
    rows = list(_decoded(files, index, progress))
    index.thorough = True
    _refuse(files, index, skip_bad)
    return index, np.stack(rows)


def in_threads(work: Callable[[int], T], indices: Iterable[int]) -> Iterator[T | BadImage]:
    """`work` of each index, in order, by a few threads, a bounded number at a time; a BadImage is given, not raised."""

    def safely(i: int) -> T | BadImage:
        try:
            return work(i)
        except BadImage as error:
            return error

    indices = list(indices)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(indices), 64):
            yield from pool.map(safely, indices[start : start + 64])


def told(files: Files, bad: dict[int, str]) -> str:
    """Up to three bad files with their reasons, and how many more."""
    return notes.first_few([f"{files.entries[i].name} ({reason})" for i, reason in sorted(bad.items())])


def _index(files: Files, want: cache.Want) -> Index:
    """The form of the images from their headers, and the files that have none; raises InputError where no file has one."""
    reader = Reader(files)
    headers: dict[int, Header] = {}
    bad = {}
    for i, found in enumerate(in_threads(lambda i: header(reader(i)), range(len(files)))):
        if isinstance(found, BadImage):
            bad[i] = str(found)
        else:
            headers[i] = found
    index = Index(Form(1, 1, 1), bad, False)
    _refuse(files, index, skip_bad=True)  # the rest once everything was decoded, so that all bad files are told at once
    height, width = want.size or _one_size(files, headers)
    channels = want.channels or (1 if all(h.grey for h in headers.values()) else 3)
    index.form = Form(height, width, channels, want.crop)
    return index


def _one_size(files: Files, headers: dict[int, Header]) -> tuple[int, int]:
    sizes: dict[tuple[int, int], int] = {}
    for i, h in headers.items():
        sizes.setdefault((h.height, h.width), i)
    if len(sizes) > 1:
        (a, first), (b, second) = list(sizes.items())[:2]
        raise InputError(
            f"images in {files.root} have {len(sizes)} sizes: {files.entries[first].name} is {a[1]}x{a[0]}, "
            f"{files.entries[second].name} is {b[1]}x{b[0]} (width x height); give one to scale them to: --size {min(a)}"
        )
    return next(iter(sizes))


def _decoded(files: Files, index: Index, progress: Progress | None) -> Iterator[np.ndarray]:
    """Each readable image, (c, h, w); files found bad on the way are added to `index.bad`."""
    reader, form = Reader(files), index.form
    todo = [i for i in range(len(files)) if i not in index.bad]
    for done, (i, found) in enumerate(zip(todo, in_threads(lambda i: decode(reader(i), form), todo), strict=True), 1):
        if isinstance(found, BadImage):
            index.bad[i] = str(found)
        else:
            yield found
        if progress is not None:
            progress(done, len(todo))


def _write(temporary: Path, files: Files, index: Index, skip_bad: bool, progress: Progress | None) -> None:
    """Decode everything into a .npy file, image by image: a full disk is then an error, not a crash as in a memory map."""
    with open(temporary, "wb") as out:
        start = _npy_header(out, len(files), index.form)
        for image in _decoded(files, index, progress):
            out.write(image.data)
        index.thorough = True
        _refuse(files, index, skip_bad)
        # numpy pads its header for this: the number of rows can be corrected in place.
        out.seek(0)
        if _npy_header(out, len(files) - len(index.bad), index.form) != start:
            raise RunError(f"can't write {temporary}: the header of the .npy format changed its length")


def _npy_header(out: BinaryIO, rows: int, form: Form) -> int:
    shape = (rows, form.channels, form.height, form.width)
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.tell()


def _refuse(files: Files, index: Index, skip_bad: bool) -> None:
    """Raise InputError where files are bad and may not be skipped, or where none is left."""
    if len(index.bad) == len(files):
        raise InputError(f"none of the {len(files)} files in {files.root} can be read: {told(files, index.bad)}")
    if index.bad and not skip_bad:
        raise InputError(
            f"{len(index.bad)} of {len(files)} files in {files.root} can't be read: {told(files, index.bad)}; "
            f"replace them, or --skip-bad to leave them out"
        )


def _fingerprint(files: Files, index: Index, mirror: bool) -> str:
    settings = repr((files.digest(stamps=False), index.form, sorted(index.bad), mirror))
    return hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()
