"""A player's step, and the gradient's norm in the log: of the last play of an interval, exact, and cheap."""

import json
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from pinxit.core.clock import Clock
from pinxit.core.game import Loss, Player, Stage, Turn
from pinxit.core.steps import gradient_norm, last_of_interval, measured, step
from pinxit.core.trainer import Trainer
from toys import critic, lazy_r1
from toys._nets import Tiny
from toys._play import PLANE, Custom, StopAt, Stopped, trained


def with_gradients(*gradients):
    parameters = [nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = None if g is None else torch.tensor(g, dtype=torch.float64)
    return parameters


def test_the_norm_is_of_all_gradients_as_one_vector():
    parameters = with_gradients([3.0, 0.0], None, [0.0, -4.0])
    assert gradient_norm(parameters).item() == 5.0
    assert gradient_norm(parameters, math.inf).item() == 4.0
    assert gradient_norm(with_gradients(None, None)).item() == 0.0


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("order", [2.0, math.inf])
def test_one_bad_entry_shows_in_the_norm(bad, order):
    assert not math.isfinite(gradient_norm(with_gradients([1.0, 2.0], [bad, 0.0], [5.0, 6.0]), order))


def test_a_huge_gradient_is_no_infinite_one():
    p = nn.Parameter(torch.zeros(3))
    p.grad = torch.full((3,), 1e30)
    assert gradient_norm([p], math.inf).item() == pytest.approx(1e30)


def test_a_step_in_its_order():
    """Schedule, then descent, then projection; no gradient is left."""
    p = nn.Parameter(torch.tensor([1.0, 1.0]))
    p.grad = torch.tensor([1.0, -1.0])
    optimizer = SGD([p], lr=1e9)

    def project():
        p.data.clamp_(max=1.25)

    step(Player((), SGD, project, lambda clock: {"lr": 0.5 * clock.step}), [p], optimizer, Clock(step=1))
    assert p.tolist() == [0.5, 1.25]
    assert p.grad is None


def test_the_last_play_of_an_interval():
    """By brute force over every schedule: the rounds in which no later play comes before the next line."""
    a = lambda batch, clock: None  # noqa: E731
    for every in (1, 2, 3, 7):
        for log_every in (1, 4, 5):
            for rounds in (1, 9, 20):
                turn = Turn("a", a, every=every)
                lines = [s for s in range(1, rounds + 1) if s % log_every == 0 or s == rounds]
                plays = [r for r in range(rounds) if r % every == 0]
                for r in plays:
                    line = min(s for s in lines if s > r)
                    later = any(r < q < line for q in plays)
                    assert last_of_interval(turn, Clock(round=r, step=r), log_every, rounds) != later, (every, log_every, r)


def test_a_lazy_regulariser_is_not_measured():
    def d_loss(batch, clock): ...
    def d_penalty(batch, clock): ...
    def g_loss(batch, clock): ...

    turns = (Turn("d", d_loss), Turn("d", d_penalty, every=16, gain=16.0), Turn("g", g_loss, every=2))
    assert measured(Stage(turns, 1, 1)) == {"d/loss", "g/loss"}


def quadratic(every=1, repeats=1):
    """a^2 / 2 + b^2 / 2 descends by its gradient (a, b): the norm in round r is sqrt(2) * 0.9^r."""
    torch.manual_seed(0)
    game = Custom(a=nn.Linear(1, 1, bias=True).double())
    nn.init.ones_(game.a.weight)
    nn.init.ones_(game.a.bias)

    def a_loss(batch, clock):
        return Loss(sum(p.square().sum() for p in game.a.parameters()) / 2)

    turn = Turn("a", a_loss, every=every, repeats=repeats)
    return game.declare({"a": Player((game.a,), partial(SGD, lr=0.1))}, Stage((turn,), 10, 4))


def logged(run_dir):
    return [row.get("a/gradient") for row in map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())]


def test_the_log_has_the_norm_of_the_lines_own_round(tmp_path, points):
    trained(quadratic(), points, tmp_path, log_every=4)
    assert logged(tmp_path) == pytest.approx([2**0.5 * 0.9**r for r in (3, 7, 9)], rel=1e-6)


def test_the_norm_of_a_lazy_player_is_its_last_plays(tmp_path, points):
    trained(quadratic(every=3), points, tmp_path, log_every=4)  # plays in rounds 0, 3, 6, 9
    assert logged(tmp_path) == pytest.approx([2**0.5 * 0.9**n for n in (1, 2, 3)], rel=1e-6)


def test_the_norm_of_repeats_is_their_mean(tmp_path, points):
    trained(quadratic(repeats=2), points, tmp_path, log_every=5)
    expected = [(0.9 ** (2 * r) + 0.9 ** (2 * r + 1)) / 2 * 2**0.5 for r in (4, 9)]
    assert logged(tmp_path) == pytest.approx(expected, rel=1e-6)


def test_the_norm_is_of_the_whole_batch_where_it_is_accumulated(tmp_path, points):
    for accumulate in (1, 4):
        trained(quadratic(), points, tmp_path / str(accumulate), log_every=5, accumulate=accumulate)
    assert logged(tmp_path / "4") == pytest.approx(logged(tmp_path / "1"), rel=1e-6)


@pytest.mark.parametrize("toy", [critic, lazy_r1])
def test_every_player_has_one(tmp_path, toy):
    trainer = trained(toy.build(toy.PRESETS["tiny"], PLANE), Tiny(PLANE), tmp_path, log_every=2)
    found = {key.partition("/")[0]: value for key, value in trainer.records.last.items() if key.endswith("/gradient")}
    assert set(found) == set(trainer.players)
    assert all(value > 0 for value in found.values())


@pytest.mark.parametrize("every", [1, 3])
def test_the_norms_of_a_resumed_run_are_the_same(tmp_path, points, every):
    """Stopped between two lines, after a lazy play whose norm waits in the open interval."""
    trained(quadratic(every), points, tmp_path / "whole", log_every=4, save_every=2)
    with pytest.raises(Stopped):
        trained(quadratic(every), points, tmp_path / "cut", log_every=4, save_every=2, observers=[StopAt(7)])
    trained(quadratic(every), points, tmp_path / "cut", log_every=4, save_every=2)
    assert (tmp_path / "cut/metrics.jsonl").read_text() == (tmp_path / "whole/metrics.jsonl").read_text()


def test_norms_are_taken_in_logged_rounds_only(tmp_path, points, monkeypatch):
    """Structural, for the cost: one norm a turn and interval."""
    calls = []
    real = torch._foreach_norm
    monkeypatch.setattr(torch, "_foreach_norm", lambda *args: calls.append(1) or real(*args))
    trained(quadratic(), points, tmp_path, log_every=5)
    assert len(calls) == 2


def test_after_draws_alike_in_every_process(tmp_path, points):
    """What `after` draws is a function of the place in the run, not of the process, and differs from round to round."""
    drawn: dict[int, list[float]] = {0: [], 1: []}
    for rank, into in drawn.items():
        game = quadratic()
        players, (stage,) = game.declared
        turn = Turn("a", stage.turns[0].objective, after=lambda stats, into=into: into.append(torch.rand(()).item()))
        trainer = Trainer(game.declare(players, Stage((turn,), 3, 4)), points, tmp_path / str(rank), seed=1)
        trainer.optimizers, trainer.engine.rank = {"a": SGD(game.a.parameters(), lr=0.1)}, rank
        for number in range(3):
            trainer.clock = Clock(round=number, step=number)
            trainer.play_turn(turn, points.batch(torch.arange(4)), (0, 0))
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3
