"""Likelihood estimates: against probabilistic PCA, monotone in k, a function of the seed alone, refused across protocols."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal

from metrics.gaussians import Drawn, K, drawn, ppca
from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec
from pinxit.data import load
from pinxit.metrics import likelihood
from pinxit.metrics.likelihood import comparable, exact, importance_weighted, latents, mutual_information, noise_of, report
from pinxit.systems import cvae, dcgan, pixelcnn, vae

BITS = Spec(1, 4, 4, levels=2, classes=3, binarised="dynamic")


def grey(n: int = 12) -> Drawn:
    g = torch.Generator().manual_seed(0)
    return Drawn(torch.randint(0, 256, (n, 16), generator=g) / 127.5 - 1, BITS, torch.arange(n) % 3)


def of_bits(module=vae, **changes):
    return module.build(module.PRESETS["tiny"].replace(latent=5, **changes), BITS, seed=1).eval()


def test_bounds_rise_with_k_to_the_exact_likelihood_of_probabilistic_pca():
    """Bar NLL-5: L_1 <= L_10 <= L_100 <= L_1000, which is within 0.1 nat; a sum for a mean of weights would be off by log k."""
    model, marginal = ppca(offset=0.12)
    data = drawn(marginal, 200)
    truth = marginal.log_prob(data.x.flatten(1).double())
    found = importance_weighted(model, data, k=1000, at=(1, 10, 100))
    bounds = [found[k].values for k in (1, 10, 100, 1000)]
    means = [float(b.mean()) for b in bounds]
    assert means == sorted(means)
    assert means[0] < float(truth.mean()) - 0.2
    assert means[-1] <= float(truth.mean()) + 0.01
    assert (bounds[-1] - truth).abs().max() < 0.1
    assert found[1000].nats == pytest.approx(-float(truth.mean()), abs=0.02)
    assert found[1000].error == pytest.approx(float(truth.std()) / math.sqrt(200), rel=0.02)


def test_with_the_exact_posterior_every_weight_is_the_likelihood():
    """All k samples are then effective, and one is enough."""
    model, marginal = ppca(offset=0.0)
    data = drawn(marginal, 20)
    found = importance_weighted(model, data, k=50, at=(1,))
    truth = marginal.log_prob(data.x.flatten(1).double())
    for k in (1, 50):
        torch.testing.assert_close(found[k].values, truth, rtol=0, atol=1e-4)
        assert found[k].ess == pytest.approx(k, rel=1e-4)


def test_the_effective_sample_size_by_hand():
    model, marginal = ppca(offset=0.5)
    data = drawn(marginal, 3)
    with torch.no_grad():
        log_weights = model.log_weights(data.x, noise_of(torch.arange(3), 0, 400, K, 0)).double()
    w = torch.softmax(log_weights, dim=0)
    found = importance_weighted(model, data, k=400, rows=60)[400]
    assert found.ess == pytest.approx(float((1 / w.square().sum(dim=0)).mean()), rel=1e-5)
    torch.testing.assert_close(found.values, log_weights.logsumexp(dim=0) - math.log(400), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 7, 300, 100_000])
def test_the_result_does_not_depend_on_how_the_work_is_cut(rows):
    model, data = of_bits(), grey()
    a, b = (importance_weighted(model, data, k=290, at=(1, 130), rows=r) for r in (2048, rows))
    for k in (1, 130, 290):
        torch.testing.assert_close(a[k].values, b[k].values, rtol=0, atol=2e-5)


def test_an_image_s_estimate_is_a_function_of_its_index_and_the_seed():
    """Among others or alone, in another data set of which it is a part, whatever the state of torch's generator."""
    model, data = of_bits(), grey()
    whole = importance_weighted(model, data, k=20)[20].values
    torch.manual_seed(5)
    few = Drawn(data.x[:3], BITS, data.labels[:3])
    torch.testing.assert_close(importance_weighted(model, few, k=20)[20].values, whole[:3], rtol=0, atol=2e-5)
    assert not torch.equal(importance_weighted(model, data, k=20, seed=1)[20].values, whole)


