"""The one training loop. It plays any game; what is special about a paper lives in the game."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from pinxit.core import checkpoint, shares
from pinxit.core.arriving import checked
from pinxit.core.averaging import Averaged
from pinxit.core.clock import Clock
from pinxit.core.config import Settings
from pinxit.core.engine import Engine
from pinxit.core.errors import InputError, Interrupted
from pinxit.core.game import AbstractGame, Batch, Stage, Turn, owners
from pinxit.core.protocols import Data, Observer
from pinxit.core.records import Records
from pinxit.core.rng import Order, seed_device, seed_of, training
from pinxit.core.signals import Signals
from pinxit.core.steps import gradient_norm, last_of_interval, measured, optimizer, step
from pinxit.core.watch import Watch


class Trainer:
    """Plays a game on data, in a folder from which it resumes bit for bit.

    Args:
        game: what `build(config, spec)` of a system returns.
        data: real samples; its spec must be the game's.
        run_dir: the run's folder; a run found there goes on.
        seed: with the clock, decides every random number of the run and the order of the data.
        settings: devices, precision, logging.
        observers: see the run, change nothing.
    """

    def __init__(
        self,
        game: AbstractGame,
        data: Data,
        run_dir: str | Path,
        *,
        seed: int = 0,
        settings: Settings = Settings(),
        observers: Sequence[Observer] = (),
    ) -> None:
        self.data, self.run_dir, self.seed, self.settings = data, Path(run_dir).absolute(), seed, settings
        self.engine = Engine(settings)
        self.game = game.to(self.engine.device)
        self.players = owners(game)
        self.stages = game.stages()
        for stage in self.stages:
            shares.check(game, stage.batch_size, processes=self.engine.world, accumulate=settings.accumulate)
        self.engine.broadcast(game)
        self._averaged = Averaged(game, self.players, settings.average.half_life, settings.average.ramp)
        self.parameters = {name: player.parameters() for name, player in self.players.items()}
        self.optimizers: dict[str, Optimizer] = {}
        self.clock, self.measured = Clock(), frozenset[str]()
        self.observers = list(observers) if self.engine.rank == 0 else []
        self.records = Records(self.run_dir / "metrics.jsonl", self.engine)
        self.watch = Watch(game, self.players, every=1 if self.engine.device.type == "cpu" else settings.log_every)
        self.rounds = sum(stage.rounds for stage in self.stages)

    @property
    def averaged(self) -> AbstractGame:
        """The averaged model, in eval mode: what to sample from and publish."""
        return self._averaged.refresh()

    def fit(self) -> AbstractGame:
        """Play every stage, from the last checkpoint if there is one, and return the averaged model.

        Raises:
            NonFiniteError: a loss or gradient is not finite; nothing of it was saved.
            Interrupted: SIGINT or SIGTERM came; the run was saved and the same command resumes it.
            RunError: a file could not be written; the last checkpoint is intact.
        """
        saved = self.resume()
        self.game.train()
        with Signals() as signals, training(self.engine.device):
            if self.clock.step == 0 and saved is None:
                self.observe()
                self.save()  # last: a run killed in between starts anew and misses no picture
            for index in range(self.clock.stage, len(self.stages)):
                self.play_stage(index, saved, signals)
                saved = None
            for observer in self.observers:
                observer.finish(self.averaged, self.clock)
            self.engine.barrier()
        return self.averaged

    def play_stage(self, index: int, saved: dict[str, Any] | None, signals: Signals) -> None:
        """Play what is left of stage `index`, with fresh optimizers or the saved ones."""
        stage, settings = self.stages[index], self.settings
        self.measured = measured(stage)
        if self.clock.stage != index:
            self.clock = replace(self.clock, stage=index, round=0, progress=0.0)
        self.optimizers = {name: optimizer(name, player, self.parameters[name]) for name, player in self.players.items()}
        for name, state in saved["optimizers"].items() if saved else ():
            self.optimizers[name].load_state_dict(state)
        start, rank, world, left = self.clock.images, self.engine.rank, self.engine.world, stage.rounds - self.clock.round
        order = Order(len(self.data), self.seed, start=start, batch_size=stage.batch_size, rank=rank, world=world)
        batches = checked(self.data.batches(order, self.engine.device), self.data, stage.batch_size // world, left)
        while self.clock.round < stage.rounds:
            self.play_round(stage, batches)
            last = self.clock.step == self.rounds
            logs = last or self.clock.step % settings.log_every == 0
            if logs:
                self.watch.check()
                self.records.close(self.clock)
            self.observe()
            if self.clock.round == stage.rounds or self.clock.step % settings.save_every == 0:
                self.save()
            if (world == 1 or logs) and (signum := self.engine.greatest(signals.received)):
                self.save()
                place = f"round {self.clock.step} of {self.rounds} in {self.run_dir}"
                raise Interrupted(f"stopped and saved at {place}: the same command goes on from there", signum)

    def play_round(self, stage: Stage, batches: Iterator[Batch]) -> None:
        """One batch, and one more for each repetition; then the average and the clock move on."""
        first, drawn = next(batches), 1
        for number, turn in enumerate(stage.turns):
            if self.clock.round % turn.every:
                continue
            for repeat in range(turn.repeats):
                drawn += repeat > 0
                self.play_turn(turn, next(batches) if repeat else first, (number, repeat))
        self.engine.average_statistics(self.game)
        images = self.clock.images + drawn * stage.batch_size
        self._averaged.update(stage.batch_size, images)
        done = self.clock.round + 1
        self.clock = Clock(self.clock.stage, done, self.clock.step + 1, images, progress=done / stage.rounds)

    def play_turn(self, turn: Turn, batch: Batch, position: tuple[int, int]) -> None:
        """Differentiate the objective by the player's parameters alone, step, and tell `after`."""
        player, parameters, optimizer = self.players[turn.player], self.parameters[turn.player], self.optimizers[turn.player]
        clock, parts = self.clock, self.settings.accumulate
        for part, micro in enumerate(batch.split(parts) if parts > 1 else (batch,)):
            place = (self.seed, clock.stage, clock.round, *position, self.engine.rank, part)
            seed_device(seed_of(*place), self.engine.device)
            with self.engine.autocast():
                loss = turn.objective(micro, clock)
            self.watch.see(turn, clock, loss)
            scale = turn.gain / parts
            (loss.total if scale == 1 else loss.total * scale).backward(inputs=parameters)
            self.records.add(turn, loss, parts)
        stats = self.records.end(turn)
        self.engine.average_gradients(parameters)
        self.watch.gradient(turn, clock, parameters)
        if turn.name in self.measured and last_of_interval(turn, clock, self.settings.log_every, self.rounds):
            self.records.note(f"{turn.player}/gradient", gradient_norm(parameters))
        step(player, parameters, optimizer, clock)
        if turn.after is not None:
            seed_device(seed_of(self.seed, clock.stage, clock.round, *position, "after"), self.engine.device)
            turn.after(self.records.shared(stats))
        self.watch.moved(turn, clock)

    def observe(self) -> None:
        """Show the averaged model to the observers whose time it is."""
        last = self.clock.step == self.rounds
        if due := [observer for observer in self.observers if last or self.clock.step % observer.every == 0]:
            game = self.averaged
            for observer in due:
                observer(game.eval(), self.clock, self.records.last)

    def save(self) -> None:
        """Write a checkpoint, unless its weights are not finite."""
        self.watch.check(thoroughly=True)
        self.watch.replicas(self.engine, self.clock)
        records = self.records.state()
        if self.engine.rank == 0:
            optimizers = {name: o.state_dict() for name, o in self.optimizers.items()}
            state = {"optimizers": optimizers, "records": records, **self.terms()}
            checkpoint.save(self.run_dir / "checkpoints", self.clock, self.game, self.averaged, state)
        self.engine.barrier()

    def resume(self) -> dict[str, Any] | None:
        """Go to the last checkpoint of the folder, if there is one, and return its resume values."""
        folder = self.run_dir / "checkpoints"
        if self.engine.rank == 0:
            checkpoint.clean(self.run_dir)
        self.engine.barrier()
        saved = None
        if found := checkpoint.every(folder):
            clock, saved = checkpoint.load(found[-1], self.game, self._averaged.game)
            for name, value in self.terms().items():
                if saved[name] != value:
                    was = f"the run in {self.run_dir} has `{name}` {saved[name]!r}, this command {value!r}"
                    raise InputError(f"{was}: a resumed run must equal an uninterrupted one; use the old value or a new --run")
            self.clock = clock
        self.game.zero_grad()  # of a turn that was broken off in this very process
        self.records.rewind(self.clock, saved and saved["records"])
        return saved

    def terms(self) -> dict[str, Any]:
        """What must be the same for a resumed run to equal an uninterrupted one."""
        chosen = self.settings.model_dump(include={"accumulate", "precision", "log_every", "average"})
        return {"seed": self.seed, "processes": self.engine.world, "data": self.data.fingerprint, **chosen}
