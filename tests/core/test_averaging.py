"""The moving average: its closed form, the ramp, what is copied."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from pinxit.core.averaging import Averaged, published
from pinxit.core.game import Loss, Player, Stage, Turn
from toys import normed
from toys._play import PLANE, Custom, trained


def walker(**player):
    """A game whose weight can be set by hand."""
    game = Custom(a=nn.Linear(2, 1, bias=False).double(), b=nn.Linear(1, 1, bias=False).double())
    game.register_buffer("count", torch.zeros((), dtype=torch.long))
    sgd = partial(SGD, lr=0.1)
    players = {"a": Player((game.a,), sgd, **player), "b": Player((game.b,), sgd)}
    return game.declare(players, Stage((Turn("a", lambda batch, clock: Loss(game.a.weight.sum())),), 4, 6))


@pytest.mark.parametrize(("half_life", "ramp"), [(100.0, 0.0), (100.0, 0.5), (100.0, 50.0), (7.0, 0.05)])
def test_closed_form(half_life, ramp):
    game = walker()
    start = game.a.weight.detach().clone()
    averaged = Averaged(game, game.players(), half_life, ramp)
    images, steps = 0, []
    for step in range(1, 6):
        batch = 8 * step
        images += 3 * batch
        with torch.no_grad():
            game.a.weight.add_(step)
        averaged.update(batch, images)
        h = min(half_life, ramp * images) if ramp else half_life
        steps.append((0.5 ** (batch / h), game.a.weight.detach().clone()))
    # w_bar_T = prod beta w_0 + sum_t (1 - beta_t) prod_{s > t} beta_s w_t
    expected, tail = torch.zeros_like(start), 1.0
    for beta, w in reversed(steps):
        expected += (1 - beta) * tail * w
        tail *= beta
    expected += tail * start
    assert torch.allclose(averaged.refresh().a.weight, expected, rtol=0, atol=1e-13)


def test_half_of_the_past_is_forgotten_in_a_half_life():
    game = walker()
    averaged = Averaged(game, game.players(), 50.0, 0.0)
    start = game.a.weight.detach().clone()
    with torch.no_grad():
        game.a.weight.add_(1.0)
    for step in range(10):
        averaged.update(5, 5 * step + 5)
    assert torch.allclose(averaged.refresh().a.weight, start + 0.5, atol=1e-13)


def test_half_life_of_zero_is_the_present():
    game = walker()
    averaged = Averaged(game, game.players(), 0.0, 0.05)
    with torch.no_grad():
        game.a.weight.mul_(1.7)
    averaged.update(8, 8)
    assert torch.equal(averaged.refresh().a.weight, game.a.weight)


def test_buffers_are_copied_even_when_they_are_new_tensors():
    game = walker()
    averaged = Averaged(game, game.players(), 100.0, 0.0)
    game.count.add_(3)
    assert int(averaged.refresh().count) == 3
    game.count = torch.tensor(5)
    assert int(averaged.refresh().count) == 5
    assert averaged.game.count is not game.count


def test_players_without_average_are_copied_on_refresh():
    game = walker(average=False)
    averaged = Averaged(game, game.players(), 100.0, 0.0)
    with torch.no_grad():
        game.a.weight.add_(1)
        game.b.weight.add_(1)
    averaged.update(1, 1)
    mean = averaged.refresh()
    assert torch.equal(mean.a.weight, game.a.weight)
    assert not torch.equal(mean.b.weight, game.b.weight)


def test_frozen_parameters_are_copied_exactly():
    game = walker()
    game.b.requires_grad_(False)
    averaged = Averaged(game, {"a": game.players()["a"]}, 100.0, 0.0)
    averaged.update(1, 1)
    assert torch.equal(averaged.refresh().b.weight, game.b.weight)


def test_it_is_a_copy_in_eval_mode_that_needs_no_gradient():
    game = walker()
    mean = Averaged(game, game.players(), 100.0, 0.0).refresh()
    assert not mean.training
    assert game.training
    assert not any(p.requires_grad for p in mean.parameters())
    assert all(p.requires_grad for p in game.parameters())
    assert not {p.data_ptr() for p in mean.parameters()} & {p.data_ptr() for p in game.parameters()}


def test_the_trainer_updates_once_a_round_by_the_batch_of_the_stage(tmp_path, points):
    game = walker()
    start = game.a.weight.detach().clone()
    trainer = trained(game, points, tmp_path, average={"half_life": 30, "ramp": 0})
    beta, expected = 0.5 ** (6 / 30), start.clone()
    for step in range(1, 5):
        expected = beta * expected + (1 - beta) * (start - 0.1 * step)
    assert torch.allclose(trainer.averaged.a.weight, expected, atol=1e-13)


def test_running_statistics_of_the_average_are_the_present_ones(tmp_path, points):
    game = normed.build(normed.PRESETS["tiny"], PLANE)
    trainer = trained(game, points, tmp_path)
    mean = trainer.averaged
    assert int(game.read[1].num_batches_tracked) == 8 * 2 + 8
    for live, copied in zip(game.buffers(), mean.buffers(), strict=True):
        assert torch.equal(live, copied)
    assert torch.equal(mean.verdict.weight, game.verdict.weight), "average=False"
    assert not torch.equal(mean.base.weight, game.base.weight)


def test_a_round_counts_one_batch_however_many_its_turns_draw(tmp_path, points):
    game = walker()
    start = game.a.weight.detach().clone()
    turn = Turn("a", lambda batch, clock: Loss(game.a.weight.sum()), repeats=3)
    game.declare(game.players(), Stage((turn,), 2, 6))
    trainer = trained(game, points, tmp_path, average={"half_life": 100, "ramp": 0.5})
    expected = start.clone()
    for step in (1, 2):
        beta = 0.5 ** (6 / min(100, 0.5 * 18 * step))
        expected = beta * expected + (1 - beta) * (start - 0.1 * 3 * step)
    assert torch.allclose(trainer.averaged.a.weight, expected, atol=1e-13)


def test_weights_are_called_what_they_are(tmp_path):
    """By the configuration of the run: a half-life of 0 averages nothing; of a model alone nothing is known."""
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "model" / "config.json").write_text("{}")
    assert published(run) == published(run / "model") == "published"
    for text, kind in (("half_life: 0", "raw"), ("half_life: 500", "averaged"), ("ramp: 0.1", "averaged")):
        (run / "config.yaml").write_text(f"settings: {{average: {{{text}}}}}")
        assert published(run) == published(run / "model") == kind
    (run / "config.yaml").write_text("system: gan")
    assert published(run) == "averaged"
    other = run / "exported"
    other.mkdir()
    (other / "config.json").write_text("{}")
    assert published(other) == "published"
