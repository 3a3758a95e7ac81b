"""`dragan` is a GAN whose discriminator is held near slope 1 around real samples alone."""

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.losses import adversarial, penalties
from pinxit.systems import dragan

SPEC = Spec(1, 4, 4)
BATCH = Batch(torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def game(**changes):
    return dragan.build(dragan.PRESETS["tiny"].replace(**changes), SPEC, seed=1)


def test_the_discriminator_s_loss_has_both_parts():
    """Public code back-propagates the penalty alone."""
    g = game(lambda_gp=3.0)
    torch.manual_seed(3)
    loss = g.discriminator_loss(BATCH, Clock()).total
    torch.manual_seed(3)
    x_fake = g.sample(16).detach()
    plain = adversarial.discriminator_loss(g.discriminator(BATCH.images), g.discriminator(x_fake))
    penalty = penalties.dragan_penalty(g.discriminator, BATCH.images, noise=0.5)
    torch.testing.assert_close(loss, plain + 3.0 * penalty, rtol=1e-4, atol=1e-5)
    assert plain > 0.5


def test_the_penalty_does_not_know_the_generator():
    g = game()
    torch.manual_seed(3)
    one = g.discriminator_loss(BATCH, Clock()).stats["penalty"]
    with torch.no_grad():
        for p in g.generator.parameters():
            p.mul_(3.0)
    torch.manual_seed(3)
    torch.testing.assert_close(g.discriminator_loss(BATCH, Clock()).stats["penalty"], one)


def test_the_generator_does_not_saturate():
    g = game()
    torch.manual_seed(4)
    loss = g.generator_loss(BATCH, Clock()).total
    torch.manual_seed(4)
    expected = -torch.sigmoid(g.discriminator(g.sample(16))).log().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_batch_norm_is_refused_with_the_reason():
    with pytest.raises(InputError, match="each sample's own score"):
        game(normalisation="batch")
