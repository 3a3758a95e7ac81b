"""The image files of a folder or zip: which they are, their classes, and what is odd about them. Nothing is decoded here."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pinxit.core.errors import InputError
from pinxit.core.labels import UNKNOWN
from pinxit.data.decode import BadImage
from pinxit.data.notes import first_few

# fmt: off
SUFFIXES = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".bmp", ".dib", ".gif",
    ".webp", ".avif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico",
})
# fmt: on
LABELS = "dataset.json"
_TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class Entry:
    """A file: its path inside the root with forward slashes, its bytes, and its mtime in ns (in a zip: its CRC)."""

    name: str
    size: int
    stamp: int

    @property
    def suffix(self) -> str:
        """The end of the name in lower case, with its dot."""
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True)
class Files:
    """The images of a split of a folder or zip, in sorted order.

    Args:
        root: the folder or zip.
        split: which images of it.
        entries: one an image.
        labels: the class of each, -1 where unknown, or None.
        class_names: in sorted order, over all splits.
        has_test: whether there is a test split.
        ignored: suffixes of the files that are no images, with their numbers.
        notes: one line each.
    """

    root: Path
    split: str
    entries: tuple[Entry, ...]
    labels: tuple[int, ...] | None
    class_names: tuple[str, ...]
    has_test: bool
    ignored: dict[str, int]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """The number of files."""
        return len(self.entries)

    def digest(self, *, stamps: bool) -> str:
        """A hash of names, sizes and labels; with `stamps` also of folders' modification times (zips' CRCs always)."""
        labels = repr((self.split, self.labels, self.class_names))
        digest = hashlib.blake2b(labels.encode(errors="surrogateescape"), digest_size=16)
        stamps = stamps or self.root.is_file()
        for entry in self.entries:
            line = f"{entry.name}\0{entry.size}\0{entry.stamp if stamps else ''}\n"
            digest.update(line.encode(errors="surrogateescape"))
        return digest.hexdigest()


class Reader:
    """Reads the files of a list; safe in threads and after a fork."""

    def __init__(self, files: Files) -> None:
        self._root, self._entries = files.root, files.entries
        self._zip: zipfile.ZipFile | None = None
        self._owner = -1

    def __call__(self, index: int) -> bytes:
        """The content of file `index`; raises BadImage where it can't be read."""
        name = self._entries[index].name
        try:
            return self._opened().read(name) if self._root.is_file() else (self._root / name).read_bytes()
        except Exception as error:  # zipfile raises RuntimeError, zlib.error, NotImplementedError and more
            raise BadImage(getattr(error, "strerror", None) or " ".join(str(error).split())[:120]) from None

    def __getstate__(self) -> dict[str, Any]:
        """Without the open zip, for processes that are started by pickling."""
        return {**self.__dict__, "_zip": None, "_owner": -1}

    def _opened(self) -> zipfile.ZipFile:
        # A handle inherited by a forked worker shares its file position with the parent: each process opens its own.
        if self._zip is None or self._owner != os.getpid():
            self._zip, self._owner = zipfile.ZipFile(self._root), os.getpid()
        return self._zip


def scan(root: Path, split: str) -> Files:
    """The images of a split of a folder or zip.

    Sub-folders are classes; images deeper down belong to the top one. `train` beside `test` (or `val`) are splits. A
    `dataset.json` = {"labels": [[name, class, vector or null], ...] or null} is obeyed instead. Hidden files are ignored.

    Raises:
        InputError: a run's folder, no images, no such split, or a `dataset.json` that does not fit.
    """
    if (root / "config.yaml").exists() and (root / "checkpoints").is_dir():
        raise InputError(f"{root} is the folder of a run, its pictures are no data: give a folder of images")
    found = sorted(_zipped(root) if root.is_file() else _walk(root, ""), key=lambda entry: entry.name)
    images = [entry for entry in found if entry.suffix in SUFFIXES]
    ignored = Counter(e.suffix or e.name for e in found if e.suffix not in SUFFIXES and not e.name.endswith(LABELS))
    if not images:
        raise InputError(f"{root} holds no images{_others(ignored)}; images end in .png, .jpg, .webp, .tif and the like")
    lists = {entry.name for entry in found if entry.name.endswith(LABELS)}
    prefix = _wrapper(images) if root.is_file() and LABELS not in lists else ""
    splits, notes = ({"train": prefix}, []) if prefix + LABELS in lists else _splits(images, prefix)
    if split not in splits:
        raise InputError(f"{root} has no {split} split: it would need folders train/ and test/ (or val/) beside each other")
    inside = splits[split]
    chosen = [entry for entry in images if entry.name.startswith(inside)]
    if inside + LABELS in lists:
        labels, names, more = _labels_of_json(root, inside, chosen)
    else:
        labels, names, more = _labels_of_folders(root, images, sorted(set(splits.values())), inside)
    return Files(root, split, tuple(chosen), labels, names, len(splits) == 2, dict(ignored), (*notes, *more))


