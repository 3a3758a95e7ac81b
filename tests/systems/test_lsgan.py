"""`lsgan` is the paper's game: squared distances of raw scores from the targets, packs and a penalty as options."""

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.systems import lsgan

SPEC = Spec(1, 4, 4)
BATCH = Batch(torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def game(**changes):
    return lsgan.build(lsgan.PRESETS["tiny"].replace(**changes), SPEC, seed=1)


@pytest.mark.parametrize("targets", [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0)])
@pytest.mark.parametrize("pack", [1, 2])
def test_the_losses(targets, pack):
    g, (a, b, c) = game(targets=targets, pack=pack), targets
    torch.manual_seed(3)
    loss = g.discriminator_loss(BATCH, Clock()).total
    torch.manual_seed(3)
    d, d_fake = g.discriminator(BATCH.images), g.discriminator(g.sample(16))
    assert len(d) == 16 // pack
    torch.testing.assert_close(loss, ((d - b) ** 2).mean() / 2 + ((d_fake - a) ** 2).mean() / 2, rtol=1e-5, atol=1e-6)
    torch.manual_seed(4)
    loss = g.generator_loss(BATCH, Clock()).total
    torch.manual_seed(4)
    torch.testing.assert_close(loss, ((g.discriminator(g.sample(16)) - c) ** 2).mean() / 2, rtol=1e-5, atol=1e-6)


def test_the_discriminator_is_raw_and_unclipped():
    """Public code squashes by a sigmoid, or clips the weights as if it were a WGAN."""
    g = game()
    assert all(player.project is None for player in g.players().values())
    with torch.no_grad():
        g.discriminator.head.bias.fill_(100.0)
    assert g.discriminator(BATCH.images).mean() > 90


def test_r1_adds_half_gamma_times_the_squared_slope():
    plain, penalised = game(), game(r1=2.0)
    torch.manual_seed(5)
    loss = plain.discriminator_loss(BATCH, Clock()).total
    torch.manual_seed(5)
    with_penalty = penalised.discriminator_loss(BATCH, Clock()).total
    x = BATCH.images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(plain.discriminator(x).sum(), x)
    expected = slope.flatten(1).square().sum(dim=1).mean()
    torch.testing.assert_close(with_penalty - loss, expected, rtol=1e-4, atol=1e-6)


def test_r1_with_batch_norm_is_refused_with_the_reason():
    with pytest.raises(InputError, match="each sample's own score"):
        game(r1=1.0, normalisation="batch", discriminator=(8, 8))
