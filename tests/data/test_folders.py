"""Folders and zips: classes, splits, dataset.json, and everything odd that must be said aloud."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pinxit.core.errors import InputError
from pinxit.data import inspect, load

Folder = Callable[..., Path]
S = (4, 5, 3)


def zipped(folder: Path, prefix: str = "") -> Path:
    """A zip of everything in a folder, caches aside."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and ".pinxit" not in str(file):
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def truth(folder: Path, *names: str) -> np.ndarray:
    """Those files, (n, c, h, w)."""
    pixels = []
    for name in names:
        with Image.open(folder / name) as image:
            pixels.append(np.asarray(image).transpose(2, 0, 1))
    return np.stack(pixels)


def test_sub_folders_are_classes_in_sorted_order(folder: Folder) -> None:
    place = folder({"dog/1.png": S, "dog/0.png": S, "Cat/0.png": S, "ant/deep/er/0.png": S, "ant/z.png": S})
    data = load(place)
    names = ["Cat/0.png", "ant/deep/er/0.png", "ant/z.png", "dog/0.png", "dog/1.png"]
    assert data.class_names == ("Cat", "ant", "dog")
    assert data.labels.tolist() == [0, 1, 1, 2, 2]
    assert np.array_equal(data.images.numpy(), truth(place, *names))
    assert (data.spec.classes, data.spec.shape, data.name) == (3, (3, 4, 5), "images")


def test_a_flat_folder_has_no_labels(folder: Folder) -> None:
    data = load(folder({"b.png": S, "a.png": S}))
    assert (data.labels, data.spec.classes, data.class_names, data.notes) == (None, 0, (), ())


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("test_name", ["test", "val", "Test"])
def test_train_and_test_folders_are_splits(folder: Folder, as_zip: bool, test_name: str) -> None:
    place = folder({"train/a/0.png": S, "train/c/0.png": S, f"{test_name}/a/0.png": S, f"{test_name}/b/0.png": S})
    where = zipped(place) if as_zip else place
    train, test = load(where), load(where, split="test")
    assert np.array_equal(train.images.numpy(), truth(place, "train/a/0.png", "train/c/0.png"))
    assert np.array_equal(test.images.numpy(), truth(place, f"{test_name}/a/0.png", f"{test_name}/b/0.png"))
    assert train.class_names == test.class_names == ("a", "b", "c"), "classes are numbered over both splits"
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 2], [0, 1])
    assert train.has_test
    assert train.spec == test.spec
    assert train.fingerprint != test.fingerprint


def test_no_test_split_is_named(pets: Path) -> None:
    assert not load(pets, size=8).has_test
    with pytest.raises(InputError, match=r"has no test split: .*train/ and test/"):
        load(pets, size=8, split="test")


def test_images_beside_train_and_test_are_said_to_be_left_out(folder: Folder) -> None:
    data = load(folder({"train/0.png": S, "test/0.png": S, "other/0.png": S}))
    assert len(data) == 1
    assert "1 images outside train/, test/ are left out" in data.notes


def test_a_lone_train_folder_is_no_class(folder: Folder) -> None:
    data = load(folder({f"train/{kind}/{i}.png": S for kind in "ab" for i in range(10)}))
    assert (data.class_names, data.has_test, data.notes) == (("a", "b"), False, ())


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("vector", [False, True])
def test_dataset_json_gives_the_labels(folder: Folder, as_zip: bool, vector: bool) -> None:
    place = folder({"00000/img0.png": S, "00000/img1.png": S, "00001/img2.png": S})
    labels = {"00000/img0.png": 2, "00000/img1.png": 0, "00001/img2.png": 2, "gone.png": 3}
    given = [[name, [int(c == label) for c in range(4)] if vector else label] for name, label in labels.items()]
    (place / "dataset.json").write_text(json.dumps({"labels": given}))
    data = load(zipped(place) if as_zip else place)
    assert data.labels.tolist() == [2, 0, 2]
    assert data.spec.classes == 4, "classes of other images count, as in StyleGAN"


@pytest.mark.parametrize("stream", [False, True])
def test_a_null_in_dataset_json_is_a_class_that_is_unknown(folder: Folder, stream: bool) -> None:
    place = folder({"a.png": S, "b.png": S, "c.png": S})
    (place / "dataset.json").write_text('{"labels": [["a.png", 1], ["b.png", null], ["c.png", 0]]}')
    data = load(zipped(place), stream=stream)
    assert data.labels.tolist() == [1, -1, 0]
    assert (data.spec.classes, data.spec.unlabelled) == (2, True)
    assert "the class of 1 of 3 images is unknown" in data.notes
    assert "classes    2, unknown of 1 images" in inspect(place)
    (place / "dataset.json").write_text('{"labels": [["a.png", null], ["b.png", null], ["c.png", null]]}')
    assert load(place).labels is None


def test_dataset_json_without_labels_turns_folders_into_mere_folders(folder: Folder) -> None:
    place = folder({"00000/a.png": S, "00001/b.png": S})
    (place / "dataset.json").write_text('{"labels": null}')
    assert load(place).labels is None


def test_dataset_json_inside_the_folder_around_a_zip(folder: Folder) -> None:
    place = folder({"00000/a.png": S, "00001/b.png": S})
    (place / "dataset.json").write_text('{"labels": [["00000/a.png", 1], ["00001/b.png", 0]]}')
    assert load(zipped(place, "set/")).labels.tolist() == [1, 0]


