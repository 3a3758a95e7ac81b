"""`vae` bounds the likelihood: against probabilistic PCA, in nats per image, and it learns real images."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.systems import vae

SPEC = Spec(1, 4, 4)
X = torch.randint(0, 256, (6, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 127.5 - 1


def game(spec: Spec = SPEC, **changes):
    return vae.build(vae.PRESETS["tiny"].replace(**changes), spec, seed=1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear_gaussian(d: int = 5, k: int = 2):
    """A VAE with linear maps set to a probabilistic PCA model and its exact posterior; returns it with p(x)."""
    g = generator(4)
    w, b = torch.randn(d, k, generator=g, dtype=torch.float64), torch.randn(d, generator=g, dtype=torch.float64)
    s = 0.7
    model = game(Spec(d, 1, 1, levels=0), decoder="gaussian", hidden=(), latent=k).double()
    precision = torch.eye(k, dtype=torch.float64) + w.T @ w / s**2
    # The encoder's covariance is diagonal: rotate the latents so that the true posterior's is too.
    _, rotation = torch.linalg.eigh(precision)
    w = w @ rotation
    variance = 1 / (1 + (w.T @ w).diagonal() / s**2)
    with torch.no_grad():
        model.decoder[0].weight.copy_(w)
        model.decoder[0].bias.copy_(b)
        model.log_scale.fill_(math.log(s))
        encode = variance[:, None] * w.T / s**2
        model.encoder[0].weight.copy_(torch.cat((encode, torch.zeros_like(encode))))
        model.encoder[0].bias.copy_(torch.cat((-encode @ b, variance.log())))
    return model, MultivariateNormal(b, w @ w.T + s**2 * torch.eye(d, dtype=torch.float64))


def test_with_the_exact_posterior_the_bound_is_the_likelihood_of_probabilistic_pca():
    model, marginal = linear_gaussian()
    x = marginal.sample((3,))
    n = 200_000
    reconstruction, kl = model.elbo(x.repeat_interleave(n, 0).view(-1, 5, 1, 1), generator=None)
    bound = (reconstruction - kl).view(3, n)
    error = bound.std(dim=1) / math.sqrt(n)
    assert ((bound.mean(dim=1) - marginal.log_prob(x)).abs() < 4 * error).all()


def test_with_another_posterior_the_bound_lies_below():
    model, marginal = linear_gaussian()
    with torch.no_grad():
        model.encoder[0].bias.add_(0.5)
    x = marginal.sample((1,)).expand(100_000, 5).reshape(-1, 5, 1, 1)
    reconstruction, kl = model.elbo(x)
    assert (reconstruction - kl).mean() < marginal.log_prob(x[:1].flatten(1)).item() - 0.05


@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian", "logistic"])
def test_the_loss_is_the_negative_bound_in_nats_per_image(decoder):
    """Summed over pixels and latents, averaged over images: repeating the batch changes nothing, no hidden weight."""
    g = game(decoder=decoder, binarise="threshold")
    x = X if decoder != "bernoulli" else torch.where(X > 0, 1.0, -1.0)
    with torch.no_grad():
        torch.manual_seed(7)
        reconstruction, kl = g.elbo(x)
        torch.manual_seed(7)
        loss = g.model_loss(Batch(x), Clock())
    assert reconstruction.shape == kl.shape == (6,)
    torch.testing.assert_close(loss.total, (kl - reconstruction).mean(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(loss.stats["elbo"], -loss.total, rtol=1e-6, atol=1e-6)


def test_the_bernoulli_bound_by_hand():
    g = game(binarise="threshold")
    x = torch.where(X > 0, 1.0, -1.0)
    mu, logvar = g.posterior(x)
    torch.manual_seed(7)
    z = mu + (logvar / 2).exp() * torch.randn(*mu.shape)
    p = torch.sigmoid(g.decoder(z).flatten(1))
    bits = (x.flatten(1) + 1) / 2
    expected = (bits * p.log() + (1 - bits) * (1 - p).log()).sum(dim=1)
    torch.manual_seed(7)
    reconstruction, kl = g.elbo(X)
    torch.testing.assert_close(reconstruction, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(kl, 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1), rtol=1e-5, atol=1e-6)


def test_warm_up_weighs_the_kl_in_training_and_never_in_the_report():
    g = game(warmup=10, beta=2.0, decoder="logistic")
    torch.manual_seed(7)
    early = g.model_loss(Batch(X), Clock(step=4))
    torch.manual_seed(7)
    late = g.model_loss(Batch(X), Clock(step=50))
    kl = early.stats["kl"]
    torch.testing.assert_close(late.total - early.total, (2.0 - 2.0 * 5 / 10) * kl, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(early.stats["elbo"], early.stats["reconstruction"] - kl)
    assert torch.equal(early.stats["elbo"], late.stats["elbo"])


def test_dynamic_bits_have_the_grey_level_s_probability():
    g = game()
    x = torch.full((20_000, 1, 4, 4), 0.5)
    bits = g.target(x, generator())
    assert set(bits.unique().tolist()) == {-1.0, 1.0}
    assert ((bits + 1) / 2).mean().item() == pytest.approx(0.75, abs=0.005)
    assert torch.equal(bits, g.target(x, generator()))
    assert torch.equal(game(binarise="none").target(X), X)


def test_what_is_bounded_is_said_and_grey_levels_in_a_bernoulli_are_no_likelihood():
    kinds = (("bernoulli", "dynamic"), ("bernoulli", "threshold"), ("logistic", "none"))
    said = {game(decoder=d, binarise=b).measure for d, b in kinds}
    assert len(said) == 3
    assert not any("no likelihood" in text for text in said)
    assert "no likelihood" in game(binarise="none").measure


def test_a_generator_decides_the_bound():
    g = game()
    with torch.no_grad():
        state = torch.get_rng_state()
        first, second, other = (g.elbo(X, generator=generator(s))[0] for s in (1, 1, 2))
        assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_an_absurd_log_variance_stays_finite():
    g = game(decoder="logistic")
    with torch.no_grad():
        g.encoder[-1].bias[2:] = 1e4
        reconstruction, kl = g.elbo(X)
    assert torch.isfinite(kl).all()
    assert torch.isfinite(reconstruction).all()


def test_encode_decode_reconstruct():
    g = game(decoder="logistic").eval()
    with torch.no_grad():
        z = g.encode(X)
        assert z.shape == (6, 2)
        assert torch.equal(g.reconstruct(X), g.decode(z))
        assert torch.equal(g.reconstruct(X), g.reconstruct(X))
        assert g.decode(100 * z).abs().max() <= 1


def test_grey_level_decoders_refuse_points():
    with pytest.raises(InputError, match="gaussian"):
        game(Spec(2, 1, 1, levels=0), decoder="logistic")


@pytest.mark.slow
def test_it_learns_real_images(tmp_path):
    """500 rounds on the bundled images beat the best single picture as reconstruction, and every part of the bound."""
    from pinxit import data
    from pinxit.core.config import Settings
    from pinxit.core.trainer import Trainer

    images = data.load()
    test = data.load(split="test").batch(torch.arange(500)).images
    model = vae.build(vae.PRESETS["small"].replace(rounds=500, warmup=100, hidden=(128,)), images.spec)
    with torch.no_grad():
        before = torch.stack(model.elbo(test, generator=generator())).mean(dim=1)
    model = Trainer(model, images, tmp_path, settings=Settings(accelerator="cpu")).fit()
    with torch.no_grad():
        reconstruction, kl = torch.stack(model.elbo(test, generator=generator())).mean(dim=1)
        mean_image = images.batch(torch.arange(5000)).images.mean(dim=0)
        error, baseline = (model.reconstruct(test) - test).square().mean(), (mean_image - test).square().mean()
    assert (reconstruction - kl) > (before[0] - before[1]) + 500
    assert error < 0.3 * baseline
    assert 5 < kl < 100


def test_the_defaults_are_the_paper_s():
    assert vae.PRESETS["paper"] == vae.Config()
    assert vae.PRESETS["paper"].samples == 1
    burda = vae.PRESETS["iwae"]
    assert (burda.hidden, burda.latent, burda.activation, burda.samples) == ((200, 200), 50, "tanh", 5)
    same = {"latent", "hidden", "activation", "decoder", "network", "optimizer"}
    assert burda.model_dump(include=same) == vae.PRESETS["mnist"].model_dump(include=same)


@pytest.mark.parametrize("spec", [SPEC, Spec(3, 6, 5)])
@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian", "logistic"])
def test_beta_1_is_the_bound_at_every_size(spec, decoder):
    """Mean-reduced reconstructions make beta depend on the size of the image: the bound here is summed by hand."""
    g = game(spec, decoder=decoder, binarise="threshold")
    x = torch.randint(0, 2, (4, *spec.shape), generator=generator()).float() * 2 - 1
    torch.manual_seed(3)
    loss = g.model_loss(Batch(x), Clock())
    torch.manual_seed(3)
    mu, logvar = g.posterior(x)
    z = mu + (logvar / 2).exp() * torch.randn(*mu.shape)
    expected = g.log_prob_given(x, z) - 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)
    torch.testing.assert_close(loss.total, -expected.mean(), rtol=1e-5, atol=1e-5)
    if decoder == "gaussian":
        mean = g.decoder(z).flatten(1)
        by_hand = torch.distributions.Normal(mean, g.log_scale.exp()).log_prob(x.flatten(1)).sum(dim=1)
        torch.testing.assert_close(g.log_prob_given(x, z), by_hand, rtol=1e-5, atol=1e-3)


def test_the_gradient_of_several_samples_is_the_weighted_one():
    """Burda et al. 2016, equation 14: d L_k = sum w~_i d log w_i, w~ normalised over the k samples of an image."""
    g = game(samples=3, binarise="threshold").double()
    x = X.double()
    parameters = list(g.parameters())
    torch.manual_seed(7)
    loss = g.model_loss(Batch(x), Clock())
    found = torch.autograd.grad(loss.total, parameters)
    torch.manual_seed(7)
    noise = torch.randn(3, 6, 2)
    log_weights = g.log_weights(g.target(x), noise)
    w = torch.softmax(log_weights.detach(), dim=0)
    expected = torch.autograd.grad(-(w * log_weights).sum(dim=0).mean(), parameters)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
    bound = log_weights.exp().mean(dim=0).log().mean()
    torch.testing.assert_close(loss.total, -bound, rtol=1e-9, atol=1e-9)
    assert loss.stats["L_3"] > loss.stats["elbo"] - 1.0


def test_weights_average_to_the_bound():
    g = game(decoder="gaussian").double()
    x, noise = X[:2].double(), torch.randn(40_000, 2, 2, dtype=torch.float64, generator=generator())
    with torch.no_grad():
        log_weights, rate = g.log_weights(x, noise), g.rate(x)
        mu, logvar = g.posterior(x)
        log_prob = g.log_prob_given(x, mu + (logvar / 2).exp() * noise)
    error = (log_weights - log_prob).std(dim=0) / math.sqrt(40_000)
    assert ((log_weights - log_prob).mean(dim=0) + rate).abs().lt(5 * error).all()


def test_free_bits_leave_the_report_alone():
    g = game(decoder="logistic", free_bits=50.0)
    torch.manual_seed(7)
    loss = g.model_loss(Batch(X), Clock())
    torch.testing.assert_close(loss.total, 2 * 50.0 - loss.stats["reconstruction"])
    torch.testing.assert_close(loss.stats["elbo"], loss.stats["reconstruction"] - loss.stats["kl"])
    encoder = torch.autograd.grad(loss.total, g.encoder[0].weight)[0]
    assert encoder.abs().sum() > 0, "the reconstruction still moves it"


@pytest.mark.parametrize("changes", [{"beta": 2.0}, {"warmup": 5}, {"free_bits": 0.1}])
def test_several_samples_have_no_kl_to_weigh(changes):
    with pytest.raises(InputError, match="no KL to weigh"):
        game(samples=2, **changes)


def test_data_that_is_bits_says_itself_how():
    """The data's protocol, not the configuration's: dynamic sets are drawn for every decoder, fixed ones stay."""
    fixed, dynamic = (Spec(1, 4, 4, levels=2, binarised=how) for how in ("fixed", "dynamic"))
    bits = torch.where(X > 0, 1.0, -1.0)
    assert torch.equal(game(fixed).target(bits, generator()), bits)
    assert set(game(dynamic, decoder="logistic").target(X, generator()).unique().tolist()) == {-1.0, 1.0}
    said = {game(spec, binarise="threshold").measure for spec in (fixed, dynamic, SPEC)}
    assert len(said) == 3
    assert game(dynamic, decoder="logistic").measure == game().measure


def test_the_encoder_reads_bits_as_0_and_1():
    g = game(binarise="threshold")
    dark = -torch.ones(1, 1, 4, 4)
    torch.testing.assert_close(g.encoder(torch.zeros(1, 1, 4, 4)).chunk(2, dim=1)[0], g.encode(dark))


def test_draws_of_an_image_are_its_law():
    g = game(binarise="threshold").eval()
    z = torch.zeros(4000, 2)
    with torch.no_grad():
        x = g.observe(z, generator())
        p = (g.decode(z[:1]) + 1) / 2
    assert set(x.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(((x + 1) / 2).mean(dim=0), p[0], rtol=0, atol=0.05)


def test_convolutions_play():
    g = game(Spec(3, 16, 16), network="conv", width=4, decoder="logistic")
    x = torch.zeros(2, 3, 16, 16)
    assert torch.isfinite(g.model_loss(Batch(x), Clock()).total)
    assert g.reconstruct(x).shape == x.shape


def test_the_learning_rate_falls_to_zero():
    player = game(decay="linear", lr=0.5).players()["model"]
    assert player.schedule(Clock(step=0, progress=0.0)) == {"lr": 0.5}
    assert player.schedule(Clock(step=9, progress=0.9))["lr"] == pytest.approx(0.05)
