"""What only a run shows: who gets a gradient, where the weights are, what data is drawn, whether a resumed run is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pinxit import systems
from pinxit.conformance.probes import (
    GREY,
    SETTINGS,
    Unsaved,
    batch,
    data,
    folder,
    home,
    opponents,
    play,
    shortened,
    tiny,
    variants,
)
from pinxit.conformance.record import Measured, Mistake, Row, at_least, at_most, near
from pinxit.core.clock import Clock
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Turn
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.data import load
from pinxit.losses import adversarial, penalties
from pinxit.systems import dragan, wgan

# The gradient of the discriminator

Games = Callable[[], Iterable[tuple[str, AbstractGame]]]
"""Makes games, each with its name."""


def measure_gan_gradient(games: Games) -> Measured:
    """The least norm of the gradient that reaches a discriminator's weights through its outputs, over games and turns.

    A gradient penalty is a function of slopes, not of outputs: what comes through them is the GAN's loss alone.
    """
    least, count = float("inf"), 0
    for _, game in games():
        for player in opponents(game):
            for stage in game.stages():
                for turn in (turn for turn in stage.turns if turn.player == player):
                    least, count = min(least, _through_outputs(game.train(), turn)), count + 1
    return {"least gradient": least if count else float("nan"), "turns": float(count)}


def _through_outputs(game: AbstractGame, turn: Turn) -> float:
    outputs: list[Tensor] = []
    player = game.players()[turn.player]
    handles = [m.register_forward_hook(lambda _, __, out: outputs.append(out)) for m in player.modules]
    total = turn.objective(batch(game.spec), Clock()).total
    for handle in handles:
        handle.remove()
    slopes = torch.autograd.grad(total, outputs, retain_graph=True, allow_unused=True)
    direct = [(out, slope) for out, slope in zip(outputs, slopes, strict=True) if slope is not None]
    if not direct:
        return 0.0
    ends, weights = zip(*direct, strict=True)
    reached = torch.autograd.grad(ends, player.parameters(), weights, allow_unused=True)
    return sum(float(g.square().sum()) for g in reached if g is not None) ** 0.5


class PenaltyOnly(dragan.DRAGAN):
    """The GAN's loss is computed and shown; the penalty alone is differentiated."""

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """The penalty."""
        with torch.no_grad():
            x_fake = self.sample(len(batch))
        shown = adversarial.discriminator_loss(self.discriminator(batch.images), self.discriminator(x_fake))
        return Loss(self.config.lambda_gp * penalties.dragan_penalty(self.discriminator, batch.images), {"loss": shown})


def penalty_only() -> Iterator[tuple[str, AbstractGame]]:
    """DRAGAN whose discriminator learns from the penalty alone."""
    yield "dragan", PenaltyOnly(dragan.PRESETS["tiny"], GREY)


GAN_GRADIENT = Row[Games](
    number=2,
    name="d-gradient",
    property="the discriminator's weights get a gradient from the GAN loss in every model",
    paper="Goodfellow et al. 2014, algorithm 1",
    equation="|sum_i dL_D/dd_i dd_i/dtheta| > 0, over every system with a discriminator or critic",
    right={"least gradient": at_least(1e-6)},
    measure=measure_gan_gradient,
    ours=variants,
    mistakes=(Mistake("only the penalty is back-propagated", "PTGAN dragan.py:208-217", penalty_only),),
)

# Weight clipping


def measure_clipping(build: Callable[[wgan.Config, Spec], wgan.WGAN]) -> Measured:
    """How far a weight of the critic is beyond c at the generator's turns of a run of the trainer."""
    beyond: list[float] = []

    class Probe(Unsaved):
        def play_turn(self, turn: Turn, batch: Batch, position: tuple[int, int]) -> None:
            if turn.player == "generator":
                c = self.game.config.clip
                beyond.append(max(float((p.detach().abs() - c).max()) for p in self.players["critic"].parameters()))
            super().play_turn(turn, batch, position)

    play(build(wgan.PRESETS["tiny"], GREY), data(GREY), trainer=Probe)
    return {"beyond c": max(beyond), "generator turns": float(len(beyond))}


class ClippedBefore(wgan.WGAN):
    """Weights are clipped at the start of a critic's turn, not after its step."""

    def players(self) -> dict[str, Player]:
        """Nobody is projected."""
        return {name: replace(player, project=None) for name, player in super().players().items()}

    def critic_loss(self, batch: Batch, clock: Clock) -> Loss:
        """Clip, then the loss."""
        self.clip()
        return super().critic_loss(batch, clock)


