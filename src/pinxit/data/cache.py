"""The cache of packed folders: where it lies, what makes it stale, how it is read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import PIL

from pinxit.core import files as whole
from pinxit.core.errors import RunError
from pinxit.data import catalogue
from pinxit.data.decode import Form
from pinxit.data.filelist import Files

FORMAT = 3
PIXELS = "images.npy"
_INDEX = "index.json"
_NAME = ".pinxit-cache-"


@dataclass(frozen=True)
class Want:
    """What was asked of the images; None leaves it to them."""

    size: tuple[int, int] | None
    channels: int | None
    crop: str


@dataclass
class Index:
    """What is known of the files of a list.

    Args:
        form: what each becomes.
        bad: the files that can't be read, with the reason.
        thorough: whether every file was decoded, not its header alone.
    """

    form: Form
    bad: dict[int, str]
    thorough: bool


def places(files: Files, want: Want, *, to_write: bool = False) -> Iterator[Path]:
    """The folders where the cache of `files` may be: inside the folder or beside the zip, else in the user's cache."""
    if not to_write or os.access(_beside(files), os.W_OK):
        yield _beside(files) / f"{_NAME}{_key(files, want)}"
    # Folders of one package may hold files of equal names, sizes and times.
    yield _users() / f"{_NAME}{_key(files, want, files.root.resolve())}"


def read_index(files: Files, want: Want) -> Index | None:
    """What an earlier survey or pack of the same files learned, or None."""
    for place in places(files, want):
        try:
            found = json.loads((place / _INDEX).read_text())
            bad = {int(i): reason for i, reason in found["bad"].items()}
            return Index(Form(**found["form"]), bad, found["thorough"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


def write_index(files: Files, want: Want, index: Index) -> None:
    """Keep `index` and drop the caches of earlier contents of the same folder or zip; does nothing where it can't."""
    root = {"name": files.root.name, "path": str(files.root.resolve())}
    about = {**root, "split": files.split, "files": files.digest(stamps=True)}
    content = json.dumps({**about, "form": asdict(index.form), "bad": index.bad, "thorough": index.thorough}, indent=1)
    for place in places(files, want, to_write=True):
        try:
            whole.write(place / _INDEX, content + "\n")
        except RunError:
            continue
        break
    # A folder may be moved with its cache; in the user's cache, folders of one name meet.
    _drop_stale(_beside(files), about, "name")
    _drop_stale(_users(), about, "path")


def read_pixels(files: Files, want: Want, index: Index) -> np.ndarray | None:
    """The packed images (n, c, h, w) uint8 as a private memory map, or None where there are none that fit `index`."""
    form = index.form
    shape = (len(files) - len(index.bad), form.channels, form.height, form.width)
    for place in places(files, want):
        try:
            pixels = np.load(place / PIXELS, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            continue
        if pixels.shape == shape and pixels.dtype == np.uint8:
            return pixels
    return None


def _drop_stale(folder: Path, about: dict[str, str], by: str) -> None:
    for other in folder.glob(f"{_NAME}*"):
        try:
            found = json.loads((other / _INDEX).read_text())
            same = found[by] == about[by] and found["split"] == about["split"]
            if same and found["files"] != about["files"]:
                shutil.rmtree(other, ignore_errors=True)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _beside(files: Files) -> Path:
    return files.root.parent if files.root.is_file() else files.root


def _users() -> Path:
    return catalogue.folder() / "packed"


def _key(files: Files, want: Want, place: Path | None = None) -> str:
    """Changes with the files (names, sizes, times), what is asked of them, what decodes them, and their place if it is said."""
    parts = (FORMAT, PIL.__version__, files.digest(stamps=True), want, *([] if place is None else [str(place)]))
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
