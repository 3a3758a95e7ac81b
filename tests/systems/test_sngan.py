"""`sngan` holds the norm of every layer of its discriminator at one, or penalises it."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.nn.spectral import matrix
from pinxit.systems import sngan
from toys._nets import Tiny

SPEC = Spec(1, 4, 4)
BATCH = Batch(torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def game(spec=SPEC, **changes):
    return sngan.build(sngan.PRESETS["tiny"].replace(**changes), spec, seed=1)


def weighted(network):
    return [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize("objective", ["hinge", "non-saturating"])
def test_the_losses(objective):
    g = game(objective=objective).eval()  # u stands still
    torch.manual_seed(3)
    loss = g.discriminator_loss(BATCH, Clock()).total
    torch.manual_seed(3)
    d, d_fake = g.discriminator(BATCH.images), g.discriminator(g.sample(16))
    if objective == "hinge":
        expected = (1 - d).clamp(min=0).mean() + (1 + d_fake).clamp(min=0).mean()
    else:
        expected = -torch.sigmoid(d).log().mean() - torch.sigmoid(-d_fake).log().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    torch.manual_seed(4)
    loss = g.generator_loss(BATCH, Clock()).total
    torch.manual_seed(4)
    d_fake = g.discriminator(g.sample(16))
    expected = -d_fake.mean() if objective == "hinge" else -torch.sigmoid(d_fake).log().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mlp", "dcgan", "resnet"])
def test_norms_are_near_one_after_training(backbone, tmp_path):
    """|sigma - 1| <= 0.05 after 200 steps, every layer, by the SVD of the weight that the forward pass uses."""
    g = game(Spec(1, 16, 16), backbone=backbone, width=8, discriminator=(32, 32), n_critic=1, rounds=200, lr=2e-4)
    trainer = Trainer(g, Tiny(Spec(1, 16, 16)), tmp_path)
    trainer.fit()
    norms = [torch.linalg.matrix_norm(matrix(m).detach(), 2).item() for m in weighted(trainer.game.eval().discriminator)]
    assert len(norms) >= 3
    assert all(abs(norm - 1) <= 0.05 for norm in norms), norms


def test_only_the_discriminator_is_normalised():
    g = game()
    assert all(parametrize.is_parametrized(m, "weight") for m in weighted(g.discriminator))
    assert not any(parametrize.is_parametrized(m, "weight") for m in weighted(g.generator))


def test_regularisation_pulls_the_norms_down_and_leaves_the_weights_theirs():
    g = game(normalisation="none", regularise=4.0)
    torch.manual_seed(3)
    loss = g.discriminator_loss(BATCH, Clock())
    sigmas = torch.stack([torch.linalg.matrix_norm(matrix(m).detach(), 2) for m in weighted(g.discriminator)])
    torch.testing.assert_close(loss.stats["penalty"].detach(), 0.5 * sigmas.square().sum(), rtol=0.05, atol=0)
    plain = game(normalisation="none")
    torch.manual_seed(3)
    torch.testing.assert_close(
        loss.total - 4.0 * loss.stats["penalty"], plain.discriminator_loss(BATCH, Clock()).total, rtol=1e-4, atol=1e-5
    )


def test_two_ways_to_hold_the_norms_are_one_too_many():
    with pytest.raises(InputError, match="--normalisation none"):
        game(regularise=1.0)
