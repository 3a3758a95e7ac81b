import pytest
import torch

from pinxit import viz
from pinxit.core.errors import InputError


def columns_with_ink(picture, box):
    alpha = picture.crop(box).getchannel("A")
    return alpha.getbbox()


def test_real_is_left_and_generated_right_below_their_names():
    real, fake = torch.full((4, 1, 64, 64), -1.0), torch.full((4, 1, 64, 64), 0.0)
    picture = viz.real_beside_fake(real, fake)
    half = 2 * 66 + 2
    top = picture.height - half
    assert picture.width == 2 * half + 28
    assert picture.getpixel((2, top + 2)) == (0, 0, 0, 255)
    assert picture.getpixel((half + 28 + 2, top + 2)) == (128, 128, 128, 255)
    assert picture.getpixel((half + 14, top + 20))[3] == 0  # between the halves the page shows
    for left in (0, half + 28):
        box = columns_with_ink(picture, (left, 0, left + half, top))
        assert box is not None
        assert box[2] - box[0] < half


def test_points_share_the_extent_of_the_real_ones():
    real = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).view(2, 2, 1, 1)
    picture = viz.real_beside_fake(real, real / 2)
    left, right = (
        picture.crop((x + 1, 40, x + 383, picture.height - 1)).convert("L").point(lambda v: 255 * (v < 200)) for x in (0, 412)
    )
    widths = [box[2] - box[0] for box in (left.getbbox(), right.getbbox())]
    assert widths[0] / widths[1] == pytest.approx(2, abs=0.1)


def test_pairs_have_the_input_above_its_own_reconstruction():
    levels = torch.linspace(-1, 1, 12).view(12, 1, 1, 1).expand(12, 1, 64, 64)
    picture = viz.pairs(levels, -levels)
    margin = picture.width - (10 * 66 - 2)
    bytes_ = [int(min(255, v * 127.5 + 128)) for v in torch.linspace(-1, 1, 12).tolist()]
    band = 2 * 66 + 14
    for index, level in enumerate(bytes_):
        x, y = margin + index % 10 * 66 + 30, index // 10 * band + 30
        assert picture.getpixel((x, y))[0] == level
        assert picture.getpixel((x, y + 66))[0] == pytest.approx(256 - level, abs=1)
    for row in range(4):  # every row has its name in the margin
        top = row // 2 * band + row % 2 * 66
        assert columns_with_ink(picture, (0, top, margin, top + 64)) is not None


@pytest.mark.parametrize("call", [viz.pairs, viz.real_beside_fake])
def test_batches_of_different_samples_are_refused(call):
    with pytest.raises(InputError, match=r"\(1, 4, 4\).*\(3, 4, 4\)"):
        call(torch.zeros(2, 1, 4, 4), torch.zeros(2, 3, 4, 4))


def test_pairs_must_be_as_many():
    with pytest.raises(InputError, match="as many"):
        viz.pairs(torch.zeros(2, 1, 4, 4), torch.zeros(3, 1, 4, 4))
