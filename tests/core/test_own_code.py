"""What users bring: games, optimizers, schedules, observers and data of their own, and a Python session around the run."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adam

from pinxit.core.errors import InputError
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from toys import critic
from toys._nets import Tiny
from toys._play import PLANE, Custom, Seen, StopAt, Stopped, differing, everything, trained


def one(network=None, objective=None, optimizer=partial(SGD, lr=0.1), schedule=None, rounds=4, spec=PLANE, **turn):
    """A player with one network, of the mean square of its outputs."""
    torch.manual_seed(0)
    game = Custom(spec, net=network or nn.Linear(spec.dim, 2))

    def net_loss(batch, clock):
        return Loss(game.net(batch.images.flatten(1)).square().mean())

    players = {"net": Player((game.net,), optimizer, schedule=schedule)}
    return game.declare(players, Stage((Turn("net", objective or net_loss, **turn),), rounds, 8))


class Turned(nn.Module):
    """A square weight and its transpose, or a square buffer and its: two names of one memory, one shape, two strides."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        if tied:
            self.t = nn.Parameter(self.w.data.t())
        else:
            self.register_buffer("a", torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
            self.register_buffer("t", self.a.t())

    def forward(self, x):
        return x @ self.w @ self.t / 30


@pytest.mark.parametrize("tied", [True, False])
def test_a_square_tensor_and_its_transpose_are_two(tied, tmp_path, points):
    """Taken for one, the transpose was written over its matrix on resuming, without a word."""
    whole = everything(trained(one(Turned(tied)), points, tmp_path / "a", save_every=1))
    with pytest.raises(Stopped):
        trained(one(Turned(tied)), points, tmp_path / "b", observers=[StopAt(3)], save_every=1)
    assert not differing(whole, everything(trained(one(Turned(tied)), points, tmp_path / "b", save_every=1)))


def test_a_schedule_of_what_the_optimizer_does_not_have_is_refused(tmp_path, points):
    """It was written into the groups, where nobody reads it: the rate stayed."""
    game = one(optimizer=partial(Adam, lr=0.1), schedule=lambda clock: {"beta": (0.5, 0.9)})
    with pytest.raises(
        InputError, match="`schedule` of player `net` sets `beta`, which Adam does not have: did you mean `betas`"
    ):
        trained(game, points, tmp_path)


@pytest.mark.parametrize(("optimizer", "said"), [
    (LBFGS, "LBFGS of player `net` asks for a closure"),
    (lambda parameters: list(parameters), "`optimizer` of player `net` made a list"),
])  # fmt: skip
def test_an_optimizer_that_a_step_can_not_use_is_named(optimizer, said, tmp_path, points):
    with pytest.raises(InputError, match=said):
        trained(one(optimizer=optimizer), points, tmp_path)


def test_a_player_that_is_frozen_is_named(tmp_path, points):
    """As all of a loaded model are: `from_pretrained` gives it for use, not for training."""
    with pytest.raises(InputError, match=r"player `net` has no trainable parameter: .*game.requires_grad_\(True\)"):
        Trainer(one(nn.Linear(2, 2).requires_grad_(False)), points, tmp_path)


@pytest.mark.parametrize(("objective", "said"), [
    (lambda game: game.net(torch.ones(8, 2)).mean(), "a Tensor: it must be a Loss"),
    (lambda game: Loss(game.net(torch.ones(8, 2)).mean(1)), r"a total of shape \(8,\): it must be a scalar"),
    (lambda game: Loss(game.net(torch.ones(8, 2)).mean().detach()), "a total without a gradient"),
    (lambda game: Loss(game.net(torch.ones(8, 2)).mean(), {"k": 1.0}), "the stat `k`, a float"),
])  # fmt: skip
def test_what_is_no_loss_is_named_with_its_turn(objective, said, tmp_path, points):
    def net_loss(batch, clock):
        return objective(game)

    game = one(objective=net_loss)
    with pytest.raises(InputError, match=f"objective of turn `net/loss` returned {said}"):
        trained(game, points, tmp_path)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_objective_that_does_not_reach_its_player_is_named(accumulate, tmp_path, points):
    """A generator's loss of real images, or of detached samples, was trained on to the end while nothing moved."""

    def net_loss(batch, clock):
        return Loss(other(batch.images.flatten(1)).mean() + game.net(batch.images.flatten(1)).detach().mean())

    other, game = nn.Linear(2, 1), one(objective=net_loss)
    with pytest.raises(InputError, match="turn `net/loss` gives player `net` no gradient: its total is computed from none of"):
        trained(game, points, tmp_path, accumulate=accumulate)


def test_turns_and_stages_count_in_whole_numbers():
    for turn in ({"every": 2.5}, {"repeats": 2.0}):  # every 2.5 was played in rounds 0, 5, 10
        with pytest.raises(InputError, match="it must be a whole number"):
            Turn("a", print, **turn)
    with pytest.raises(InputError, match="`gain` of the turn of `a` is nan"):
        Turn("a", print, gain=float("nan"))


class Careless(Seen):
    """An observer that leaves the model in train mode, having sampled from it in that."""

    def __call__(self, game, clock, stats):
        game.train().net(torch.ones(4, 2))


def normed():
    torch.manual_seed(0)
    return one(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)))


