"""PixelRNN: a probability over images, exactly; the paper's networks; samples; what is refused."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.losses.levels import level_value
from pinxit.nn.lstm2d import DiagonalBiLSTM, RowLSTM
from pinxit.systems import pixelrnn
from pinxit.systems.pixelrnn import PRESETS

BITS = Spec(1, 2, 3, levels=2, binarised="fixed")
TINY = PRESETS["tiny"]
LAYERS = pytest.mark.parametrize("layer", ["row", "diagonal"])


def lively(config, spec, *, seed=0, scale=0.7):
    """A model whose parameters are all random and large, label biases and initial states included, in float64."""
    game = pixelrnn.build(config, spec, seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in game.parameters():
            p.copy_(torch.randn(p.shape, dtype=p.dtype, generator=generator) * scale)
    return game


def all_images(spec):
    """Every image of the spec's levels, (levels ** dim, c, h, w)."""
    index = torch.tensor(list(product(range(spec.levels), repeat=spec.dim)))
    return level_value(index, spec.levels).double().view(-1, *spec.shape)


# A probability.


@pytest.mark.parametrize("options", [{}, {"skip": True, "residual": False}, {"layers": 3}, {"conditional": True}])
@LAYERS
def test_the_probabilities_of_all_images_sum_to_one(layer, options):
    """All 64 binary images of 2 x 3."""
    spec = Spec(1, 2, 3, levels=2, binarised="fixed", classes=2)
    game, x = lively(TINY.replace(layer=layer, **options), spec), all_images(spec)
    labels = torch.ones(len(x), dtype=torch.long) if "conditional" in options else None
    log_p = game.log_prob(x, labels)
    assert log_p.shape == (64,)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert log_p.std() > 0.1


@pytest.mark.parametrize("wide", [False, True])
def test_they_do_without_the_gap_as_well(wide):
    game = lively(TINY.replace(wide_right=wide, first_kernel=3), BITS)
    assert game.log_prob(all_images(BITS)).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("output", ["softmax", "logistic-mixture"])
@LAYERS
def test_the_probabilities_of_all_rgb_images_sum_to_one(layer, output):
    """729 images of 1 x 2, 3 levels a channel; the widths 4 and 5 are no multiples of 3."""
    spec = Spec(3, 1, 2, levels=3)
    game = lively(TINY.replace(layer=layer, output=output, components=2, head=5), spec)
    assert game.log_prob(all_images(spec)).exp().sum().item() == pytest.approx(1, abs=1e-12)


@LAYERS
def test_samples_have_the_probabilities(layer):
    """Frequencies of 20,000 draws of 1 x 3 bits against p, within five standard errors."""
    spec, n = Spec(1, 1, 3, levels=2, binarised="fixed"), 20_000
    game = lively(TINY.replace(layer=layer), spec).float()
    draws = game.sample(n, generator=torch.Generator().manual_seed(0)).view(n, 3)
    index = ((draws > 0) * torch.tensor([4, 2, 1])).sum(dim=1)
    frequency = torch.bincount(index, minlength=8) / n
    p = game.log_prob(all_images(spec).float()).exp().detach()
    assert ((frequency - p).abs() <= 5 * (p * (1 - p) / n).sqrt() + 1e-9).all()


# The paper's networks.


def sizes_of(game):
    network = game.network
    return network.first.c_out, [(b.lstm.size, b.widen.c_out) for b in network.layers], [c.c_out for c in network.head.layers]


def test_table_1():
    """CIFAR-10: 12 Diagonal BiLSTM layers of h = 128, 2h between them, 7 x 7 mask A, heads of 1024, 256 logits a channel."""
    game = pixelrnn.build(PRESETS["paper"], Spec(3, 32, 32))
    assert sizes_of(game) == (256, [(128, 256)] * 12, [1024, 1024, 768])
    assert (game.network.first.up, game.network.first.side, game.network.first.mask) == (3, 3, "A")
    assert all(type(block.lstm) is DiagonalBiLSTM and block.residual for block in game.network.layers)
    assert PRESETS["paper"].optimizer == "rmsprop"
    assert PRESETS["paper"].batch_size == 16


