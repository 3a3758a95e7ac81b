"""Rule 5: the lazy regulariser, and the schedule."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from pinxit.core.game import Loss, Player, Stage, Turn, lazy
from toys import lazy_r1, scheduled
from toys._play import PLANE, Custom, Seen, trained


@pytest.mark.parametrize("every", [1, 4, 16])
def test_correction_against_adam_by_hand(every):
    """Three steps in float64: c = k/(k+1), lr c, beta1^c, beta2^c, bias corrections with the corrected betas."""
    c, lr, betas, eps = every / (every + 1), 0.02, (0.3, 0.97), 1e-8
    p = nn.Parameter(torch.tensor([0.5, -1.5], dtype=torch.float64))
    twin = nn.Parameter(p.detach().clone())
    corrected = lazy(Adam, every, lr=lr, betas=betas)([p])
    by_torch = Adam([twin], lr=lr * c, betas=(betas[0] ** c, betas[1] ** c))
    x, m, v = p.detach().clone(), torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    b1, b2 = betas[0] ** c, betas[1] ** c
    for step in range(1, 4):
        for q in (p, twin):
            q.grad = 3 * q.detach() ** 2 + step
        g = 3 * x**2 + step
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        x = x - lr * c * (m / (1 - b1**step)) / ((v / (1 - b2**step)).sqrt() + eps)
        corrected.step()
        by_torch.step()
    assert torch.allclose(p, x, rtol=0, atol=1e-14)
    assert torch.equal(p, twin)


def test_player_of_the_toy_has_the_corrected_optimizer(tmp_path, points):
    trainer = trained(lazy_r1.build(lazy_r1.PRESETS["tiny"], PLANE), points, tmp_path)
    group = trainer.optimizers["discriminator"].param_groups[0]
    assert group["lr"] == 1e-2 * 4 / 5
    assert group["betas"] == (0.5**0.8, 0.99**0.8)
    assert trainer.optimizers["generator"].param_groups[0]["lr"] == 1e-2


def test_rounds_it_is_played_in(tmp_path, points):
    played = []
    game = lazy_r1.build(lazy_r1.PRESETS["tiny"], PLANE)
    r1 = game.discriminator_r1
    game.discriminator_r1 = lambda batch, clock: (played.append(clock.round), r1(batch, clock))[1]
    trained(game, points, tmp_path)
    assert played == [0, 4, 8]


def test_gain_multiplies_the_gradient_and_not_the_log(tmp_path, points):
    """Two rounds of plain SGD by hand: loss a x on round 0 and 1, a regulariser of gain 3 on round 0 only."""
    game = Custom(a=nn.Linear(2, 1, bias=False))
    sgd = partial(SGD, lr=0.1)

    def loss(batch, clock):
        return Loss(game.a.weight.sum())

    def reg(batch, clock):
        return Loss(game.a.weight.square().sum() / 2)

    turns = (Turn("a", loss), Turn("a", reg, every=2, gain=3.0))
    game.declare({"a": Player((game.a,), sgd)}, Stage(turns, 2, 4))
    w = game.a.weight.detach().clone()
    seen = Seen()
    trained(game, points, tmp_path, observers=[seen], log_every=1)
    w1 = w - 0.1
    w2 = w1 - 0.1 * 3 * w1
    assert seen.stats[1]["a/reg"] == pytest.approx(float(w1.square().sum() / 2), rel=1e-6)
    assert torch.allclose(game.a.weight, w2 - 0.1, atol=1e-7)
    assert "a/reg" not in seen.stats[2]


def test_gradient_of_a_penalty_alone_leaves_the_rest(tmp_path, points):
    """A penalty-only turn: the last bias has no gradient and must keep its Adam state untouched."""
    game = lazy_r1.build(lazy_r1.PRESETS["tiny"], PLANE)
    (stage,) = game.stages()
    game.stages = lambda: (Stage((stage.turns[1],), 9, 8),)
    before = {name: p.clone() for name, p in game.named_parameters()}
    trainer = trained(game, points, tmp_path)
    bias = game.discriminator[2].bias
    assert torch.equal(bias, before["discriminator.2.bias"])
    assert not torch.equal(game.discriminator[2].weight, before["discriminator.2.weight"])
    assert bias not in trainer.optimizers["discriminator"].state
    assert int(trainer.optimizers["discriminator"].state[game.discriminator[2].weight]["step"]) == 3


def test_schedule_is_written_before_each_step(tmp_path, points):
    rates = []

    class Watched(Adam):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    game = scheduled.build(scheduled.PRESETS["tiny"], PLANE)
    players = game.players()
    from dataclasses import replace

    game.players = lambda: {"model": replace(players["model"], optimizer=partial(Watched, lr=5.0))}
    trained(game, points, tmp_path)
    assert rates == [1e-2 * min(1.0, 2 - 2 * r / 10) for r in range(10)]