def test_samples_are_nested():
    """L_10 of a run with k = 10 is L_10 of one with k = 500: the noise is a function of (image, sample)."""
    indices = torch.tensor([3, 8])
    assert torch.equal(noise_of(indices, 0, 500, 5, 0)[130:200], noise_of(indices, 130, 200, 5, 0))
    assert not torch.equal(noise_of(indices, 0, 1, 5, 0)[:, 0], noise_of(indices, 0, 1, 5, 0)[:, 1])
    model, data = of_bits(), grey()
    one, other = importance_weighted(model, data, k=500, at=(10,))[10], importance_weighted(model, data, k=10)[10]
    torch.testing.assert_close(one.values, other.values, rtol=0, atol=2e-5)


def test_noise_is_standard_normal():
    noise = noise_of(torch.arange(50), 0, 256, 8, 0)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(1, abs=0.01)


def test_one_sample_uses_one_sample():
    """A public evaluator turns n_samples = 1 into 100."""
    model, data = of_bits(), grey(4)
    seen = []
    original = model.log_weights
    model.log_weights = lambda x, noise, labels=None: seen.append(noise.shape) or original(x, noise, labels)
    importance_weighted(model, data, k=1)
    assert [tuple(shape) for shape in seen] == [(1, 4, 5)]


def test_bits_are_drawn_once_an_image():
    """The encoder and the decoder see the same bits; a grey level would not be -1 or 1."""
    model, data = of_bits(), grey()
    seen = []
    original = model.log_weights
    model.log_weights = lambda x, noise, labels=None: seen.append(x) or original(x, noise, labels)
    importance_weighted(model, data, k=300, rows=50)
    assert all(set(x.unique().tolist()) == {-1.0, 1.0} for x in seen)
    first = [x[0] for x in seen[:3]]
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[2])


def test_bits_per_dim():
    found = importance_weighted(of_bits(), grey(), k=5)[5]
    assert found.bits_per_dim == pytest.approx(found.nats / (16 * math.log(2)))
    assert str(found.protocol) in str(found)


def test_rate_and_distortion_make_the_bound():
    model, marginal = ppca(offset=0.4, wide=0.3)
    data = drawn(marginal, 400)
    found = latents(model, data, samples=64)
    with torch.no_grad():
        rate = model.rate(data.x).mean().item()
    assert found.elbo == pytest.approx(-found.distortion - found.rate, abs=1e-5)
    assert found.rate == pytest.approx(rate, rel=1e-5)
    truth = float(marginal.log_prob(data.x.flatten(1).double()).mean())
    assert found.elbo < truth
    # The gap is KL(q || posterior), known here: 1/2 sum (e^w - 1 - w + offset^2 / variance).
    w = model.decoder[0].weight.double()
    variance = 1 / (1 + (w.T @ w).diagonal() / 0.7**2)
    gap = 0.5 * (math.exp(0.3) - 1 - 0.3 + 0.4**2 / variance).sum().item()
    assert truth - found.elbo == pytest.approx(gap, abs=0.05)


def test_active_latents_are_counted():
    model, marginal = ppca(offset=0.0)
    data = drawn(marginal, 300)
    assert (latents(model, data).active, latents(model, data).latents) == (2, 2)
    with torch.no_grad():
        model.encoder[0].weight[0] = 0
    assert latents(model, data).active == 1


def test_the_mutual_information_of_gaussians():
    """x ~ N(0, 1), q(z|x) = N(x, v): I = 1/2 log(1 + 1/v)."""
    g = torch.Generator().manual_seed(0)
    mu = torch.randn(2000, 1, dtype=torch.float64, generator=g)
    logvar = torch.full_like(mu, math.log(0.1))
    z = mu + 0.1**0.5 * torch.randn(2000, 1, dtype=torch.float64, generator=g)
    assert mutual_information(z, mu, logvar) == pytest.approx(0.5 * math.log(1 + 1 / 0.1), abs=0.05)
    own = Normal(mu, 0.1**0.5)
    by_hand = own.log_prob(z).mean() - (torch.logsumexp(own.log_prob(z.T).T, dim=1) - math.log(2000)).mean()
    assert mutual_information(z, mu, logvar) == pytest.approx(by_hand.item(), abs=1e-9)


