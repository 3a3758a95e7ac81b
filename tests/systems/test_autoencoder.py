"""`autoencoder` reconstructs; it has no likelihood and does not sample."""

import pytest
import torch

from pinxit.core import protocols
from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.systems import autoencoder

SPEC = Spec(1, 4, 4)
X = torch.randint(0, 256, (6, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 127.5 - 1


def game(spec: Spec = SPEC, **changes):
    return autoencoder.build(autoencoder.PRESETS["tiny"].replace(**changes), spec, seed=1)


def test_the_losses_by_hand():
    """Summed over pixels, averaged over images."""
    g = game(loss="squared")
    out = g.decoder(g.encoder(X))
    torch.testing.assert_close(g.model_loss(Batch(X), Clock()).total, (out - X).square().sum(dim=(1, 2, 3)).mean())
    g = game(loss="cross-entropy")
    p = torch.sigmoid(g.decoder(g.encoder(X)))
    level = (X + 1) / 2
    expected = -(level * p.log() + (1 - level) * (1 - p).log()).sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(g.model_loss(Batch(X), Clock()).total, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(g.decode(g.encode(X)), 2 * p - 1)


def test_the_loss_does_not_depend_on_the_batch_size():
    g = game()
    one, two = (g.model_loss(Batch(x), Clock()).total for x in (X, torch.cat((X, X))))
    torch.testing.assert_close(one, two)


def test_it_has_no_prior():
    """Decoded noise is no sample of it: it offers neither samples, nor latents to draw, nor a likelihood."""
    g = game()
    for absent in (protocols.Samples, protocols.HasLatents, protocols.Bound, protocols.Likelihood, protocols.Weighs):
        assert not isinstance(g, absent)
    for present in (protocols.Encodes, protocols.Decodes, protocols.Reconstructs):
        assert isinstance(g, present)


def test_a_linear_one_finds_the_principal_plane():
    """Baldi & Hornik 1989: the least squared error of a linear bottleneck is that of principal components."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([2.0, 1.5, 0.3, 0.2, 0.1, 0.1])
    x = torch.randn(500, 6, generator=generator) * spread @ torch.linalg.qr(torch.randn(6, 6, generator=generator))[0]
    x -= x.mean(dim=0)
    g = game(Spec(6, 1, 1, levels=0), hidden=(), latent=2)
    adam = torch.optim.Adam(g.parameters(), lr=0.02)
    for step in range(1200):
        adam.param_groups[0]["lr"] = 0.02 * (1 - step / 1200)
        adam.zero_grad()
        loss = g.model_loss(Batch(x.view(-1, 6, 1, 1)), Clock()).total
        loss.backward()
        adam.step()
    least = torch.linalg.svdvals(x)[2:].square().sum() / 500
    assert loss.item() == pytest.approx(least.item(), rel=0.01)


def test_points_need_the_squared_error():
    with pytest.raises(InputError, match="take squared"):
        game(Spec(2, 1, 1, levels=0), loss="cross-entropy")


def test_convolutions_play():
    g = game(Spec(1, 16, 16), network="conv", width=4)
    x = torch.zeros(2, 1, 16, 16)
    assert g.reconstruct(x).shape == x.shape


@pytest.mark.slow
def test_it_learns_real_images(tmp_path):
    from pinxit import data
    from pinxit.core.config import Settings
    from pinxit.core.trainer import Trainer

    images = data.load()
    test = data.load(split="test").batch(torch.arange(500)).images
    model = autoencoder.build(autoencoder.PRESETS["small"].replace(rounds=400, hidden=(128,)), images.spec)
    model = Trainer(model, images, tmp_path, settings=Settings(accelerator="cpu")).fit()
    with torch.no_grad():
        error = (model.reconstruct(test) - test).square().mean()
    mean_image = images.batch(torch.arange(5000)).images.mean(dim=0)
    assert error < 0.25 * (mean_image - test).square().mean()
