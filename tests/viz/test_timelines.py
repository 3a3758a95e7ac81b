import pytest
import torch
from PIL import Image

from pinxit import viz
from pinxit.core.errors import InputError
from pinxit.viz.timelines import Sheet, chosen, sheets, short


def tile(level, side=10):
    return Image.new("L", (side, side), level)


def test_strip_has_a_row_a_latent_and_a_column_a_time():
    frames = [[tile(10 * t + k) for k in range(3)] for t in range(4)]
    picture = viz.strip(frames, ["0", "1k", "2k", "3k"], title="images shown")
    head = picture.height - (3 * 12 - 2)
    assert picture.width == 4 * 12 - 2
    for t in range(4):
        for k in range(3):
            assert picture.getpixel((t * 12 + 5, head + k * 12 + 5)) == (10 * t + k,) * 3 + (255,)
    assert picture.crop((0, 0, picture.width, head)).getbbox() is not None


def test_strip_enlarges_the_smaller_tiles_of_a_growing_model():
    picture = viz.strip([[tile(9, 5)], [tile(90, 20)]], ["a", "b"])
    assert picture.getpixel((19, picture.height - 1))[0] == 9
    assert picture.getpixel((41, picture.height - 1))[0] == 90


@pytest.mark.parametrize(
    ("frames", "labels"), [([], []), ([[tile(0)]], ["a", "b"]), ([[tile(0)], []], ["a", "b"]), ([[]], ["a"])]
)
def test_strip_refuses_what_does_not_fit(frames, labels):
    with pytest.raises(InputError, match="one label a frame"):
        viz.strip(frames, labels)


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_animation_has_every_frame_its_time_and_no_end(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    levels = [0, 80, 160, 240]
    viz.animate([Image.new("L", (24, 24), v) for v in levels], path, ms=120)
    durations = []
    with Image.open(path) as film:
        assert film.n_frames == 4
        assert film.info["loop"] == 0
        for index, level in enumerate(levels):
            film.seek(index)
            assert film.convert("RGB").getpixel((3, 3)) == (level,) * 3
            durations.append(film.info["duration"])
    assert durations == [120, 120, 120, 1200]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_clear_gutters_stay_clear_in_webp_and_are_white_in_gif(tmp_path):
    sheets = [Sheet.of(torch.full((4, 1, 64, 64), v)).picture(viz.grids.CLEAR) for v in (-1.0, 0.0)]
    for suffix, gutter in ((".webp", (0,)), (".gif", (255,))):
        viz.animate(sheets, tmp_path / f"a{suffix}")
        with Image.open(tmp_path / f"a{suffix}") as film:
            film.seek(1)
            picture = film.convert("RGBA")
            assert picture.getpixel((5, 5)) == (128, 128, 128, 255)
            assert picture.getpixel((0, 0))[3 if gutter == (0,) else 0] == gutter[0]


def test_animation_refuses(tmp_path):
    for frames, name, ms, words in (
        ([], "a.gif", 9, "empty"),
        ([tile(0)], "a.mp4", 9, r"'\.mp4'"),
        ([tile(0)], "a.gif", 0, "`ms` is 0"),
    ):
        with pytest.raises(InputError, match=words):
            viz.animate(frames, tmp_path / name, ms=ms)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(7, 1, 28, 28), (64, 3, 8, 8), (1, 1, 64, 64), (50, 2, 1, 1)])
def test_a_sheet_is_taken_apart_as_it_was_put_together(tmp_path, shape):
    samples = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sheet = Sheet.of(samples, step=12, images=3400)
    sheet.save(tmp_path / "samples" / "step-000000012.png")
    (found,) = sheets(tmp_path)
    assert (found.step, found.images, found.columns) == (12, 3400, sheet.columns)
    assert [t.tobytes() for t in found.tiles] == [t.tobytes() for t in sheet.tiles]
    if shape[1] != 2:
        assert found.picture().tobytes() == viz.grid(samples).tobytes()


def test_a_strange_png_among_the_samples_is_named(tmp_path):
    tile(0).save(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"x\.png is not a sheet"):
        Sheet.read(tmp_path / "x.png")


def test_chosen_keeps_both_ends():
    assert chosen(3, 10) == [0, 1, 2]
    assert chosen(17, 5) == [0, 4, 8, 12, 16]
    early = chosen(100, 10, power=1.5)
    assert (early[0], early[-1]) == (0, 99)
    assert early[1] - early[0] < early[-1] - early[-2]


def test_short_counts():
    assert [short(n) for n in (0, 999, 1000, 1250, 12345, 2_000_000, 1_260_000, 25_000_000)] == [
        "0", "999", "1k", "1.2k", "12k", "2M", "1.3M", "25M",
    ]  # fmt: skip