def test_codes_of_few_images_among_the_posteriors_of_many():
    """The ceiling is the log of the many: codes that tell all images apart show it, and no more."""
    g = torch.Generator().manual_seed(1)
    mu = torch.randn(900, 4, dtype=torch.float64, generator=g)
    logvar = torch.full_like(mu, -14.0)
    z = mu[:50] + torch.exp(logvar[:50] / 2) * torch.randn(50, 4, dtype=torch.float64, generator=g)
    assert mutual_information(z, mu[:50], logvar[:50]) == pytest.approx(math.log(50), abs=1e-6)
    assert mutual_information(z, mu[:50], logvar[:50], mu, logvar) == pytest.approx(math.log(900), abs=1e-6)
    whole = mutual_information(mu, mu, logvar + 12)
    some = mutual_information(mu[:450], mu[:450], logvar[:450] + 12, mu, logvar + 12)
    assert some == pytest.approx(whole, abs=0.1)


def test_the_information_is_of_all_images_whatever_n_is_and_said_to_be_a_bound():
    """n of the report is 5; the 40 images of the data make q(z)."""
    model, data = of_bits(), grey(40)
    found = latents(model, data, n=5)
    assert found.n_information == 40
    assert 0 <= found.mutual_information <= math.log(40)
    text = likelihood.lines(report(model, data, k=2, n=5))
    (line,) = [line for line in text if line.startswith("I(x; z)")]
    assert line == f"I(x; z) >= {found.mutual_information:.2f} nats, a bound that 40 images hold below {math.log(40):.2f}"
    with torch.no_grad():
        last = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)][-1]
        last.bias[5:] = -20.0  # of the log-variances
        last.weight[:5] *= 50
    told = [line for line in likelihood.lines(report(model, data, k=2, n=5)) if line.startswith("I(x; z)")]
    assert told == [f"I(x; z) >= {math.log(40):.2f} nats: all that 40 images can show, whose log is {math.log(40):.2f}"]


def test_no_information_where_all_posteriors_are_one():
    mu, logvar = torch.zeros(50, 3, dtype=torch.float64), torch.zeros(50, 3, dtype=torch.float64)
    z = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert mutual_information(z, mu, logvar) == pytest.approx(0, abs=1e-9)


class Coin(torch.nn.Module):
    """log p of independent bits of probability 1/4."""

    spec, device, measure = BITS, torch.device("cpu"), "probability of bits"

    def log_prob(self, x):
        return torch.where(x > 0, math.log(0.25), math.log(0.75)).flatten(1).sum(dim=1)


def test_an_exact_likelihood_is_averaged_over_bits():
    data = grey()
    found = exact(Coin(), data)
    assert found.ess is None
    assert found.protocol.k == 0
    ones = ((data.x + 1) / 2).sum(dim=(1, 2, 3)).mean()
    assert found.nats == pytest.approx(-(ones * math.log(0.25) + (16 - ones) * math.log(0.75)).item(), abs=1.5)
    assert torch.equal(found.values, exact(Coin(), data, rows=5).values)


@pytest.mark.parametrize("spec", [Spec(1, 4, 4), BITS])
def test_the_bits_of_an_exact_likelihood_are_those_of_the_image(spec):
    """Of grey levels too, which the model itself makes bits of: fewer images, other batches, nothing changes."""
    model = pixelcnn.build(pixelcnn.PRESETS["tiny"], spec).eval()
    data = Drawn(grey(40).x, spec)
    whole, some = exact(model, data), exact(model, data, n=9)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed_of("images", 0)))[:9].sort().values
    torch.testing.assert_close(some.values, whole.values[order], rtol=0, atol=1e-5)
    torch.testing.assert_close(exact(model, data, rows=7).values, whole.values, rtol=0, atol=1e-5)
    assert not torch.allclose(exact(model, data, seed=1).values, whole.values, atol=1e-2)


class Halves(Drawn):
    """Data with a test split."""

    def test(self):
        return Drawn(self.x[:4], self.spec, self.labels)


def test_rows_say_what_they_are_of():
    """Every row has split, number, images, protocol and weights, and nothing that nobody told."""
    data = grey()
    halves = Halves(data.x, BITS, data.labels)
    for model, held, said in ((of_bits(), data, "train"), (of_bits(), halves, "test"), (Coin(), halves, "test")):
        rows = report(model, held, k=20, weights="raw")["likelihood"]
        assert {(row["split"], row["weights"], row["images"], row["n"]) for row in rows} == {
            (said, "raw", "all", 12 if said == "train" else 4)
        }
        assert all("probability of bits" in row["measure"] for row in rows)
    assert report(Coin(), data, split="only")["likelihood"][0]["split"] == "only"
    assert "raw weights" in likelihood.lines(report(Coin(), data, weights="raw"))[-1]
    untold = importance_weighted(of_bits(), data, k=2)[2].protocol
    assert (untold.split, untold.weights) == ("given", "given")
    assert exact(Coin(), halves).protocol.split == "train"


