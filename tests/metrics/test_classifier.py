"""The judge: its network, its training, its cache; training on synthetic images."""

import json
from itertools import chain

import pytest
import torch

import pinxit
from metrics.judgekit import Held, split_squares, squares
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.data.binarised import of_grey
from pinxit.data.store import Store
from pinxit.metrics import classifier as module
from pinxit.metrics.classifier import CHEAP, LeNet, Protocol, judge_protocol, lenet, train_on_synthetic

QUICK = Protocol("4c3-pool-8c3-pool-.1-16-.1", epochs=6, batch_size=16, lr=1e-2, decay=True)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PINXIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    return tmp_path / "data" / "classifiers"


class Count:
    """A progress that counts its calls: none is made where nothing is trained."""

    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((done, total))


# The network


def test_the_published_network_of_28_pixels_has_1_199_882_parameters():
    # 320 + 18,496 + (12 * 12 * 64 * 128 + 128) + 1,290: the Keras example's count.
    network = LeNet(Spec(1, 28, 28, classes=10), "32c3-64c3-pool-.25-128-.5")
    assert sum(p.numel() for p in network.parameters()) == 1_199_882
    assert [type(m).__name__ for m in network.trunk] == [
        "Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Dropout", "Flatten", "Linear", "ReLU", "Dropout",
    ]  # fmt: skip
    assert [m.p for m in network.trunk if isinstance(m, torch.nn.Dropout)] == [0.25, 0.5]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("size", [(16, 16), (17, 23), (28, 28), (64, 48), (128, 128)])
@pytest.mark.parametrize("architecture", [CHEAP.architecture, judge_protocol(100).architecture, module.FULL.architecture])
def test_any_size_from_16_and_any_channels(channels, size, architecture):
    network = LeNet(Spec(channels, *size, classes=5), architecture).eval()
    assert network(torch.zeros(2, channels, *size)).shape == (2, 5)
    assert sum(p.numel() for p in network.parameters()) < 2.5e6, "large images must not blow the dense layer up"


@pytest.mark.parametrize(
    "wrong", ["", "32c5-128", "32c3-pool", "128-32c3", "32c3-64-pool-10", "0c3-8", "8c3--8", "pool-8", "8c3-1.5-8"]
)
def test_a_wrong_architecture_is_named(wrong):
    with pytest.raises(InputError, match=r"architecture"):
        Protocol(wrong, epochs=1)


def test_a_map_that_vanishes_is_refused():
    with pytest.raises(InputError, match="leaves nothing of 16x16"):
        LeNet(Spec(1, 16, 16, classes=2), "8c3-pool-8c3-pool-8c3-pool-8c3-8")


def test_no_epochs_are_refused():
    with pytest.raises(InputError, match="`epochs`"):
        Protocol("8c3-8", epochs=0)


@pytest.mark.parametrize(("n", "epochs"), [(60_000, 4), (14_000, 17), (500_000, 4), (200, 25)])
def test_the_judge_is_shown_about_as_many_images_of_every_set(n, epochs):
    assert judge_protocol(n).epochs == epochs


# Training


def test_it_learns_and_reports_its_accuracy_on_the_test_split():
    data = split_squares(240, 100)
    judge = lenet(data, protocol=QUICK)
    test = data.test()
    right = (judge.predict(test.images) == test.labels).double().mean().item()
    assert judge.accuracy == right >= 0.95
    assert (judge.name, judge.n_test, judge.test) == ("lenet:held", 100, "test split")
    assert judge.hash in str(judge)
    assert f"{100 * right:.2f} % of 100" in str(judge)


def test_the_accuracy_is_of_the_test_split_and_not_of_the_training_images():
    data = split_squares(240, 100)
    data._test.labels = (data._test.labels + 1) % 4
    assert lenet(data, protocol=QUICK).accuracy <= 0.05


def test_without_a_test_split_a_seventh_is_kept_from_training():
    data = squares(210)
    judge = lenet(data, protocol=QUICK, cache=False)
    steps, last = data.seen[:-1], data.seen[-1]
    trained = set(chain.from_iterable(steps))
    assert (judge.n_test, judge.test, len(last)) == (30, "held out", 30)
    assert not trained & set(last)
    assert trained | set(last) == set(range(210))


def test_every_image_is_shown_once_an_epoch():
    data = split_squares(50, 20)
    lenet(data, protocol=Protocol("4c3-pool-8", epochs=3, batch_size=16), cache=False)
    shown = list(chain.from_iterable(data.seen))
    # 3 epochs of 50 in steps of 16: the 9 steps nearest.
    assert len(shown) == 144
    assert sorted(shown[:50]) == sorted(shown[50:100]) == list(range(50))


