import math

import numpy as np
import pytest
import torch

from pinxit import viz
from pinxit.core.errors import InputError
from pinxit.viz import grids


def test_the_byte_rule_is_the_inverse_of_scaling_and_clamps():
    bytes_ = torch.arange(256)
    x = (bytes_.float() / 127.5 - 1).view(256, 1, 1, 1)
    assert grids.to_uint8(x).ravel().tolist() == bytes_.tolist()
    # x * 127.5 + 128 cut to whole numbers: 0 is 128; values beyond [-1, 1] do not wrap round.
    assert grids.to_uint8(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]).view(5, 1, 1, 1)).ravel().tolist() == [0, 0, 128, 255, 255]


def test_images_are_laid_row_by_row_with_white_gutters_and_whole_magnification():
    levels = torch.tensor([-1.0, -0.5, 0.0, 0.5, 0.75])
    picture = viz.grid(levels.view(5, 1, 1, 1).expand(5, 1, 28, 28), columns=3, pad=2)
    side = 84  # 28 * 3: the least whole factor that reaches 64
    assert (picture.mode, picture.size) == ("L", (3 * (side + 2) + 2, 2 * (side + 2) + 2))
    expected = [0, 64, 128, 191, 223]
    for index, level in enumerate(expected):
        left, top = 2 + index % 3 * (side + 2), 2 + index // 3 * (side + 2)
        for x, y in ((left, top), (left + side - 1, top + side - 1), (left + 40, top + 7)):
            assert picture.getpixel((x, y)) == level
    for gutter in ((0, 0), (1, 50), (2 + side, 50), (2 + side + 1, 50), (200, 2 + side), (259, 172)):
        assert picture.getpixel(gutter) == 255
    assert picture.getpixel((2 + 2 * (side + 2), 2 + side + 2)) == 255  # the place of a sixth image


def test_magnification_repeats_pixels_and_keeps_orientation_and_colour():
    image = torch.full((1, 3, 2, 2), -1.0)
    image[0, 0, 0, 1] = 1.0  # red, top right
    image[0, 2, 1, 0] = 1.0  # blue, bottom left
    picture = viz.grid(image, pad=0)
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    assert [picture.getpixel(at) for at in ((31, 31), (32, 31), (63, 0), (31, 32), (0, 63), (32, 32))] == [
        (0, 0, 0), (255, 0, 0), (255, 0, 0), (0, 0, 255), (0, 0, 255), (0, 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (2, 2), (5, 3), (64, 8), (65, 9)])
def test_the_default_grid_is_square(n, columns):
    assert viz.grid(torch.zeros(n, 1, 64, 64), pad=1).width == columns * 65 + 1


@pytest.mark.parametrize(("size", "factor"), [(1, 64), (28, 3), (32, 2), (63, 2), (64, 1), (100, 1)])
def test_small_images_reach_64_pixels(size, factor):
    assert viz.grid(torch.zeros(1, 1, size, size), pad=0).width == size * factor


def test_half_precision_and_gradients_are_no_obstacle():
    x = torch.zeros(2, 1, 64, 64, dtype=torch.bfloat16, requires_grad=True)
    assert viz.grid(x, pad=0).getpixel((0, 0)) == 128


def test_points_become_a_scatter_plot_with_the_second_coordinate_upward():
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]).view(3, 2, 1, 1)
    picture = grids.scatter(points, extent=2.0, size=100)
    at = {(75, 50), (50, 25), (25, 75)}
    dark = {(x, y) for x in range(1, 99) for y in range(1, 99) if picture.getpixel((x, y)) != (255, 255, 255)}
    for x, y in dark:
        assert min(math.hypot(x + 0.5 - a, y + 0.5 - b) for a, b in at) < 3
    assert all(any(math.hypot(x + 0.5 - a, y + 0.5 - b) < 1.5 for x, y in dark) for a, b in at)
    assert viz.grid(points).size == (grids.PLOT, grids.PLOT)


def test_points_outside_leave_no_mark_and_dense_points_are_darker():
    far = torch.tensor([[50.0, 0.0], [0.0, -50.0]]).view(2, 2, 1, 1)
    assert grids.scatter(far, extent=1.0, size=50).crop((1, 1, 49, 49)).getextrema() == ((255, 255),) * 3
    one, many = (grids.scatter(torch.zeros(n, 2, 1, 1), extent=1.0, size=101).getpixel((50, 50)) for n in (1, 20))
    assert sum(many) < sum(one) < 3 * 255
    assert many == grids.BLUE


@pytest.mark.parametrize(
    ("images", "kind", "words"),
    [
        ([[1.0]], TypeError, "`images` is a list"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), TypeError, "torch.uint8"),
        (torch.zeros(1, 4, 4), InputError, r"\(1, 4, 4\).*\(n, c, h, w\)"),
        (torch.zeros(0, 1, 4, 4), InputError, "n >= 1"),
        (torch.zeros(1, 4, 4, 4), InputError, "c must be 1, 2 or 3"),
        (torch.full((1, 1, 2, 2), float("nan")), InputError, "4 values that are not finite"),
    ],
)
def test_what_cannot_be_drawn_is_named(images, kind, words):
    with pytest.raises(kind, match=words):
        viz.grid(images)


@pytest.mark.parametrize(("options", "words"), [({"columns": 0}, "`columns` is 0"), ({"pad": -1}, "`pad` is -1")])
def test_wrong_options_are_named(options, words):
    with pytest.raises(InputError, match=words):
        viz.grid(torch.zeros(1, 1, 4, 4), **options)


def test_two_channels_are_red_and_green():
    images = torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 64, 64)
    assert np.array_equal(np.unique(np.array(viz.grid(images, pad=0)).reshape(-1, 3), axis=0), [[0, 255, 0]])
