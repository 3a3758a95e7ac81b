"""What watches a run: it sees (game, clock, stats) and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinxit.core.protocols import Data, Observer


def standard(run_dir: Path, data: Data, every: int, log_every: int, rounds: int, seed: int) -> list[Observer]:
    """The observers of every run.

    Args:
        run_dir: where they write.
        data: of the run; its test split is used for figures and reconstructions where it has one.
        every: rounds between pictures.
        log_every: rounds between lines of metrics.jsonl.
        rounds: of the whole run, over all stages.
        seed: of the run; decides the fixed noise and which real images are shown.

    Returns:
        In the order in which they must finish: wall time, samples, other pictures, figures, health, report, progress.
    """
    from pinxit.observers.figures import Figures
    from pinxit.observers.health import Health
    from pinxit.observers.pages import Pages
    from pinxit.observers.pictures import Pictures
    from pinxit.observers.progress import Progress
    from pinxit.observers.samples import Samples, drawable
    from pinxit.observers.timing import Timing

    run_dir = Path(run_dir)
    often = max(1, log_every // 10)
    pictures: list[Observer] = []
    if drawable(data.spec):
        pictures = [Samples(run_dir, data, every, seed), Pictures(run_dir, data, rounds, seed)]
    health = Health(run_dir, data, 2 * every, seed)
    return [
        Timing(run_dir, often, rounds),
        *pictures,
        Figures(run_dir, data, rounds, seed),
        health,
        Pages(run_dir, every),
        Progress(rounds, often=often, log_every=log_every, note=lambda: health.line),
    ]
