"""What a sampler is held against: the data's features, its modes, and how much real batches differ among themselves."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pinxit.core.bits import as_bits
from pinxit.core.errors import InputError
from pinxit.core.protocols import Data, Splits
from pinxit.core.rng import seed_of
from pinxit.diagnostics.divisions import CHUNK, FITTED, NEIGHBOURS, Features, Modes, Real, divide, images_of
from pinxit.metrics.conditioning import Matches
from pinxit.metrics.nearest import nearest

if TYPE_CHECKING:
    from pinxit.core.game import AbstractGame

LEAST = 16
"""Samples that a data set must have for its batches to be told apart from a sampler's."""
RESAMPLES = 99
"""Real batches that a statistic is compared with: a further real one is below (or above) them all with probability 1/100."""
COMPARED = 480
"""Samples of a batch between which distances are taken."""
SHOWN, PACK, VALUES = 240, 24, 50_000_000
"""Samples that a discriminator is shown, a multiple of any usual pack, and at most so many values."""


@runtime_checkable
class Scores(Protocol):
    """A game that can say how real samples look to it."""

    def score(self, x: Tensor) -> Tensor:
        """One number a sample, (n,), greater for what looks more real."""
        ...


@dataclass(frozen=True)
class Opponent:
    """The player that tells data from samples.

    Args:
        player: its name, "discriminator" or "critic".
        score: from samples (n, c, h, w) to numbers (n,), or (n / k,) where it judges k samples together.
    """

    player: str
    score: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reference:
    """Real data as a sampler's judge.

    Args:
        features: of samples.
        bank: features of training samples, (m, p).
        held_out: features of real samples that are not in `bank`, or that do not count as their own neighbours.
        to_bank: distances of `held_out` to its two nearest in `bank`, (n, 2).
        apart: whether `held_out` was kept from training.
        whole: the share of the training samples that are in `bank`.
        images: training and held-out samples to show to a discriminator, as it saw them in training.
        modes: how samples are divided.
        size: of the batches that were compared.
        null: by statistic its value in every real batch, (RESAMPLES,).
        data: what it is.
    """

    features: Features
    bank: Tensor
    held_out: Tensor
    to_bank: Tensor
    apart: bool
    whole: float
    images: tuple[Tensor, Tensor]
    modes: tuple[Modes, ...]
    size: int
    null: Mapping[str, Tensor]
    data: Data


