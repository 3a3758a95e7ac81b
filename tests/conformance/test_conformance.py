"""Every row: ours holds, each planted mistake does not, and every number of it can fail."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from pinxit import conformance, systems
from pinxit.conformance import networks, objectives, penalties, pixels, probes, training
from pinxit.conformance.record import NOBODY, PEERS, Missing, Row
from pinxit.core.game import owners
from pinxit.core.rng import seeded
from pinxit.core.trainer import Trainer
from pinxit.losses import adversarial
from pinxit.losses import penalties as losses
from pinxit.nn import conditioning, lstm2d, scan
from pinxit.systems import began, dragan, ebgan, wgan

COUNT = 23 + 8
"""Rows of the table of properties in the reference on adversarial systems, and of the pixel models' mistakes."""

TABLE = conformance.rows()
ROWS = [row for row in TABLE if isinstance(row, Row)]
MISSING = [row for row in TABLE if isinstance(row, Missing)]
HEAVY = ("d-gradient", "gp-critics", "resume", "shapes")
SLOW = (*HEAVY, "diagonal-bilstm")
EACH = [pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.name in SLOW else []) for row in ROWS]


def named(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


@cache
def judged(name: str) -> conformance.Outcome:
    return conformance.judge(named(name))


def outcome(row: Row) -> conformance.Outcome:
    """What came of a row, measured once for all the tests."""
    return judged(row.name)


@pytest.mark.parametrize("row", EACH)
def test_ours_holds(row):
    assert row.wrong(outcome(row).ours) == [], dict(outcome(row).ours)


@pytest.mark.parametrize("row", EACH)
def test_each_planted_mistake_does_not_hold(row):
    assert row.mistakes
    assert [mistake.what for mistake in outcome(row).missed] == []


@pytest.mark.parametrize("row", EACH)
def test_every_number_is_one_that_some_mistake_gets_wrong(row):
    """A number that no mistake moves shows nothing."""
    moved = {name for _, measured in outcome(row).planted for name in row.wrong(measured)}
    assert set(row.right) == moved


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in HEAVY], ids=lambda row: row.name)
def test_the_numbers_are_the_same_each_time_and_the_generator_is_left_alone(row):
    state = torch.get_rng_state()
    again = row.of(row.ours)
    assert torch.equal(torch.get_rng_state(), state)
    assert again == outcome(row).ours


def test_there_is_a_row_for_each_of_the_reference_s():
    assert [row.number for row in TABLE] == list(range(1, COUNT + 1))
    assert len({row.name for row in TABLE}) == COUNT
    assert all(re.fullmatch(r"[a-z][a-z0-9-]+", row.name) for row in TABLE)


def test_the_rows_that_are_not_yet_here_are_known_and_their_systems_are_missing():
    """Once the system is there, its row must measure it."""
    assert [row.name for row in MISSING] == ["discogan"]
    for row in MISSING:
        assert row.system not in systems.names(), f"{row.system} is here: make its row a Row"


def test_who_makes_a_mistake_is_a_known_repository_or_nobody():
    who = [mistake.who for row in ROWS for mistake in row.mistakes] + [row.who for row in MISSING]
    assert all(text == NOBODY or any(text.startswith(short) for short in PEERS) for text in who)
    for short in PEERS:
        assert any(short in text for text in who), f"nobody is charged with anything as {short}"


def test_a_number_that_is_missing_or_not_a_number_does_not_hold():
    row = named("pulling-away")
    right = dict(row.of(row.ours))
    assert row.holds(right)
    assert row.wrong({**right, "antipodal": float("nan")}) == ["antipodal"]
    del right["collapsed"]
    assert row.wrong(right) == ["collapsed"]


# Ours is called, not stated again: a bug put into pinxit itself shows in its row.


def whole_batch(f, x):
    points = x.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(f(points).sum(), points, create_graph=True)
    return slopes.norm().expand(len(x))


class Eps(nn.BatchNorm2d):
    def __init__(self, channels):
        super().__init__(channels, 0.8)


def permuted(labels, classes):
    return labels[torch.randperm(len(labels))]


