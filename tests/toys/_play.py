"""Playing toys and comparing what came of it, bit for bit; an independent reference for several processes."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pinxit import systems
from pinxit.core import checkpoint
from pinxit.core.clock import Clock
from pinxit.core.config import Settings
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from toys._nets import Tiny

PLANE = Spec(2, 1, 1, levels=0)
IMAGES = Spec(1, 16, 16, classes=2)
SYSTEMS = [*systems.names(), "vae:conv", "sngan:dcgan", "wgan-gp:resnet", "pixelcnn:cosine"]
"""Every system on its preset's networks; the layouts of weights that these don't have; a schedule that counts rounds."""


def named(name: str, seed: int = 0) -> AbstractGame:
    """The preset `tiny` of a system on small images, of a toy on points, or of the pool of the drivers."""
    system, _, network = name.partition(":")
    if system in systems.names():
        module, known = systems.load(system), {"": {}, "conv": {"network": "conv"}, "cosine": {"decay": "cosine"}}
        changes: dict[str, Any] = {**known, "told": {"conditional": True}}
        config = module.PRESETS["tiny"].replace(**changes.get(network, {"backbone": network, "width": 4}))
        return module.build(config, IMAGES, seed=seed)
    module = importlib.import_module(name if name == "pool" else f"toys.{name}")
    return module.build(module.PRESETS["tiny"], PLANE, seed=seed)


class Custom(AbstractGame):
    """A game put together by a test: `Custom(a=nn.Linear(2, 1)).declare(players, stages)`."""

    def __init__(self, spec: Spec = PLANE, **modules: nn.Module) -> None:
        super().__init__(None, spec)
        for name, module in modules.items():
            self.add_module(name, module)
        self.declared: Any = None

    def declare(self, players: dict[str, Player], *stages: Stage) -> Custom:
        self.declared = (players, stages)
        return self

    def players(self) -> dict[str, Player]:
        return self.declared[0]

    def stages(self) -> tuple[Stage, ...]:
        return self.declared[1]


class Stopped(Exception):
    """What `StopAt` raises."""


class StopAt:
    """An observer that ends the run the hard way after round `step`."""

    every = 1

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, game: AbstractGame, clock: Clock, stats: Any) -> None:
        if clock.step == self.step:
            raise Stopped

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        pass


class Seen:
    """An observer that keeps the clocks and stats it was shown."""

    def __init__(self, every: int = 1) -> None:
        self.every = every
        self.clocks: list[Clock] = []
        self.stats: list[dict[str, float]] = []
        self.finished = 0

    def __call__(self, game: AbstractGame, clock: Clock, stats: Any) -> None:
        self.clocks.append(clock)
        self.stats.append(dict(stats))

    def finish(self, game: AbstractGame, clock: Clock) -> None:
        self.finished += 1


def trained(
    game: AbstractGame, data: Any, run_dir: Path, *, seed: int = 0, observers: Sequence[Any] = (), **settings: Any
) -> Trainer:
    trainer = Trainer(game, data, run_dir, seed=seed, settings=Settings.of(settings), observers=observers)
    trainer.fit()
    return trainer


def everything(trainer: Trainer) -> dict[str, Any]:
    """All that a run is: weights, averages, optimizers, clock, metrics."""
    found: dict[str, Any] = {f"game.{k}": v.clone() for k, v in trainer.game.state_dict().items()}
    found |= {f"averaged.{k}": v.clone() for k, v in trainer.averaged.state_dict().items()}
    for name, optimizer in trainer.optimizers.items():
        found |= dict(flat(copy.deepcopy(optimizer.state_dict()), f"optimizer.{name}"))
    metrics = trainer.run_dir / "metrics.jsonl"
    return found | {"clock": trainer.clock, "metrics": metrics.read_text() if metrics.exists() else ""}


def of_folder(run_dir: Path) -> dict[str, Any]:
    """The same of the last checkpoint of a run, read without the trainer."""
    from safetensors.torch import load_file

    last = checkpoint.every(run_dir / "checkpoints")[-1]
    metrics = run_dir / "metrics.jsonl"
    found: dict[str, Any] = {"name": last.name, "metrics": metrics.read_text() if metrics.exists() else ""}
    for part in ("game", "averaged"):
        found |= {f"{part}.{k}": v for k, v in load_file(last / f"{part}.safetensors").items()}
    return found | dict(flat(torch.load(last / "resume.pt", weights_only=True), "resume"))


def flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for key, inner in enumerate(value):
            yield from flat(inner, f"{name}.{key}")
    else:
        yield name, value


def differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """The keys whose values are not equal in every bit."""

    def same(x: Any, y: Any) -> bool:
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return x.dtype == y.dtype and torch.equal(x, y)
        return type(x) is type(y) and x == y

    return sorted(set(a) ^ set(b)) + [key for key in a if key in b and not same(a[key], b[key])]


class Replicas:
    """Two or more processes, played in one: a copy of the game each, gradients and statistics averaged by hand."""

    def __init__(self, game: AbstractGame, world: int, seed: int, accumulate: int = 1) -> None:
        self.games = [copy.deepcopy(game).train() for _ in range(world)]
        self.world, self.seed, self.accumulate = world, seed, accumulate

    def fit(self, data: Tiny) -> AbstractGame:
        images = step = 0
        for index in range(len(self.games[0].stages())):
            stages = [game.stages()[index] for game in self.games]
            players = [game.players() for game in self.games]
            optimizers = [{n: p.optimizer(p.parameters()) for n, p in own.items()} for own in players]
            for number in range(stages[0].rounds):
                images = self.play_round(
                    data, stages, players, optimizers, Clock(index, number, step, images, number / stages[0].rounds)
                )
                step += 1
        return self.games[0]

    def shares(self, data: Tiny, position: int, size: int) -> list[Batch]:
        """Positions position + r, position + r + world, ... of the endless order, looked up one at a time."""
        picked = [index_at(p, len(data), self.seed) for p in range(position, position + size)]
        return [data.batch(torch.tensor(picked[r :: self.world])) for r in range(self.world)]

    def play_round(self, data: Tiny, stages: list[Stage], players: list[Any], optimizers: list[Any], clock: Clock) -> int:
        size, drawn = stages[0].batch_size, 1
        first = self.shares(data, clock.images, size)
        for t, turn in enumerate(stages[0].turns):
            if clock.round % turn.every:
                continue
            for repeat in range(turn.repeats):
                shares = first
                if repeat:
                    shares = self.shares(data, clock.images + drawn * size, size)
                    drawn += 1
                stats = [
                    self.differentiate(stages[rank].turns[t], players[rank], shares[rank], clock, (t, repeat, rank))
                    for rank in range(self.world)
                ]
                self.average([own[turn.player].parameters() for own in players])
                for rank in range(self.world):
                    self.step(stages[rank].turns[t], players[rank][turn.player], optimizers[rank][turn.player], clock, stats)
        self.average_norms()
        return clock.images + drawn * size

    def differentiate(
        self, turn: Any, players: dict[str, Player], share: Batch, clock: Clock, place: tuple[int, int, int]
    ) -> Any:
        mine = players[turn.player].parameters()
        total: list[Tensor | None] = [None] * len(mine)
        stats: dict[str, Tensor] = {}
        for part in range(self.accumulate):
            n = len(share) // self.accumulate
            labels = None if share.labels is None else share.labels[part * n : (part + 1) * n]
            torch.manual_seed(seed_of(self.seed, clock.stage, clock.round, *place, part))
            loss: Loss = turn.objective(Batch(share.images[part * n : (part + 1) * n], labels), clock)
            gradients = torch.autograd.grad(loss.total * (turn.gain / self.accumulate), mine, allow_unused=True)
            total = [g if old is None else old if g is None else old + g for old, g in zip(total, gradients, strict=True)]
            for key, value in loss.stats.items():
                value = value.detach() / self.accumulate
                stats[key] = stats[key] + value if key in stats else value
        for p, g in zip(mine, total, strict=True):
            p.grad = None if g is None else laid_out(p, g)
        return stats

    def average(self, replicas: list[list[nn.Parameter]]) -> None:
        for twins in zip(*replicas, strict=True):
            if any(p.grad is not None for p in twins):
                mean = sum(torch.zeros_like(p) if p.grad is None else p.grad for p in twins) / self.world
                for p in twins:
                    p.grad = laid_out(p, mean)

    def step(self, turn: Any, player: Player, optimizer: Any, clock: Clock, stats: list[dict[str, Tensor]]) -> None:
        if player.schedule is not None:
            for group in optimizer.param_groups:
                group.update(player.schedule(clock))
        optimizer.step()
        optimizer.zero_grad()
        if player.project is not None:
            player.project()
        if turn.after is not None:
            turn.after({key: sum(s[key] for s in stats) / self.world for key in stats[0]})

    @torch.no_grad()
    def average_norms(self) -> None:
        for twins in zip(*(game.modules() for game in self.games), strict=True):
            if isinstance(twins[0], nn.modules.batchnorm._NormBase):
                for name in ("running_mean", "running_var"):
                    mean = sum(getattr(m, name) for m in twins) / self.world
                    for m in twins:
                        getattr(m, name).copy_(mean)


def laid_out(p: nn.Parameter, g: Tensor) -> Tensor:
    """The gradient `g` in memory as the weight `p`, which fused optimizers take for granted."""
    return torch.empty_like(p).copy_(g)


def index_at(position: int, n: int, seed: int) -> int:
    """Which sample the run shows at `position`."""
    generator = torch.Generator().manual_seed(seed_of("order", seed, position // n))
    return int(torch.randperm(n, generator=generator)[position % n])


def shortened(game: AbstractGame, rounds: int) -> AbstractGame:
    """`game` with stages of at most `rounds` rounds, or as many as its rarest turn asks for."""
    short = tuple(replace(s, rounds=min(s.rounds, max(rounds, *(t.every + 2 for t in s.turns)))) for s in game.stages())
    stages: Callable[[], tuple[Stage, ...]] = lambda: short  # noqa: E731
    object.__setattr__(game, "stages", stages)
    return game
