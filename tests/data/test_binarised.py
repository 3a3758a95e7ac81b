"""Sets of bits: named by how, pure functions of split and index, told by the listing; Larochelle's files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.data import binarised, catalogue, listing, load, names
from pinxit.data.store import Store

ALL = torch.arange(2000)


def grey(n: int = 4, level: int = 128, size: int = 28) -> Store:
    return Store("grey", torch.full((n, 1, size, size), level, dtype=torch.uint8))


@pytest.mark.parametrize("how", ["dynamic", "fixed", "threshold"])
def test_every_grey_set_has_its_bits(how: str) -> None:
    plain, data = load("fashion-mini", split="test"), load(f"fashion-mini-{how}", split="test")
    assert (data.spec.levels, data.spec.binarised, data.spec.classes) == (2, how, 10)
    assert data.name == f"fashion-mini-{how}"
    assert torch.equal(data.labels, plain.labels)
    assert data.fingerprint != plain.fingerprint
    x, levels = data.batch(ALL).images, plain.batch(ALL).images
    if how == "dynamic":
        assert torch.equal(x, levels)
    else:
        assert set(x.unique().tolist()) == {-1.0, 1.0}
    if how == "threshold":
        assert torch.equal(x > 0, levels > 0)


def test_fixed_bits_have_the_grey_level_s_probability() -> None:
    plain, data = load("fashion-mini"), load("fashion-mini-fixed")
    p, b = plain.images.double() / 255, data.images.double() / 255
    for low, high in ((0.0, 0.001), (0.001, 0.3), (0.3, 0.7), (0.7, 0.999), (0.999, 1.1)):
        there = (p >= low) & (p < high)
        error = (p[there] * (1 - p[there])).sum().sqrt() / there.sum()
        assert (b[there].mean() - p[there].mean()).abs() <= 5 * error
    assert (data.images[plain.images == 0] == 0).all()
    assert (data.images[plain.images == 255] == 255).all()


def test_fixed_bits_are_a_function_of_split_and_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the position, not of how many images there are, nor of the blocks in which they are drawn; each split differs."""
    few, many = (binarised.of_grey(grey(n), "x-fixed", "fixed", "train").images for n in (3, 50))
    assert torch.equal(few, many[:3])
    monkeypatch.setattr(binarised, "BLOCK", 1000)
    assert torch.equal(binarised.of_grey(grey(3), "x-fixed", "fixed", "train").images, few)
    assert not torch.equal(binarised.of_grey(grey(3), "x-fixed", "fixed", "test").images, few)
    assert not torch.equal(few[0], few[1])


def test_fixed_bits_by_hand() -> None:
    """One number of the Philox stream a pixel, in reading order: above level/255 of its 32 bits is a 0."""
    raw = np.random.Philox(key=seed_of("bits", "x-fixed", "train")).random_raw(16)
    expected = [255 if int(u) / 2**64 < 100 / 255 else 0 for u in raw]
    images = binarised.of_grey(grey(1, 100, 4), "x-fixed", "fixed", "train").images
    assert images.flatten().tolist() == expected


def test_the_test_split_and_flipped_copies_follow() -> None:
    data = load("fashion-mini-fixed", mirror=True)
    assert data.test().spec == data.spec
    assert data.test().fingerprint == load("fashion-mini-fixed", split="test").fingerprint
    one, flipped = data.batch(torch.tensor([5, 14_005])).images
    assert torch.equal(flipped, one.flip(-1))


def test_another_size_is_made_before_the_bits() -> None:
    data = load("fashion-mini-threshold", size=16, split="test")
    assert data.spec.shape == (1, 16, 16)
    assert set(data.batch(torch.arange(50)).images.unique().tolist()) == {-1.0, 1.0}