def test_the_networks_of_mnist():
    bits = Spec(1, 28, 28, levels=2, binarised="dynamic")
    assert sizes_of(pixelrnn.build(PRESETS["paper-mnist"], bits)) == (32, [(16, 32)] * 7, [32, 32, 1])
    assert sizes_of(pixelrnn.build(PRESETS["mnist"], bits)) == (64, [(32, 64)], [32, 32, 1])
    row = pixelrnn.build(PRESETS["mnist-row"], bits)
    assert all(type(block.lstm) is RowLSTM for block in row.network.layers)


def test_the_diagonals_number_of_parameters():
    """Counted by hand for h = 2, k0 = 5, head 3, grey: nothing else is learned."""
    h, head = 2, 3
    game = pixelrnn.build(TINY.replace(width=h, head=head, layers=1), BITS)
    first = 2 * h * (2 * 5 + 2) + 2 * h
    direction = 2 * h * 4 * h + 2 * h * 4 * h + 4 * h + 2 * h
    widen = h * 2 * h + 2 * h
    heads = (2 * h * head + head) + (head * head + head) + (head + 1)
    assert sum(p.numel() for p in game.parameters()) == first + 2 * direction + widen + heads


def test_the_residual_is_added_once():
    """With all widening convolutions zero the layers do nothing: the head sees the first layer."""
    game = lively(TINY.replace(layers=3), BITS)
    for block in game.network.layers:
        for p in block.widen.parameters():
            nn.init.zeros_(p)
    x = all_images(BITS)
    assert torch.allclose(game.network(x), game.network.head(game.network.first(x)), rtol=0, atol=1e-12)


def test_closed_weights_of_a_checkpoint_do_nothing():
    spec = Spec(3, 2, 3, levels=2, binarised="fixed")
    game = lively(TINY, spec)
    x = all_images(Spec(1, 2, 3, levels=2))[:8].expand(-1, 3, -1, -1)
    before = game.log_prob(x)
    state = game.state_dict()
    for name, p in state.items():
        if name.endswith("weight_is"):
            lstm = game.network.layers[0].lstm
            p[:, lstm.mask == 0] = 100.0
        if name.endswith(".row") and "first" not in name:
            layer = game.get_submodule(name.removesuffix(".row"))
            p[layer.open == 0] = 100.0
    game.load_state_dict(state)
    assert torch.equal(game.log_prob(x), before)


# Training.


def test_the_loss_is_the_mean_of_nats_and_bits_are_by_dimension():
    game = lively(TINY, BITS)
    x = all_images(BITS)[:8]
    loss = game.model_loss(Batch(x), Clock())
    assert loss.total.item() == pytest.approx(-game.log_prob(x).mean().item(), rel=1e-12)
    assert loss.stats["bits_per_dim"].item() == pytest.approx(loss.total.item() / (6 * math.log(2)), rel=1e-6)


@LAYERS
def test_one_image_is_learned_by_heart(layer):
    """The likelihood of a single image nears one."""
    spec = Spec(1, 6, 8, levels=2, binarised="fixed")
    game = pixelrnn.build(TINY.replace(layer=layer), spec)
    x = (torch.rand(1, *spec.shape, generator=torch.Generator().manual_seed(0)) < 0.5).float() * 2 - 1
    optimizer = torch.optim.Adam(game.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -game.log_prob(x).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5 < 48 * math.log(2)


# Samples and completions.


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"skip": True}, {"conditional": True}, {"wide_right": True}])
@pytest.mark.parametrize("spec", [Spec(1, 6, 8, classes=3), Spec(3, 4, 5, levels=4, classes=3)], ids=["bits", "rgb"])
@LAYERS
def test_all_engines_paint_the_same_images(layer, spec, options):
    """128 images of 48 bits, or 40 of 60 sub-pixels with four levels; and 16 completions of them."""
    if layer == "row" and "wide_right" in options:
        pytest.skip("of the diagonal layer")
    colour = spec.channels == 3
    config = TINY.replace(layer=layer, layers=2, output="softmax" if colour else "bernoulli", **options)
    game = lively(config, spec, scale=0.4).float()
    engines = ["naive", "cached", "fixed-point", "auto", *(["wavefront"] if layer == "row" else [])]
    n = 40 if colour else 128
    drawn = [game.sample(n, generator=torch.Generator().manual_seed(1), engine=engine) for engine in engines]
    assert all(torch.equal(drawn[0], x) for x in drawn[1:])
    assert len(torch.unique(drawn[0], dim=0)) > n // 2
    known = torch.rand(16, *spec.shape[1:], generator=torch.Generator().manual_seed(2)) < 0.5
    labels = torch.arange(16) % 3 if game.config.conditional else None
    x = drawn[0][-16:]
    again = [
        game.complete(x, known, labels=labels, generator=torch.Generator().manual_seed(3), engine=engine) for engine in engines
    ]
    assert all(torch.equal(again[0], y) for y in again[1:])
    assert torch.equal(torch.where(known[:, None], again[0], 0), torch.where(known[:, None], x, 0))
    assert not torch.equal(again[0], x)


