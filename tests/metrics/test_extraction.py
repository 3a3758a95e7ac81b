"""Extraction: the same numbers whatever the blocks, the cache or an interruption; and what is refused, in one line."""

import gc
import itertools
import os
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from metrics import judgekit
from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec
from pinxit.data.binarised import of_grey
from pinxit.data.store import Store
from pinxit.metrics import extraction, frechet
from pinxit.metrics.extraction import UNIT, DataSource, Moments, SampleSource, check_comparable, extract, folder
from pinxit.metrics.features import kept
from pinxit.metrics.features.plain import Pixels, RandomConv
from pinxit.metrics.features.sources import Watched

GREY = Spec(1, 8, 8)
N = 3 * UNIT + 10


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The user's cache, empty."""
    monkeypatch.setenv("PINXIT_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    return tmp_path / "cache" / "features"


def store(n=N, *, shape=(1, 8, 8), seed=0, classes=3):
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, *shape), generator=g, dtype=torch.uint8)
    labels = torch.randint(classes, (n,), generator=g)
    return Store("held", images, labels, class_names=[str(k) for k in range(classes)])


class Counting:
    """Pixels that say how many images they were shown, and stop at one."""

    def __init__(self, spec=GREY, stop=None):
        self.pixels, self.stop, self.seen = Pixels(spec), stop, 0
        self.name, self.digest, self.dim = "counting", self.pixels.digest, self.pixels.dim

    def describe(self):
        return "counting (pixels)"

    def __call__(self, images):
        if self.stop is not None and self.seen >= self.stop:
            raise KeyboardInterrupt
        self.seen += len(images)
        return self.pixels(images)


class Painter(nn.Module):
    """Samples with a batch norm, whose statistics and mode a careless sampler would change; draws from both generators."""

    def __init__(self, spec=GREY, gain=1.0, dropout=True):
        super().__init__()
        self.spec, self.norm, self.gain = spec, nn.BatchNorm2d(spec.channels), nn.Parameter(torch.tensor(gain))
        self.drop = nn.Dropout(0.5) if dropout else nn.Identity()
        self.calls = []

    def sample(self, n, *, generator=None):
        self.calls.append(n)
        z = torch.randn(n, *self.spec.shape, generator=generator) + 0.1 * torch.rand(1)
        return (self.gain * self.drop(self.norm(z))).tanh()


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_features_and_labels_of_data_in_order():
    data = store()
    rows = torch.tensor([5, 3, 3, 200, 0])
    found = extract(Pixels(GREY), DataSource(data, rows))
    assert torch.equal(found.features, data.images[rows].flatten(1) * (1 / 127.5) - 1)
    assert torch.equal(found.labels, data.labels[rows])
    assert found.source == "held, 5 of 202 images"
    whole = extract(Pixels(GREY), DataSource(data))
    assert torch.equal(whole.features, data.images.flatten(1) * (1 / 127.5) - 1)
    assert whole.source == "held, all 202 images"
    assert (whole.name, whole.digest) == ("pixels", Pixels(GREY).digest)
    assert whole.about == Pixels(GREY).describe()


def test_samples_are_those_of_the_units_generators():
    """By hand: unit i is `sample(UNIT)` with the generator of (seed, i), as 8-bit images."""
    model = Painter(dropout=False).eval()
    model.norm.running_mean += 0.3
    want = []
    for unit in range(4):
        torch.manual_seed(seed_of("sampler", 7, unit))
        x = model.sample(UNIT, generator=torch.Generator().manual_seed(seed_of("samples", 7, unit)))
        want.append(((x + 1) * 127.5).round() / 127.5 - 1)
    found = extract(Pixels(GREY), SampleSource(model, N, GREY, seed=7))
    assert torch.allclose(found.features, torch.cat(want)[:N].flatten(1), atol=1e-6)
    assert len(found) == N
    assert found.labels is None
    assert found.source == f"{N} samples of Painter, seed 7, rounded to 256 levels"


