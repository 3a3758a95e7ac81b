"""Files that are whole or not there: written under a temporary name, flushed to disk, renamed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pinxit.core.errors import InputError, RunError


@contextmanager
def said_aloud(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal into one line that names the file and what to do."""
    try:
        yield
    except OSError as error:
        reason, room = error.strerror or str(error), "make room or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise RunError(f"can't write {path}: {reason}; what was saved before is intact: {room}choose another place") from error


def probe(path: Path) -> None:
    """Raise RunError now if `path` can't be written later: a folder, or in a folder that can't be made or written in."""
    with said_aloud(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def write(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    write_with(path, lambda temporary: temporary.write_bytes(content.encode() if isinstance(content, str) else content))


def write_with(path: Path, writer: Callable[[Path], object]) -> None:
    """Let `writer` fill a temporary file (of the same suffix) and rename it to `path`."""
    temporary = path.with_name(f".{path.stem}.tmp{os.getpid()}{path.suffix}")
    with said_aloud(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writer(temporary)
            _flush(temporary)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` if the block ends well, and vanishes if it does not."""
    temporary = path.with_name(f".tmp-{path.name}")
    with said_aloud(path):
        try:
            if temporary.exists():
                shutil.rmtree(temporary)
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.iterdir():
                _flush(file)
            _flush(temporary)
            remove(path)
            os.replace(temporary, path)
            _flush(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep `folder` to this process: raises InputError where another is at work in it.

    The system lets go of it however a process ends, SIGKILL included. Where files can't be locked (Windows, some network disks)
    nobody is kept out.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with said_aloud(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of the process: its workers do not hold it
        except (BlockingIOError, PermissionError):
            raise InputError(
                f"another process is at work in {folder}: wait for it, stop it, or take another folder (--run)"
            ) from None
        except OSError:
            pass
        yield


def remove(path: Path) -> None:
    """Remove a folder, by a name that is nobody's first: killed midway, no part of it remains under its own."""
    aside = path.with_name(f".tmp-old-{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    if path.exists():
        os.replace(path, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    """Ask the operating system to put `path` on the disk."""
    if os.name != "posix" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
