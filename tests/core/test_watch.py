"""Rule 6: losses are read back once an interval; what is not finite stops the run and names who did it."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from pinxit.core import checkpoint
from pinxit.core.config import Settings
from pinxit.core.errors import NonFiniteError
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.trainer import Trainer
from toys._play import Custom, Seen, of_folder, trained


def breaking(how, at=5, stage_rounds=(3, 20)):
    """Two players; in stage 1 from round `at` on b's objective goes wrong in the way `how`."""
    torch.manual_seed(1)
    game = Custom(a=nn.Linear(2, 1), b=nn.Linear(2, 1))
    game.register_buffer("k", torch.zeros(()))

    def a_loss(batch, clock):
        return Loss(game.a(batch.images.flatten(1)).square().mean())

    def b_loss(batch, clock):
        value = game.b(batch.images.flatten(1)).square().mean()
        if clock.stage == 1 and clock.round >= at:
            match how:
                case "nan":
                    value = value * float("nan")
                case "inf":
                    value = value + float("inf")
                case "sqrt":  # the value is finite, the slope of the root at zero is not
                    value = value + (game.b.weight * 0.0).abs().sum().sqrt()
                case "stat":
                    return Loss(value, {"bad": torch.tensor(float("nan"))})
        return Loss(value)

    def b_after(stats):
        if how == "buffer":
            game.k.fill_(float("inf"))

    turns = (Turn("b", b_loss, after=b_after), Turn("a", a_loss))
    adam = partial(Adam, lr=1e-3)
    stages = [Stage(turns, rounds, 8) for rounds in stage_rounds]
    return game.declare({"a": Player((game.a,), adam), "b": Player((game.b,), adam)}, *stages)


@pytest.mark.parametrize(("how", "what"), [
    ("nan", "the loss of `b/loss` is nan"),
    ("inf", "the loss of `b/loss` is inf"),
    ("sqrt", "the gradient of `b/loss` is not finite"),
])  # fmt: skip
@pytest.mark.parametrize("log_every", [1, 100])
def test_it_stops_and_names_player_objective_and_place(tmp_path, points, how, what, log_every):
    with pytest.raises(NonFiniteError) as caught:
        trained(breaking(how), points, tmp_path, save_every=2, log_every=log_every)
    message = str(caught.value)
    assert message.startswith(f"{what} (player `b`, objective `b/loss`, stage 1, round 5)"), message
    assert "\n" not in message
    last = checkpoint.every(tmp_path / "checkpoints")[-1]
    assert last.name == "step-000000008"
    assert all(v.isfinite().all() for k, v in of_folder(tmp_path).items() if k.startswith(("game", "averaged")))


def clipped(at=5, rounds=12, repeats=1):
    """A clipped critic on plain descent, whose slope is infinite from round `at` on: clipping makes its weights finite."""
    torch.manual_seed(1)
    game = Custom(a=nn.Linear(2, 1), b=nn.Linear(2, 1))

    def a_loss(batch, clock):
        return Loss(game.a(batch.images.flatten(1)).square().mean())

    def b_loss(batch, clock):
        value = game.b(batch.images.flatten(1)).mean()
        # A root at zero: the value is finite, the slope is not.
        return Loss(value + (game.b.weight - game.b.weight.detach()).sum().sqrt() if clock.round >= at else value)

    @torch.no_grad()
    def clip():
        for p in game.b.parameters():
            p.clamp_(-0.01, 0.01)

    descent = partial(SGD, lr=0.1)
    players = {"a": Player((game.a,), descent), "b": Player((game.b,), descent, project=clip)}
    return game.declare(players, Stage((Turn("b", b_loss, repeats=repeats), Turn("a", a_loss)), rounds, 8))


@pytest.mark.parametrize("log_every", [1, 100])
@pytest.mark.parametrize("repeats", [1, 3])
def test_clipping_does_not_hide_a_bad_gradient(tmp_path, points, log_every, repeats):
    with pytest.raises(NonFiniteError) as caught:
        trained(clipped(repeats=repeats), points, tmp_path, save_every=2, log_every=log_every)
    expected = "the gradient of `b/loss` is not finite (player `b`, objective `b/loss`, stage 0, round 5)"
    assert str(caught.value).startswith(expected), caught.value
    assert checkpoint.every(tmp_path / "checkpoints")[-1].name == "step-000000004"


def test_a_bad_gradient_under_clipping_is_found_without_a_read_back_a_step(tmp_path, points):
    """As on an accelerator: read at the interval, and named after the round that it came from; nothing of it is saved."""
    trainer = Trainer(clipped(at=9), points, tmp_path, settings=Settings(log_every=6, save_every=4))
    trainer.watch.every = 6
    with pytest.raises(NonFiniteError, match="the gradient of `b/loss` is not finite .*round 9"):
        trainer.fit()
    assert checkpoint.every(tmp_path / "checkpoints")[-1].name == "step-000000008"
    assert trainer.clock.step == 12


def test_a_bad_gradient_under_clipping_in_the_very_last_turn_is_not_saved(tmp_path, points):
    game = clipped(at=11)
    players, (stage,) = game.declared
    game.declare(players, replace(stage, turns=stage.turns[::-1]))
    with pytest.raises(NonFiniteError, match="the gradient of `b/loss` is not finite .*round 11"):
        trained(game, points, tmp_path, save_every=4)
    assert checkpoint.every(tmp_path / "checkpoints")[-1].name == "step-000000008"


