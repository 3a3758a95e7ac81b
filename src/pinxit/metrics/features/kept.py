"""Feature matrices on disk: made block by block, gone on with after an interruption, checked whenever they are read.

`<key>.npy` is the matrix and `<key>.sums` a checksum of each unit of its rows. While it is made it is called `<key>.part`; only a
whole one gets the name by which it is found. What was not read for longest goes when a folder has grown beyond `KEPT`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pinxit.core.errors import RunError
from pinxit.data import catalogue
from pinxit.metrics.features.sources import UNIT

BLOCK = 1024
KEPT = 4 * 1024**3
"""Bytes of whole matrices in a folder."""


class InMemory:
    """Rows that are kept nowhere."""

    done = 0
    path: Path | None = None

    def __init__(self, n: int, dim: int) -> None:
        self._rows = torch.empty(n, dim)
        self._next = 0

    def __enter__(self) -> InMemory:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, rows: Tensor) -> None:
        """The next unit's rows."""
        self._rows[self._next : self._next + len(rows)] = rows
        self._next += len(rows)

    def finish(self) -> Tensor:
        """All rows."""
        return self._rows


class OnDisk:
    """Rows that are written to a file unit by unit, from unit `done`, which an earlier attempt reached.

    Args:
        path: the .npy file that it becomes.
        n, dim: its shape.
        block: rows between two savings.

    Raises:
        OSError: the folder can't be written, or another process makes the same matrix.
    """

    def __init__(self, path: Path, n: int, dim: int, block: int = BLOCK) -> None:
        self.path, self._n, self._dim = path, n, dim
        self._part, self._sums = path.with_suffix(".part"), path.with_suffix(".sums")
        self._every = max(1, -(-block // UNIT))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _owned(self._part)
        try:
            self._head = _header(n, dim)
            sums = self._verified()
            self.done, self._unsaved = len(sums), []
            self._file.seek(0)
            self._file.write(self._head)
            self._file.truncate(self._at(self.done))
            self._file.seek(self._at(self.done))
            self._log = open(self._sums, "w")  # noqa: SIM115
            self._log.writelines(f"{line}\n" for line in sums)
            self._log.flush()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> OnDisk:
        return self

    def __exit__(self, *_: object) -> None:
        # What can't be saved here was refused, and told, before: that error must not be hidden by another.
        with suppress(OSError):
            if not self._log.closed:
                self._save()
        with suppress(OSError):
            self._log.close()
        self._file.close()

    def add(self, rows: Tensor) -> None:
        """The next unit's rows."""
        content = np.ascontiguousarray(rows.numpy(), np.float32)
        with _said_aloud(self._part):
            if self._file.write(content.data) != content.nbytes:  # unbuffered, and cut short where a disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._unsaved.append(_sum(content.data))
            if len(self._unsaved) >= self._every:
                self._save()

    def finish(self) -> Tensor:
        """All rows, memory-mapped, under the name by which they are found."""
        with _said_aloud(self._part):
            self._save()
            os.fsync(self._file.fileno())
            self._log.close()
            if os.name != "posix":  # where an open file has no second name; elsewhere the lock is held to the end
                self._file.close()
            os.replace(self._part, self.path)
            self._file.close()
        _drop_old(self.path)
        return torch.from_numpy(np.load(self.path, mmap_mode="c", allow_pickle=False))

    def _save(self) -> None:
        """A checksum is written after the rows that it is of."""
        self._log.writelines(f"{line}\n" for line in self._unsaved)
        self._log.flush()
        self._unsaved = []

    def _verified(self) -> list[str]:
        """The checksums of the units that an earlier attempt left whole."""
        whole: list[str] = []
        if self._file.read(len(self._head)) != self._head or not self._sums.is_file():
            return whole
        for unit, line in enumerate(self._sums.read_text(errors="replace").splitlines()):
            size = self._at(unit + 1) - self._at(unit)
            content = self._file.read(size)
            if size == 0 or len(content) != size or _sum(content) != line:
                break
            whole.append(line)
        return whole

    def _at(self, unit: int) -> int:
        return len(self._head) + min(unit * UNIT, self._n) * self._dim * 4


def read(key: str, n: int, dim: int) -> tuple[Tensor, Path] | None:
    """The matrix of a key, memory-mapped, and its file; None where there is none. A damaged one is named and removed."""
    for folder in folders():
        path = folder / f"{key}.npy"
        if not path.is_file():
            continue
        rows = _whole(path, n, dim)
        if rows is not None:
            with suppress(OSError):
                os.utime(path)  # what was read last is dropped last
            return torch.from_numpy(rows), path
        warnings.warn(f"{path} is damaged (its checksums do not fit): its features are computed anew", stacklevel=3)
        for file in (path, path.with_suffix(".sums")):
            file.unlink(missing_ok=True)
    return None


def _drop_old(newest: Path) -> None:
    """Remove the matrices beside `newest` that were read longest ago, until all of them take `KEPT` bytes."""
    with suppress(OSError):  # another process may do the same, and a file in use may have to stay
        files = sorted(newest.parent.glob("*.npy"), key=lambda file: file.stat().st_mtime_ns)
        size = sum(file.stat().st_size for file in files)
        for file in files:
            if size > KEPT and file != newest:
                size -= file.stat().st_size
                file.unlink()
                file.with_suffix(".sums").unlink(missing_ok=True)


def _whole(path: Path, n: int, dim: int) -> np.ndarray | None:
    """The matrix in a file, where it is one of that shape whose checksums fit."""
    try:
        rows = np.load(path, mmap_mode="c", allow_pickle=False)
        sums = path.with_suffix(".sums").read_text().splitlines()
    except (OSError, ValueError, EOFError):
        return None
    if rows.shape != (n, dim) or rows.dtype != np.float32:
        return None
    return rows if sums == [_sum(rows[i : i + UNIT].data) for i in range(0, n, UNIT)] else None


def writer(key: str | None, n: int, dim: int, block: int) -> OnDisk | InMemory:
    """Where a matrix is made: in the first folder that takes it, else in memory with a warning.

    Without a key, or where another process makes the same matrix and will keep it, in memory.
    """
    if key is None:
        return InMemory(n, dim)
    reason = ""
    for folder in folders():
        try:
            return OnDisk(folder / f"{key}.npy", n, dim, block)
        except BlockingIOError:
            return InMemory(n, dim)
        except OSError as error:
            reason = f"{folder}: {error.strerror or error}"
    warnings.warn(f"features are computed but not kept ({reason})", stacklevel=3)
    return InMemory(n, dim)


def folders() -> tuple[Path, ...]:
    """Where features are kept: beside the data sets, or in the user's own cache where that is a folder of others."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinxit"
    return tuple(dict.fromkeys(folder / "features" for folder in (catalogue.folder(), own)))


def _owned(path: Path) -> io.FileIO:
    """`path` opened to be gone on with, and locked where the system can: two writers would spoil it."""
    path.touch()
    handle = open(path, "r+b", buffering=0)  # noqa: SIM115
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking, the other may have finished and renamed it.
            if not path.exists() or path.stat().st_ino != os.fstat(handle.fileno()).st_ino:
                raise BlockingIOError
        except OSError:
            handle.close()
            raise
    return handle


def _header(n: int, dim: int) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (n, dim)})
    return out.getvalue()


def _sum(content: bytes | memoryview) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@contextmanager
def _said_aloud(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"can't write {path}: {reason}; what is there is gone on with: make room, or extract without a cache"
        ) from error
