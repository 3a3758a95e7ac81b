"""Files are whole or not there, whatever happens while they are written."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from pinxit.core import files
from pinxit.core.errors import InputError, RunError

HOLDS = """
import os, sys, time
from pathlib import Path
from pinxit.core import files

with files.alone(Path(sys.argv[1])):
    worker = os.fork()
    if worker:
        print(worker, flush=True)
    time.sleep(60)
"""


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("no"), Killed(), KeyboardInterrupt()]
)
def test_a_failing_writer_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def writer(temporary):
        temporary.write_text("half")
        raise error

    expected = RunError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        files.write_with(path, writer)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("name", ["fsync", "replace", "open"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, name):
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, name, full)
    with pytest.raises(RunError, match=r"can't write .*a\.txt: No space left on device; what was saved before is intact"):
        files.write(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_writing(tmp_path):
    files.write(tmp_path / "deep" / "a.bin", b"\x00\xff")
    files.write(tmp_path / "deep" / "b.txt", "γ\n")
    assert (tmp_path / "deep" / "a.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "deep" / "b.txt").read_bytes() == "γ\n".encode()
    assert sorted(os.listdir(tmp_path / "deep")) == ["a.bin", "b.txt"]


def test_the_temporary_file_keeps_the_suffix(tmp_path):
    names = []
    files.write_with(tmp_path / "a.png", lambda path: (names.append(path.name), path.write_text("x")))
    assert names[0].endswith(".png")


def test_it_is_on_disk_before_it_is_named(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), replace(a, b)))
    files.write(tmp_path / "a.txt", "x")
    assert events[1] == "rename"
    assert events[0].startswith(".a.tmp")
    assert events[2] == tmp_path.name
    events.clear()
    with files.new_folder(tmp_path / "f") as new:
        (new / "one").write_text("1")
    assert events == ["one", ".tmp-f", "rename", tmp_path.name]


@pytest.mark.parametrize("existing", [False, True])
def test_a_failing_block_leaves_the_old_folder_and_no_other(tmp_path, existing):
    path = tmp_path / "step"
    if existing:
        path.mkdir()
        (path / "a").write_text("old")
    with pytest.raises(Killed), files.new_folder(path) as new:
        (new / "a").write_text("new")
        raise Killed
    assert os.listdir(tmp_path) == (["step"] if existing else [])
    assert not existing or (path / "a").read_text() == "old"


@pytest.mark.parametrize("name", ["fsync", "replace", "mkdir"])
def test_a_full_disk_leaves_no_new_folder(tmp_path, monkeypatch, name):
    monkeypatch.setattr(os, name, full)
    with pytest.raises(RunError, match="No space left on device"), files.new_folder(tmp_path / "step") as new:
        (new / "a").write_text("new")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_a_new_folder_takes_the_place_of_remains_and_of_an_older_one(tmp_path):
    (tmp_path / ".tmp-step").mkdir()
    (tmp_path / ".tmp-step" / "rest").write_text("half")
    (tmp_path / "step").mkdir()
    (tmp_path / "step" / "old").write_text("old")
    with files.new_folder(tmp_path / "step") as new:
        (new / "a").write_text("new")
    assert os.listdir(tmp_path) == ["step"]
    assert os.listdir(tmp_path / "step") == ["a"]


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't write .*: (Not a directory|File exists)"):
        files.write(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(RunError, match="Not a directory"), files.new_folder(tmp_path / "file" / "step"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_a_folder_is_one_process_s_until_that_is_killed_whatever_its_workers_do(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        worker = int(other.stdout.readline())
        try:
            with (
                pytest.raises(InputError, match="another process is at work in .*run: wait for it, stop it, or"),
                files.alone(folder),
            ):
                pass
            other.kill()
            other.wait()
            with files.alone(folder):
                pass
            os.kill(worker, 0)  # it is alive
        finally:
            os.kill(worker, signal.SIGKILL)