def test_classes_change_the_model_and_its_samples():
    game = lively(TINY.replace(conditional=True), Spec(1, 5, 6, levels=2, binarised="fixed", classes=3)).float()
    x = game.sample_class(torch.zeros(4, dtype=torch.long), generator=torch.Generator().manual_seed(0))
    y = game.sample_class(torch.ones(4, dtype=torch.long), generator=torch.Generator().manual_seed(0))
    assert not torch.equal(x, y)
    by_class = torch.stack([game.log_prob(x, torch.full((4,), k)) for k in range(3)])
    assert by_class.std(dim=0).min() > 1e-3


def test_a_new_conditional_model_is_the_model_of_no_class():
    """Label biases begin at zero."""
    spec = Spec(1, 5, 6, levels=2, binarised="fixed", classes=3)
    game = pixelrnn.build(TINY.replace(conditional=True), spec)
    x = game.sample(6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(game.log_prob(x, torch.zeros(6, dtype=torch.long)), game.log_prob(x, torch.full((6,), 2)))


# What is refused, and what it is a likelihood of.


def test_mistakes_are_refused_in_a_line():
    grey = Spec(1, 8, 8, levels=2, binarised="fixed", classes=3)
    with pytest.raises(InputError, match="`wide_right` is of the diagonal layer"):
        pixelrnn.build(TINY.replace(layer="row", wide_right=True), grey)
    with pytest.raises(InputError, match="continuous"):
        pixelrnn.build(TINY, Spec(2, 1, 1, levels=0))
    with pytest.raises(InputError, match="take a width >= 3"):
        pixelrnn.build(TINY.replace(width=2), Spec(3, 8, 8))
    with pytest.raises(InputError, match="`labels` are given"):
        pixelrnn.build(TINY, grey).log_prob(torch.ones(2, 1, 8, 8), torch.zeros(2, dtype=torch.long))
    conditional = pixelrnn.build(TINY.replace(conditional=True), grey)
    with pytest.raises(InputError, match="needs `labels`"):
        conditional.log_prob(torch.ones(2, 1, 8, 8))
    with pytest.raises(InputError, match="3 `labels` for 2 images"):
        conditional.log_prob(torch.ones(2, 1, 8, 8), torch.zeros(3, dtype=torch.long))


def test_the_measure_names_the_protocol():
    def measure(spec, **options):
        return pixelrnn.build(TINY.replace(**options), spec).measure

    grey = Spec(1, 8, 8, classes=3)
    assert "dynamic" in measure(grey)
    assert "threshold" in measure(grey, binarise="threshold")
    assert measure(grey, output="softmax") == "probability of 256 grey levels"
    assert "fixed" in measure(Spec(1, 8, 8, levels=2, binarised="fixed"))
    assert measure(grey, conditional=True) == measure(grey)  # the condition is the protocol's to say


def test_a_conditional_model_is_scored_given_the_class_and_the_protocol_says_so():
    from pinxit import data
    from pinxit.core import protocols
    from pinxit.metrics import likelihood

    real = data.load()
    plain, told = (pixelrnn.build(TINY.replace(conditional=flag), real.spec).eval() for flag in (False, True))
    assert isinstance(told, protocols.Conditional)
    assert not isinstance(plain, protocols.Conditional)
    a, b = (likelihood.exact(game, real, n=4) for game in (plain, told))
    assert (a.protocol.given, b.protocol.given) == ("", "label")
    with pytest.raises(InputError, match="condition differs"):
        likelihood.comparable(a.protocol, b.protocol)
