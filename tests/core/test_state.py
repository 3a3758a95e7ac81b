"""Rule 2: state that is no gradient changes in `after` and `project` only, and `after` gets means."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim import SGD

from pinxit.core.game import Loss, Player, Stage, Turn
from pinxit.core.trainer import Trainer
from toys import clipping, equilibrium, growth
from toys._play import PLANE, Custom, trained


def recording(parts_seen, told, **turn):
    game = Custom(a=nn.Linear(2, 1))

    def objective(batch, clock):
        parts_seen.append(batch.images)
        out = game.a(batch.images.flatten(1))
        return Loss(out.mean(), {"x": batch.images.mean(), "count": torch.tensor(len(batch)), "flag": torch.tensor(True)})

    players = {"a": Player((game.a,), partial(SGD, lr=0.1))}
    return game.declare(players, Stage((Turn("a", objective, after=told.append, **turn),), 2, 8))


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_after_gets_the_mean_over_micro_batches(tmp_path, points, accumulate):
    seen, told = [], []
    trained(recording(seen, told), points, tmp_path, accumulate=accumulate)
    assert len(told) == 2
    assert len(seen) == 2 * accumulate
    for turn, stats in enumerate(told):
        parts = seen[turn * accumulate : (turn + 1) * accumulate]
        assert {len(x) for x in parts} == {8 // accumulate}
        assert torch.allclose(stats["x"], torch.stack([x.mean() for x in parts]).mean(), atol=1e-7)
        assert float(stats["count"]) == 8 / accumulate
        assert float(stats["flag"]) == 1.0
        assert not stats["x"].requires_grad


def test_after_comes_after_the_step_of_each_repeat(tmp_path, points):
    seen, told = [], []
    game = recording(seen, told, repeats=3)
    weights = []
    (stage,) = game.stages()
    turn = replace(stage.turns[0], after=lambda stats: weights.append(game.a.weight.clone()))
    start = game.a.weight.clone()
    game.declare(game.players(), replace(stage, turns=(turn,)))
    trained(game, points, tmp_path)
    chain = [start, *weights]
    assert len(weights) == 6
    assert all(not torch.equal(a, b) for a, b in pairwise(chain))


def test_bool_and_integer_stats_are_means_in_the_log(tmp_path, points):
    seen, told = [], []
    trainer = trained(recording(seen, told), points, tmp_path, log_every=2)
    assert trainer.records.last["a/flag"] == 1.0
    assert trainer.records.last["a/count"] == 8.0


def test_project_follows_every_step_of_its_player_and_no_other(tmp_path, points):
    game = clipping.build(clipping.PRESETS["tiny"], PLANE)
    trainer = Trainer(game, points, tmp_path)

    class Probe(Trainer):
        def play_turn(self, turn, *args):
            super().play_turn(turn, *args)
            inside = all(p.abs().max() <= 0.05 for p in self.game.critic.parameters())
            assert inside
            calls.append(turn.player)

    calls: list[str] = []
    trainer.__class__ = Probe
    trainer.fit()
    assert calls[:3] == ["critic", "critic", "generator"]
    assert max(p.abs().max() for p in game.generator.parameters()) > 0.05


def test_controller_follows_its_equation(tmp_path, points):
    game = equilibrium.build(equilibrium.PRESETS["tiny"], PLANE)
    told, ks = [], []
    (stage,) = game.stages()

    def after(stats):
        told.append(stats)
        game.balance(stats)
        ks.append(game.k.clone())

    game.stages = lambda: (replace(stage, turns=(replace(stage.turns[0], after=after), stage.turns[1])),)
    trainer = trained(game, points, tmp_path)
    k = torch.tensor(0.1)
    for stats, found in zip(told, ks, strict=True):
        k = (k + 0.05 * (0.7 * stats["real"] - stats["fake"])).clamp(0, 1)
        assert torch.equal(found, k)
    assert torch.equal(trainer.averaged.k, game.k), "a buffer made anew in `after` must reach the averaged model"


def test_stage_buffer_follows_the_stages(tmp_path, points):
    game = growth.build(growth.PRESETS["tiny"], PLANE)
    trainer = trained(game, points, tmp_path)
    assert int(game.grown) == int(trainer.averaged.grown) == 2
