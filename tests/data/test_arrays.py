"""Tensors, arrays, .npy and .npz: which shapes and ranges are read as what, and which are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from pinxit.core.errors import InputError
from pinxit.core.labels import labelled
from pinxit.core.spec import Spec
from pinxit.data import load
from pinxit.data.arrays import read_npz

GREY = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
        (torch.from_numpy(COLOUR), COLOUR.transpose(0, 3, 1, 2)),
        (GREY.astype(np.int64), GREY[:, None]),
        (GREY / 255, GREY[:, None]),
        (torch.from_numpy(GREY / 255).to(torch.float32), GREY[:, None]),
        (torch.from_numpy(GREY / 127.5 - 1).to(torch.float32), GREY[:, None]),
    ],
)
def test_what_is_taken(source: object, expected: np.ndarray) -> None:
    data = load(source)
    assert np.array_equal(data.images.numpy(), expected)
    assert (data.spec.classes, data.labels, data.has_test, data.notes) == (0, None, False, ())


def test_where_both_readings_fit_torch_has_channels_first_and_numpy_last() -> None:
    array = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)
    assert load(torch.from_numpy(array)).spec.shape == (3, 5, 3)
    assert load(array).spec.shape == (3, 3, 5)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (np.zeros((4, 7)), r"shape \(4, 7\)"),
        (np.zeros((4, 2, 8, 8)), "1 or 3 channels"),
        (np.zeros((0, 8, 8)), "there are none"),
        (torch.rand(2, 1, 4, 4) * 255, r"floats in \[.*scale them"),
        (torch.rand(2, 1, 4, 4) * 3 - 2, r"scale them to \[0, 1\] or \[-1, 1\]"),
        (torch.full((2, 1, 4, 4), torch.nan), "nan"),
        (np.full((2, 4, 4), 300), r"\[300, 300\].*\[0, 255\]"),
        (np.full((2, 4, 4), -1), r"\[-1, -1\]"),
        (np.zeros((2, 4, 4), complex), "complex"),
        ([1, 2, 3], "type list"),
        ((GREY, np.zeros(5, int)), r"shape \(5,\): it must be \(6,\)"),
        ((GREY, np.array([0, 1, 2, -2, 0, 0])), "down to -2"),
        ((GREY, np.full(6, 0.5)), "whole numbers"),
    ],
)
def test_what_is_refused(source: object, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_floats_between_the_levels_are_rounded_and_said_so() -> None:
    data = load(torch.tensor([0.0, 0.1234, 0.5011, 1.0]).view(4, 1, 1, 1))
    assert data.images.flatten().tolist() == [0, 31, 128, 255]
    assert "rounded to 256 levels" in data.notes[0]


@pytest.mark.parametrize("labels", [np.arange(6) % 3, (np.arange(6) % 3)[:, None], np.eye(3)[np.arange(6) % 3]])
def test_labels_come_as_numbers_columns_or_one_hot(labels: np.ndarray) -> None:
    data = load((GREY, labels))
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert (data.labels.dtype, data.spec.classes, data.class_names) == (torch.int64, 3, ("0", "1", "2"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ((GREY, np.zeros(6, int)), "all 6 images have one label"),
        ((GREY, np.array([0, 3, 3, 0, 3, 0])), "2 of 4 classes have no images: `1`, `2`"),
        ((GREY, np.array([0, 3, 3, 0, 3, 0])), r"2 of 4 classes have fewer than 10 images: `0` \(3\), `3` \(3\)"),
        ((GREY, np.array([0, 1, 1, 0, 1, 0])), r"2 of 2 classes have fewer than 10 images: `0` \(3\), `1` \(3\)"),
        (np.full((3, 4, 4), 9, np.uint8), "every pixel in source has the value 9"),
        (np.array([0, 1], np.uint8).repeat(8).reshape(2, 2, 4), "read as black and white"),
        ((GREY, np.array([0, 1, 1, -1, -1, 0])), "the class of 2 of 6 images is unknown"),
    ],
)
def test_oddities_are_said_aloud(source: object, said: str) -> None:
    assert any(re.search(said, note) for note in load(source).notes)


def test_npz_of_four_arrays(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, x_train=GREY, y_train=np.array([0, 1, 2, 3, 0, 1]), x_test=GREY[:2], y_test=np.array([1, 0]))
    train, test = load(path), load(str(path), split="test")
    assert (train.name, len(train), len(test), train.has_test) == ("set", 6, 2, True)
    assert test.labels.tolist() == [1, 0]
    assert train.spec == test.spec, "a class that is missing from the test split keeps its number"


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y"), ("whatever", None)])
def test_npz_of_one_split(keys: tuple[str, str | None], tmp_path: Path) -> None:
    image_key, label_key = keys
    np.savez(tmp_path / "set.npz", **{image_key: GREY}, **({label_key: np.arange(6)} if label_key else {}))
    data = load(tmp_path / "set.npz")
    assert np.array_equal(data.images[:, 0].numpy(), GREY)
    assert (data.labels is not None) == (label_key is not None)
    assert not data.has_test
    with pytest.raises(InputError, match="no test split"):
        load(tmp_path / "set.npz", split="test")


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        (np.float32([-1, 0, 1]), np.float32([0, 0.5, 1]), [128, 191, 255]),  # what is white is white in both
        (np.float32([0, 0.5, 1]), np.float32([0, 0.5, 1]), [0, 128, 255]),
        (np.uint8([0, 7, 255]), np.uint8([0, 1, 1]), [0, 1, 1]),  # two dark levels, no bits
        (np.uint8([0, 1, 1]), np.uint8([0, 1, 1]), [0, 255, 255]),
    ],
)
def test_the_range_of_either_split_is_that_of_both(
    train: np.ndarray, test: np.ndarray, expected: list[int], tmp_path: Path
) -> None:
    for key, other in (("test", "train"), ("train", "test")):
        np.savez(tmp_path / "x.npz", **{f"x_{key}": test.reshape(3, 1, 1), f"x_{other}": train.reshape(3, 1, 1)})
        assert read_npz(tmp_path / "x.npz", key).pixels.ravel().tolist() == expected


def test_npy_and_damaged_files(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", COLOUR)
    assert load(tmp_path / "set.npy").spec.shape == (3, 5, 4)
    with pytest.raises(InputError, match="no test split"):
        load(tmp_path / "set.npy", split="test")
    np.savez(tmp_path / "two.npz", a=GREY, b=GREY)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:300])
    (tmp_path / "cut.npy").write_bytes((tmp_path / "set.npy").read_bytes()[:300])
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(InputError, match="keys a, b"):
        load(tmp_path / "two.npz")
    for name in ("cut.npz", "cut.npy", "objects.npy"):
        with pytest.raises(InputError, match="can't read"):
            load(tmp_path / name)


@pytest.mark.parametrize("crop", ["centre", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("source", [GREY, COLOUR], ids=["grey", "colour"])
def test_an_array_becomes_what_its_files_would(
    source: np.ndarray, channels: int, crop: str, tmp_path: Path, noise: Callable[..., np.ndarray]
) -> None:
    for i, image in enumerate(source):
        (tmp_path / "files").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "files" / f"{i}.png")
    for size in (None, 3, (8, 8)):
        files = load(tmp_path / "files", size=size, channels=channels, crop=crop)
        assert torch.equal(load(source, size=size, channels=channels, crop=crop).images, files.images)


def test_a_label_of_minus_one_is_a_class_that_is_unknown(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=GREY, y_train=[0, -1, 2, -1, 0, 1], x_test=GREY, y_test=[0, 1, 2, 0, 1, 2])
    train, test = load(tmp_path / "a.npz"), load(tmp_path / "a.npz", split="test")
    assert (train.spec.classes, train.spec.unlabelled, test.spec.unlabelled) == (3, True, False)
    assert train.batch(torch.arange(6)).labels.tolist() == [0, -1, 2, -1, 0, 1]
    assert labelled(train).tolist() == [0, 2, 4, 5]
    assert labelled(train, torch.tensor([5, 1, 0])).tolist() == [5, 0]
    assert len(labelled(test)) == 6
    assert Spec(**train.spec.to_dict()) == train.spec


def test_labels_that_are_all_unknown_are_no_labels() -> None:
    data = load((GREY, np.full(6, -1)))
    assert (data.labels, data.spec.classes, data.spec.unlabelled) == (None, 0, False)
    assert len(labelled(data)) == 0


BITS = GREY > 127


@pytest.mark.parametrize(
    "source", [BITS, BITS * 1, BITS * np.uint8(255), BITS * 1.0, torch.from_numpy(BITS * 2.0 - 1)[:, None].float()]
)
def test_images_that_are_black_and_white_are_bits_that_are_fixed(source: object) -> None:
    data = load(source)
    assert np.array_equal(data.images.numpy(), BITS[:, None] * np.uint8(255))
    assert (data.spec.levels, data.spec.binarised) == (2, "fixed")
    assert any("taken for bits" in note for note in data.notes)


@pytest.mark.parametrize("source", [GREY, BITS[..., None].repeat(3, -1), np.zeros((2, 4, 4), bool), np.ones((2, 4, 4), bool)])
def test_other_images_are_no_bits(source: object) -> None:
    assert (load(source).spec.levels, load(source).spec.binarised) == (256, "")


def test_bits_that_were_made_smaller_have_grey_levels(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", x_train=BITS, x_test=BITS)
    assert load(tmp_path / "b.npz", split="test").spec.binarised == "fixed"
    assert load(tmp_path / "b.npz", size=2).spec.binarised == ""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (TensorDataset(torch.zeros(4, 1, 5, 4)), "`source` is of type TensorDataset: .*torch.stack"),
        (DataLoader(TensorDataset(torch.zeros(4, 1, 5, 4))), "`source` is of type DataLoader: .*torch.stack"),
        ([GREY[0], GREY[1]], "`source` is of type list: .*np.stack"),
        ((GREY, [0] * 6), r"`labels` is of type list: give a tensor or an array \(np.array\(labels\)\)"),
    ],
)
def test_what_is_no_array_is_refused_with_the_way_to_one(source: object, said: str) -> None:
    """What torch's own modules define was taken for a tensor: 'TensorDataset' object has no attribute 'detach'."""
    with pytest.raises(InputError, match=said):
        load(source)