def test_an_observer_that_leaves_the_model_in_train_mode_disturbs_nobody(tmp_path, points):
    modes = []

    class Next(Seen):
        def __call__(self, game, clock, stats):
            modes.append(game.training)

    expected = everything(trained(normed(), points, tmp_path / "a"))
    trainer = trained(normed(), points, tmp_path / "b", observers=[Careless(), Next()])
    assert not any(modes)
    assert not any(part.training for part in trainer.averaged.modules())
    assert not differing(expected, everything(trainer))


def test_a_run_neither_depends_on_the_callers_random_state_nor_changes_it(tmp_path, points):
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        game = critic.build(critic.PRESETS["tiny"], PLANE)
        before = torch.get_rng_state()
        runs.append(everything(trained(game, points, tmp_path / str(seed))))
        assert torch.equal(before, torch.get_rng_state())
    assert not differing(*runs)


def test_a_run_under_no_grad_trains(tmp_path, points):
    expected = everything(trained(one(), points, tmp_path / "a"))
    with torch.no_grad():
        assert not differing(expected, everything(trained(one(), points, tmp_path / "b")))
        assert not torch.is_grad_enabled()


def test_a_run_stays_in_its_folder_when_the_working_directory_changes(tmp_path, points, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    trainer = Trainer(one(), points, "run")
    monkeypatch.chdir(tmp_path / "other")
    trainer.fit()
    assert (tmp_path / "run/checkpoints").is_dir()
    assert not list((tmp_path / "other").iterdir())


CLASSES = Spec(1, 2, 2, classes=3)


class Odd(Tiny):
    """Data whose batches are changed on the way."""

    def __init__(self, change) -> None:
        super().__init__(CLASSES)
        self.change = change

    def batches(self, order, device=None):
        for indices in order:
            yield self.change(self.batch(indices))


@pytest.mark.parametrize(("change", "said"), [
    (lambda b: (b.images, b.labels), "is a tuple: it must be"),
    (lambda b: Batch(b.images[:3], b.labels[:3]), r"has images of shape \(3, 1, 2, 2\): 8 indices were asked for"),
    (lambda b: Batch(b.images.permute(0, 2, 3, 1), b.labels), r"has images of shape \(8, 2, 2, 1\)"),
    (lambda b: Batch(b.images.double(), b.labels), "has images of torch.float64: they must be torch.float32"),
    (lambda b: Batch((b.images + 1) * 127.5, b.labels), r"has images with values of .*: they must be in \[-1, 1\]"),
    (lambda b: Batch(b.images), "has no labels, its spec says 3 classes"),
    (lambda b: Batch(b.images, b.labels.int()), r"has labels of shape \(8,\) and torch.int32"),
    (lambda b: Batch(b.images, b.labels + 1), "has labels of . to 3: its spec says 3 classes, 0 to 2"),
])  # fmt: skip
def test_batches_that_are_not_what_the_data_say_are_refused(change, said, tmp_path):
    """Three images for eight, and those in [0, 255], were trained on without a word."""
    with pytest.raises(InputError, match=f"a batch of tiny {said}"):
        trained(one(spec=CLASSES), Odd(change), tmp_path)


def test_batches_that_end_are_named(tmp_path):
    class Ending(Tiny):
        def batches(self, order, device=None):
            for indices, _ in zip(order, range(2), strict=False):
                yield self.batch(indices)

    with pytest.raises(InputError, match="the batches of tiny came to an end"):
        trained(one(), Ending(PLANE), tmp_path)
