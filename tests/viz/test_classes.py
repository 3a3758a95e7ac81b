"""Grids of classes and codes: what changes along a row, what along a column, and what stays."""

from __future__ import annotations

import math

import pytest
import torch
from PIL import Image
from torch import Tensor

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.protocols import HasCodes
from pinxit.core.spec import Spec
from pinxit.observers.pictures import Pictures
from pinxit.viz.classes import category_grid, class_grid, traversals
from viz.vizkit import Generator, Pixels

LABELLED = Spec(1, 64, 64, classes=3)
HEAD = 2 * (17 + 7)
"""The title and the line of numbers above a grid; a tile is 64 pixels and 2 of gutter."""


class OfClass(Generator):
    """A sample's left half is as bright as its noise, its right half as its class: both can be read off a picture."""

    classes = 3

    def sample_class(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        z = torch.rand(len(labels), generator=generator) * 2 - 1
        return halves(z, labels / self.classes, self.spec)


class OfCode(Generator):
    """Left half: the noise; right half: category / 10 + number 0 / 10 + number 1 / 100."""

    sizes = (4, 2)

    def codes(self) -> tuple[int, int]:
        return self.sizes

    def sample_code(self, category: Tensor, continuous: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        assert len(category) == len(continuous)
        z = torch.rand(len(category), generator=generator) * 2 - 1
        weights = torch.tensor([0.1, 0.01])[: continuous.shape[1]]
        return halves(z, category / 10 + continuous @ weights, self.spec)

    def infer(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), dtype=torch.int64)


def halves(left: Tensor, right: Tensor, spec: Spec) -> Tensor:
    x = left.view(-1, 1, 1, 1).expand(-1, *spec.shape).clone()
    x[..., spec.width // 2 :] = right.view(-1, 1, 1, 1)
    return x


def grey(value: float) -> int:
    return int(min(255.0, max(0.0, value * 127.5 + 128)))


def read(picture, left, top, columns, rows):
    """The (left, right) grey levels of every tile, (rows, columns, 2)."""
    at = [[[(left + 66 * c + 8 + 40 * h, top + 66 * r + 8) for h in (0, 1)] for c in range(columns)] for r in range(rows)]
    return torch.tensor([[[picture.getpixel(p)[0] for p in tile] for tile in row] for row in at])


def test_a_class_grid_has_one_class_a_column_and_one_code_a_row():
    picture = class_grid(OfClass(LABELLED), range(3), rows=4)
    assert picture.size == (3 * 66 - 2, HEAD + 4 * 66 - 2)
    found = read(picture, 0, HEAD, 3, 4)
    assert (found[..., 0] == found[:, :1, 0]).all(), "the code is held along a row"
    assert len(set(found[:, 0, 0].tolist())) == 4, "rows have codes of their own"
    assert found[..., 1].tolist() == [[grey(c / 3) for c in range(3)]] * 4
    assert picture.crop((0, HEAD // 2, 66, HEAD)).getchannel("A").getbbox(), "its number is above a column"
    chosen = class_grid(OfClass(LABELLED), [2, 0], rows=4)
    assert torch.equal(read(chosen, 0, HEAD, 2, 4), found[:, [2, 0]]), "the codes do not depend on the choice of classes"
    assert class_grid(OfClass(LABELLED), range(3), rows=4, seed=1).tobytes() != picture.tobytes()
    assert class_grid(OfClass(LABELLED), range(3), rows=4).tobytes() == picture.tobytes()


@pytest.mark.parametrize(
    ("names", "heads"), [(("0", "10", "2"), ("0", "10", "2")), (("0", "1", "2"), ()), (("hat", "10", "2"), ())]
)
def test_classes_that_are_named_by_numbers_have_these_above_them(tmp_path, names, heads):
    """Words have no room there: the places stand for them."""
    data = Pixels(LABELLED)
    data.class_names = names
    game = OfClass(LABELLED).eval()
    Pictures(tmp_path, data, 7, seed=0).finish(game, Clock(step=7))
    with Image.open(tmp_path / "classes.png") as found:
        assert found.tobytes() == class_grid(game, range(3), names=heads).tobytes()
    plain = class_grid(game, range(3))
    columns = [(66 * c, HEAD // 2, 66 * c + 66, HEAD) for c in range(3)]
    other = class_grid(game, range(3), names=names)
    same = [plain.crop(column).tobytes() == other.crop(column).tobytes() for column in columns]
    assert same == [name == str(c) for c, name in enumerate(names)]


def test_a_category_grid_holds_everything_else_along_a_row():
    picture = category_grid(OfCode(LABELLED), rows=3)
    found = read(picture, 0, HEAD, 4, 3).double()
    assert (found[..., 0] == found[:, :1, 0]).all()
    steps = found[:, 1:, 1] - found[:, :-1, 1]
    assert (steps - 12.75).abs().max() <= 1, "a category is a tenth of the range, the numbers are the row's"
    assert len(set(found[:, 0, 1].tolist())) > 1, "numbers are drawn row by row"
    assert category_grid(OfCode(LABELLED), rows=3, most=2).width == 2 * 66 - 2


def test_traversals_move_one_number_at_a_time():
    picture = traversals(OfCode(LABELLED), reach=2.0, steps=5)
    line, name = 17 + 7, 17 + 6 + 8
    width = (picture.width - 28) // 2
    margin = width - (5 * 66 - 2)
    for number, weight in enumerate((0.1, 0.01)):
        found = read(picture, number * (width + 28) + margin, name + line, 5, 4)
        assert (found[..., 0] == found[:, :1, 0]).all(), "the noise is held along a row"
        values = [-2.0, -1.0, 0.0, 1.0, 2.0]
        expected = torch.tensor([[grey(k / 10 + weight * v) for v in values] for k in range(4)])
        assert (found[..., 1] - expected).abs().max() <= 1
    assert picture.crop((0, name + line, margin - 4, name + line + 64)).getchannel("A").getbbox(), "rows have their category"


def test_a_model_gone_wrong_is_drawn():
    class Wrong(OfClass):
        def sample_class(self, labels, *, generator=None):
            x = super().sample_class(labels, generator=generator)
            x[0] = math.nan
            x[1] = math.inf
            return x

    found = read(class_grid(Wrong(LABELLED), range(2), rows=3), 0, HEAD, 2, 3)
    assert found[0].unique().tolist() == [128]
    assert found[1].unique().tolist() == [255]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match="`classes` is 0"):
        class_grid(OfClass(LABELLED), [])
    with pytest.raises(InputError, match="`rows` is 0"):
        class_grid(OfClass(LABELLED), [1], rows=0)
    with pytest.raises(InputError, match="this model makes points"):
        class_grid(OfClass(Spec(2, 1, 1, levels=0, classes=3)), [1])
    none = OfCode(LABELLED)
    none.sizes = (4, 0)
    with pytest.raises(InputError, match="the code has 0 numbers"):
        traversals(none)
    with pytest.raises(InputError, match="`steps` is 1"):
        traversals(OfCode(LABELLED), steps=1)


@pytest.mark.parametrize(
    ("game", "expected"),
    [(Generator, set()), (OfClass, {"classes.png"}), (OfCode, {"categories.png", "traversals.png"})],
)
def test_a_run_ends_with_the_pictures_its_model_can_make(tmp_path, game, expected):
    made = []
    for name, before in (("a", 3), ("b", 4)):
        model = game(LABELLED).eval()
        torch.manual_seed(before)
        state = torch.get_rng_state()
        observer = Pictures(tmp_path / name, Pixels(LABELLED), 7, seed=0)
        assert observer.every == 7
        observer(model, Clock(), {})
        assert not (tmp_path / name).exists(), "nothing before the end"
        observer.finish(model, Clock(step=7))
        assert torch.equal(torch.get_rng_state(), state)
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).glob("*")})
    assert set(made[0]) == {"interpolation.png"} | expected
    assert made[0] == made[1], "the pictures are a function of weights and seed"


def test_a_run_of_points_or_without_numbers_ends_quietly(tmp_path):
    points = Spec(2, 1, 1, levels=0, classes=3)
    Pictures(tmp_path, Pixels(points), 1, 0).finish(OfClass(points), Clock())
    none = OfCode(LABELLED)
    none.sizes = (4, 0)
    assert isinstance(none, HasCodes)
    Pictures(tmp_path, Pixels(LABELLED), 1, 0).finish(none, Clock())
    assert {path.name for path in tmp_path.iterdir()} == {"interpolation.png", "categories.png"}
    many = Spec(1, 6, 6, classes=1000)
    Pictures(tmp_path, Pixels(many), 1, 0).finish(OfClass(many), Clock())
    from PIL import Image

    with Image.open(tmp_path / "classes.png") as picture:
        assert picture.width == 20 * 68 - 2, "six pixels are magnified to 66; at most twenty classes are shown"
