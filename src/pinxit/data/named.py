"""Reading the named image sets: the bundled one, MNIST and Fashion-MNIST from IDX or npz files, CIFAR-10 through torchvision."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from pinxit.core.errors import InputError
from pinxit.data import catalogue

if TYPE_CHECKING:
    import numpy as np

# What tells MNIST from Fashion-MNIST, whose files have the same names.
_FIRST_LABELS = {
    ("mnist", "train"): [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    ("mnist", "test"): [7, 2, 1, 0, 4, 1, 4, 9, 5, 9],
    ("fashion-mnist", "train"): [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
    ("fashion-mnist", "test"): [9, 2, 1, 1, 6, 1, 4, 6, 5, 7],
}


def read(name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, h, w) or (n, h, w, c) uint8 and labels (n,) int64 of a split of a named set, in the original order.

    Raises:
        InputError: the set is not here and can't be downloaded, or its files are damaged or another set's.
    """
    if name == "cifar10":
        return _cifar10(split)
    place = catalogue.located(name)
    if place is None:
        _download("MNIST" if name == "mnist" else "FashionMNIST", name)
        place = catalogue.located(name)
        if place is None:
            raise InputError(f"the download of {name} left no files in {catalogue.folder()}: {catalogue.how_to_get(name)}")
    images, labels = _read_npz_pair(place, split) if place.suffix == ".npz" else read_idx_pair(place, split)
    expected = _FIRST_LABELS.get((name, split))
    if expected is not None and labels[:10].tolist() != expected:
        raise InputError(
            f"{place} does not hold {name}: its first {split} labels are {labels[:10].tolist()}, not {expected}; "
            f"move it away, or load it by its path"
        )
    return images, labels


def read_idx_pair(place: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, h, w) uint8 and labels (n,) int64 from the IDX files of a split in `place`; raises InputError."""
    import numpy as np

    arrays = []
    for kind in ("images", "labels"):
        path = catalogue.idx_file(place, split, kind)
        if path is None:
            raise InputError(f"{place} has no IDX file of the {split} {kind}")
        arrays.append(read_idx(path))
    images, labels = arrays
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise InputError(f"IDX files in {place} don't belong together: images {images.shape}, labels {labels.shape}")
    return images, labels.astype(np.int64)


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an IDX file, gzipped where its name ends in .gz; raises InputError naming the file."""
    import numpy as np

    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"can't read {path}: {error}; get it anew") from None
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise InputError(f"{path} is not an IDX file of bytes: it starts with {content[:4].hex()}; get it anew")
    shape = tuple(int(d) for d in np.frombuffer(content, ">i4", content[3], 4))
    body = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
    if body.size != np.prod(shape, dtype=np.int64):
        raise InputError(f"{path} is cut short: {body.size} bytes for shape {shape}; get it anew")
    return body.reshape(shape).copy()


def _read_npz_pair(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    from pinxit.data.arrays import read_npz

    read = read_npz(path, split)
    if read.labels is None:
        raise InputError(f"{path} has no y_{split}: its keys must be x_train, y_train, x_test, y_test")
    return read.pixels, read.labels


def _download(kind: str, name: str) -> None:
    try:
        import torchvision.datasets

        getattr(torchvision.datasets, kind)(catalogue.folder(), download=True)
    except (ImportError, OSError, RuntimeError) as error:
        # URLError is an OSError; torchvision turns a failure of every mirror into a RuntimeError.
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"can't download {name} ({reason}): {catalogue.how_to_get(name)}") from None


def _cifar10(split: str) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    if catalogue.located("cifar10") is None:
        _download("CIFAR10", "cifar10")
    import torchvision.datasets

    try:
        found = torchvision.datasets.CIFAR10(catalogue.folder(), train=split == "train")
    except (OSError, RuntimeError) as error:
        raise InputError(f"can't read cifar10 in {catalogue.folder()} ({error}): {catalogue.how_to_get('cifar10')}") from None
    return np.asarray(found.data), np.asarray(found.targets, dtype=np.int64)