def test_dynamic_bits_are_drawn_once_for_whoever_needs_the_same_again() -> None:
    dynamic, grey_levels = load("fashion-mini-dynamic", mirror=True), load("fashion-mini", mirror=True)
    once = binarised.drawn_once(dynamic)
    assert (once.name, once.spec.binarised, len(once)) == (dynamic.name, "fixed", len(dynamic))
    for bits, grey in ((once, grey_levels), (once.test(), grey_levels.test())):
        assert torch.equal(bits.labels, grey.labels)
        assert bits.images.unique().tolist() == [0, 255]
        assert float((bits.images.double() - grey.images).mean()) == pytest.approx(0, abs=0.5)
    assert once.fingerprint == binarised.drawn_once(dynamic).fingerprint
    fixed = load("fashion-mini-fixed")
    assert binarised.drawn_once(fixed) is fixed
    assert binarised.drawn_once(grey_levels) is grey_levels


def test_colour_is_refused() -> None:
    with pytest.raises(InputError, match="--channels 1"):
        load("fashion-mini-fixed", channels=3)


def test_the_listing_tells_them() -> None:
    rows = {row.name: row for row in listing()}
    assert tuple(rows) == names()
    for base in catalogue.GREY:
        assert {f"{base}-{how}" for how in ("dynamic", "fixed", "threshold")} <= set(rows)
    assert "drawn anew" in rows["mnist-dynamic"].about
    assert "binarized_mnist_{train,valid,test}.amat" in rows["mnist-larochelle"].status


def test_a_near_name_is_suggested_without_torch() -> None:
    code = """if True:
        import sys, pinxit.data
        try:
            pinxit.data.load("mnist-dinamic")
        except ValueError as error:
            print(error)
        print("torch" in sys.modules)
    """
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0].endswith("did you mean `mnist-dynamic`?")
    assert said[1] == "False"


def write_larochelle(folder: Path, rows: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    folder.mkdir()
    monkeypatch.setattr(binarised, "SIZES", dict.fromkeys(("train", "valid", "test"), rows))
    made = {}
    for seed, split in enumerate(("train", "valid", "test")):
        made[split] = np.random.default_rng(seed).integers(0, 2, (rows, 784))
        lines = "\n".join(" ".join(map(str, row)) for row in made[split])
        (folder / f"binarized_mnist_{split}.amat").write_text(lines + "\n")
    return made


def test_larochelle_s_files(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_larochelle(data_folder, 7, monkeypatch)
    for split in ("train", "valid", "test"):
        data = load("mnist-larochelle", split=split)
        assert np.array_equal(data.images.view(7, 784).numpy() // 255, made[split])
        assert (data.spec.binarised, data.spec.classes, data.labels) == ("fixed", 0, None)
    assert load("mnist-larochelle").spec == catalogue.expected("mnist-larochelle")
    assert load("mnist-larochelle").test().fingerprint == load("mnist-larochelle", split="test").fingerprint
    assert next(row for row in listing() if row.name == "mnist-larochelle").status.startswith("present")


@pytest.mark.parametrize("damage", ["0 1 2", "0 1", ""])
def test_a_damaged_file_is_named(damage: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_larochelle(data_folder, 2, monkeypatch)
    (data_folder / "binarized_mnist_train.amat").write_text(damage)
    with pytest.raises(InputError, match=r"binarized_mnist_train\.amat.*get it anew"):
        load("mnist-larochelle")


def test_what_does_not_apply_is_refused() -> None:
    with pytest.raises(InputError, match=r"binarized_mnist_\{train,valid,test\}\.amat"):
        load("mnist-larochelle")
    with pytest.raises(InputError, match="do not apply"):
        load("mnist-larochelle", mirror=True)
    with pytest.raises(InputError, match="`split` is 'valid'"):
        load("mnist-fixed", split="valid")


def test_mnist_is_made_of_bits(mnist: None) -> None:
    data = load("mnist-fixed")
    assert (len(data), len(data.test())) == (60_000, 10_000)
    assert data.images.double().mean().item() / 255 == pytest.approx(0.1307, abs=2e-4)
