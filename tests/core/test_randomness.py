"""Rule 3: every random number is a function of (seed, stage, round, turn, repeat, rank)."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from pinxit.core.game import Loss, Player, Stage, Turn
from pinxit.core.rng import normal, seed_of, seeded
from toys import critic
from toys._nets import Tiny
from toys._play import PLANE, Custom, Seen, differing, everything, trained


class Chaos(Seen):
    """Draws from every generator it can reach."""

    def __call__(self, game, clock, stats):
        super().__call__(game, clock, stats)
        game.sample(5)
        torch.randn(clock.step % 7 + 1)
        torch.manual_seed(clock.step)


class Restless(Tiny):
    """A data set that draws while it reads: between rounds and between turns."""

    def batch(self, indices):
        torch.randn(sum(indices.tolist()) % 5 + 1)
        return super().batch(indices)


def run(tmp_path, name, *, data=None, **options):
    config = critic.PRESETS["tiny"]
    return everything(trained(critic.build(config, PLANE), data or Tiny(PLANE), tmp_path / name, log_every=3, **options))


def test_same_seed_same_run(tmp_path):
    assert not differing(run(tmp_path, "a", seed=7), run(tmp_path, "b", seed=7))


def test_another_seed_is_another_run(tmp_path):
    a, b = run(tmp_path, "a", seed=7), run(tmp_path, "b", seed=8)
    assert not torch.equal(a["game.generator.0.weight"], b["game.generator.0.weight"])


def test_a_dirty_global_generator_changes_nothing(tmp_path):
    a = run(tmp_path, "a")
    torch.randn(17)
    assert not differing(a, run(tmp_path, "b"))


def test_observers_that_draw_change_nothing(tmp_path):
    chaos = Chaos()
    assert not differing(run(tmp_path, "a"), run(tmp_path, "b", observers=[chaos]))
    assert len(chaos.clocks) == 13


def test_drawing_between_rounds_changes_nothing(tmp_path):
    assert not differing(run(tmp_path, "a"), run(tmp_path, "b", data=Restless(PLANE)))


def noises(tmp_path, points, stages, *, seed=0, **settings):
    """The noise that each turn draws: {(stage, round, turn): [of each repeat]}; `stages` holds (rounds, (every, repeats)...)."""
    found: dict[tuple[int, int, str], list[float]] = {}
    game = Custom(a=nn.Linear(2, 1))

    def drawing(name):
        def objective(batch, clock):
            found.setdefault((clock.stage, clock.round, name), []).append(float(torch.randn(())))
            return Loss(game.a(batch.images.flatten(1)).mean())

        return objective

    made = [
        Stage(
            tuple(Turn("a", drawing(str(t)), every=every, repeats=repeats) for t, (every, repeats) in enumerate(turns)), rounds, 4
        )
        for rounds, *turns in stages
    ]
    players = {"a": Player((game.a,), partial(SGD, lr=0.1))}
    trained(game.declare(players, *made), points, tmp_path, seed=seed, **settings)
    return found


def test_noise_differs_at_every_position_and_seed(tmp_path, points):
    a = noises(tmp_path / "a", points, [(4, (1, 2), (1, 1)), (4, (1, 2), (1, 1))])
    b = noises(tmp_path / "b", points, [(4, (1, 2), (1, 1)), (4, (1, 2), (1, 1))], seed=1)
    every = [x for found in (a, b) for xs in found.values() for x in xs]
    assert len(every) == len(set(every)) == 2 * 2 * 4 * 3


def test_micro_batches_have_noise_of_their_own(tmp_path, points):
    found = noises(tmp_path, points, [(2, (1, 2))], accumulate=4)
    assert len({x for xs in found.values() for x in xs}) == 2 * 2 * 4


def test_skipping_a_turn_does_not_shift_anothers_noise(tmp_path, points):
    often = noises(tmp_path / "a", points, [(6, (1, 3), (1, 1))])
    seldom = noises(tmp_path / "b", points, [(6, (4, 3), (1, 1))])
    assert {key: often[key] for key in seldom} == seldom
    assert len(seldom) == 8


def test_more_repeats_do_not_shift_anothers_noise(tmp_path, points):
    one = noises(tmp_path / "a", points, [(3, (1, 1), (1, 1))])
    three = noises(tmp_path / "b", points, [(3, (1, 3), (1, 1))])
    assert all(three[key][: len(found)] == found for key, found in one.items())


def test_noise_of_a_stage_does_not_depend_on_the_length_of_the_stage_before(tmp_path, points):
    long = noises(tmp_path / "a", points, [(5, (1, 1)), (3, (1, 1))])
    short = noises(tmp_path / "b", points, [(2, (1, 1)), (3, (1, 1))])
    assert {k: v for k, v in long.items() if k[0] == 1} == {k: v for k, v in short.items() if k[0] == 1}


def test_seeds_are_fixed_for_ever():
    """A change of these numbers changes every run ever published."""
    assert seed_of(0, 0, 0, 0, 0, 0, 0) == 8601538508149673309
    assert seed_of("order", 0, 0) == 8105155533265743171


def test_seeds_are_distinct_and_in_range():
    seeds = [seed_of(*p) for p in [(a, b, c) for a in range(12) for b in range(12) for c in range(12)]]
    assert len(set(seeds)) == 12**3
    assert all(0 <= s < 2**63 for s in seeds)
    assert seed_of(1, 23) != seed_of(12, 3) != seed_of("1", 23)


@pytest.mark.parametrize("fails", [False, True])
def test_seeded_leaves_the_generator_as_it_was(fails):
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    try:
        with seeded(5):
            inner = torch.randn(2)
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert torch.equal(torch.randn(3), expected)
    assert torch.equal(inner, torch.randn(2, generator=torch.Generator().manual_seed(5)))


def test_normal_draws_from_the_generator_given():
    generator = torch.Generator().manual_seed(2)
    state = torch.get_rng_state()
    a = normal(3, 4, device=torch.device("cpu"), generator=generator)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(a, torch.randn(3, 4, generator=torch.Generator().manual_seed(2)))
    torch.manual_seed(2)
    assert torch.equal(normal(3, 4, device=torch.device("cpu")), a)
