"""Make src/pinxit/data/bundled/fashion-mini.npz from the IDX files of Fashion-MNIST.

    apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb unpacked
    python scripts/make_bundled.py unpacked/usr/share/datasets/fashion-mnist

The four gzipped IDX files of https://github.com/zalandoresearch/fashion-mnist serve as well. The subset is the first 1,400
images of each class of the training split and the first 200 of each class of the test split, in original order; no random
numbers, and fixed times in the archive, so that a second run writes the same bytes.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np

from pinxit.core import files
from pinxit.data import catalogue, named

PER_CLASS = {"train": 1400, "test": 200}
CLASSES = 10


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Sorted indices (CLASSES * count,) of the first `count` samples of every class."""
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:count] for c in range(CLASSES)]))


def archive(arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of a compressed .npz without a trace of when or where it was made."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, array in arrays.items():
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(array), version=(1, 0))
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            zipped.writestr(entry, body.getvalue(), compresslevel=9)
    return out.getvalue()


def main() -> None:
    """Read the folder named on the command line, write the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=catalogue.DEBIAN, help="folder of the IDX files")
    parser.add_argument("--out", type=Path, default=catalogue.BUNDLED, help="the .npz to write")
    arguments = parser.parse_args()
    arrays = {}
    for split, count in PER_CLASS.items():
        images, labels = named.read_idx_pair(arguments.source, split)
        chosen = first_of_each_class(labels, count)
        arrays[f"x_{split}"], arrays[f"y_{split}"] = images[chosen], labels[chosen]
    content = archive(arrays)
    files.write(arguments.out, content)
    print(f"{arguments.out}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
