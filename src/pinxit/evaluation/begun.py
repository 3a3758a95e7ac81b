"""What a command had judged when it was cut off: kept beside the file that it writes, and not judged again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pinxit import __version__
from pinxit.core import files
from pinxit.core.errors import InputError
from pinxit.evaluation.judge import Judge, Subject
from pinxit.evaluation.scores import Evaluation, of_json


class Begun:
    """The evaluations of a command, each kept as soon as it is there.

    Args:
        out: the file that the command writes when it has all of them; until then an older one stays as it is. None keeps
            nothing.
    """

    def __init__(self, out: Path | None) -> None:
        self.path = None if out is None else out.with_name(f"{out.name}.begun")
        self._found = {} if self.path is None else _read(self.path)

    def evaluate(self, judge: Judge, subject: Subject) -> Evaluation:
        """What the judge says, or said before the interruption, of just these samples in just this protocol."""
        key = None if self.path is None else _key(judge, subject)
        if key is not None and key in self._found:
            return self._found[key]
        found = judge.evaluate_one(subject)
        if self.path is not None and key is not None:
            self._found[key] = found
            files.write(self.path, json.dumps({k: e.to_json() for k, e in self._found.items()}) + "\n")
        return found

    def finished(self) -> None:
        """All is in the file that was asked for."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _key(judge: Judge, subject: Subject) -> str | None:
    """A hash of all that decides an evaluation; None where the samples can't be told from others."""
    samples = subject.source.key()
    names = [metric.name for metric in (*judge.measures, *judge.abilities)]
    said = (__version__, samples, judge.data.fingerprint, judge.protocol, names, judge.with_controls, subject.name, subject.about)
    return None if samples is None else hashlib.blake2b(repr(said).encode(), digest_size=16).hexdigest()


def _read(path: Path) -> dict[str, Evaluation]:
    """What is there; nothing where it is damaged, as it can be made again."""
    try:
        return {key: of_json(found, str(path)) for key, found in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, InputError):
        return {}
