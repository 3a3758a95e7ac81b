"""`cvae` tells encoder, prior and decoder the class; its bound is that of log p(x|y); unknown classes run."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pinxit.core import protocols
from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.systems import cvae

SPEC = Spec(1, 4, 4, classes=3)
X = torch.randint(0, 256, (6, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 127.5 - 1
Y = torch.arange(6) % 3


def game(spec: Spec = SPEC, **changes):
    g = cvae.build(cvae.PRESETS["tiny"].replace(**{"label_dropout": 0.0, "binarise": "threshold", **changes}), spec, seed=1)
    if g.moments is not None:
        with torch.no_grad():
            g.moments.normal_(generator=torch.Generator().manual_seed(2))
    return g


def test_the_label_enters_encoder_prior_and_decoder():
    """A label given to the decoder only is a common error: the bound's gradient of each entrance is not zero."""
    g = game()
    reconstruction, kl = g.elbo_given(X, Y, generator=torch.Generator().manual_seed(0))
    bound = (reconstruction - kl).sum()
    pixels, z = SPEC.dim, g.config.latent
    encoder, decoder, prior = torch.autograd.grad(bound, [g.encoder[0].weight, g.decoder[0].weight, g.moments])
    assert encoder.shape[1] == pixels + 3
    assert (encoder[:, pixels:].abs().sum(dim=0) > 0).all(), "the encoder"
    assert decoder.shape[1] == z + 3
    assert (decoder[:, z:].abs().sum(dim=0) > 0).all(), "the decoder"
    assert (prior.abs().sum(dim=1) > 0).all(), "the prior"


def test_another_label_changes_posterior_prior_and_image():
    g = game()
    other = (Y + 1) % 3
    x = g.target(X)
    assert not torch.allclose(g.posterior(x, Y)[0], g.posterior(x, other)[0])
    assert not torch.allclose(g.prior(Y)[0], g.prior(other)[0])
    a, b = (g.sample_class(y, generator=torch.Generator().manual_seed(0)) for y in (Y, other))
    assert not torch.allclose(a, b)