BUGS = {
    "bn-eps": (nn, "BatchNorm2d", Eps),
    "gp-unit-slope": (losses, "gradient_norms", whole_batch),
    "gp-per-sample": (losses, "between", lambda x, x_fake: x_fake + torch.rand_like(x) * (x - x_fake)),
    "gp-finite": (losses, "TINY", 0.0),
    "dragan": (losses, "gradient_norms", whole_batch),
    "clipping": (wgan.WGAN, "clip", lambda self: None),
    "began-k": (began.BEGAN, "keep_real", lambda self, stats: None),
    "saturation": (adversarial, "non_saturating_generator_loss", adversarial.minimax_generator_loss),
    "classes": (conditioning, "mismatched", permuted),
    "ebgan": (ebgan, "energy_loss", lambda e, e_fake, m: e.mean() + (m - e_fake.mean()).clamp(min=0)),
    "lsgan": (adversarial, "least_squares_generator_loss", lambda d, c: (torch.sigmoid(d) - c).square().mean() / 2),
    "diagonal-bilstm": (lstm2d, "by_diagonals", lambda h, w: pixels.changed(scan.by_diagonals(h, w), h, w, pixels.unshifted)),
    "lstm-cell": (scan, "_tanh_", torch.Tensor.sigmoid_),
    "d-gradient": (dragan.DRAGAN, "discriminator_loss", training.PenaltyOnly.discriminator_loss),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_bug_in_pinxit_itself_is_found(name, monkeypatch):
    row = named(name)
    where, attribute, bug = BUGS[name]
    monkeypatch.setattr(where, attribute, bug)
    assert not row.holds(row.of(row.ours))


# What the measurements find by themselves.


def test_the_penalised_critics_are_found_by_what_enters_them():
    with seeded(0):
        found = {name.split()[0] for name, _, _ in networks.penalised()}
    assert {"dragan", "gan", "lsgan", "wgan-gp"} <= found
    assert not found & {"dcgan", "wgan", "sngan", "ebgan", "began"}


def test_every_system_is_among_the_variants_with_every_backbone_it_has():
    with seeded(0):
        found = [name.split() for name, _ in probes.variants()]
    assert {words[0] for words in found} == set(systems.names())
    for backbone in ("mlp", "dcgan", "resnet"):
        assert ["wgan-gp", backbone, "none"] in found
    assert ["wgan-gp", "mlp", "batch"] not in found, "refused"


def test_the_opponents_are_the_players_besides_the_generator():
    with seeded(0):
        games = dict(probes.variants())
    assert probes.opponents(games["wgan"]) == ["critic"]
    assert sorted(probes.opponents(games["cgan two-network"])) == ["discriminator", "matcher"]
    assert probes.opponents(games["vae"]) == []
    assert "generator" in owners(games["gan"])


def test_the_gradient_through_the_outputs_is_the_whole_gradient_where_there_is_no_penalty():
    """And 0 where the loss is a penalty alone."""
    with seeded(0):
        game = dict(probes.variants())["gan"]
    turn = game.stages()[0].turns[0]
    with seeded(1):
        through = training._through_outputs(game.train(), turn)
    with seeded(1):
        total = probes.loss_of(game, "discriminator", probes.batch(game.spec).images)
    whole = torch.autograd.grad(total, game.players()["discriminator"].parameters())
    assert through == pytest.approx(sum(g.square().sum().item() for g in whole) ** 0.5, rel=1e-5)
    (lonely,) = (game for _, game in training.penalty_only())
    assert training._through_outputs(lonely, lonely.stages()[0].turns[0]) == 0


def test_a_resumed_run_is_really_broken_off(tmp_path):
    assert training._broken_off(Trainer, "gan", training._source("gan"), tmp_path)
    steps = [path.name for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert steps == ["step-000000000", "step-000000003"], "after round 4, the last checkpoint is of round 3"


def test_the_stated_mistakes_cost_what_the_reference_says():
    """49 for a perfect critic at n = 64; antipodal codes -1/63; codes over the batch axis 0.254; a constant -1/(N-1)."""
    unit = named("gp-unit-slope")
    assert unit.of(penalties.batch_norm_penalty)["n = 64"] == pytest.approx(49, abs=1e-9)
    away = named("pulling-away")
    assert away.of(penalties.unsquared)["antipodal"] == pytest.approx(-1 / 63, abs=1e-9)
    assert away.of(penalties.batch_axis)["collapsed"] == pytest.approx(0.254, abs=5e-4)
    assert away.of(penalties.whole_norm)["antipodal"] == pytest.approx(-1 / 63, rel=1e-3)
    mimicry = named("saturation").mistakes[0]
    assert abs(named("saturation").of(mimicry.planted)["NS at -50"]) < 1e-10
    assert objectives.CLASSES == 10


# The page about it.

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_page_has_the_row(row):
    who = row.who if isinstance(row, Missing) else "; ".join(dict.fromkeys(mistake.who for mistake in row.mistakes))
    assert f"| {row.number} | `{row.name}` | {row.property} | {who} |" in PAGE.read_text().splitlines()