@pytest.mark.parametrize("block", [1, UNIT + 1, 10 * N])
def test_blocks_do_not_matter(block):
    source = SampleSource(Painter(), N, GREY)
    features = RandomConv()
    assert torch.equal(
        extract(features, source, block=block, cache=False).features, extract(features, source, cache=False).features
    )


def test_fewer_samples_are_the_first_of_more():
    """In the features too, to the last bit, though the last unit is cut."""
    some, more = (extract(RandomConv(), SampleSource(Painter(), n, GREY), cache=False).features for n in (UNIT + 7, N))
    assert torch.equal(some, more[: UNIT + 7])
    other = extract(RandomConv(), SampleSource(Painter(), UNIT + 7, GREY, seed=1), cache=False).features
    assert not torch.equal(some, other)
    assert not torch.equal(some[:7], some[UNIT:]), "every unit has a generator of its own"


def test_sampling_changes_neither_the_model_nor_the_default_generator():
    model = Painter()
    model.train()
    model.norm.eval()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    extract(Pixels(GREY), SampleSource(model, N, GREY))
    assert torch.equal(torch.get_rng_state(), state)
    assert (model.training, model.drop.training, model.norm.training) == (True, True, False)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_samples_and_the_files_of_them_have_the_same_features(tmp_path):
    """Written as any software writes them, read back, extracted: to the bit."""
    spec, model = Spec(3, 8, 8), Painter(Spec(3, 8, 8))
    source = SampleSource(model, UNIT + 3, spec)
    images = torch.cat(list(source.units()))[: UNIT + 3]
    (tmp_path / "out").mkdir()
    for i, x in enumerate(images):
        Image.fromarray(((x + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()).save(tmp_path / "out" / f"{i:04}.png")
    written = extract(RandomConv(), folder(tmp_path / "out", spec))
    assert torch.equal(written.features, extract(RandomConv(), source).features)
    assert written.labels is None


class Mean(nn.Module):
    """Draws the means of bits, as a VAE does."""

    def sample(self, n, *, generator=None):
        return torch.rand(n, 1, 8, 8, generator=generator) * 2 - 1


@pytest.mark.parametrize("how", ["dynamic", "fixed", "threshold"])
def test_bits_are_judged_as_bits_on_both_sides(how):
    """A model that draws the law of the data scores as the data do; its means or the grey levels would not."""
    grey = torch.rand(2000, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    data = of_grey(Store("grey", grey.to(torch.uint8)), f"grey-{how}", how, "train")
    real = torch.cat(list(DataSource(data).units()))
    drawn = torch.cat(list(SampleSource(Mean(), 2000, data.spec, seed=3).units()))
    for images in (real, drawn):
        assert set(images.unique().tolist()) == {-1.0, 1.0}
        assert abs(float(images.mean())) < 0.01
    assert torch.equal(real, torch.cat(list(DataSource(data).units()))), "the same each time"
    assert torch.equal(real[UNIT:], torch.cat(list(DataSource(data).units(1))))
    if how == "dynamic":
        assert not torch.equal(real, (data.batch(torch.arange(2000)).images > 0) * 2.0 - 1), "drawn, not cut at 1/2"


def test_the_bits_of_two_sets_share_no_random_number():
    """Else real samples would lie nearer to real ones than two draws of one law do: a floor too low, and no copy needed."""
    grey = Store("grey", torch.full((400, 1, 8, 8), 128, dtype=torch.uint8))
    other = Store("other", torch.full((400, 1, 8, 8), 127, dtype=torch.uint8))
    ours, theirs = (of_grey(store, f"{store.name}-dynamic", "dynamic", "train") for store in (grey, other))
    sets = [
        DataSource(ours, torch.arange(200)), DataSource(ours, torch.arange(200, 400)), DataSource(theirs, torch.arange(200)),
        DataSource(other, torch.arange(200), spec=ours.spec),
    ]  # fmt: skip
    assert len({source.key() for source in sets}) == 4, "what is kept of one is not taken for another's"
    bits = [torch.cat(list(source.units())) for source in sets[:3]]
    for one, two in itertools.combinations(bits, 2):
        assert float((one == two).double().mean()) == pytest.approx(0.5, abs=0.02)  # four standard errors are 0.018
    repeated = torch.cat(list(DataSource(ours, torch.zeros(2 * UNIT, dtype=torch.int64)).units()))
    assert not torch.equal(repeated[:UNIT], repeated[UNIT:])


@pytest.mark.parametrize("how", ["dynamic", "fixed", "threshold"])
def test_files_are_made_bits_where_they_are_held_against_bits(how, tmp_path):
    """The means that a model of bits wrote are judged as its samples are; bits stay what they are."""
    data = of_grey(Store("grey", torch.full((4, 1, 8, 8), 200, dtype=torch.uint8)), f"grey-{how}", how, "train")
    np.save(tmp_path / "means.npy", np.full((200, 8, 8), 200, np.uint8))
    found = torch.cat(list(folder(tmp_path / "means.npy", data.spec).units()))
    assert set(found.unique().tolist()) == ({1.0} if how == "threshold" else {-1.0, 1.0})
    assert float(found.mean()) == pytest.approx(1 if how == "threshold" else 2 * 200 / 255 - 1, abs=0.03)
    drawn = (torch.rand(70, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5).numpy()
    np.save(tmp_path / "bits.npy", drawn)
    same = torch.cat(list(folder(tmp_path / "bits.npy", data.spec).units()))
    assert np.array_equal(same[:, 0].numpy() > 0, drawn)
    (level,) = torch.cat(list(folder(tmp_path / "means.npy").units())).unique().tolist()
    assert level == pytest.approx(200 / 127.5 - 1), "as they are where nothing is said of bits"


def test_points_are_not_rounded():
    class Dots:
        def sample(self, n, *, generator=None):
            return 5 * torch.randn(n, 2, 1, 1, generator=generator)

    spec = Spec(2, 1, 1, levels=0)
    found = extract(Pixels(spec), SampleSource(Dots(), 100, spec))
    assert float(found.features.abs().max()) > 5
    assert found.source == "100 samples of Dots, seed 0"


def test_moments_are_those_of_all_rows():
    """Against torch's covariance, and of numbers whose mean is 10^4 times their spread, where E x^2 - (E x)^2 fails."""
    g = torch.Generator().manual_seed(0)
    rows = (torch.randn(2 * extraction.BLOCK + 77, 5, generator=g, dtype=torch.float64) + 1e4).float()
    found = extraction.Extracted(rows, None, "x", "d", "", "").moments()
    mean, covariance = frechet.moments(rows)
    assert found.n == len(rows)
    assert torch.allclose(found.mean, mean, rtol=1e-13)
    assert torch.allclose(found.covariance, covariance, atol=1e-10)
    one = Moments(5)
    one.add(rows[:0])
    one.add(rows[:1])
    with pytest.raises(InputError, match="1 rows"):
        _ = one.covariance


def test_memory_is_bounded():
    """Of the images of many units, no more than the present and the last are alive."""
    alive, most = set(), []

    class Watched(Pixels):
        def __call__(self, images):
            alive.add(key := id(images))
            weakref.finalize(images, alive.discard, key)
            gc.collect()
            most.append(len(alive))
            return super().__call__(images)

    extract(Watched(GREY), SampleSource(Painter(), 6 * UNIT, GREY))
    assert len(most) == 6
    assert max(most) <= 2


def test_progress_counts_images():
    said = []
    extract(Pixels(GREY), DataSource(store()), progress=lambda done, total: said.append((done, total)))
    assert said == [(UNIT, N), (2 * UNIT, N), (3 * UNIT, N), (N, N)]
    extract(Pixels(GREY), DataSource(store()), progress=lambda done, total: said.append((done, total)))
    assert said[4:] == [(N, N)]


# --- the cache --------------------------------------------------------------------------------------------------------


def seen(source, features=None, **options):
    features = features or Counting()
    extract(features, source, **options)
    return features.seen


def test_nothing_is_computed_twice(cache):
    data = store()
    first = extract(Counting(), DataSource(data))
    assert first.path.parent == cache
    again = Counting()
    second = extract(again, DataSource(store()))
    assert again.seen == 0
    assert torch.equal(first.features, second.features)
    assert torch.equal(second.labels, data.labels)
    assert second.path == first.path
    assert not list(cache.glob("*.part"))
    first.features.zero_()  # private maps: the file is not touched
    second.features.zero_()
    assert seen(DataSource(data)) == 0
    assert extract(Counting(), DataSource(data)).features.abs().max() > 0
    assert seen(DataSource(data), cache=False) == N


def test_the_key_changes_with_whatever_decides_the_features():
    data = store()
    assert seen(DataSource(data)) == N
    assert seen(DataSource(data, torch.arange(N).flip(0))) == N, "order"
    assert seen(DataSource(data, torch.arange(N - 1))) == N - 1
    changed = store()
    changed.images[-1, 0, 7, 7] ^= 1
    assert seen(DataSource(changed)) == N, "one bit of the last image"
    other = Counting()
    other.digest = "another"
    assert seen(DataSource(data), other) == N
    model = Painter()
    drawn = -(-N // UNIT) * UNIT
    assert seen(SampleSource(model, N, GREY)) == drawn
    assert seen(SampleSource(model, N, GREY)) == 0
    assert seen(SampleSource(model, N, GREY, seed=1)) == drawn
    assert seen(SampleSource(model, N + 1, GREY)) == drawn
    assert seen(SampleSource(model, N, Spec(1, 8, 8, levels=2))) == drawn, "rounding"
    with torch.no_grad():
        model.gain.mul_(1 + 1e-6)
    assert seen(SampleSource(model, N, GREY)) == drawn, "weights"
    model.norm.running_mean.add_(1e-6)
    assert seen(SampleSource(model, N, GREY)) == drawn, "buffers"


def test_a_folder_whose_files_changed_is_not_taken_for_the_old(tmp_path):
    """Same names, sizes and times: only the content differs, as of bitmaps written over."""
    where = tmp_path / "made"
    where.mkdir()
    for i in range(3):
        Image.new("L", (8, 8), 10 * i).save(where / f"{i}.bmp")
    spec = folder(where).spec
    assert seen(folder(where, spec), Counting(spec)) == 3
    stat = (where / "2.bmp").stat()
    Image.new("L", (8, 8), 200).save(where / "2.bmp")
    os.utime(where / "2.bmp", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (where / "2.bmp").stat().st_size == stat.st_size
    found = extract(Pixels(spec), folder(where, spec)).features
    assert found[2, 0] == pytest.approx(200 / 127.5 - 1, abs=1e-6)


def test_models_that_are_no_modules_are_kept_only_by_a_digest(cache):
    class Plain:
        def sample(self, n, *, generator=None):
            return torch.rand(n, 1, 8, 8, generator=generator)

    assert extract(Counting(), SampleSource(Plain(), N, GREY)).path is None
    assert not cache.exists()
    assert extract(Counting(), SampleSource(Plain(), N, GREY, digest="v1")).path.parent == cache
    assert seen(SampleSource(Plain(), N, GREY, digest="v1")) == 0
    assert seen(SampleSource(Plain(), N, GREY, digest="v2")) > 0


def test_what_was_read_longest_ago_is_dropped(cache, monkeypatch):
    sizes = [extract(Pixels(GREY), DataSource(store(seed=seed))).path.stat().st_size for seed in range(3)]
    files = [extract(Pixels(GREY), DataSource(store(seed=seed))).path for seed in range(3)]
    for age, file in enumerate(files):
        os.utime(file, ns=(0, age))
    extract(Pixels(GREY), DataSource(store(seed=0)))  # read: now 1 is the oldest
    monkeypatch.setattr(kept, "KEPT", sum(sizes[:3]))
    newest = extract(Pixels(GREY), DataSource(store(seed=3))).path
    assert {file for file in files if not file.exists()} == {files[1]}
    assert not files[1].with_suffix(".sums").exists()
    monkeypatch.setattr(kept, "KEPT", 0)
    rows = extract(Pixels(GREY), DataSource(store(seed=4)))
    assert list(cache.glob("*.npy")) == [rows.path], "the one just made stays, whatever it takes"
    assert len(rows.features) == N
    assert not newest.exists()


@pytest.mark.parametrize("damage", ["flipped", "truncated", "no sums", "emptied", "other shape"])
def test_a_damaged_file_is_named_and_computed_anew(damage):
    want = extract(Counting(), DataSource(store()))
    path, copy = want.path, want.features.clone()
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-5] ^= 1
        path.write_bytes(content)
    elif damage == "truncated":
        path.write_bytes(content[:-1000])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "no sums":
        path.with_suffix(".sums").unlink()
    else:
        np.save(path, copy[:-1].numpy())
    features = Counting()
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        found = extract(features, DataSource(store()))
    assert torch.equal(found.features, copy)
    assert features.seen == N
    assert seen(DataSource(store())) == 0, "whole again"


def test_an_interrupted_extraction_goes_on_where_it_stopped(cache):
    source = SampleSource(Painter(), N, GREY)
    want = extract(Counting(), source, cache=False).features
    with pytest.raises(KeyboardInterrupt):
        extract(Counting(stop=2 * UNIT), source, block=UNIT)
    assert not list(cache.glob("*.npy")), "a part has not the name of a whole"
    model, said = Painter(), []
    features = Counting()
    found = extract(features, SampleSource(model, N, GREY), progress=lambda done, _: said.append(done))
    assert torch.equal(found.features, want)
    assert features.seen == 2 * UNIT, "two units of four were there"
    assert len(model.calls) == 2, "nothing is drawn again"
    assert said == [3 * UNIT, N]
    assert not list(cache.glob("*.part"))


def test_killed_it_loses_at_most_a_block(tmp_path, cache):
    """A process that dies without a word in the third unit, its last write torn."""
    code = f"""if True:
        import os, sys, torch
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        torch.set_num_threads(1)
        from metrics.test_extraction import *
        class Dying(Counting):
            def __call__(self, images):
                if self.seen == 3 * UNIT:
                    os._exit(9)
                return super().__call__(images)
        extract(Dying(), SampleSource(Painter(), N, GREY), block=UNIT)
    """
    dead = subprocess.run([sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=False)
    assert dead.returncode == 9, dead.stderr
    (part,) = cache.glob("*.part")
    with open(part, "r+b") as file:
        file.truncate(part.stat().st_size - 10)
    features = Counting()
    found = extract(features, SampleSource(Painter(), N, GREY))
    assert features.seen == 2 * UNIT, "units 3 (torn) and 4"
    assert torch.equal(found.features, extract(Counting(), SampleSource(Painter(), N, GREY), cache=False).features)


def test_a_full_disk_is_one_line_and_loses_nothing(cache):
    """The system refuses a file of more than 40,000 bytes: two units of 64 x 64 numbers fit."""
    pytest.importorskip("resource")
    code = f"""if True:
        import resource, sys, torch
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        torch.set_num_threads(1)
        from metrics.test_extraction import *
        from pinxit.core.errors import RunError
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        try:
            extract(Counting(), DataSource(store()))
        except RunError as error:
            print(error)
    """
    said = subprocess.run([sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=False)
    (part,) = cache.glob("*.part")
    assert said.stdout.startswith(f"can't write {part}: "), said.stderr
    assert said.stderr == ""
    assert seen(DataSource(store())) == N - 2 * UNIT


def test_a_part_that_was_changed_is_not_believed(cache):
    source = DataSource(store())
    with pytest.raises(KeyboardInterrupt):
        extract(Counting(stop=3 * UNIT), source, block=UNIT)
    (part,) = cache.glob("*.part")
    content = bytearray(part.read_bytes())
    content[128 + UNIT * 64 * 4 + 3] ^= 1  # in the second unit
    part.write_bytes(content)
    features = Counting()
    found = extract(features, source)
    assert features.seen == N - UNIT
    assert torch.equal(found.features, extract(Counting(), source, cache=False).features)


def test_two_writers_do_not_spoil_each_other(cache, monkeypatch):
    """The second, of the same features at the same time, keeps nothing: the first does, and nobody need know."""

    class Meanwhile(Counting):
        def __call__(self, images):
            if self.seen == 0:
                self.other = extract(Counting(), DataSource(store()))
            return super().__call__(images)

    monkeypatch.setattr(kept, "folders", lambda: (cache, cache / "second"))
    features = Meanwhile()
    found = extract(features, DataSource(store()))
    assert features.other.path is None
    assert found.path.parent == cache
    assert not (cache / "second").exists()
    assert torch.equal(found.features, features.other.features)


def test_a_cache_that_cannot_be_written_costs_nothing_but_the_cache(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file in the way")
    found = extract(Counting(), DataSource(store()))
    assert found.path.parent == tmp_path / "own" / "pinxit" / "features"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match="computed but not kept"):
        again = extract(Counting(), DataSource(store()))
    assert again.path is None
    assert torch.equal(again.features, found.features)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_too_few_images():
    for source in (DataSource(store(), torch.tensor([0])), SampleSource(Painter(), 0, GREY)):
        with pytest.raises(InputError, match=r"held, 1 of 202 images.* too few|0 samples of Painter.* too few"):
            extract(Pixels(GREY), source)
    with pytest.raises(InputError, match="`block` is 0"):
        extract(Pixels(GREY), DataSource(store()), block=0)


def test_indices_that_are_not_there():
    with pytest.raises(InputError, match="run from -1 to 5: held has 202 images, 0 to 201"):
        DataSource(store(), torch.tensor([5, -1]))
    with pytest.raises(InputError, match="must be .n,. int64"):
        DataSource(store(), torch.ones(3, dtype=torch.bool))


def test_a_model_that_cannot_sample():
    with pytest.raises(InputError, match=r"Linear can't sample: it has no `sample"):
        SampleSource(nn.Linear(2, 2), 10, GREY)


def test_samples_that_are_not_like_the_data():
    with pytest.raises(InputError, match="samples of Painter are 8x8 grey, the data's images 8x8 RGB: compare"):
        extract(Pixels(Spec(3, 8, 8)), SampleSource(Painter(), 10, Spec(3, 8, 8)))

    class Short(Painter):
        def sample(self, n, *, generator=None):
            return super().sample(n, generator=generator)[:3]

    with pytest.raises(InputError, match="3 were drawn where 64 were asked for"):
        extract(Pixels(GREY), SampleSource(Short(), 10, GREY))


def test_samples_that_are_not_finite():
    class Burst(Painter):
        def sample(self, n, *, generator=None):
            x = super().sample(n, generator=generator)
            x[2:5, 0, 1, 1] = torch.tensor([float("nan"), float("inf"), float("-inf")])
            return x

    with pytest.raises(InputError, match="3 of samples 0 to 63 of Burst are not finite: it has diverged"):
        extract(Pixels(GREY), SampleSource(Burst(), 10, GREY))


def test_features_that_are_not_finite():
    """Named with their number; and sums that only overflow are no reason to refuse."""

    class Rotten(Counting):
        def __call__(self, images):
            rows = super().__call__(images)
            if self.seen > UNIT:
                rows[:3, 1], rows[3, 0] = float("nan"), float("inf")
            return rows

    named = r"finite for 4 of images 64 to 127 of held, all 202 images \(64, 65, 66, 67, counted from 0\): look at them"
    with pytest.raises(InputError, match=f"counting gives features that are not {named}"):
        extract(Rotten(), DataSource(store()))

    class Great(Counting):
        def __call__(self, images):
            return torch.full((len(images), 64), 3e38)

    assert bool((extract(Great(), DataSource(store()), cache=False).features == torch.tensor(3e38)).all())


def test_features_of_a_wrong_shape():
    class Wrong(Counting):
        dim = property(lambda self: 7, lambda self, value: None)

    with pytest.raises(InputError, match=r"counting made \(64, 64\) of images 0 to 63: it must make \(64, 7\)"):
        extract(Wrong(), DataSource(store()))


def paint(where, sizes, mode="RGB"):
    where.mkdir(parents=True)
    for i, size in enumerate(sizes):
        Image.new(mode, size, 40 * i if mode == "L" else (40 * i, 10, 200)).save(where / f"{i}.png")
    return where


def test_folders_of_mixed_sizes(tmp_path):
    where = paint(tmp_path / "mixed", [(8, 8), (16, 8)])
    for spec in (None, GREY):
        with pytest.raises(InputError, match=r"2 sizes: 0.png is 8x8, 1.png is 16x8"):
            folder(where, spec)
    made = folder(where, GREY, convert=True)
    assert made.about == "mixed, all 2 images, made 8x8 grey of several sizes (Lanczos, centre crop; luma of ITU-R 601)"
    assert made.spec.shape == (1, 8, 8)


def test_folders_unlike_the_data_are_refused_or_converted_by_name(tmp_path):
    where = paint(tmp_path / "colour", [(16, 16)] * 3)
    with pytest.raises(InputError, match="are 16x16 RGB, the data's 8x8 grey: make them alike, or .*--convert"):
        folder(where, GREY)
    made = folder(where, GREY, convert=True)
    assert "made 8x8 grey of 16x16 RGB" in made.about
    luma = round(0.299 * 40 + 0.587 * 10 + 0.114 * 200)
    assert extract(Pixels(GREY), made).features[1, 0] == pytest.approx(luma / 127.5 - 1, abs=1e-6)
    grey = paint(tmp_path / "grey", [(8, 8)] * 3, "L")
    with pytest.raises(InputError, match="are 8x8 grey, the data's 8x8 RGB"):
        folder(grey, Spec(3, 8, 8))
    alike = folder(where, Spec(3, 16, 16), convert=True)
    assert alike.about == "colour, all 3 images"
    assert [path.name for path in where.iterdir() if path.suffix == ".npy"] == [], "other software's folders are not packed"


def test_labels_of_class_folders(tmp_path):
    paint(tmp_path / "set" / "cat", [(8, 8)] * 2)
    paint(tmp_path / "set" / "dog", [(8, 8)] * 3)
    assert extract(Pixels(Spec(3, 8, 8)), folder(tmp_path / "set")).labels.tolist() == [0, 0, 1, 1, 1]


def test_features_of_two_networks_are_not_compared():
    x, y = (extract(f, DataSource(judgekit.squares(20, size=(8, 8), classes=2))) for f in (Pixels(GREY), RandomConv()))
    check_comparable(x, x)
    with pytest.raises(InputError, match=r"features of pixels .* and of random-conv .* can't be compared"):
        check_comparable(x, y)


@pytest.mark.parametrize("keeps", [False, True])
def test_images_to_look_at_are_kept_as_they_pass_and_drawn_once(keeps):
    model, count = Painter(), UNIT + 3
    watched = Watched(SampleSource(model, N, GREY, seed=7), count)
    expected = torch.cat(list(SampleSource(Painter(), N, GREY, seed=7).units()))
    extract(Pixels(GREY), watched, cache=keeps)
    assert torch.equal(watched.first(), expected[:count])
    assert sum(model.calls) == 4 * UNIT
    again = Watched(SampleSource(model, N, GREY, seed=7), count)
    extract(Pixels(GREY), again, cache=keeps)
    assert torch.equal(again.first(), expected[:count])
    assert sum(model.calls) == 8 * UNIT - 2 * UNIT * keeps, "features kept from before: the two units that are looked at"