def test_the_bound_by_hand():
    g = game(decoder="gaussian")
    mu, logvar = g.posterior(X, Y)
    noise = torch.randn(1, 6, 2, generator=torch.Generator().manual_seed(5))[0]
    z = mu + (logvar / 2).exp() * noise
    mu_p, logvar_p = g.moments[Y].chunk(2, dim=1)
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(mu_p, (logvar_p / 2).exp())).sum(dim=1)
    mean = g.decoder(torch.cat((z, torch.nn.functional.one_hot(Y, 3).float()), dim=1)).flatten(1)
    log_prob = Normal(mean, g.log_scale.exp()).log_prob(X.flatten(1)).sum(dim=1)
    found = g.elbo_given(X, Y, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(found[0], log_prob, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found[1], kl, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(g.rate(X, Y), kl, rtol=1e-5, atol=1e-5)


def test_weights_average_to_the_bound():
    """E log w = E log p(x|z, y) - KL: the drawn log-ratio and the closed form are the same quantity."""
    g = game(decoder="gaussian").double()
    x, noise = X[:2].double(), torch.randn(40_000, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        log_prob, log_ratio, kl = g.weighed(x, noise, Y[:2])
        torch.testing.assert_close(g.log_weights(x, noise, Y[:2]), log_prob + log_ratio)
    error = log_ratio.std(dim=0) / math.sqrt(40_000)
    assert ((log_ratio.mean(dim=0) + kl).abs() < 5 * error).all()


def test_the_loss_is_the_negative_bound():
    g = game()
    torch.manual_seed(7)
    loss = g.model_loss(Batch(X, Y), Clock())
    torch.manual_seed(7)
    reconstruction, kl = g.elbo_given(X, Y)
    torch.testing.assert_close(loss.total, (kl - reconstruction).mean())
    torch.testing.assert_close(loss.stats["elbo"], -loss.total)
    weighed = game(beta=3.0)
    torch.manual_seed(7)
    more = weighed.model_loss(Batch(X, Y), Clock())
    torch.testing.assert_close(more.total - loss.total, 2 * loss.stats["kl"], rtol=1e-4, atol=1e-4)


def test_several_samples_make_the_importance_bound():
    g = game(samples=4)
    torch.manual_seed(7)
    loss = g.model_loss(Batch(X, Y), Clock())
    torch.manual_seed(7)
    log_weights = g.log_weights(g.target(X), torch.randn(4, 6, 2), Y)
    torch.testing.assert_close(loss.total, -(log_weights.exp().mean(dim=0).log()).mean(), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="no KL to weigh"):
        game(samples=4, beta=2.0)


def test_the_standard_prior_is_the_same_for_all_classes():
    g = game(prior="standard")
    mu, logvar = g.prior(Y)
    assert not mu.any()
    assert not logvar.any()
    assert [name for name, _ in g.named_parameters() if "moments" in name] == []
    mu, logvar = g.posterior(g.target(X), Y)
    plain = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)
    torch.testing.assert_close(g.rate(g.target(X), Y), plain)


def test_unknown_classes_run():
    """The code of its own: in training, in the bound and in samples; without it they are asked for."""
    g = game(label_dropout=0.5)
    assert g.encoder[0].weight.shape[1] == SPEC.dim + 4
    loss = g.model_loss(Batch(X, Y), Clock())
    assert torch.isfinite(loss.total)
    unknown = torch.full((6,), 3)
    a, b = (g.elbo_given(X, y, generator=torch.Generator().manual_seed(0))[0] for y in (Y, unknown))
    assert torch.isfinite(b).all()
    assert not torch.allclose(a, b)
    torch.testing.assert_close(g.rate(g.target(X)), g.rate(g.target(X), unknown))
    assert g.latents(4)[:, 2:].argmax(dim=1).tolist() == [3] * 4
    with pytest.raises(InputError, match="needs the class"):
        game().rate(X)


def test_codes_are_the_posterior_mean_beside_the_class_and_decode_to_the_reconstruction():
    g = game()
    x, one_hot = g.target(X), torch.nn.functional.one_hot(Y, 3).float()
    z = g.encode(x, Y)
    assert torch.equal(z, torch.cat((g.posterior(x, Y)[0], one_hot), dim=1))
    assert torch.equal(g.reconstruct(x, Y), g.decode(z))
    other = (Y + 1) % 3
    assert not torch.allclose(g.encode(x, other)[:, :2], z[:, :2]), "the encoder is told the class"
    assert not torch.allclose(g.reconstruct(x, other), g.reconstruct(x, Y))
    with pytest.raises(InputError, match="needs the class of every image"):
        g.encode(x)
    with pytest.raises(InputError, match="needs the class of every image"):
        g.reconstruct(x, torch.full((6,), -1))


def test_missing_labels_are_the_class_unknown_in_codes_too():
    g = game(label_dropout=0.5)
    x, some = g.target(X), torch.tensor([0, -1, 2, -1, 1, 2])
    told = torch.where(some < 0, 3, some)
    for of in (g.encode, g.reconstruct):
        assert torch.equal(of(x, some), of(x, told))
        assert torch.equal(of(x), of(x, torch.full((6,), -1)))
        assert torch.equal(of(x), of(x, torch.full((6,), 3)))
    assert not torch.equal(g.encode(x), g.encode(x, Y))


def test_noise_is_placed_by_the_prior_of_its_class():
    g = game()
    noise = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    mu, logvar = g.moments[Y].chunk(2, dim=1)
    placed = g.placed(noise, Y)
    torch.testing.assert_close(placed[:, : g.free()], mu + (logvar / 2).exp() * noise)
    assert torch.equal(placed, g.latents_of(Y, generator=torch.Generator().manual_seed(0)))


def test_data_that_knows_some_classes_only_trains():
    """The code "unknown" is there without `label_dropout`, and is what the images without a class have."""
    g = game(Spec(1, 4, 4, classes=3, unlabelled=True))
    assert g.encoder[0].weight.shape[1] == SPEC.dim + 4
    some = torch.tensor([0, -1, 2, -1, 1, 2])
    a, b = (Batch(X, y) for y in (some, torch.where(some < 0, 3, some)))
    losses = []
    for batch in (a, b):
        torch.manual_seed(7)
        losses.append(g.model_loss(batch, Clock()).total)
    assert torch.equal(*losses)
    (grad,) = torch.autograd.grad(losses[0], g.moments)
    assert grad[3].abs().sum() > 0
    assert g.latents(50)[:, 2:].argmax(dim=1).max() < 3, "samples have a class where hiding it was not asked for"


def test_dropout_hides_a_share_of_the_labels(monkeypatch):
    g = game(label_dropout=0.3)
    seen = []
    weighed = g.weighed
    g.weighed = lambda x, noise, labels: seen.append(labels) or weighed(x, noise, labels)
    torch.manual_seed(0)
    g.model_loss(Batch(X.repeat(500, 1, 1, 1), Y.repeat(500)), Clock())
    assert (seen[0] == 3).float().mean().item() == pytest.approx(0.3, abs=0.04)


def test_protocols():
    g = game()
    for present in (protocols.Samples, protocols.Conditional, protocols.ConditionalBound, protocols.Weighs, protocols.HasLatents,
                    protocols.EncodesGiven, protocols.Reconstructs):  # fmt: skip
        assert isinstance(g, present)
    assert not isinstance(g, protocols.Bound), "log p(x|y) is not log p(x)"


def test_refusals():
    with pytest.raises(InputError, match="cvae needs labels"):
        game(Spec(1, 4, 4))
    with pytest.raises(InputError, match="no class 3"):
        game().sample_class(torch.tensor([3]))
    with pytest.raises(InputError, match="no class 3"):
        game().elbo_given(X, Y + 1)
    with pytest.raises(InputError, match="take gaussian"):
        game(Spec(2, 1, 1, levels=0, classes=3), decoder="logistic")


def test_convolutions_play():
    g = game(Spec(1, 16, 16, classes=3), network="conv", width=4)
    x = torch.zeros(6, 1, 16, 16)
    assert torch.isfinite(g.model_loss(Batch(x, Y), Clock()).total)
    assert g.sample_class(Y).shape == x.shape


@pytest.mark.slow
def test_it_learns_classes(tmp_path):
    """After 500 rounds on real images the right class bounds higher than a wrong one."""
    from pinxit import data
    from pinxit.core.config import Settings
    from pinxit.core.trainer import Trainer

    images = data.load("fashion-mini-dynamic")
    test = data.load("fashion-mini-dynamic", split="test").batch(torch.arange(500))
    model = cvae.build(cvae.Config(hidden=(128,), rounds=500), images.spec)
    model = Trainer(model, images, tmp_path, settings=Settings(accelerator="cpu")).fit()
    with torch.no_grad():
        right, wrong = (
            torch.stack(model.elbo_given(test.images, y, generator=torch.Generator().manual_seed(0)))
            for y in (test.labels, (test.labels + 1) % 10)
        )
    assert (right[0] - right[1]).mean() > (wrong[0] - wrong[1]).mean() + 5
