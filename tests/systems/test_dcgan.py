"""`dcgan` is the paper's game on its networks, and it learns real images."""

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.systems import dcgan

SPEC = Spec(1, 16, 16)
BATCH = Batch(torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def test_real_and_generated_images_are_normalised_apart():
    """In one joint batch the discriminator could read the mixture's statistics; the loss must not see x_fake's in x's pass."""
    g = dcgan.build(dcgan.PRESETS["tiny"], SPEC).train()
    torch.manual_seed(1)
    stats = g.discriminator_loss(BATCH, Clock()).stats
    with torch.no_grad():
        expected = torch.sigmoid(g.discriminator(BATCH.images)).mean()
    torch.testing.assert_close(stats["D(x)"], expected, rtol=1e-5, atol=1e-6)


def test_adam_is_the_paper_s():
    for player in dcgan.build(dcgan.PRESETS["paper"].replace(width=2), Spec(3, 64, 64)).players().values():
        group = player.optimizer(player.parameters()).param_groups[0]
        assert (group["lr"], tuple(group["betas"])) == (2e-4, (0.5, 0.999))


def test_the_generator_is_averaged_and_the_discriminator_is_not():
    players = dcgan.build(dcgan.PRESETS["tiny"], SPEC).players()
    assert {name: player.average for name, player in players.items()} == {"discriminator": False, "generator": True}


def test_the_networks_are_channels_last():
    g = dcgan.build(dcgan.PRESETS["tiny"], SPEC)
    weights = [m.weight for m in g.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


@pytest.mark.slow
def test_it_learns_real_images(tmp_path):
    """After 300 small rounds the samples' mean image and pixel spread are near the data's, those of the untrained far."""
    from pinxit import data
    from pinxit.core.config import Settings
    from pinxit.core.trainer import Trainer

    images = data.load()
    real = images.batch(torch.arange(2000)).images
    config = dcgan.PRESETS["small"].replace(width=16, rounds=300, batch_size=32)
    game = dcgan.build(config, images.spec)

    def gap(model: torch.nn.Module) -> float:
        with torch.no_grad():
            fake = model.sample(500, generator=torch.Generator().manual_seed(0))
        return (fake.mean(dim=0) - real.mean(dim=0)).abs().mean().item() + (fake.std(dim=0) - real.std(dim=0)).abs().mean().item()

    untrained = gap(game.eval())
    trained = gap(Trainer(game, images, tmp_path, settings=Settings(accelerator="cpu")).fit())
    assert trained < 0.35 < untrained
