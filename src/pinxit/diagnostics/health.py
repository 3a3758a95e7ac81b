"""Is a sampler healthy? From samples and real data to one of five states, with the evidence in words.

    healthy      nothing below speaks against it
    drifting     modes are missing, or samples have left the data, beyond what real batches show
    saturated    the discriminator is certain of everything, so that the generator learns next to nothing
    memorising   samples are copies of training samples, or the discriminator knows the training samples by heart
    collapsed    most of the data's variety is gone

Every measure is judged twice. *Significance*: it must lie outside what real batches of the same size show (the range of 99
resamples, or an exact test), so that real data passes; the chance of a false alarm stands in each function's docstring.
*Size*: the effect must be as large as the function says, so that a good model, which no test would confuse with the data once
the batch is large enough, passes as well. The rates of both errors are measured by `experiments/health_rates.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pinxit.core.bits import as_bits
from pinxit.diagnostics.divisions import CHUNK, NEIGHBOURS, Mixture
from pinxit.diagnostics.evidence import Evidence, copied, covered, judged, of_mixture, pushed, variety
from pinxit.diagnostics.probes import Opponent, Reference
from pinxit.metrics.nearest import nearest

if TYPE_CHECKING:
    from pinxit.core.protocols import Samples

STATES = ("healthy", "drifting", "saturated", "memorising", "collapsed")
"""From the least serious to the most; a verdict is the most serious of its evidence."""


@dataclass(frozen=True)
class Health:
    """The verdict.

    Args:
        state: the most serious of the evidence.
        evidence: every measure taken.
        dropped: the names of the modes that the sampler does not reach.
    """

    state: str
    evidence: tuple[Evidence, ...]
    dropped: tuple[str, ...] = field(default=())

    @property
    def line(self) -> str:
        """The state and the evidence for it, in one line; for a healthy sampler how many modes it reaches."""
        told = [row.text for row in self.evidence if row.state == self.state]
        if self.state == "healthy":
            told = [row.text for row in self.evidence if row.name.endswith("reached")][:1] or told[:1]
        return f"{self.state}: {'; '.join(told)}"

    @property
    def figures(self) -> dict[str, float]:
        """The measures by name."""
        return {row.name: row.value for row in self.evidence}


def examine(
    x: Tensor,
    against: Reference,
    *,
    judge: Opponent | None = None,
    history: Sequence[Mapping[str, float]] = (),
    seed: int = 0,
) -> Health:
    """The health of a sampler from its samples.

    Against data of bits they are compared as bits, by the data's rule: means of bits and grey levels are no samples of them.
    A discriminator alone is shown them as they are, as in training.

    Args:
        x: samples (n, c, h, w), n about `against.size`.
        against: the data.
        judge: the discriminator, where there is one.
        history: the lines of metrics.jsonl so far, of which `<player>/gradient` are the norms of the players' gradients.
        seed: of the samples' bits.
    """
    found: list[Evidence] = []
    dropped: list[str] = []
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if bool(bad.any()):
        share = float(bad.double().mean())
        found.append(Evidence("not finite", share, 0.0, "collapsed", f"{share:.0%} of the samples are not finite"))
    seen = x
    if against.data.spec.binarised:  # what is no number has no bits: it counts above
        seen = as_bits(torch.nan_to_num(x), against.data.spec, "health", "samples", seed)
    features = against.features(seen)
    distances, indices = nearest(features, against.bank, min(NEIGHBOURS, len(against.bank)))
    for modes in against.modes:
        rows, names = covered(modes, modes.assign(seen, features, indices))
        found += rows
        dropped += names if modes.what != "cells" else []
    if isinstance(against.data, Mixture):
        rows, names = of_mixture(features, against.data)
        found += rows
        dropped += names
    found += variety(features, distances[:, 0], against)
    if distances.shape[1] > 1:
        found += copied(distances[:, :2], indices[:, 0], against)
    if judge is not None:
        logits = any(f"{judge.player}/D(x)" in row for row in history)
        found += judged(judge, x, against, logits=logits)
    found += pushed(history)
    return verdict(found, dropped)


def examine_sampler(
    sampler: Samples,
    against: Reference,
    n: int,
    *,
    generator: torch.Generator,
    judge: Opponent | None = None,
    history: Sequence[Mapping[str, float]] = (),
) -> Health:
    """`examine` of `n` samples drawn with `generator`, a few hundred at a time; its seed is that of their bits."""
    with torch.no_grad():
        parts = [sampler.sample(min(CHUNK // 4, n - start), generator=generator) for start in range(0, n, CHUNK // 4)]
        x, seed = torch.cat(parts).float(), generator.initial_seed()
        return examine(x, against, judge=judge, history=history, seed=seed)


def verdict(evidence: Iterable[Evidence], dropped: Iterable[str] = ()) -> Health:
    """The most serious state of the evidence."""
    rows = tuple(evidence)
    state = max((row.state for row in rows), key=STATES.index, default="healthy")
    return Health(state, rows, tuple(dropped))
