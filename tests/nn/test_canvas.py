"""Kept maps: what is read next to a pixel is what lies there, and the orders visit every pixel after its past."""

import pytest
import torch

from pinxit.nn.canvas import Canvas, steps, wavefront


def filled(n=2, height=4, width=6, pad=2, channels=3, slope=0):
    canvas = Canvas(n, height, width, pad, torch.zeros((), dtype=torch.float64), slope)
    canvas.keep("x", channels)
    image = torch.randn(n, channels, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    canvas.image("x").copy_(image)
    return canvas, image


@pytest.mark.parametrize(("height", "width", "pad"), [(4, 6, 2), (5, 3, 1), (1, 4, 3), (6, 2, 3)])
@pytest.mark.parametrize("slope", [1, 2, 3])
def test_neighbours_of_a_front_are_those_of_the_padded_image(height, width, pad, slope):
    canvas, image = filled(2, height, width, pad)
    padded = torch.nn.functional.pad(image, (pad, pad, pad, pad))
    for row, column, count in wavefront(height, width, slope):
        sites = canvas.sites(row, column, slope=slope, count=count)
        for up in range(pad + 1):
            got = canvas.read("x", sites, up=up, right=-pad, taps=2 * pad + 1)
            for i in range(count):
                r, c = row + i, column - slope * i
                want = padded[:, :, r + pad - up, c : c + 2 * pad + 1].transpose(1, 2).flatten(1)
                assert torch.equal(got[:, i], want), (r, c, up)


def test_some_channels_of_the_next_tap():
    canvas, image = filled()
    got = canvas.read("x", canvas.sites(2, 3), right=-1, taps=1, more=2)
    assert torch.equal(got[:, 0], torch.cat((image[:, :, 2, 2], image[:, :2, 2, 3]), dim=1))


def test_writing_changes_the_sites_and_channels_alone():
    canvas, image = filled(slope=2)
    sites = canvas.front(4)
    canvas.write("x", sites, torch.full((2, sites.count, 1), 7.0, dtype=torch.float64), 1)
    want = image.clone()
    for row, column in ((0, 4), (1, 2), (2, 0)):
        want[:, 1, row, column] = 7
    assert sites.count == 3
    assert torch.equal(canvas.image("x"), want)
    kept = canvas.kept["x"].clone()
    canvas.image("x").zero_()
    assert kept.abs().sum() == want.abs().sum(), "the padding stays zero"


@pytest.mark.parametrize(
    ("slope", "count"), [(4, 136), (3, 109), (2, 82), (6, 190), (9, 271), (14, 406), (28, 784)]
)  # likelihood.md 3.2
def test_the_number_of_steps_on_28_by_28(slope, count):
    assert steps(28, 28, slope) == count == len(wavefront(28, 28, slope))


@pytest.mark.parametrize(("height", "width"), [(5, 7), (7, 5), (1, 4), (4, 1), (3, 3)])
@pytest.mark.parametrize("slope", [1, 2, 3, 7, 11])
def test_every_pixel_once_and_after_its_past(height, width, slope):
    when = {}
    canvas = Canvas(1, height, width, 3, torch.zeros(()), slope)
    for time in range(steps(height, width, slope)):
        for row in range(height):
            if 0 <= time - slope * row < width:
                when[row, time - slope * row] = time
        sites = canvas.front(time)
        assert (sites.count if sites else 0) == sum(t == time for t in when.values())
        if sites and sites.count == 1:
            (place,) = (place for place, t in when.items() if t == time)
            assert sites == canvas.sites(*place)
    assert len(when) == height * width
    for (row, column), time in when.items():
        for (above, beside), before in when.items():
            up = row - above
            if up > 0 and beside - column < slope * up:
                assert before < time
    assert canvas.front(-1) is None
    assert canvas.front(steps(height, width, slope)) is None
