"""`ebgan`: energies are reconstruction errors, hinged sample by sample; the generator's gradient is whole."""

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.config import Settings
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.records import read
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.losses import adversarial, penalties
from pinxit.systems import ebgan
from toys._nets import Tiny

SPEC = Spec(1, 4, 4)
BATCH = Batch(torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def game(**changes):
    return ebgan.build(ebgan.PRESETS["tiny"].replace(**changes), SPEC, seed=1)


def test_the_discriminator_s_loss_is_hinged_sample_by_sample():
    """The margin lies among the fakes' energies, where the hinge of the mean is another number."""
    g = game()
    torch.manual_seed(3)
    x_fake = g.sample(16).detach()
    energies = [(g.discriminator(x_fake) - x_fake)[k].norm().item() for k in range(16)]
    middle = sorted(energies)[8]
    g.margin.fill_(middle)
    torch.manual_seed(3)
    loss = g.discriminator_loss(BATCH, Clock()).total.item()
    real = sum((g.discriminator(BATCH.images) - BATCH.images)[k].norm().item() for k in range(16)) / 16
    hinges = sum(max(0.0, middle - e) for e in energies) / 16
    assert loss == pytest.approx(real + hinges, rel=1e-5)
    assert hinges > max(0.0, middle - sum(energies) / 16) + 1e-4


def test_the_generator_s_gradient_flows_through_the_target_too():
    """d e / d x_fake of |Dec(Enc(x)) - x| by finite differences; with a detached target it is another vector."""
    g = game().double()
    x = BATCH.images[:1].double()

    def value(x):
        return adversarial.energy(x, g.discriminator(x)).sum()

    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(point), point)
    numeric = torch.zeros_like(x)
    for k in range(16):
        step = torch.zeros(16, dtype=torch.float64)
        step[k] = 1e-6
        numeric.view(-1)[k] = (value(x + step.view_as(x)) - value(x - step.view_as(x))) / 2e-6
    torch.testing.assert_close(slope, numeric, rtol=1e-5, atol=1e-7)
    g = game()
    torch.manual_seed(5)
    loss = g.generator_loss(BATCH, Clock())
    torch.manual_seed(5)
    x_fake = g.sample(16)
    expected = value(x_fake) / 16 + 0.1 * penalties.pulling_away(g.discriminator.encode(x_fake))
    params = list(g.generator.parameters())
    for a, b in zip(torch.autograd.grad(loss.total, params), torch.autograd.grad(expected, params), strict=True):
        torch.testing.assert_close(a, b)


def test_pre_training_sees_real_images_alone_and_sets_the_margin(tmp_path):
    g = game(pretrain=150, rounds=2, lr=1e-3, margin=10.0)
    first, second = g.stages()
    assert [turn.name for turn in first.turns] == ["discriminator/reconstruction_loss"]
    assert first.rounds == 150
    data = Tiny(SPEC)
    before = {k: v.clone() for k, v in g.generator.state_dict().items()}
    energies = []

    class Probe(Trainer):
        def play_turn(self, turn, batch, position):
            if self.clock.stage == 0:
                with torch.no_grad():
                    energies.append(adversarial.energy(batch.images, g.discriminator(batch.images)).mean().item())
                assert all(torch.equal(v, before[k]) for k, v in g.generator.state_dict().items())
            super().play_turn(turn, batch, position)

    Probe(g, data, tmp_path).fit()
    margin = 10.0
    for k, energy in enumerate(energies):
        margin += (energy - margin) / min(k + 1, 100)
    assert g.margin.item() == pytest.approx(margin, rel=1e-4)
    assert energies[-1] < energies[0]
    assert len(second.turns) == 2


@pytest.mark.parametrize("pretrain", [0, 4])
def test_the_rates_fall_to_zero_once_over_both_stages(pretrain):
    g, rates = game(pretrain=pretrain, rounds=6, decay="linear", lr=1.0, ttur=0.5), []
    schedule = g.players()["discriminator"].schedule
    assert schedule is not None
    for stage, (first, rounds) in enumerate(((0, pretrain), (pretrain, 6))):
        rates += [schedule(Clock(stage, k, first + k, progress=k / rounds))["lr"] for k in range(rounds)]
    total = pretrain + 6
    assert rates == pytest.approx([0.5 * (total - step) / total for step in range(total)])
    assert game(pretrain=pretrain).players()["generator"].schedule is None


def test_the_log_of_the_pre_training_has_the_margin_and_no_counter(tmp_path):
    trainer = Trainer(game(pretrain=3, rounds=1), Tiny(SPEC), tmp_path, settings=Settings(log_every=3))
    trainer.fit()
    first = read(tmp_path / "metrics.jsonl")[0]
    assert {key for key in first if "/" in key} == {
        "discriminator/reconstruction_loss", "discriminator/energy", "discriminator/margin", "discriminator/gradient",
    }  # fmt: skip


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_margin_is_that_of_the_whole_batch_however_it_is_split(tmp_path, accumulate):
    """The first rounds' mean energies, of batches in one piece."""
    trainer = Trainer(
        game(batch_size=12, pretrain=3), Tiny(SPEC), tmp_path, settings=Settings(accumulate=accumulate, log_every=1)
    )
    trainer.fit()
    energies = [line["discriminator/energy"] for line in read(tmp_path / "metrics.jsonl")[:3]]
    assert trainer.game.margin.item() == pytest.approx(sum(energies) / 3, rel=1e-5)


def test_pairs_need_two_samples_a_share(tmp_path):
    def trainer(name, **changes):
        return Trainer(game(batch_size=2, rounds=1, pretrain=0, **changes), Tiny(SPEC), tmp_path / name, settings=settings)

    settings = Settings(accumulate=2)
    with pytest.raises(InputError, match="`batch_size` 2 .*`accumulate` 2.*`pulling_away` compares samples in pairs: take 4 or"):
        trainer("refused")
    assert not (tmp_path / "refused").exists()
    trainer("alone", pulling_away=0.0).fit()


def test_a_score_head_is_refused_with_the_reason():
    with pytest.raises(InputError, match="auto-encoder"):
        adversarial.energy(BATCH.images, BATCH.images.flatten(1).sum(dim=1))


def test_the_score_ranks_samples_by_their_energy_so_that_health_can_watch_the_discriminator():
    from pinxit.diagnostics.probes import opponent

    game = ebgan.build(ebgan.PRESETS["tiny"], Spec(1, 8, 8)).eval()
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    judge = opponent(game)
    assert judge is not None
    with torch.no_grad():
        expected = -(game.discriminator(x) - x).flatten(1).norm(dim=1)
        torch.testing.assert_close(judge.score(x), expected)