def test_it_is_trained_where_gradients_are_off():
    with torch.no_grad():
        found = lenet(squares(200), protocol=QUICK, cache=False)
    assert found.hash == lenet(squares(200), protocol=QUICK, cache=False).hash


def test_seeds_decide_and_the_default_generator_is_left_alone():
    data = split_squares(60, 20)
    state = torch.get_rng_state()
    a = lenet(data, protocol=QUICK, cache=False)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    assert lenet(data, protocol=QUICK, cache=False).hash == a.hash
    assert lenet(data, protocol=QUICK, seed=1, cache=False).hash != a.hash
    still = Protocol("4c3-pool-8", epochs=1, lr=0.0)  # so that the weights are the drawn ones, whatever the order
    assert lenet(data, protocol=still, seed=1, cache=False).hash != lenet(data, protocol=still, cache=False).hash


def test_the_rate_decays_to_nothing_or_stays(monkeypatch):
    rates = []

    class Watched(torch.optim.Adam):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    data = split_squares(64, 20)
    lenet(data, protocol=Protocol("4c3-pool-8", epochs=2, batch_size=16, lr=1e-2, decay=True), cache=False)
    expected = [1e-2 * (1 + torch.cos(torch.tensor(torch.pi * i / 8, dtype=torch.float64)).item()) / 2 for i in range(8)]
    assert rates == pytest.approx(expected, rel=1e-9)
    rates.clear()
    lenet(data, protocol=Protocol("4c3-pool-8", epochs=2, batch_size=16, lr=1e-2), cache=False)
    assert rates == [1e-2] * 8


def test_in_use_it_is_without_dropout_in_chunks_and_its_parts_agree():
    judge = lenet(split_squares(60, 20), protocol=QUICK)
    x = squares(1203, seed=5).images
    logits, features = judge.logits(x), judge.features(x)
    assert logits.shape == (1203, 4)
    assert features.shape == (1203, 16)
    assert bool((features >= 0).all()), "after the ReLU"
    assert torch.equal(judge.logits(x), logits)
    assert torch.allclose(judge.network.head(features), logits, atol=1e-5)
    assert torch.allclose(
        torch.cat([judge.logits(x[i : i + 1]) for i in (0, 499, 500, 1202)]), logits[[0, 499, 500, 1202]], atol=1e-5
    )
    assert torch.equal(judge.predict(x.double()), logits.argmax(1))
    assert not logits.requires_grad


def test_the_epoch_that_does_best_is_kept(monkeypatch):
    data = split_squares(64, 20)
    part = module.Part(data, torch.arange(64))
    plain = {
        e: module._hash(module._train(part, None, Protocol("4c3-pool-.2-8", epochs=e, batch_size=16), 0, None)) for e in (2, 4)
    }
    scores = iter([0.5, 0.9, 0.7, 0.9])
    monkeypatch.setattr(module, "_accuracy", lambda network, rows: next(scores))
    chosen = module._hash(module._train(part, part, Protocol("4c3-pool-.2-8", epochs=4, batch_size=16), 0, None))
    assert chosen == plain[2] != plain[4]


def test_choosing_an_epoch_does_not_disturb_training(monkeypatch):
    data, scores, measured = split_squares(64, 20), iter([0.1, 0.2, 0.3]), module._accuracy
    monkeypatch.setattr(module, "_accuracy", lambda network, rows: measured(network, rows) * 0 + next(scores))
    part, protocol = module.Part(data, torch.arange(64)), Protocol("4c3-pool-.2-8", epochs=3, batch_size=16)
    assert module._hash(module._train(part, part, protocol, 0, None)) == module._hash(
        module._train(part, None, protocol, 0, None)
    )


# The cache


def test_the_second_time_it_is_read_and_not_trained(cache):
    data, count = split_squares(60, 20), Count()
    first = lenet(data, protocol=QUICK, progress=count)
    assert count.calls[-1] == (len(count.calls), len(count.calls)) == (round(6 * 60 / 16), round(6 * 60 / 16))
    again = Count()
    second = lenet(data, protocol=QUICK, progress=again)
    assert not again.calls
    assert {**vars(second), "network": 0} == {**vars(first), "network": 0}
    assert torch.equal(second.logits(data.images), first.logits(data.images))
    assert not second.network.training
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".safetensors"]