CLIPPING = Row[Callable[[wgan.Config, Spec], wgan.WGAN]](
    number=9,
    name="clipping",
    property="the critic's weights are inside [-c, c] whenever the generator sees it",
    paper="Arjovsky et al. 2017, algorithm 1",
    equation="max |w| - c <= 0 at every generator turn of a run",
    right={"beyond c": at_most(0)},
    measure=measure_clipping,
    ours=wgan.WGAN,
    mistakes=(
        Mistake(
            "clipped before the step",
            "torchgan wasserstein.py:149-151, wgan official by one update, hwalsuk WGAN.py:118 in no order",
            ClippedBefore,
        ),
    ),
)

# Resuming


class Stop(Exception):
    """Ends a run the hard way."""


@dataclass(frozen=True)
class Runs:
    """A trainer and the systems that it plays.

    Args:
        trainer: resumes a run that it finds in its folder.
        names: of the systems.
    """

    trainer: type[Trainer]
    names: Callable[[], Sequence[str]]


def measure_resume(runs: Runs) -> Measured:
    """Tensors of the state that differ between a run and the same run broken off and resumed.

    Broken off after four rounds of the last stage, where the last checkpoint is older. The resumed game is built from another
    seed, so that whatever is not restored shows.
    """
    different, resumed = 0, 0
    for name in runs.names():
        source = _source(name)
        with folder() as whole, folder() as broken:
            expected = runs.trainer(_game(name, 0), source, whole, settings=SETTINGS)
            expected.fit()
            if _broken_off(runs.trainer, name, source, broken):
                again = runs.trainer(_game(name, 1), source, broken, settings=SETTINGS)
                again.fit()
                different += sum(not torch.equal(a, b) for a, b in zip(_state(expected), _state(again), strict=True))
                resumed += 1
    return {"tensors that differ": float(different) if resumed else float("nan"), "systems": float(resumed)}


def _broken_off(trainer: type[Trainer], name: str, source: Any, run: Path) -> bool:
    """Whether a run of the system was broken off, as is wanted."""

    class Broken(trainer):
        def observe(self) -> None:
            if self.clock.stage == len(self.stages) - 1 and self.clock.round == 4:
                raise Stop

    try:
        Broken(_game(name, 0), source, run, settings=SETTINGS).fit()
    except Stop:
        return True
    return False


def _game(name: str, seed: int) -> AbstractGame:
    module, config = tiny(name)
    return shortened(module.build(config, home(name), seed=seed), 6)


def _source(name: str) -> Any:
    spec = home(name)
    return load("ring") if spec.continuous else data(spec)


def _state(trainer: Trainer) -> list[Tensor]:
    """Weights, buffers, averages and the state of the optimizers."""
    moments = [
        value
        for optimizer in trainer.optimizers.values()
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
    return [*trainer.game.state_dict().values(), *trainer.averaged.state_dict().values(), *moments]


class WithoutOptimizers(Trainer):
    """A checkpoint is weights: the moments of the optimizers start again."""

    def play_stage(self, index: int, saved: dict[str, Any] | None, signals: Any) -> None:
        """The stage with new optimizers."""
        super().play_stage(index, None, signals)


class FromTheFirst(Trainer):
    """The weights are loaded, the count of rounds is not."""

    def resume(self) -> dict[str, Any] | None:
        """Go on as if nothing had been played."""
        saved = super().resume()
        if saved is not None:
            self.clock = Clock()
        return saved


class Reseeded(Trainer):
    """The generators are seeded with the seed of the start: data and noise come in the order of the first rounds again."""

    def resume(self) -> dict[str, Any] | None:
        """Go on with the first images."""
        saved = super().resume()
        if saved is not None:
            self.clock = replace(self.clock, images=0)
        return saved


def _one() -> Sequence[str]:
    """A system is enough to find a mistake in a trainer."""
    return ["gan"]


RESUME = Row[Runs](
    number=22,
    name="resume",
    property="a resumed run equals the uninterrupted one, bit for bit on a CPU",
    paper="good practice",
    equation="weights, buffers, averages and moments of every system, broken off between two checkpoints",
    right={"tensors that differ": near(0)},
    measure=measure_resume,
    ours=Runs(Trainer, systems.names),
    mistakes=(
        Mistake("optimizers are not saved", "PTGAN, which saves none", Runs(WithoutOptimizers, _one)),
        Mistake("starts again at round 0", "PTGAN dualgan.py:157", Runs(FromTheFirst, _one)),
        Mistake("seeded to the start again", "StudioGAN ckpt.py:118-120", Runs(Reseeded, _one)),
    ),
)

ROWS = (GAN_GRADIENT, CLIPPING, RESUME)
