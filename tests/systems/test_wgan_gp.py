"""`wgan-gp` is the paper's algorithm 1, two-sided or one-sided, and refuses batch norm in its critic."""

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.losses import penalties
from pinxit.systems import wgan_gp

SPEC = Spec(1, 4, 4)
BATCH = Batch(torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def game(**changes):
    return wgan_gp.build(wgan_gp.PRESETS["tiny"].replace(**changes), SPEC, seed=1)


@pytest.mark.parametrize("one_sided", [False, True])
def test_the_critic_s_loss_is_one_sum_weighed_by_lambda(one_sided):
    """Not a step of its own for the penalty: then lambda weighs nothing under Adam."""
    g = game(one_sided=one_sided, lambda_gp=7.0)
    torch.manual_seed(3)
    loss = g.critic_loss(BATCH, Clock())
    torch.manual_seed(3)
    x_fake = g.sample(16).detach()
    distance = g.critic(BATCH.images).mean() - g.critic(x_fake).mean()
    penalty = penalties.gradient_penalty(g.critic, BATCH.images, x_fake, one_sided=one_sided)
    torch.testing.assert_close(loss.total, -distance + 7.0 * penalty, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss.stats["wasserstein"], distance, rtol=1e-4, atol=1e-6)
    assert (penalty == 0) == one_sided, "a fresh critic is flat: no offence to the one-sided penalty"


def test_the_generator_raises_the_score():
    g = game()
    torch.manual_seed(4)
    loss = g.generator_loss(BATCH, Clock()).total
    torch.manual_seed(4)
    torch.testing.assert_close(loss, -g.critic(g.sample(16)).mean(), rtol=1e-5, atol=1e-7)


def test_batch_norm_in_the_critic_is_refused_with_the_reason():
    with pytest.raises(InputError, match=r"`normalisation` is 'batch'.*each sample's own score.*layer"):
        game(normalisation="batch")


@pytest.mark.parametrize("normalisation", ["none", "layer", "spectral"])
@pytest.mark.parametrize("backbone", ["mlp", "dcgan", "resnet"])
def test_a_score_does_not_depend_on_the_other_samples(backbone, normalisation):
    config = wgan_gp.PRESETS["tiny"].replace(backbone=backbone, normalisation=normalisation, width=4)
    critic = wgan_gp.build(config, Spec(1, 16, 16)).critic.eval()
    x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    y = torch.cat((x[:1], 5 * x[1:]))
    torch.testing.assert_close(critic(x)[0], critic(y)[0], rtol=1e-5, atol=1e-6)


def test_the_paper_s_constants():
    config = wgan_gp.PRESETS["paper"]
    assert (config.lambda_gp, config.n_critic, config.lr, config.betas, config.batch_size) == (10.0, 5, 1e-4, (0.0, 0.9), 64)
    (stage,) = game(n_critic=5).stages()
    assert [(turn.name, turn.repeats) for turn in stage.turns] == [("critic/loss", 5), ("generator/loss", 1)]
