"""Where a run stands. Everything random in training is a function of this and the seed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """A position in a run.

    Args:
        stage: index of the stage, from 0.
        round: rounds finished in this stage.
        step: rounds finished since the start, over all stages.
        images: real images drawn since the start, over all processes.
        progress: `round` divided by the stage's rounds, in [0, 1].
    """

    stage: int = 0
    round: int = 0
    step: int = 0
    images: int = 0
    progress: float = 0.0
