"""Rule 1: a turn moves its player and nobody else, whatever the objective does."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from pinxit.core.errors import InputError
from pinxit.core.game import Loss, Player, Stage, Turn, owners
from pinxit.core.trainer import Trainer
from toys import critic, shared_head
from toys._play import PLANE, Custom, trained


def leaky(turns: str) -> Custom:
    """Every objective runs through both networks, and nothing is detached."""
    torch.manual_seed(3)
    game = Custom(a=nn.Linear(2, 2), b=nn.Linear(2, 1))

    def objective(batch, clock):
        return Loss(game.b(game.a(batch.images.flatten(1))).square().mean())

    sgd = partial(SGD, lr=0.1)
    players = {"a": Player((game.a,), sgd), "b": Player((game.b,), sgd)}
    return game.declare(players, Stage(tuple(Turn(name, objective) for name in turns), 3, 8))


@pytest.mark.parametrize(("mover", "other"), [("a", "b"), ("b", "a")])
def test_leaky_objective_moves_its_player_only(tmp_path, points, mover, other):
    game = leaky(mover)
    before = {name: p.clone() for name, p in game.named_parameters()}
    trained(game, points, tmp_path)
    for name, p in game.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith(other), name


def test_no_gradient_is_left_after_a_turn(tmp_path, points):
    game = leaky("ab")
    trainer = Trainer(game, points, tmp_path)
    left = []

    class Probe(Trainer):
        def play_turn(self, *args):
            super().play_turn(*args)
            left.extend(name for name, p in self.game.named_parameters() if p.grad is not None)

    trainer.__class__ = Probe
    trainer.fit()
    assert not left


def test_a_leaky_partner_does_not_change_the_mover(tmp_path, points):
    """What b does after a must not see a trace of a's graph: a's step equals one computed alone."""
    together, alone = leaky("ab"), leaky("a")
    together.declared = (together.players(), (Stage(together.stages()[0].turns, 1, 8),))
    alone.declared = (alone.players(), (Stage(alone.stages()[0].turns, 1, 8),))
    trained(together, points, tmp_path / "ab")
    trained(alone, points, tmp_path / "a")
    assert torch.equal(together.a.weight, alone.a.weight)
    assert not torch.equal(together.b.weight, alone.b.weight)


def test_the_step_is_the_gradient_of_the_present_batch(tmp_path, points):
    """Stale gradients (a missing zero_grad, a retained graph) would show in the second step."""
    game = leaky("a")
    w = game.a.weight.detach().clone()
    bias = game.a.bias.detach().clone()
    v = game.b.weight.detach()
    trained(game, points, tmp_path)
    for indices in points.seen[:3]:
        x = points.images[indices].flatten(1)
        out = (x @ w.T + bias) @ v.T + game.b.bias.detach()
        upstream = 2 * out / len(x) @ v
        w, bias = w - 0.1 * upstream.T @ x, bias - 0.1 * upstream.sum(0)
    assert torch.allclose(game.a.weight, w, atol=1e-6)
    assert torch.allclose(game.a.bias, bias, atol=1e-6)


def two(**players):
    game = Custom(a=nn.Linear(2, 1), b=nn.Linear(1, 1))
    adam = partial(Adam, lr=0.1)
    turn = Turn(next(iter(players)), lambda batch, clock: Loss(torch.zeros(())))
    modules = {"a": game.a, "b": game.b, "foreign": nn.Linear(1, 1)}
    owned = {name: Player(tuple(modules[m] for m in names), adam) for name, names in players.items()}
    return game.declare(owned, Stage((turn,), 1, 1))


def test_unowned_parameter_is_an_error():
    with pytest.raises(InputError, match=r"parameter `b\.weight` has no player"):
        owners(two(first=("a",)))


def test_undeclared_overlap_is_an_error():
    with pytest.raises(InputError, match=r"parameter `b\.weight` is moved by \['first', 'second'\]: declare it in `shared`"):
        owners(two(first=("a", "b"), second=("b",)))


def test_declaring_only_part_of_an_overlap_is_an_error():
    game = two(first=("a", "b"), second=("b",))
    game.shared = frozenset({"b.weight"})
    with pytest.raises(InputError, match=r"`b\.bias`"):
        owners(game)


def test_foreign_parameter_is_an_error():
    with pytest.raises(InputError, match="player `first` owns a parameter that is not part of Custom"):
        owners(two(first=("a", "b", "foreign")))


def test_shared_must_name_parameters():
    game = two(first=("a", "b"))
    game.shared = frozenset({"b.wieght"})
    with pytest.raises(InputError, match=r"`shared` names \['b.wieght'\]"):
        owners(game)


def test_turn_of_nobody_is_an_error():
    game = two(first=("a", "b"))
    players, (stage,) = game.declared
    game.declare(players, Stage((*stage.turns, Turn("secnod", stage.turns[0].objective)), 1, 1))
    with pytest.raises(InputError, match="names no player"):
        owners(game)


@pytest.mark.parametrize(("name", "make"), [
    ("every", lambda: Turn("a", print, every=0)),
    ("repeats", lambda: Turn("a", print, repeats=0)),
    ("rounds", lambda: Stage((), 0, 1)),
    ("batch_size", lambda: Stage((), 1, 0)),
])  # fmt: skip
def test_numbers_below_one_are_errors(name, make):
    with pytest.raises(InputError, match=f"`{name}` of .* is 0: it must be >= 1"):
        make()


def test_frozen_parameters_need_no_player_and_stay(tmp_path, points):
    game = leaky("a")
    game.b.requires_grad_(False)
    del game.declared[0]["b"]
    before = game.b.weight.clone()
    trained(game, points, tmp_path)
    assert torch.equal(game.b.weight, before)


def test_both_players_move_a_declared_overlap(points, tmp_path):
    game = shared_head.build(shared_head.PRESETS["tiny"], PLANE)
    trainer = Trainer(game, points, tmp_path)
    moved = set()

    class Probe(Trainer):
        def play_turn(self, turn, *args):
            before = self.game.guess.weight.clone()
            super().play_turn(turn, *args)
            if not torch.equal(before, self.game.guess.weight):
                moved.add(turn.player)

    trainer.__class__ = Probe
    trainer.fit()
    assert moved == {"discriminator", "generator"}


def test_names_of_turns():
    game = critic.build(critic.PRESETS["tiny"], PLANE)
    assert [turn.name for turn in game.stages()[0].turns] == ["critic/loss", "generator/loss"]
