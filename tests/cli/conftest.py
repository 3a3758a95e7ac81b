from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pinxit.cli import main


class Answer(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def pinxit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Answer]:
    """The command line in this process and in an empty folder: `pinxit("train", "gan")`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: object) -> Answer:
        capsys.readouterr()
        status = main([str(word) for word in words])
        return Answer(status, *capsys.readouterr())

    return call


@pytest.fixture
def refused(pinxit: Callable[..., Answer]) -> Callable[..., str]:
    """The one line that answers a mistake: status 2, nothing on stdout, nothing written."""

    def call(*words: object) -> str:
        before = set(Path().rglob("*"))
        answer = pinxit(*words)
        assert answer.status == 2
        assert answer.out == ""
        assert answer.err.startswith("pinxit: ")
        assert answer.err.count("\n") == 1
        assert set(Path().rglob("*")) == before
        return answer.err

    return call


def _trained(system: str, folder: Path) -> Path:
    assert main(["train", system, "--preset", "tiny", "--run", str(folder), "--log-every", "2"]) == 0
    return folder


@pytest.fixture(scope="session")
def gan_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _trained("gan", tmp_path_factory.mktemp("cli") / "gan-run")


@pytest.fixture(scope="session")
def vae_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _trained("vae", tmp_path_factory.mktemp("cli") / "vae-run")