def test_dataset_json_at_the_root_of_a_zip_with_one_folder(folder: Folder) -> None:
    """The folder is part of the names, not one that zipping added."""
    place = folder({"img/00000/a.png": S, "img/00001/b.png": S})
    (place / "dataset.json").write_text('{"labels": [["img/00000/a.png", 1], ["img/00001/b.png", 0]]}')
    assert load(zipped(place)).labels.tolist() == [1, 0]


def test_labels_that_are_no_classes_are_said_to_be_unused(folder: Folder) -> None:
    place = folder({"a.png": S, "b.png": S})
    (place / "dataset.json").write_text('{"labels": [["a.png", [0.5, 0.2]], ["b.png", [1.0, 0.0]]]}')
    data = load(place)
    assert data.labels is None
    assert any("neither whole numbers nor one-hot" in note for note in data.notes)


@pytest.mark.parametrize("content", ['{"labels": [["a.png", 1]]}', "{}", "[]", "nonsense", '{"labels": 3}', '{"labels": [1]}'])
def test_a_wrong_dataset_json_is_named(folder: Folder, content: str) -> None:
    place = folder({"a.png": S, "b.png": S})
    (place / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=r"dataset\.json"):
        load(place)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("stream", [False, True])
def test_a_name_that_was_written_twice_into_a_zip_is_one_image(folder: Folder, stream: bool) -> None:
    """The later one, as every unzip has it; not this one twice."""
    place = folder({"a.png": S, "b.png": S})
    path = zipped(place)
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(place / "b.png", "a.png")
    data = load(path, stream=stream)
    assert len(data) == 2
    found = ((data.batch(torch.arange(2)).images + 1) * 127.5).round().numpy()
    assert np.array_equal(found, truth(place, "b.png", "b.png"))


def test_a_zip_of_a_folder_is_the_folder(pets: Path) -> None:
    for path in (zipped(pets), zipped(pets, "around/")):
        data, expected = load(path, size=8), load(pets, size=8)
        assert np.array_equal(data.images.numpy(), expected.images.numpy())
        assert data.class_names == ("cat", "dog")


def test_hidden_files_and_other_kinds_are_left_alone(folder: Folder) -> None:
    place = folder({"a/0.png": S, "b/0.png": S, ".hidden/0.png": S})
    (place / "a" / "._0.png").write_bytes(b"mac")
    (place / "a" / "notes.txt").write_text("hello")
    (place / "__MACOSX").mkdir()
    (place / "__MACOSX" / "x.txt").write_text("mac")
    data = load(place)
    assert (len(data), data.class_names) == (2, ("a", "b"))
    with zipfile.ZipFile(zipped(place), "a") as archive:
        archive.writestr("__MACOSX/a/0.png", b"mac")
    assert len(load(place.with_suffix(".zip"))) == 2


def test_links_are_followed_but_not_in_circles(folder: Folder, tmp_path: Path) -> None:
    place, elsewhere = folder({"a/0.png": S}), folder({"0.png": S, "1.png": S}, "elsewhere")
    os.symlink(elsewhere, place / "b")
    os.symlink(place, place / "a" / "circle")
    os.symlink(tmp_path / "nowhere.png", place / "a" / "broken.png")
    assert load(place).labels.tolist() == [0, 1, 1]


def test_nothing_to_load_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images; images end in"):
        load(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds no images: 2 files of other kinds \(\.txt 2\)"):
        load(tmp_path)
    (tmp_path / "x.zip").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match=r"x\.zip as a zip"):
        load(tmp_path / "x.zip")
    with pytest.raises(InputError, match=r"a\.txt ends in '\.txt'"):
        load(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (
            ["data/cat/0.png", "data/dog/0.png"],
            r"lies under data/, which has 2 folders .*\(cat, dog\).*load .*images/data",
        ),
        (["cat/0.png", "cat/1.png"], "all 2 images have one label, `cat`"),
        (["cat/0.png", "dog/0.png"], r"2 of 2 classes have fewer than 10 images: `cat` \(1\)"),
        (["cat/0.png", "0.png"], r"0\.png lie beside the class folders, so no labels"),
    ],
)
def test_a_likely_mistake_is_noted(folder: Folder, images: list[str], said: str) -> None:
    data = load(folder(dict.fromkeys(images, S)))
    assert any(re.search(said, note) for note in data.notes), data.notes
    assert not any("\n" in note for note in data.notes)


def test_a_sound_folder_has_no_notes(folder: Folder) -> None:
    assert load(folder({f"{kind}/{i}.png": S for kind in "ab" for i in range(10)})).notes == ()


def test_sizes_that_differ_are_named_with_the_fix(pets: Path) -> None:
    with pytest.raises(InputError, match=r"have 6 sizes: cat/0\.png is 14x9, cat/1\.png is 13x10 .*--size 9"):
        load(pets)
    assert load(pets, size=8).spec.shape == (3, 8, 8)


def test_one_colour_file_makes_the_set_colour(folder: Folder) -> None:
    place = folder({"a.png": (4, 5, 1), "b.png": (4, 5, 1)})
    assert load(place).spec.channels == 1
    assert load(place, channels=3).spec.channels == 3
    folder({"c.png": (4, 5, 3)})
    assert load(place).spec.channels == 3


def test_odd_names_are_no_obstacle(folder: Folder) -> None:
    place = folder({"Übung ü/nul l.PNG": S, "日本/é'\".png": S})
    assert load(place).labels.tolist() == [0, 1]
    if os.name == "posix":
        raw = os.fsencode(place / "日本") + b"/\xff.png"
        Image.new("RGB", (5, 4)).save(os.fsdecode(raw))
        assert load(place).labels.tolist() == [0, 1, 1]
        assert load(place, stream=True).fingerprint == load(place).fingerprint