def test_other_data_protocol_or_seed_is_trained_anew():
    data = split_squares(60, 20)
    lenet(data, protocol=QUICK)
    others = [
        (split_squares(60, 20), {"seed": 1}),
        (split_squares(60, 20), {"protocol": Protocol(QUICK.architecture, epochs=1, batch_size=16, lr=1e-2, decay=True)}),
        (split_squares(60, 24), {}),
        (split_squares(64, 20), {}),
    ]
    relabelled = split_squares(60, 20)
    relabelled.labels = relabelled.labels.flip(0)
    for other, asked in [*others, (relabelled, {})]:
        count = Count()
        lenet(other, **{"protocol": QUICK, **asked}, progress=count)
        assert count.calls, asked


def test_one_content_under_two_names_is_trained_once_and_named_rightly():
    first = lenet(split_squares(60, 20), protocol=QUICK)
    renamed, count = split_squares(60, 20), Count()
    renamed.name = "a/b: c"
    assert renamed.fingerprint == split_squares(60, 20).fingerprint
    assert lenet(renamed, protocol=QUICK, progress=count).name == "lenet:a/b: c"
    assert not count.calls
    assert first.name == "lenet:held"


def test_other_pixels_of_the_same_names_and_sizes_are_another_classifier():
    """A folder's fingerprint says nothing of what is in its files."""
    whole = split_squares(60, 20)
    about = {"class_names": [str(k) for k in range(whole.spec.classes)], "fingerprint": "names and sizes"}
    first, second = (Store("held", pixels, whole.labels, **about) for pixels in (whole.images, 255 - whole.images))
    lenet(first, protocol=QUICK)
    count = Count()
    lenet(second, protocol=QUICK, progress=count)
    assert count.calls


@pytest.mark.parametrize("damage", ["cut weights", "other weights", "no weights", "cut json", "no accuracy"])
def test_a_damaged_entry_is_trained_anew_and_mended(cache, damage):
    data, count = split_squares(60, 20), Count()
    first = lenet(data, protocol=QUICK)
    (about,) = cache.glob("*.json")
    weights = about.with_suffix(".safetensors")
    if damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-40])
    elif damage == "other weights":
        whole = bytearray(weights.read_bytes())
        whole[-1] ^= 1
        weights.write_bytes(bytes(whole))
    elif damage == "no weights":
        weights.unlink()
    elif damage == "cut json":
        about.write_text(about.read_text()[:50])
    else:
        about.write_text(json.dumps({k: v for k, v in json.loads(about.read_text()).items() if k != "accuracy"}))
    assert lenet(data, protocol=QUICK, progress=count).hash == first.hash
    assert count.calls
    again = Count()
    lenet(data, protocol=QUICK, progress=again)
    assert not again.calls


