"""The numbers of a run: sums on the device, one read-back a logging interval, one line of metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pinxit.core import files
from pinxit.core.clock import Clock
from pinxit.core.engine import Engine
from pinxit.core.errors import InputError
from pinxit.core.game import Loss, Stats, Turn


class Records:
    """Means of losses and stats over a logging interval, equal bit for bit in a resumed run.

    Args:
        path: metrics.jsonl; written by the first process only.
        engine: averages over processes.
    """

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path, self.engine = path, engine
        self.last: dict[str, float] = {}
        self._turn: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, turn: Turn, loss: Loss, parts: int) -> None:
        """Take in one of the `parts` micro-batches of a turn: scalars are averaged over them, larger tensors joined."""
        for key, value in ((turn.name, loss.total), *((f"{turn.player}/{key}", v) for key, v in loss.stats.items())):
            value = value.detach()
            if value.numel() == 1:  # a count has no halves, and bfloat16 few digits
                value = value.to(torch.promote_types(value.dtype, torch.float32))
            if parts > 1 and value.numel() == 1:
                value = value / parts
                if key in self._turn:
                    value = value + self._turn[key]
            elif key in self._turn:
                value = torch.cat((self._turn[key], value))
            self._turn[key] = value

    def end(self, turn: Turn) -> Stats:
        """Close a turn: add its scalars to the interval's sums and return its stats under their own names."""
        for key, value in self._turn.items():
            if value.numel() == 1:
                self.note(key, value)
        skip = len(turn.player) + 1
        stats = {key[skip:]: value for key, value in self._turn.items()}
        self._turn = {}
        return stats

    def note(self, key: str, value: Tensor) -> None:
        """Add a number to the sum of `key` over the interval."""
        if key in self._sums:
            self._sums[key].add_(value if value.dim() == 0 else value.reshape(()))
        else:  # a copy: a stat may be a buffer of the game itself
            self._sums[key] = value.reshape(()).to(torch.float32, copy=True)
        self._counts[key] = self._counts.get(key, 0) + 1

    def shared(self, stats: Stats) -> Stats:
        """The same in every process, so that state made from it stays equal: scalars averaged, larger tensors joined.

        A tensor of more than one element is a batch (an image pool's fakes): the processes' shares follow one another.
        """
        if self.engine.world == 1:
            return stats
        scalars = [key for key, value in stats.items() if value.numel() == 1]
        found = {key: value if key in scalars else self.engine.gather(value).flatten(0, 1) for key, value in stats.items()}
        if scalars:
            means = self.engine.mean(torch.stack([stats[key].reshape(()).float() for key in scalars]))
            found.update(zip(scalars, means, strict=True))
        return found

    def close(self, clock: Clock) -> dict[str, float]:
        """Close the interval: one read-back, one line, the means."""
        if self._sums:
            means = self.engine.mean(torch.stack(list(self._sums.values()))).tolist()
            self.last = {key: total / self._counts[key] for key, total in zip(self._sums, means, strict=True)}
        self._sums, self._counts = {}, {}
        if self.engine.rank == 0:
            place = {"step": clock.step, "stage": clock.stage, "round": clock.round, "images": clock.images}
            with files.said_aloud(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a") as file:
                    file.write(json.dumps({**place, **self.last}) + "\n")
        return self.last

    def state(self) -> dict[str, Any]:
        """The open interval, for a checkpoint between two lines: every process's sums, a row each."""
        sums = self.engine.gather(torch.stack(list(self._sums.values()))).cpu() if self._sums else torch.empty(0)
        return {"sums": sums, "counts": self._counts, "last": self.last}

    def rewind(self, clock: Clock, state: dict[str, Any] | None) -> None:
        """Go back to a checkpoint: its open interval, and no line of a later round (nor half a line)."""
        self._turn, self._sums, self._counts = {}, {}, {}
        if state is not None:
            self._counts, self.last = dict(state["counts"]), dict(state["last"])
            if self._counts:
                self._sums = dict(zip(self._counts, state["sums"][self.engine.rank].to(self.engine.device), strict=True))
        if self.engine.rank == 0 and self.path.exists():
            kept = [line for line in read(self.path) if line["step"] <= clock.step]
            files.write(self.path, "".join(json.dumps(line) + "\n" for line in kept))


def read(path: str | Path) -> list[dict[str, float]]:
    """The lines of a metrics.jsonl; a last line cut short by a kill is left out.

    Raises:
        InputError: a line before the last is not JSON.
    """
    lines = Path(path).read_text().splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines):
                raise InputError(f"line {number} of {path} is not JSON: restore the file or start a new --run") from None
    return rows
