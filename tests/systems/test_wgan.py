"""`wgan` is the paper's algorithm 1: the dual estimate, n_critic steps, clipping after each of them, RMSprop."""

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.systems import wgan
from toys._nets import Tiny

SPEC = Spec(1, 4, 4)
BATCH = Batch(torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def game(**changes):
    return wgan.build(wgan.PRESETS["tiny"].replace(**changes), SPEC, seed=1)


def test_spectral_normalisation_is_refused_for_it_would_undo_the_clipping():
    with pytest.raises(InputError, match="spectral normalisation divides the clipped weights.*take none"):
        game(normalisation="spectral")


def test_the_losses_and_their_signs():
    g = game()
    torch.manual_seed(3)
    loss = g.critic_loss(BATCH, Clock())
    torch.manual_seed(3)
    real, fake = g.critic(BATCH.images).mean(), g.critic(g.sample(16)).mean()
    torch.testing.assert_close(loss.total, fake - real, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(loss.stats["wasserstein"], real - fake, rtol=1e-5, atol=1e-7)
    torch.manual_seed(4)
    loss = g.generator_loss(BATCH, Clock()).total
    torch.manual_seed(4)
    torch.testing.assert_close(loss, -g.critic(g.sample(16)).mean(), rtol=1e-5, atol=1e-7)


def test_every_weight_is_inside_the_bounds_whenever_the_generator_sees_the_critic(tmp_path):
    """Clipping before the step, or at the start of the next iteration, shows the generator an unclipped critic."""
    g = game(lr=0.1, rounds=20)
    seen = []
    inner = g.generator_loss

    def generator_loss(batch, clock):
        seen.append(max(p.abs().max().item() for p in g.critic.parameters()))
        return inner(batch, clock)

    object.__setattr__(g, "generator_loss", generator_loss)
    trainer = Trainer(g, Tiny(SPEC), tmp_path)
    trainer.fit()
    assert len(seen) == 20
    assert max(seen) == pytest.approx(0.05), "clipped, and the bound reached: the check can fail"


def test_all_parameters_are_clipped_biases_too():
    g = game()
    with torch.no_grad():
        for p in g.critic.parameters():
            p.fill_(3.0)
    g.players()["critic"].project()
    assert all(p.eq(torch.tensor(0.05)).all() for p in g.critic.parameters())
    assert any(p.abs().max() > 0.05 for p in g.generator.parameters()), "the generator is left alone"


def test_algorithm_1():
    (stage,) = game(n_critic=5).stages()
    assert [(turn.name, turn.repeats) for turn in stage.turns] == [("critic/loss", 5), ("generator/loss", 1)]
    for player in game().players().values():
        assert type(player.optimizer(player.parameters())) is torch.optim.RMSprop
    config = wgan.PRESETS["paper"]
    assert (config.lr, config.clip, config.n_critic, config.batch_size) == (5e-5, 0.01, 5, 64)
