"""`began`: the control follows its equation exactly, stays in [0, 1], and is in the checkpoint."""

import pytest
import torch

from pinxit.core import checkpoint
from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.systems import began
from toys._nets import Tiny

SPEC = Spec(1, 4, 4)
BATCH = Batch(torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def game(**changes):
    return began.build(began.PRESETS["tiny"].replace(**changes), SPEC, seed=1)


def test_the_losses():
    g = game()
    g.k.fill_(0.3)
    g.real.fill_(0.4)
    torch.manual_seed(3)
    loss = g.discriminator_loss(BATCH, Clock()).total
    torch.manual_seed(3)
    x_fake = g.sample(16).detach()
    real = (g.discriminator(BATCH.images) - BATCH.images).abs().mean()
    fake = (g.discriminator(x_fake) - x_fake).abs().mean()
    torch.testing.assert_close(loss, real - 0.3 * fake, rtol=1e-5, atol=1e-7)
    torch.manual_seed(4)
    loss = g.generator_loss(BATCH, Clock())
    torch.manual_seed(4)
    x_fake = g.sample(16)
    fake = (g.discriminator(x_fake) - x_fake).abs().mean()
    torch.testing.assert_close(loss.total, fake, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(loss.stats["convergence"], 0.4 + (0.5 * 0.4 - fake).abs(), rtol=1e-5, atol=1e-7)


def test_the_control_follows_its_equation(tmp_path):
    """k moves once a round by lambda (gamma l(x) - l(G(z'))), clipped: recomputed from the losses of the two turns."""
    g = game(lambda_k=1.0, rounds=40)
    losses, ks = [], []

    class Probe(Trainer):
        def play_turn(self, turn, batch, position):
            inner = turn.objective

            def seen(batch, clock):
                loss = inner(batch, clock)
                key = "real" if turn.player == "discriminator" else "fake"
                losses.append((key, loss.stats[key].item()))
                return loss

            from dataclasses import replace

            super().play_turn(replace(turn, objective=seen), batch, position)
            if turn.player == "generator":
                ks.append(g.k.item())

    Probe(g, Tiny(SPEC), tmp_path).fit()
    k, expected = 0.0, []
    for (_, real), (_, fake) in zip(losses[::2], losses[1::2], strict=True):
        k = min(1.0, max(0.0, k + 1.0 * (0.5 * real - fake)))
        expected.append(k)
    assert ks == pytest.approx(expected, abs=1e-5)
    assert {0.0, 1.0} & set(ks), "a bound was reached: the clip was tested"
    assert any(0 < value < 1 for value in ks)


@pytest.mark.parametrize(("k", "fake", "expected"), [(0.05, 5.0, 0.0), (0.95, 0.0, 1.0), (0.5, 1.0, 0.45)])
def test_the_control_is_clipped_on_both_sides(k, fake, expected):
    """k + lambda (gamma l(x) - l(G(z'))) with lambda 0.1, gamma 0.5, l(x) = 1."""
    g = game(lambda_k=0.1)
    g.k.fill_(k)
    g.real.fill_(1.0)
    g.control({"fake": torch.tensor(fake)})
    assert g.k.item() == pytest.approx(expected, abs=1e-6)


def test_the_control_survives_a_checkpoint(tmp_path):
    g = game()
    g.k.fill_(0.37)
    checkpoint.save(tmp_path, Clock(step=1), g, g, {})
    other = game()
    checkpoint.load(next(tmp_path.glob("step-*")), other, other)
    assert other.k.item() == pytest.approx(0.37)


def test_there_is_no_normalisation_in_either_network():
    g = began.build(began.PRESETS["small"], Spec(1, 28, 28))
    assert not [m for m in g.modules() if "Norm" in type(m).__name__]


def test_the_rate_is_halved():
    schedule = game(halve_every=10, lr=1.0).players()["generator"].schedule
    assert [schedule(Clock(step=s))["lr"] for s in (0, 9, 10, 25)] == [1.0, 1.0, 0.5, 0.25]
    with pytest.raises(InputError, match="two schedules of one rate: take --halve-every 0"):
        game(decay="linear")
    schedule = game(decay="linear", halve_every=0, lr=1.0).players()["generator"].schedule
    assert schedule(Clock(progress=0.75))["lr"] == 0.25


def test_the_score_is_minus_the_reconstruction_error_of_each_sample():
    from pinxit.diagnostics.probes import opponent

    game = began.build(began.PRESETS["tiny"], Spec(1, 8, 8)).eval()
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    judge = opponent(game)
    assert judge is not None
    with torch.no_grad():
        torch.testing.assert_close(judge.score(x), -(game.discriminator(x) - x).abs().flatten(1).mean(dim=1))
