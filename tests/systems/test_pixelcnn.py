"""`pixelcnn` is an exact likelihood of bits or levels, in nats an image, given the class where told; it learns and it draws."""

import math
from itertools import product

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.protocols import Completes, Conditional, ConditionalLikelihood, Likelihood, Samples
from pinxit.core.spec import Spec
from pinxit.losses.levels import level_value
from pinxit.systems import pixelcnn

BITS = Spec(1, 2, 3, levels=2, binarised="fixed")
COLOUR = Spec(3, 4, 5, levels=4, classes=3)


def game(spec: Spec = COLOUR, **changes):
    changes = {"output": "bernoulli" if spec.levels == 2 else "softmax", **changes}
    return pixelcnn.build(pixelcnn.PRESETS["tiny"].replace(**changes), spec, seed=1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(spec: Spec, n: int, seed: int = 0):
    return level_value(torch.randint(spec.levels, (n, *spec.shape), generator=generator(seed)), spec.levels)


def everything(spec: Spec):
    rows = torch.tensor(list(product(range(spec.levels), repeat=spec.dim)))
    return level_value(rows, spec.levels).view(-1, *spec.shape)


def step(model, optimizer, batch):
    loss = model.model_loss(batch, Clock())
    optimizer.zero_grad()
    loss.total.backward()
    optimizer.step()
    return loss


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("output", ["bernoulli", "softmax", "logistic-mixture"])
def test_all_images_of_bits_have_probability_one(gated, output):
    model = game(BITS, gated=gated, output=output).double()
    p = model.log_prob(everything(BITS).double()).exp()
    assert p.std() > 0
    assert p.sum().item() == pytest.approx(1, abs=1e-9)


def test_given_each_class_the_images_have_probability_one():
    spec = Spec(1, 2, 2, levels=3, classes=2)
    model = game(spec, conditional=True).double()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.weight.data.normal_(generator=generator())
    x = everything(spec).double()
    p = torch.stack([model.log_prob(x, torch.full((len(x),), label)).exp() for label in (0, 1)])
    assert p.sum(1).tolist() == pytest.approx([1, 1], abs=1e-9)
    assert not torch.allclose(p[0], p[1], rtol=1e-3)


def test_it_can_do_what_the_protocols_say():
    free, told = game(), game(conditional=True)
    for protocol in (Samples, Likelihood, Completes):
        assert isinstance(free, protocol)
        assert isinstance(told, protocol)
    for protocol in (Conditional, ConditionalLikelihood):
        assert isinstance(told, protocol)
        assert not isinstance(free, protocol)


def test_the_loss_is_the_mean_of_nats_whatever_the_batch():
    model = game()
    x = images(COLOUR, 6)
    nll = -model.log_prob(x)
    loss = model.model_loss(Batch(x), Clock())
    assert nll.shape == (6,)
    assert loss.total.item() == pytest.approx(nll.mean().item(), rel=1e-6)
    assert loss.stats["bits_per_dim"].item() == pytest.approx(nll.mean().item() / (60 * math.log(2)), rel=1e-6)
    assert model.model_loss(Batch(torch.cat((x, x))), Clock()).total.item() == pytest.approx(loss.total.item(), rel=1e-6)


def test_the_channels_depend_on_each_other():
    """p(G | R): a public library draws R, G and B apart from each other."""
    torch.manual_seed(0)
    spec = Spec(3, 2, 2, levels=2)
    model = game(spec, output="softmax", width=8)
    x = torch.randint(2, (200, 1, 2, 2), generator=generator()).float() * 2 - 1
    x = x.expand(-1, 3, -1, -1).contiguous()  # G = B = R
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        step(model, optimizer, Batch(x))
    sampled = model.sample(500, generator=generator())
    assert (sampled[:, 1] == sampled[:, 0]).float().mean() > 0.98
    assert (sampled[:, 2] == sampled[:, 0]).float().mean() > 0.98
    assert 0.3 < (sampled[:, 0] > 0).float().mean() < 0.7


def test_grey_levels_become_bits_and_the_measure_says_how():
    grey = Spec(1, 6, 6)
    x = torch.rand(4, *grey.shape, generator=generator()) * 2 - 1
    dynamic, threshold = game(grey, output="bernoulli"), game(grey, output="bernoulli", binarise="threshold")
    with torch.no_grad():
        one, again, other = (dynamic.log_prob(x, generator=generator(seed)) for seed in (1, 1, 2))
        bits = torch.where(x > 0, 1.0, -1.0)
        assert torch.equal(threshold.log_prob(x), threshold.log_prob(bits))
        assert torch.equal(dynamic.log_prob(bits, generator=generator(1)), dynamic.log_prob(bits, generator=generator(2)))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert "dynamic" in dynamic.measure
    assert "threshold" in threshold.measure
    assert "fixed" in game(BITS).measure
    assert game(grey, output="softmax").measure == "probability of 256 grey levels"


def test_labels_are_needed_where_they_are_used_and_refused_elsewhere():
    x = images(COLOUR, 3)
    model, free = game(conditional=True), game()
    labels = torch.tensor([0, 1, 2])
    assert torch.equal(model.log_prob(x, labels), model.log_prob_of_class(x, labels))
    for call, what in [
        (lambda: model.log_prob(x), "needs `labels`"),
        (lambda: free.log_prob(x, labels), "no classes"),
        (lambda: free.complete(x, torch.ones(4, 5, dtype=torch.bool), labels=labels), "no classes"),
        (lambda: model.log_prob(x, labels[:2]), "one an image"),
        (lambda: model.sample_class(torch.tensor([3])), "no class 3"),
        (lambda: model.complete(x, torch.ones(4, 5, dtype=torch.bool)), "needs `labels`"),
        (lambda: game(Spec(3, 4, 5, levels=4), conditional=True), "at least 2 classes"),
    ]:
        with pytest.raises(InputError, match=what):
            call()


@pytest.mark.parametrize("gated", [False, True])
def test_it_learns_which_class_is_which(gated):
    """Class 0 is dark, class 1 is bright: the samples of each are."""
    spec = Spec(1, 4, 4, levels=2, classes=2)
    model = game(spec, conditional=True, gated=gated)
    labels = torch.arange(64) % 2
    x = torch.where(labels.bool(), 1.0, -1.0)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(60):
        step(model, optimizer, Batch(x, labels))
    sampled = model.sample_class(labels, generator=generator())
    assert (sampled == x).float().mean() > 0.97
    mixed = model.sample(200, generator=generator()).mean(dim=(1, 2, 3))
    assert 60 < (mixed > 0).sum() < 140, "classes drawn uniformly"


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("conditional", [False, True])
def test_every_engine_gives_the_same_samples_and_completions(gated, conditional):
    model = game(gated=gated, conditional=conditional)
    x, labels = images(COLOUR, 40), torch.arange(40) % 3 if conditional else None
    known = torch.zeros(4, 5, dtype=torch.bool)
    known[:2] = True
    engines = ("auto", "naive", "cached", "wavefront", "fixed-point")
    drawn = [model.sample(40, generator=generator(2), engine=engine) for engine in engines]
    done = [model.complete(x, known, labels=labels, generator=generator(2), engine=engine) for engine in engines]
    for a, b in zip(drawn, done, strict=True):
        assert torch.equal(a, drawn[0])
        assert torch.equal(b, done[0])
    assert torch.equal(done[0][:, :, :2], x[:, :, :2])
    assert not torch.equal(done[0][:, :, 2:], x[:, :, 2:])
    drawn[0].requires_grad_().sum().backward()  # an ordinary tensor


def test_completing_bits_from_grey_levels():
    grey = Spec(1, 6, 6)
    known = torch.zeros(6, 6, dtype=torch.bool)
    known[:, :3] = True
    x = torch.rand(5, *grey.shape, generator=generator()) * 2 - 1
    done = game(grey, output="bernoulli", binarise="threshold").complete(x, known, generator=generator())
    assert set(done.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(done[..., :3], torch.where(x[..., :3] > 0, 1.0, -1.0))


def test_progress_is_told():
    seen = []
    game().sample(4, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (80, 80)


def test_the_learning_rate_falls_along_a_cosine():
    model = game(decay="cosine", rounds=100, lr=0.2)
    schedule = model.players()["model"].schedule
    values = [schedule(Clock(step=at))["lr"] for at in (0, 25, 50, 100, 200)]
    assert values == pytest.approx([0.2, 0.1 + 0.1 / math.sqrt(2), 0.1, 0, 0])
    assert game().players()["model"].schedule is None


def test_data_that_it_can_not_model_is_refused():
    with pytest.raises(InputError, match="continuous"):
        game(Spec(2, 1, 1, levels=0))
    with pytest.raises(InputError, match="groups"):
        game(width=1)
    with pytest.raises(InputError, match="odd"):
        game(kernel=4)


def test_the_presets_are_table_1():
    paper = pixelcnn.PRESETS["paper"]
    model = pixelcnn.build(paper.replace(width=9, head=12), Spec(3, 8, 8))
    first, last = model.network.first, model.network.head
    assert (first.up, first.side, first.mask) == (3, 3, "A")
    assert len(model.network.layers) == 15
    assert [layer.c_out for layer in last.layers] == [12, 12, 3 * 256]
    assert (paper.width, paper.head, paper.batch_size, paper.optimizer) == (128, 1024, 16, "rmsprop")


@pytest.mark.slow
@pytest.mark.parametrize("gated", [False, True])
def test_one_image_is_learnt_by_heart(gated):
    """Near 0 bits: 192 sub-pixels of noise of 16 levels, 532 nats at first."""
    spec = Spec(3, 8, 8, levels=16)
    model = game(spec, gated=gated, width=24, layers=2, head=24)
    x = images(spec, 1).expand(4, -1, -1, -1).contiguous()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(500):
        loss = step(model, optimizer, Batch(x))
    assert loss.total.item() < 0.5
    assert torch.equal(model.sample(1, generator=generator()), x[:1])


@pytest.mark.slow
def test_a_mixture_of_logistics_learns_an_image_by_heart():
    """One of ramps: logistics have to find the levels."""
    spec = Spec(3, 8, 8, levels=16)
    model = game(spec, output="logistic-mixture", width=24, layers=2, head=24, components=2)
    at = torch.arange(8)
    ramps = torch.stack((at[:, None] + at, (2 * at)[:, None].expand(8, 8), (15 - at).expand(8, 8)))
    x = level_value(ramps, 16)[None].expand(4, -1, -1, -1).contiguous()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = [step(model, optimizer, Batch(x)).total.item() for _ in range(600)]
    assert losses[0] > 500
    assert min(losses) < 10