def _walk(folder: Path, prefix: str, above: tuple[str, ...] = ()) -> Iterator[Entry]:
    """Every file below `folder` that is not hidden; links are followed, except in circles."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as listed:
            for item in listed:
                if item.name.startswith("."):
                    continue
                if item.is_dir():
                    yield from _walk(Path(item.path), f"{prefix}{item.name}/", (*above, real))
                elif item.is_file():
                    stat = item.stat()
                    yield Entry(prefix + item.name, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise InputError(f"can't read folder {folder}: {error.strerror}") from None


def _zipped(path: Path) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}  # of a name written twice the last, as it is read
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"can't read {path} as a zip: {error}; make or get it anew") from None
    for info in infos.values():
        parts = info.filename.split("/")
        if not info.is_dir() and not any(part.startswith(".") or part == "__MACOSX" for part in parts):
            yield Entry(info.filename, info.file_size, info.CRC)


def _tops(images: Sequence[Entry], prefix: str) -> set[str]:
    """The folders right below `prefix` that hold images; "" stands for images right there."""
    inner = (entry.name[len(prefix) :] for entry in images if entry.name.startswith(prefix))
    return {name.partition("/")[0] if "/" in name else "" for name in inner}


def _wrapper(images: Sequence[Entry]) -> str:
    """The one folder around everything that zipping a folder puts there, or ""."""
    tops = _tops(images, "")
    if len(tops) != 1 or "" in tops:
        return ""
    prefix = f"{tops.pop()}/"
    return prefix if "" not in _tops(images, prefix) or len(_tops(images, prefix)) > 1 else ""


def _splits(images: Sequence[Entry], prefix: str) -> tuple[dict[str, str], list[str]]:
    """The prefix of each split, and notes."""
    tops = {top.lower(): top for top in _tops(images, prefix)}
    test = next((tops[name] for name in _TEST_NAMES if name in tops), None)
    if "train" not in tops or (test is None and len(tops) > 1):
        return {"train": prefix}, []
    splits = {"train": f"{prefix}{tops['train']}/"}
    if test is not None:
        splits["test"] = f"{prefix}{test}/"
    rest = sum(entry.name.startswith(prefix) and not entry.name.startswith(tuple(splits.values())) for entry in images)
    return splits, [f"{rest} images outside {', '.join(s for s in splits.values())} are left out"] if rest else []


def _labels_of_folders(
    root: Path, images: Sequence[Entry], prefixes: Sequence[str], inside: str
) -> tuple[tuple[int, ...] | None, tuple[str, ...], list[str]]:
    """Labels by top folder, class names over all splits, notes."""
    tops = set().union(*(_tops(images, prefix) for prefix in prefixes))
    if tops == {""}:
        return None, (), []
    if "" in tops:
        loose = next(e.name for e in images if e.name.startswith(inside) and "/" not in e.name[len(inside) :])
        note = f"images such as {loose} lie beside the class folders, so no labels are used: move them to have classes"
        return None, (), [note]
    names = tuple(sorted(tops))
    number = {name: i for i, name in enumerate(names)}
    inner = [entry.name[len(inside) :] for entry in images if entry.name.startswith(inside)]
    labels = tuple(number[name.partition("/")[0]] for name in inner)
    below = _tops(images, f"{inside}{names[0]}/") - {""} if len(names) == 1 else set()
    if len(below) < 2:
        return labels, names, []
    here = f"{inside}{names[0]}"
    folders = f"{len(below)} folders of its own ({first_few(sorted(below))})"
    return labels, names, [f"every image lies under {here}/, which has {folders}: if these are the classes, load {root / here}"]


def _labels_of_json(
    root: Path, inside: str, images: Sequence[Entry]
) -> tuple[tuple[int, ...] | None, tuple[str, ...], list[str]]:
    """Labels by StyleGAN's dataset.json, class names, notes."""
    where = f"{root / inside / LABELS}"
    try:
        if root.is_file():
            with zipfile.ZipFile(root) as archive:
                content = archive.read(inside + LABELS)
        else:
            content = (root / inside / LABELS).read_bytes()
        pairs = json.loads(content)["labels"]
        given = None if pairs is None else {str(name).replace("\\", "/"): label for name, label in pairs}
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f'{where} must be {{"labels": [[name, label], ...]}} or {{"labels": null}}: {reason}') from None
    if not given:
        return None, (), []
    missing = [e.name for e in images if e.name[len(inside) :] not in given]
    if missing:
        raise InputError(f"{where} has no label for {len(missing)} of {len(images)} images, not even null: {first_few(missing)}")
    values = [_class_of(given[e.name[len(inside) :]]) for e in images]
    if None in values:
        return None, (), [f"the labels in {where} are neither whole numbers nor one-hot vectors: they are not used"]
    count = max(value for value in (_class_of(label) for label in given.values()) if value is not None) + 1
    if not count:
        return None, (), []
    return tuple(v for v in values if v is not None), tuple(str(c) for c in range(count)), []


def _class_of(label: Any) -> int | None:
    """A class number from a whole number or a one-hot vector, -1 from null or -1 for unknown; None for anything else."""
    if label is None:
        return UNKNOWN
    if isinstance(label, list):
        return label.index(1) if sorted(label) == [0] * (len(label) - 1) + [1] else None
    return label if isinstance(label, int) and not isinstance(label, bool) and label >= UNKNOWN else None


def _others(ignored: dict[str, int]) -> str:
    if not ignored:
        return ""
    return f": {sum(ignored.values())} files of other kinds ({first_few([f'{kind} {count}' for kind, count in ignored.items()])})"
