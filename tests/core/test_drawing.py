"""Rule 4: a round draws one batch, a turn repeated k times draws k-1 more."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from pinxit.core import shares
from pinxit.core.errors import InputError
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.shares import Share
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from toys import growth
from toys._nets import Tiny
from toys._play import PLANE, Custom, Seen, StopAt, Stopped, index_at, trained


def spying(used, *stages):
    """`stages` holds (rounds, batch size, (every, repeats)...); `used` gets (stage, round, turn, images) of each turn."""
    game = Custom(a=nn.Linear(2, 1))

    def spy(number):
        def objective(batch, clock):
            used.append((clock.stage, clock.round, number, batch.images))
            return Loss(game.a(batch.images.flatten(1)).mean())

        return objective

    made = [
        Stage(tuple(Turn("a", spy(t), every=every, repeats=repeats) for t, (every, repeats) in enumerate(turns)), rounds, size)
        for rounds, size, *turns in stages
    ]
    return game.declare({"a": Player((game.a,), partial(SGD, lr=0.1))}, *made)


def consecutive(sizes, n=48, seed=0, start=0):
    """The indices of batches of these sizes, looked up one position at a time."""
    batches, position = [], start
    for size in sizes:
        batches.append([index_at(p, n, seed) for p in range(position, position + size)])
        position += size
    return batches


def test_batches_of_a_round(tmp_path, points):
    used = []
    trainer = trained(spying(used, (7, 10, (1, 3), (1, 1), (2, 2))), points, tmp_path)
    drawn = [1 + 2 + (1 if r % 2 == 0 else 0) for r in range(7)]
    assert points.seen[: sum(drawn)] == consecutive([10] * sum(drawn))
    assert len(points.seen) == sum(drawn)
    assert trainer.clock.images == 10 * sum(drawn)
    at = 0
    for r, count in enumerate(drawn):
        batches = [points.images[points.seen[at + k]] for k in range(count)]
        turns = [(t, x) for _, number, t, x in used if number == r]
        expected = [(0, batches[0]), (0, batches[1]), (0, batches[2]), (1, batches[0])]
        expected += [(2, batches[0]), (2, batches[3])] if r % 2 == 0 else []
        assert [t for t, _ in turns] == [t for t, _ in expected]
        assert all(torch.equal(x, y) for (_, x), (_, y) in zip(turns, expected, strict=True))
        at += count


def test_order_goes_on_through_stages_of_other_batch_sizes(tmp_path, points):
    trainer = trained(spying([], (3, 10, (1, 2)), (4, 5, (1, 1)), (2, 16, (1, 1))), points, tmp_path)
    # A stage may read one batch ahead of its end, but must not use it.
    assert points.seen == consecutive([10] * 6 + [5] * 4 + [16] * 2)
    assert trainer.clock.images == 60 + 20 + 32


def test_clock_of_every_round(tmp_path, points):
    seen = Seen()
    trained(spying([], (2, 8, (1, 2)), (4, 4, (1, 1))), points, tmp_path, observers=[seen])
    places = [(c.stage, c.round, c.step, c.images, c.progress) for c in seen.clocks]
    assert places == [
        (0, 0, 0, 0, 0.0),
        (0, 1, 1, 16, 0.5), (0, 2, 2, 32, 1.0),
        (1, 1, 3, 36, 0.25), (1, 2, 4, 40, 0.5), (1, 3, 5, 44, 0.75), (1, 4, 6, 48, 1.0),
    ]  # fmt: skip
    assert seen.finished == 1


def test_objectives_see_the_clock_of_the_round_they_are_in(tmp_path, points):
    clocks = []
    game = Custom(a=nn.Linear(2, 1))

    def objective(batch, clock):
        clocks.append((clock.stage, clock.round, clock.step, clock.progress))
        return Loss(game.a(batch.images.flatten(1)).mean())

    stages = [Stage((Turn("a", objective),), 2, 8), Stage((Turn("a", objective),), 2, 8)]
    trained(game.declare({"a": Player((game.a,), partial(SGD, lr=0.1))}, *stages), points, tmp_path)
    assert clocks == [(0, 0, 0, 0.0), (0, 1, 1, 0.5), (1, 0, 2, 0.0), (1, 1, 3, 0.5)]


def test_resumed_run_draws_what_is_left(tmp_path, points):
    with pytest.raises(Stopped):
        trained(spying([], (7, 10, (1, 3))), points, tmp_path, observers=[StopAt(5)], save_every=2)
    again = Tiny(PLANE)
    trained(spying([], (7, 10, (1, 3))), again, tmp_path, save_every=2)
    assert again.seen == consecutive([10] * 9, start=4 * 30)


@pytest.mark.parametrize(("size", "accumulate", "fits"), [(8, 4, True), (8, 3, False), (10, 4, False)])
def test_batch_must_split_evenly(tmp_path, points, size, accumulate, fits):
    from pinxit.core.config import Settings

    def make():
        return Trainer(spying([], (1, size, (1, 1))), points, tmp_path, settings=Settings(accumulate=accumulate))

    if fits:
        make()
    else:
        with pytest.raises(InputError, match=f"`batch_size` {size} does not split .* a multiple of {accumulate}"):
            make()


def test_a_share_of_one_sample_has_no_batch_statistics(tmp_path, points):
    from pinxit.core.config import Settings

    game = spying([], (1, 4, (1, 1)))
    next(iter(game.players().values())).modules[0].norm = torch.nn.BatchNorm1d(2)
    Trainer(game, points, tmp_path / "a", settings=Settings(accumulate=2))
    with pytest.raises(InputError, match="`batch_size` 4 over 4 shares is one sample each.*take 8 or more"):
        Trainer(game, points, tmp_path / "b", settings=Settings(accumulate=4))


@pytest.mark.parametrize(
    ("share", "accumulate", "said"),
    [
        (Share(least=2, why="and it compares"), 4, "over 4 shares is one sample each .*`accumulate` 4.*compares: take 8 or more"),
        (
            Share(multiple=4, why="and it packs"),
            2,
            "over 2 shares is 2 samples each .*`accumulate` 2.*packs: take a multiple of 8",
        ),
    ],
)
def test_a_game_says_what_it_asks_of_a_share(tmp_path, points, share, accumulate, said):
    from pinxit.core.config import Settings

    game = spying([], (1, 4, (1, 1)))
    game.share = share
    Trainer(game, points, tmp_path / "a")
    with pytest.raises(InputError, match=f"`batch_size` 4 {said}"):
        Trainer(game, points, tmp_path / "b", settings=Settings(accumulate=accumulate))
    with pytest.raises(InputError, match=f"{accumulate} processes x `accumulate` 1"):
        shares.check(game, 4, processes=accumulate, accumulate=1)


def test_splitting_a_batch():
    batch = Batch(torch.arange(6.0).view(6, 1, 1, 1), torch.arange(6))
    parts = batch.split(3)
    assert [p.labels.tolist() for p in parts] == [[0, 1], [2, 3], [4, 5]]
    assert torch.equal(torch.cat([p.images for p in parts]), batch.images)
    with pytest.raises(InputError, match="`accumulate`=4"):
        batch.split(4)
    assert [p.labels for p in Batch(batch.images).split(2)] == [None, None]


def test_batch_larger_than_the_data(tmp_path):
    data = Tiny(PLANE, n=5)
    trainer = trained(spying([], (3, 12, (1, 1))), data, tmp_path)
    assert trainer.clock.images == 36
    assert data.seen == consecutive([12] * 3, n=5)


def test_stages_of_growth_get_their_batch_sizes(tmp_path):
    data = Tiny(Spec(1, 8, 8))
    trained(growth.build(growth.PRESETS["tiny"], data.spec), data, tmp_path)
    assert [len(batch) for batch in data.seen] == [16] * 5 + [8] * 6 + [4] * 7