def reference(data: Data, *, size: int = 1000, bank: int = 10_000, held: int = 4000, seed: int = 0) -> Reference:
    """Fit the features, the modes and the spread of real batches.

    Where the data has no test split, real samples of the training set are compared, each without itself: under the null
    hypothesis both are exchangeable with fresh samples. Data that stands for bits is compared as bits, of which training and
    held-out samples have independent draws.

    Args:
        data: what the sampler was trained on.
        size: of a batch; at most half of the real samples held out, so that batches differ.
        bank: most training samples to hold.
        held: most real samples to hold besides.
        seed: decides which ones, and what bits are drawn.

    Raises:
        InputError: the data has fewer than 16 samples.
    """
    if len(data) < LEAST:
        raise InputError(f"{data.name} has {len(data)} samples: health needs at least {LEAST} to know what real batches are like")
    generator = torch.Generator().manual_seed(seed_of("health", "reference", seed))
    rows = torch.randperm(len(data), generator=generator)[:bank]
    fitted = as_bits(images_of(data, rows[:FITTED]), data.spec, "health", "axes", seed)
    features = Features.of(fitted, continuous=data.spec.continuous)
    known, labels = _featured(data, rows, features, "training", seed)
    test = data.test() if isinstance(data, Splits) else None
    apart = test is not None and len(test) >= LEAST
    if test is not None and apart:
        others = torch.randperm(len(test), generator=generator)[:held]
        source, itself, real = test, None, _featured(test, others, features, "held out", seed)[0]
    else:
        source, others, itself = data, rows[:held], torch.arange(len(rows[:held]))
        real = known[:held]
    distances, found = nearest(real, known, min(NEIGHBOURS, len(known) - 1), exclude=itself)
    size = max(2, min(size, len(real) // 2))
    divided = divide(data, features, known, labels, Real(source, others, real, found), size, generator)
    statistics = [batch_statistics(real[rows], distances[rows, 0]) for rows in _batches(len(real), size, generator)]
    shown = min(SHOWN, len(others), len(rows), VALUES // data.spec.dim) // PACK * PACK
    return Reference(
        features=features,
        bank=known,
        held_out=real,
        to_bank=distances[:, :2],
        apart=apart,
        whole=len(rows) / len(data),
        images=(images_of(data, rows[:shown]), images_of(source, others[:shown])),
        modes=divided,
        size=size,
        null={name: torch.tensor([row[name] for row in statistics], dtype=torch.float64) for name in statistics[0]},
        data=data,
    )


def batch_statistics(features: Tensor, to_bank: Tensor) -> dict[str, float]:
    """What a batch is like: mean distance of a pair, median distance to the nearest other, effective rank, median to the bank.

    The effective rank is exp(-sum p log p), p the eigenvalues of the features' covariance over their sum (Roy & Vetterli
    2007): the number of directions that the batch really uses. It is 0 for a batch of one point.
    """
    some = features[:COMPARED].double()
    distances = torch.cdist(
        some, some, compute_mode="use_mm_for_euclid_dist" if some.shape[1] > 8 else "donot_use_mm_for_euclid_dist"
    )
    n = len(some)
    distances.fill_diagonal_(math.inf)
    own = distances.min(1).values.median()
    distances.fill_diagonal_(0)
    return {
        "pairwise distance": float(distances.sum() / (n * (n - 1))),
        "nearest other": float(own),
        "effective rank": effective_rank(features),
        "nearest real": float(to_bank.double().median()),
    }


def effective_rank(features: Tensor) -> float:
    """exp of the entropy of the covariance's spectrum, between 1 and the dimension; 0 where nothing varies."""
    x = features.double() - features.double().mean(0)
    values = torch.linalg.eigvalsh(x.T @ x / len(x)).clamp(min=0)
    if float(values.sum()) <= 1e-12 * max(1.0, float(features.double().square().mean())):
        return 0.0
    p = values / values.sum()
    return float(torch.exp(-torch.xlogy(p, p).sum()))


def opponent(game: AbstractGame) -> Opponent | None:
    """The game's discriminator or critic: its `score` where it has one, else the one network of that player.

    Of a network that needs a class, the score is that with the class which suits the sample best, for real and generated ones
    alike. One that needs anything else is left alone: such a game should say what its `score` is.
    """
    players = game.players()
    names = [name for name in ("discriminator", "critic") if name in players]
    if isinstance(game, Scores):
        return Opponent(names[0] if names else "discriminator", game.score)
    if len(names) != 1 or len(players[names[0]].modules) != 1:
        return None
    (network,) = players[names[0]].modules
    if _takes_samples_alone(network):
        return Opponent(names[0], network)
    return Opponent(names[0], partial(_best_match, game.match, game.spec.classes)) if isinstance(game, Matches) else None


def _best_match(match: Callable[[Tensor, Tensor], Tensor], classes: int, x: Tensor) -> Tensor:
    of_each = [match(x, torch.full((len(x),), label, device=x.device)) for label in range(classes)]
    return torch.stack(of_each).amax(dim=0)


def _batches(n: int, size: int, generator: torch.Generator) -> list[Tensor]:
    return [torch.randperm(n, generator=generator)[:size] for _ in range(RESAMPLES)]


def _featured(data: Data, rows: Tensor, features: Features, which: str, seed: int) -> tuple[Tensor, Tensor | None]:
    """Features and labels of the samples at `rows`, a part at a time; their bits are a function of `which`, seed and rows."""
    parts, labels = [], []
    for part in rows.split(CHUNK):
        batch = data.batch(part)
        parts.append(features(as_bits(batch.images, data.spec, "health", which, seed, *part.tolist())))
        labels.append(batch.labels)
    return torch.cat(parts), None if labels[0] is None else torch.cat([part for part in labels if part is not None])


def _takes_samples_alone(module: nn.Module) -> bool:
    parameters = list(inspect.signature(module.forward).parameters.values())
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) == 1