def protocol():
    return importance_weighted(of_bits(), grey(), k=2)[2].protocol


@pytest.mark.parametrize("other", [
    {"measure": "probability of bits by the threshold 1/2"}, {"data": "mnist-fixed"}, {"split": "train"}, {"n": 3},
    {"given": "label"}, {"images": "chosen by seed 1"},
])  # fmt: skip
def test_numbers_of_different_protocols_are_refused(other):
    with pytest.raises(InputError, match="can't be compared"):
        comparable(protocol(), replace(protocol(), **other))


def test_bounds_of_different_k_can_be_compared_but_it_is_said():
    assert comparable(protocol(), protocol()) == ()
    notes = comparable(protocol(), replace(protocol(), estimator="exact", k=0, weights="raw"))
    assert len(notes) == 2
    assert "L_2, exact" in notes[0]


def test_the_report_is_plain_and_readable():
    found = report(of_bits(), grey(), k=20, n=7)
    assert json.loads(json.dumps(found)) == found
    assert [row["estimator"] for row in found["likelihood"]] == ["L_1", "L_10", "L_20"]
    assert found["likelihood"][0]["images"] == "chosen by seed 0"
    text = "\n".join(likelihood.lines(found))
    assert "dynamic binarisation" in text
    assert "active latents" in text
    assert report(Coin(), grey())["likelihood"][0]["estimator"] == "exact"


def test_a_conditional_model_is_told_the_labels():
    model, data = of_bits(cvae, label_dropout=0.0), grey()
    found = importance_weighted(model, data, k=3)[3]
    assert found.protocol.given == "label"
    wrong = Drawn(data.x, BITS, (data.labels + 1) % 3)
    assert not torch.allclose(importance_weighted(model, wrong, k=3)[3].values, found.values)


def test_the_likelihood_given_the_label_is_of_images_that_have_one():
    model, data = of_bits(cvae), grey()
    some = Drawn(data.x, replace(BITS, unlabelled=True), torch.where(torch.arange(12) % 4 == 0, -1, data.labels))
    found = importance_weighted(model, some, k=3)[3]
    known = torch.arange(12) % 4 != 0
    torch.testing.assert_close(found.values, importance_weighted(model, data, k=3)[3].values[known])
    assert (found.protocol.n, found.protocol.images) == (9, "all of known class")
    assert importance_weighted(model, some, k=3, n=4)[3].protocol.images == "chosen by seed 0 of known class"
    with pytest.raises(InputError, match="needs labels"):
        importance_weighted(model, Drawn(data.x, some.spec, torch.full((12,), -1)), k=3)


def test_bits_of_a_user_are_fixed_and_the_protocol_says_so():
    pixels = (torch.rand(8, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.5).numpy()
    bits = load(pixels)
    model = vae.build(vae.PRESETS["tiny"], bits.spec).eval()
    found = importance_weighted(model, bits, k=3)[3]
    assert "fixed binarisation" in found.protocol.measure


def test_what_has_no_likelihood_is_refused():
    spec = Spec(1, 16, 16)
    gan = dcgan.build(dcgan.PRESETS["tiny"], spec)
    with pytest.raises(InputError, match="DCGAN has no likelihood"):
        report(gan, Drawn(torch.zeros(4, 256), spec))
    model = vae.build(vae.PRESETS["tiny"].replace(binarise="none"), Spec(1, 4, 4))
    with pytest.raises(InputError, match="--binarise dynamic"):
        importance_weighted(model, Drawn(torch.zeros(4, 16), Spec(1, 4, 4)), k=1)


def test_other_data_than_the_model_s_is_refused():
    with pytest.raises(InputError, match="trained on"):
        importance_weighted(of_bits(), Drawn(torch.zeros(4, 16), replace(BITS, binarised="fixed")), k=1)
    with pytest.raises(InputError, match="CVAE needs labels"):
        likelihood.check(of_bits(cvae), Drawn(torch.zeros(4, 16), replace(BITS, classes=0)))
    with pytest.raises(InputError, match="has no images"):
        likelihood.check(of_bits(), Drawn(torch.zeros(0, 16), BITS))
    with pytest.raises(InputError, match="at <= k"):
        importance_weighted(of_bits(), grey(), k=5, at=(9,))
