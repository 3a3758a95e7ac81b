"""`acgan`: its two objectives on hand-made outputs, logits into the cross-entropy, the class on real and generated samples."""

import math

import pytest
import torch
from torch import nn

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.protocols import Conditional
from pinxit.core.spec import Spec
from pinxit.systems import acgan

SPEC = Spec(1, 16, 16, classes=4)
X = torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
Y = torch.arange(12) % 4
BATCH = Batch(X, Y)


def game(**changes):
    return acgan.build(acgan.PRESETS["tiny"].replace(**{"dropout": 0.0, **changes}), SPEC, seed=1)


def outputs(g, labels):
    """Source and class of generated samples, the noise being that of seed 3."""
    torch.manual_seed(3)
    return g.judge(g.sample_class(labels))


@pytest.mark.parametrize("w", [1.0, 0.25])
def test_the_objectives_are_the_paper_s_on_probabilities(w):
    g = game(lambda_class=0.7, fake_class=w)
    torch.manual_seed(3)
    d_loss = g.discriminator_loss(BATCH, Clock()).total
    torch.manual_seed(3)
    g_loss = g.generator_loss(BATCH, Clock()).total
    (d, c), (d_fake, c_fake) = g.judge(X), outputs(g, Y)
    source = -torch.sigmoid(d).log().mean() - (1 - torch.sigmoid(d_fake)).log().mean()
    rows = torch.arange(12)
    of_class = [-logits.softmax(1)[rows, Y].log().mean() for logits in (c, c_fake)]
    torch.testing.assert_close(d_loss, source + 0.7 * (of_class[0] + w * of_class[1]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(g_loss, -torch.sigmoid(d_fake).log().mean() + 0.7 * of_class[1], rtol=1e-5, atol=1e-6)


class Fixed(nn.Module):
    """Given outputs for the real half and the generated half."""

    def __init__(self, real, fake):
        super().__init__()
        self.real, self.fake = nn.Parameter(real), nn.Parameter(fake)

    def forward(self, x):
        return torch.cat((self.real, self.fake)) if len(x) == 24 else self.fake

    def split(self, out):
        return out[:, 0], out[:, 1:]


def test_values_and_gradients_on_hand_made_outputs():
    """Logits go into the cross-entropy: public code puts a softmax before it, whose loss can't fall below log(e + 3) - 1."""
    g, eye = game(), torch.eye(4)[Y]
    g.discriminator = Fixed(torch.cat((torch.full((12, 1), 2.0), 5 * eye), 1), torch.cat((torch.full((12, 1), -1.0), 3 * eye), 1))
    loss = g.discriminator_loss(BATCH, Clock())
    ce = [math.log(math.exp(a) + 3) - a for a in (5, 3)]
    assert ce[0] < math.log(math.e + 3) - 1
    expected = math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)) + sum(ce)
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)
    assert {k: round(v.item(), 4) for k, v in loss.stats.items()} == {
        "D(x)": round(1 / (1 + math.exp(-2)), 4), "D(G(z))": round(1 / (1 + math.exp(1)), 4), "class(x)": 1.0, "class(G(z))": 1.0,
    }  # fmt: skip
    real, fake = torch.autograd.grad(loss.total, [g.discriminator.real, g.discriminator.fake])
    for slope, logits, d, sign in ((real, 5 * eye, 2.0, -1), (fake, 3 * eye, -1.0, 1)):
        torch.testing.assert_close(slope[:, 1:], (logits.softmax(1) - eye) / 12)  # of both: the class term is on real and fake
        source = sign / (1 + math.exp(-sign * d)) / 12
        torch.testing.assert_close(slope[:, 0], torch.full((12,), source))
    total = g.generator_loss(BATCH, Clock()).total
    assert total.item() == pytest.approx(math.log1p(math.exp(1)) + ce[1], abs=1e-6)


def test_the_paper_pays_for_the_class_of_generated_samples_as_for_that_of_real_ones():
    assert (acgan.PRESETS["paper"].fake_class, acgan.PRESETS["paper"].lambda_class) == (1.0, 1.0)


def test_the_class_reaches_the_generator():
    g = game(lambda_class=1e4)
    torch.manual_seed(3)
    before = torch.nn.functional.cross_entropy(outputs(g, Y)[1], Y)
    torch.manual_seed(3)
    g.generator_loss(BATCH, Clock()).total.backward(inputs=list(g.generator.parameters()))
    with torch.no_grad():
        for p in g.generator.parameters():
            p -= 1e-6 * p.grad
    assert torch.nn.functional.cross_entropy(outputs(g, Y)[1], Y) < before


@pytest.mark.parametrize("normalisation", ["none", "batch", "spectral"])
@pytest.mark.parametrize("backbone", ["mlp", "dcgan", "resnet"])
def test_it_plays_on_every_backbone(backbone, normalisation):
    g = game(backbone=backbone, normalisation=normalisation, width=4, discriminator=(16, 16)).train()
    calls = []
    g.discriminator.trunk.register_forward_hook(lambda *_: calls.append(1))
    for turn in g.stages()[0].turns:
        parameters = g.players()[turn.player].parameters()
        slopes = torch.autograd.grad(turn.objective(BATCH, Clock()).total, parameters)
        assert all(bool(slope.isfinite().all()) for slope in slopes)
    assert len(calls) == (3 if normalisation == "batch" else 2), "real and generated samples in one pass only without batch norm"


def test_it_draws_what_it_is_told():
    g = game().eval()
    assert isinstance(g, Conditional)

    def drawn(labels):
        return g.sample_class(torch.tensor(labels), generator=torch.Generator().manual_seed(7))

    x, swapped = drawn([0, 1, 2]), drawn([0, 1, 3])
    assert torch.equal(x[:2], swapped[:2])
    assert not torch.equal(x[2], swapped[2])
    with pytest.raises(InputError, match="no class 4"):
        g.sample_class(torch.tensor([4]))
    with pytest.raises(InputError, match="acgan needs labels"):
        acgan.build(acgan.PRESETS["tiny"], Spec(1, 16, 16))


def test_match_is_the_log_probability_of_the_class():
    g = game().eval()
    p = torch.stack([g.match(X, torch.full((12,), c)) for c in range(4)], 1).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(12))
    torch.testing.assert_close(p, g.judge(X)[1].softmax(1))
    assert torch.equal(g.score(X), g.discriminator(X)[:, 0])
