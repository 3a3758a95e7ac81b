"""`gan` is the paper's game: objectives, k, the authors' schedule, and it covers the ring."""

import math

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.config import Settings
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.systems import gan, lsgan
from toys._nets import Tiny

SPEC = Spec(1, 4, 4)
BATCH = Batch(torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def game(**changes):
    return gan.build(gan.PRESETS["tiny"].replace(dropout_input=0.0, dropout=0.0, **changes), SPEC, seed=1)


def test_the_discriminator_s_loss_on_one_pass_equals_the_loss_on_two():
    g = game()
    torch.manual_seed(3)
    loss = g.discriminator_loss(BATCH, Clock())
    torch.manual_seed(3)
    x_fake = g.sample(16)
    p_real, p_fake = torch.sigmoid(g.discriminator(BATCH.images)), torch.sigmoid(g.discriminator(x_fake))
    expected = -p_real.log().mean() - (1 - p_fake).log().mean()
    torch.testing.assert_close(loss.total, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.stats["D(x)"], p_real.mean(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.stats["D(G(z))"], p_fake.mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_the_generator_s_objective(objective):
    g = game(objective=objective)
    torch.manual_seed(4)
    loss = g.generator_loss(BATCH, Clock()).total
    torch.manual_seed(4)
    p = torch.sigmoid(g.discriminator(g.sample(16)))
    expected = (1 - p).log().mean() if objective == "minimax" else -p.log().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_both_objectives_push_the_generator_the_same_way():
    """A sign slip makes the generator help the discriminator."""
    slopes = []
    for objective in ("minimax", "non-saturating"):
        g = game(objective=objective)
        torch.manual_seed(5)
        before = g.discriminator(g.sample(16)).mean()
        g.generator_loss(BATCH, Clock()).total.backward(inputs=list(g.generator.parameters()))
        with torch.no_grad():
            for p in g.generator.parameters():
                p -= 0.05 * p.grad
        torch.manual_seed(5)
        slopes.append((g.discriminator(g.sample(16)).mean() - before).item())
    assert min(slopes) > 0


@pytest.mark.parametrize("system", [gan, lsgan])
def test_packs_never_mix_real_and_generated_samples(system):
    with pytest.raises(InputError, match="`pack` is 3: a batch of 8 does not divide"):
        system.build(system.PRESETS["tiny"].replace(pack=3), SPEC)
    g = system.build(system.PRESETS["tiny"].replace(pack=4), SPEC)
    with pytest.raises(InputError, match="a batch of 6 does not divide"):  # what one of several processes may be dealt
        g.discriminator_loss(Batch(BATCH.images[:6]), Clock())


@pytest.mark.parametrize("system", [gan, lsgan])
def test_a_share_divides_into_packs_too(tmp_path, system):
    g = system.build(system.PRESETS["tiny"].replace(pack=4), SPEC)
    Trainer(g, Tiny(SPEC), tmp_path / "whole", settings=Settings(accumulate=2))
    with pytest.raises(InputError, match="`batch_size` 8 .*2 samples each.*`accumulate` 4.*`pack` 4: take a multiple of 16"):
        Trainer(g, Tiny(SPEC), tmp_path / "split", settings=Settings(accumulate=4))
    assert not (tmp_path / "split").exists()


def test_k_discriminator_updates_a_round():
    (stage,) = game(k=3).stages()
    assert [(turn.name, turn.repeats) for turn in stage.turns] == [("discriminator/loss", 3), ("generator/loss", 1)]


def test_the_authors_schedule():
    g = gan.build(gan.PRESETS["paper"].replace(generator=(8,), discriminator=(8,)), SPEC)
    assert g.schedule(0.1, Clock()) == {"lr": 0.1, "momentum": 0.5}
    middle = g.schedule(0.1, Clock(step=62_500))
    assert middle["momentum"] == pytest.approx(0.6)
    assert middle["lr"] == pytest.approx(0.1 * math.exp(-62_500 * math.log(1.000004)))
    late = g.schedule(0.1, Clock(step=10_000_000))
    assert late == {"lr": 1e-6, "momentum": pytest.approx(0.7)}


def test_sgd_has_a_decay_of_its_own():
    with pytest.raises(InputError, match="`decay` is 'linear' and `optimizer` sgd.*take --decay none"):
        gan.PRESETS["tiny"].replace(optimizer="sgd", decay="linear")


def test_the_paper_preset_is_the_published_network():
    config = gan.PRESETS["paper"]
    g = gan.build(config, Spec(1, 28, 28))
    assert sum(p.numel() for p in g.generator.parameters()) == 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 784 + 784
    assert sum(p.numel() for p in g.discriminator.parameters()) == (784 + 1) * 1200 + (240 + 1) * 1200 + 241
    assert (config.batch_size, config.lr, config.dropout_input, config.dropout) == (100, 0.1, 0.2, 0.5)


@pytest.mark.slow
def test_a_gan_learns_the_ring(tmp_path):
    """Goodfellow's game on eight Gaussians: at least six modes held by samples near their centres."""
    from pinxit import data
    from pinxit.core.config import Settings
    from pinxit.core.trainer import Trainer

    ring = data.load("ring")
    config = gan.Config(
        latent=2, generator=(128, 128), discriminator=(128, 128), maxout=0, dropout_input=0.0, dropout=0.0,
        optimizer="adam", lr=1e-3, betas=(0.5, 0.9), batch_size=256, rounds=3000,
    )  # fmt: skip
    model = Trainer(gan.build(config, ring.spec), ring, tmp_path, settings=Settings(accelerator="cpu")).fit()
    x = model.sample(2500, generator=torch.Generator().manual_seed(0)).flatten(1)
    distance, mode = torch.cdist(x, torch.as_tensor(ring.centres, dtype=x.dtype)).min(dim=1)
    near = distance < 0.1
    assert near.float().mean() > 0.5
    assert mode[near].unique().numel() >= 6