def test_a_cache_that_cannot_be_written_costs_the_file_and_not_the_classifier(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PINXIT_DATA", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="is not kept"):
        judge = lenet(split_squares(60, 20), protocol=QUICK)
    assert judge.n_test == 20


def test_beside_data_that_is_read_only_the_users_own_cache_is_used(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PINXIT_DATA", str(tmp_path / "file"))
    data, count = split_squares(60, 20), Count()
    lenet(data, protocol=QUICK)
    assert len(list((tmp_path / "own" / "pinxit" / "classifiers").glob("*.json"))) == 1
    lenet(data, protocol=QUICK, progress=count)
    assert not count.calls


def test_without_the_cache_nothing_is_written(cache):
    lenet(split_squares(60, 20), protocol=QUICK, cache=False)
    assert not cache.exists()
    assert not (cache.parents[1] / "own").exists()


# Mistakes


def test_data_without_labels_is_refused():
    with pytest.raises(InputError, match="0 classes"):
        lenet(Held(torch.zeros(20, 1, 16, 16), None, 0))
    with pytest.raises(InputError, match="no labels"):
        lenet(Held(torch.zeros(20, 1, 16, 16), None, 2), protocol=QUICK)


def test_small_images_and_points_are_refused():
    with pytest.raises(InputError, match="15x20 pixels"):
        lenet(squares(20, size=(15, 20)))
    with pytest.raises(InputError, match="has points"):
        lenet(pinxit.data.load("ring"))


def test_few_images_are_refused():
    with pytest.raises(InputError, match="has 8 images"):
        lenet(squares(8))


def test_images_of_another_shape_are_refused():
    judge = lenet(split_squares(60, 20), protocol=QUICK)
    for x in (torch.zeros(2, 1, 16, 17), torch.zeros(2, 3, 16, 16), torch.zeros(0, 1, 16, 16)):
        with pytest.raises(InputError, match="must be"):
            judge.logits(x)


# Training on synthetic images


class Draws:
    """Draws real images of the class `labels + shift`: with no shift a perfect sampler."""

    def __init__(self, data, shift=0):
        self.data, self.shift, self.asked = data, shift, []

    def sample_class(self, labels, *, generator=None):
        self.asked += labels.tolist()
        wanted = (labels + self.shift) % 4
        return torch.stack([self._one(int(k), generator) for k in wanted])

    def _one(self, label, generator):
        rows = (self.data.labels == label).nonzero().squeeze(1)
        return self.data.images[rows[torch.randint(len(rows), (1,), generator=generator)]].squeeze(0)


TSTR = Protocol("4c3-pool-8c3-pool-16", epochs=4, batch_size=16, lr=1e-2)


def test_a_perfect_sampler_reaches_the_ceiling_and_shuffled_labels_do_not():
    data = split_squares(360, 200)
    found = train_on_synthetic(Draws(squares(400, seed=7)), data, n=360, protocol=TSTR)
    assert found.tstr >= 0.95
    assert found.real >= 0.95
    assert found.trts >= 0.95
    assert found.tsts >= 0.95
    # Each of four clusters takes a favourite label at random: 2 or more right by chance of 26 %, 3 or more of 5 %.
    assert found.shuffled <= 0.5
    assert (found.n_test, found.n_generated) == (200, 360)
    assert found.error == pytest.approx((found.tstr * (1 - found.tstr) / 200) ** 0.5)
    for part in ("330 generated + 30 to choose", "4c3-pool-8c3-pool-16", "4 epochs", "seed 0", "330 real + 30", "200 real"):
        assert part in found.protocol


def test_a_sampler_of_the_wrong_class_fails_both_ways():
    data = split_squares(360, 100)
    found = train_on_synthetic(Draws(squares(400, seed=7), shift=1), data, n=360, protocol=TSTR)
    assert found.real >= 0.95
    assert found.tstr <= 0.05
    assert found.trts <= 0.05


class Marks(Draws):
    """Right in half of its draws, and in one corner the class that was asked for, which nothing real shows."""

    def sample_class(self, labels, *, generator=None):
        wrong = torch.rand(len(labels), generator=generator) < 0.5
        x = torch.stack([self._one(int(k), generator) for k in torch.where(wrong, (labels + 1) % 4, labels)])
        x = x.float().div(127.5).sub(1) if x.dtype == torch.uint8 else x.clone()
        x[:, 0, :4, :4] = (labels.float() / 1.5 - 1).view(-1, 1, 1)
        return x


def test_a_mark_of_the_class_shows_in_what_a_classifier_makes_of_more_samples():
    """A classifier of generated images reads them all, one of real images half."""
    found = train_on_synthetic(Marks(squares(400, seed=7)), split_squares(360, 100), n=360, protocol=TSTR)
    assert found.tsts >= 0.9
    assert found.trts <= 0.7


def test_labels_are_drawn_as_the_data_has_them():
    data = split_squares(240, 40)
    kept = data.labels < 2  # half the classes
    order = data.labels[kept].argsort()  # sorted, so that the first 48 are of one class
    data.images, data.labels = data.images[kept][order], data.labels[kept][order]
    sampler = Draws(squares(400, seed=7))
    train_on_synthetic(sampler, data, n=48, protocol=Protocol("4c3-pool-8", epochs=1, batch_size=16))
    assert len(sampler.asked) == 48
    assert 10 < sum(sampler.asked) < 38
    assert set(sampler.asked) == {0, 1}


def test_the_ceiling_is_kept_for_the_next_sampler():
    data, protocol = split_squares(120, 40), Protocol("4c3-pool-8", epochs=1, batch_size=4)
    one, two = Count(), Count()
    for count in (one, two):
        train_on_synthetic(Draws(squares(40, seed=7)), data, n=48, protocol=protocol, progress=count)
    per_training = 44 // 4  # 4 of 48 choose the epoch
    assert (len(one.calls), len(two.calls)) == (3 * per_training, 2 * per_training)


def test_mistakes_of_synthetic_training_are_named():
    class Wrong:
        def sample_class(self, labels, *, generator=None):
            return torch.full((len(labels), 1, 16, 16), float("nan"))

    with pytest.raises(InputError, match="no test split"):
        train_on_synthetic(Draws(squares(40)), squares(40))
    with pytest.raises(InputError, match="`n` is 23"):
        train_on_synthetic(Draws(squares(40)), split_squares(40, 40), n=23)
    with pytest.raises(InputError, match="finite"):
        train_on_synthetic(Wrong(), split_squares(40, 40), n=24, protocol=TSTR)


# Real data


@pytest.mark.slow
def test_a_few_epochs_of_the_bundled_set():
    judge = lenet(pinxit.data.load("fashion-mini"), protocol=CHEAP)
    assert judge.n_test == 2000
    assert judge.accuracy >= 0.80  # 82.8 % measured; the best constant guess is 10 %


def half_known(data):
    labels = torch.where(torch.arange(len(data)) % 3 == 0, -1, data.labels)
    return Held(data.images, labels, 4, None if data.test() is None else half_known(data.test()))


def test_images_of_unknown_class_neither_train_nor_test():
    """The judge is that of the others alone."""
    some = half_known(split_squares(300, 90))
    judge = lenet(some, protocol=QUICK, cache=False)
    assert (judge.n_test, judge.test) == (60, "test split")
    known = torch.arange(300) % 3 != 0
    test = some.test()
    alone = Held(some.images[known], some.labels[known], 4, Held(test.images, test.labels, 4))
    assert lenet(alone, protocol=QUICK, cache=False).hash == judge.hash
    kept = lenet(half_known(squares(210)), protocol=QUICK, cache=False)
    assert (kept.n_test, kept.test) == (20, "held out")


def test_a_test_split_of_unknown_classes_is_none():
    data = split_squares(70, 30)
    data._test = Held(data.test().images, torch.full((30,), -1), 4)
    assert lenet(data, protocol=QUICK, cache=False).test == "held out"
    with pytest.raises(InputError, match="no test split with classes"):
        train_on_synthetic(Draws(data), data, n=24)
    with pytest.raises(InputError, match="15 images of known class"):
        lenet(Held(data.images, torch.where(torch.arange(70) < 15, 0, -1), 4), protocol=QUICK)


# Bits


def in_bits(how, n=120):
    """Squares as bits, with a test split."""
    parts = []
    for split, seed in (("train", 0), ("test", 1)):
        made = squares(n, seed=seed)
        pixels = ((made.images + 1) * 127.5).round().to(torch.uint8)
        grey = Store("grey", pixels, made.labels, class_names=list("abcd"))
        parts.append(of_grey(grey, f"grey-{how}", how, split))
    parts[0].load_test = lambda: parts[1]
    return parts[0]


@pytest.mark.parametrize("how", ["dynamic", "fixed", "threshold"])
def test_of_bits_it_learns_bits_and_reads_bits(how, monkeypatch):
    """Trained on the grey levels that stand for bits, it tells half of the bits of Fashion-MNIST and says nine in ten."""
    data, learned, shown = in_bits(how), [], []
    real_train = module._train
    monkeypatch.setattr(module, "_train", lambda part, *rest: learned.append(part) or real_train(part, *rest))
    judge = lenet(data, protocol=QUICK)
    (part,) = learned
    assert {tuple(x.unique().tolist()) for x, _ in part.in_order()} == {(-1.0, 1.0)}
    judge.network.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    means = torch.full((400, 1, 16, 16), 0.25)
    judge.predict(means)
    assert shown[0].unique().tolist() == ([1.0] if how == "threshold" else [-1.0, 1.0])
    if how != "threshold":
        assert float(shown[0].mean()) == pytest.approx(0.25, abs=0.02)
        assert not torch.equal(shown[0][0], shown[0][1])
        judge.predict(means + 1e-3)
        assert 0.5 < float((shown[0] == shown[1]).double().mean()) < 0.6, "other images, other random numbers"
    bits = torch.cat([x for x, _ in part.in_order()])
    judge.predict(bits)
    assert torch.equal(shown[-1], bits)


def test_what_is_trained_on_means_of_bits_is_trained_on_bits(monkeypatch):
    learned = []
    real_train = module._train
    monkeypatch.setattr(module, "_train", lambda part, *rest: learned.append(part) or real_train(part, *rest))
    train_on_synthetic(Draws(squares(80)), in_bits("dynamic"), n=120, protocol=TSTR)
    assert len(learned) == 3
    for part in learned:
        assert {tuple(x.unique().tolist()) for x, _ in part.in_order()} == {(-1.0, 1.0)}