def test_a_projection_alone_is_no_reason_to_stop(tmp_path, points):
    assert trained(clipped(at=99), points, tmp_path).clock.step == 12


def test_a_huge_gradient_under_clipping_is_no_reason_to_stop(tmp_path, points):
    """Its square is beyond float32, it is not."""
    game = clipped(at=99)
    players, (stage,) = game.declared
    objective = stage.turns[0].objective

    def b_loss(batch, clock):
        return Loss(objective(batch, clock).total * 1e25)

    game.declare(players, replace(stage, turns=(Turn("b", b_loss), stage.turns[1])))
    assert trained(game, points, tmp_path).clock.step == 12


@pytest.mark.parametrize("how", ["nan", "sqrt"])
def test_the_last_good_checkpoint_is_where_a_mended_run_goes_on(tmp_path, points, how):
    with pytest.raises(NonFiniteError):
        trained(breaking(how), points, tmp_path, save_every=2)
    mended = Trainer(breaking("not"), points, tmp_path)
    mended.fit()
    assert mended.clock.step == 23


def test_a_bad_gradient_in_the_very_last_turn_is_not_saved(tmp_path, points):
    with pytest.raises(NonFiniteError, match="the gradient of `b/loss` is not finite .*round 19"):
        trained(breaking("sqrt", at=19), points, tmp_path, save_every=5)
    assert all(v.isfinite().all() for k, v in of_folder(tmp_path).items() if k.startswith(("game", "averaged")))


def test_a_bad_gradient_is_found_before_observers_and_log(tmp_path, points):
    seen = Seen()
    with pytest.raises(NonFiniteError):
        trained(breaking("nan"), points, tmp_path, observers=[seen], log_every=1)
    assert all(math.isfinite(v) for stats in seen.stats for v in stats.values())
    assert seen.clocks[-1].step == 8


def test_a_buffer_that_is_not_finite_is_not_saved(tmp_path, points):
    with pytest.raises(NonFiniteError, match="buffer `k` is not finite"):
        trained(breaking("buffer"), points, tmp_path, save_every=4)
    assert checkpoint.every(tmp_path / "checkpoints")[-1].name == "step-000000000"


def test_a_constant_mask_of_minus_infinity_is_no_accident(tmp_path, points):
    game = breaking("not")
    game.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1), persistent=False)
    trainer = trained(game, points, tmp_path)
    assert trainer.clock.step == trainer.rounds


def test_a_stat_that_is_not_finite_does_not_stop_the_run(tmp_path, points):
    trainer = trained(breaking("stat"), points, tmp_path, log_every=10)
    assert math.isnan(trainer.records.last["b/bad"])


def test_numbers_are_read_back_at_the_interval_only(tmp_path, points):
    seen = Seen()
    trained(breaking("not", stage_rounds=(7, 13)), points, tmp_path, observers=[seen], log_every=6)
    changes = [c.step for c, old, new in zip(seen.clocks[1:], seen.stats[:-1], seen.stats[1:], strict=True) if old != new]
    assert changes == [6, 12, 18, 20]
    assert seen.stats[0] == {}


def test_tensors_are_not_converted_between_intervals(tmp_path, points, monkeypatch):
    """Structural: outside of the watch, no tensor becomes a Python number in a round that logs nothing."""
    game = breaking("not", stage_rounds=(10,))
    players, (stage,) = game.declared  # torch's Adam reads its own step counter, so plain descent
    game.declare({name: replace(p, optimizer=partial(SGD, lr=0.01)) for name, p in players.items()}, stage)
    trainer = Trainer(game, points, tmp_path)
    monkeypatch.setattr(trainer.watch, "see", lambda *_: None)
    reads: list[str] = []
    for name in ("item", "tolist", "__float__", "__bool__", "__int__", "cpu", "numpy"):
        real = getattr(torch.Tensor, name)

        def counted(self, *args, _real=real, _name=name):
            reads.append(_name)
            return _real(self, *args)

        monkeypatch.setattr(torch.Tensor, name, counted)
    per_round = []
    play = trainer.play_round

    def round_(stage, batches):
        before = len(reads)
        play(stage, batches)
        per_round.append(reads[before:])

    monkeypatch.setattr(trainer, "play_round", round_)
    monkeypatch.setattr(points, "batch", lambda indices: Batch(points.images[indices]))
    trainer.fit()
    assert len(per_round) == 10
    assert not any(per_round), per_round


def test_means_of_an_interval(tmp_path, points):
    game = Custom(a=nn.Linear(2, 1, bias=False))
    values = iter(range(100))

    def loss(batch, clock):
        return Loss(game.a.weight.sum() * 0 + 1.0, {"n": torch.tensor(float(next(values)))})

    game.declare({"a": Player((game.a,), partial(SGD, lr=0.1))}, Stage((Turn("a", loss, repeats=2),), 4, 4))
    seen = Seen()
    trained(game, points, tmp_path, observers=[seen], log_every=3)
    assert [s.get("a/n") for s in seen.stats] == [None, None, None, 2.5, 6.5]
    assert seen.stats[-1]["a/loss"] == 1.0
