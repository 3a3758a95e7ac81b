"""Image files of every mode: right side up, on white, 16 bits scaled rather than clipped, antialiased to size."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pinxit.core.errors import InputError
from pinxit.data import load
from pinxit.data.decode import BadImage, Form, decode, header, quiet

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves one image into a folder of its own; returns the folder."""

    def make(image: Image.Image, name: str = "x.png", **options: object) -> Path:
        place = tmp_path / "one"
        place.mkdir(exist_ok=True)
        image.save(place / name, **options)
        return place

    return make


def pixels(place: Path, **options: object) -> np.ndarray:
    """The first image of a folder, (h, w) or (h, w, 3)."""
    image = load(place, **options).images[0].permute(1, 2, 0).numpy()
    return image[..., 0] if image.shape[2] == 1 else image


def test_grey_and_colour_are_kept(save: Save, noise: Callable[..., np.ndarray]) -> None:
    grey, colour = noise(6, 5, 1), noise(6, 5, 3)
    assert np.array_equal(pixels(save(Image.fromarray(grey))), grey)
    assert np.array_equal(pixels(save(Image.fromarray(colour))), colour)


def test_grey_becomes_colour_by_repeating_and_colour_grey_by_luma(save: Save, noise: Callable[..., np.ndarray]) -> None:
    grey, colour = noise(6, 5, 1), noise(6, 5, 3)
    assert np.array_equal(pixels(save(Image.fromarray(grey)), channels=3), np.repeat(grey[..., None], 3, 2))
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels(save(Image.fromarray(colour)), channels=1) - luma).max() <= 0.51


def test_transparency_is_laid_on_white(save: Save) -> None:
    """Black at alpha 0, 51 and 255 becomes 255, 204 and 0; dropping alpha would give three blacks."""
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = [0, 51, 255]
    assert pixels(save(Image.fromarray(rgba)))[0].tolist() == [[255] * 3, [204] * 3, [0] * 3]


def test_grey_with_alpha_stays_grey(save: Save) -> None:
    la = np.array([[[10, 0], [10, 51], [10, 255]]], np.uint8)
    assert pixels(save(Image.fromarray(la, "LA"))).tolist() == [[255, 206, 10]]


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 128])])
def test_palettes_are_looked_up_with_their_transparency(save: Save, transparency: int | bytes) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 200])
    image.putdata([0, 1, 2])
    last = [0, 0, 200] if isinstance(transparency, int) else [127, 127, 227]
    found = pixels(save(image, transparency=transparency))[0]
    assert np.abs(found.astype(int) - [[255, 0, 0], [255, 255, 255], last]).max() <= 1


def test_a_grey_palette_is_grey(save: Save) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([0, 0, 0, 99, 99, 99, 255, 255, 255])
    image.putdata([0, 1, 2])
    assert pixels(save(image)).tolist() == [[0, 99, 255]]


def test_a_transparent_colour_of_grey_and_rgb_files(save: Save) -> None:
    assert pixels(save(Image.fromarray(np.array([[7, 8]], np.uint8)), transparency=7)).tolist() == [[255, 8]]
    rgb = np.array([[[7, 8, 9], [7, 8, 10]]], np.uint8)
    assert pixels(save(Image.fromarray(rgb), transparency=(7, 8, 9))).tolist() == [[[255] * 3, [7, 8, 10]]]


def test_one_bit_is_black_and_white(save: Save) -> None:
    image = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    assert pixels(save(image)).tolist() == [[0, 255, 0]]


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
def test_sixteen_bits_are_scaled_not_clipped(save: Save, name: str) -> None:
    """Clipping, Pillow's own conversion, would make the last four of these 255."""
    wide = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    assert pixels(save(Image.fromarray(wide), name)).tolist() == [[0, 0, 1, 1, 128, 255]]


def test_thirty_two_bit_grey(save: Save) -> None:
    assert pixels(save(Image.fromarray(np.array([[0, 65535]], np.int32)), "x.tif")).tolist() == [[0, 255]]
    assert pixels(save(Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)), "x.tif")).tolist() == [[0, 128, 255]]
    for wrong in (np.array([[0, 70000]], np.int32), np.array([[0.0, 2.0]], np.float32)):
        with pytest.raises(InputError, match=r"x\.tif \(its (grey values|floats) are in"):
            load(save(Image.fromarray(wrong), "x.tif"))


def test_big_endian_sixteen_bits() -> None:
    content = b"P5 2 1 65535\n" + np.array([257, 65535], ">u2").tobytes()
    assert decode(content, Form(1, 2, 1)).tolist() == [[[1, 255]]]


SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]])
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
"""Linear red, green and blue to XYZ under D50 (IEC 61966-2-1 and SMPTE EG 432-1, adapted by Bradford)."""


def profile(primaries: np.ndarray, name: bytes = b"wide") -> bytes:
    """Pillow's sRGB profile under another name, with other primaries."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for number in range(struct.unpack(">I", content[128:132])[0]):
        tag, offset, _ = struct.unpack(">4sII", content[132 + 12 * number : 144 + 12 * number])
        if tag in (b"rXYZ", b"gXYZ", b"bXYZ"):
            column = np.rint(primaries[:, b"rgb".index(tag[:1])] * 65536).astype(int)
            content = content[: offset + 8] + struct.pack(">3i", *column) + content[offset + 20 :]
    return content.replace("sRGB".encode("utf-16-be"), name.decode().encode("utf-16-be"))


def curve(values: np.ndarray, *, back: bool) -> np.ndarray:
    """sRGB's transfer curve, to light or back."""
    if back:
        return np.where(values <= 0.0031308, 12.92 * values, 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_a_colour_profile_is_followed_to_srgb(save: Save, name: str) -> None:
    given = np.full((16, 16, 3), (200, 120, 60), np.uint8)
    options = {"quality": 100, "subsampling": 0} if name == "x.jpg" else {}
    place = save(Image.fromarray(given), name, icc_profile=profile(P3), **options)
    light = np.linalg.inv(SRGB) @ P3 @ curve(given[0, 0] / 255, back=False)
    expected = 255 * curve(light, back=True)
    assert np.abs(expected - given[0, 0]).max() > 10
    assert np.abs(pixels(place)[8, 8] - expected).max() <= 2
    luma = 200 * 0.299 + 120 * 0.587 + 60 * 0.114
    assert abs(pixels(place, channels=1)[8, 8] - luma) <= 2, "grey is left as it is"


def test_a_profile_of_srgb_or_without_sense_changes_nothing(save: Save, noise: Callable[..., np.ndarray]) -> None:
    given = noise(9, 9)
    for content in (profile(SRGB, b"sRGB"), profile(P3, b"sRGB"), b"damaged", profile(P3)[:300]):
        assert (pixels(save(Image.fromarray(given), icc_profile=content)) == given).all()


def test_cmyk_is_converted(save: Save) -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    found = pixels(save(image, "x.jpg", quality=95))[4, 4].astype(int)
    assert np.abs(found - [255, 0, 0]).max() < 40


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif"])
def test_exif_turns_the_image(save: Save, orientation: int, name: str) -> None:
    """The bright corner, stored top left, goes where the standard says; sides 5 to 8 are exchanged, in the header too."""
    stored = np.zeros((16, 32), np.uint8)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    place = save(Image.fromarray(stored), name, exif=exif)
    found = pixels(place)
    assert found.shape == ((16, 32) if orientation < 5 else (32, 16))
    rows, columns = np.nonzero(found > 128)
    corner = ("bottom" if rows.mean() > found.shape[0] / 2 else "top", "right" if columns.mean() > found.shape[1] / 2 else "left")
    expected = [("top", "left"), ("top", "right"), ("bottom", "right"), ("bottom", "left")]
    turned = [("top", "left"), ("top", "right"), ("bottom", "right"), ("bottom", "left")]
    assert corner == (expected + turned)[orientation - 1]
    head = header((place / name).read_bytes())
    assert (head.height, head.width) == found.shape


@pytest.mark.parametrize("where", ["xmp before the pixels", "exif behind the pixels"])
def test_a_png_is_turned_whole_wherever_it_says_so(where: str, save: Save, noise: Callable[..., np.ndarray]) -> None:
    """Its header tells the upright size, so that nothing is cut off."""
    stored = noise(16, 32)
    exif = Image.Exif()
    exif[0x0112] = 6
    place = save(Image.fromarray(stored))
    content = (place / "x.png").read_bytes()
    if where == "xmp before the pixels":
        at, kind, said = 33, b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation="6"/>'
    else:
        at, kind, said = len(content) - 12, b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(said)) + kind + said + struct.pack(">I", zlib.crc32(kind + said))
    (place / "x.png").write_bytes(content[:at] + chunk + content[at:])
    assert np.array_equal(pixels(place), np.rot90(stored, -1))


def test_centre_cuts_the_middle_out_and_stretch_does_not(save: Save) -> None:
    """Three vertical bands, black grey white, twice as wide as high."""
    bands = np.repeat(np.array([0, 100, 255], np.uint8), 20)[None].repeat(30, 0)
    place = save(Image.fromarray(bands))
    centre, stretch = pixels(place, size=30), pixels(place, size=30, crop="stretch")
    assert np.array_equal(centre, bands[:, 15:45])
    assert stretch[15, [2, 15, 27]].tolist() == [0, 100, 255]
    assert pixels(place, size=(30, 60)).tolist() == bands.tolist()
    assert pixels(place, size=(10, 20)).shape == (10, 20)


def test_a_tall_image_is_cut_above_and_below(save: Save) -> None:
    bands = np.repeat(np.array([0, 100, 255], np.uint8), 20)[:, None].repeat(20, 1)
    assert (pixels(save(Image.fromarray(bands)), size=20) == 100).all()


def test_shrinking_is_antialiased(save: Save) -> None:
    """A fine checkerboard shrinks to even grey; sampling without a filter keeps black or white."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = pixels(save(Image.fromarray(board)), size=8)
    assert np.abs(found.astype(int) - 127).max() < 12


def test_a_bright_colour_under_alpha_zero_does_not_bleed(save: Save) -> None:
    """Composited before it is resized: hidden red never shows."""
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, :4] = [255, 0, 0, 0]
    rgba[:, 4:] = [255, 255, 255, 255]
    assert (pixels(save(Image.fromarray(rgba)), size=4) == 255).all()


def test_a_gif_gives_its_first_frame(save: Save) -> None:
    frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
    place = save(frames[0], "x.gif", save_all=True, append_images=frames[1:])
    assert (pixels(place) == 10).all()


def test_odd_exif_and_huge_headers_do_not_warn(save: Save, noise: Callable[..., np.ndarray]) -> None:
    place = save(Image.fromarray(noise(8, 8)), "x.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(place).spec.shape == (3, 8, 8)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_is_a_bad_image(content: bytes) -> None:
    for work in (header, lambda c: decode(c, Form(4, 4, 3))):
        with pytest.raises(BadImage):
            work(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_every_cut_file_is_bad_or_whole(kind: str, noise: Callable[..., np.ndarray]) -> None:
    """Cut anywhere, a file never raises anything but BadImage, and half of its pixels are never taken for all."""
    out = io.BytesIO()
    Image.fromarray(noise(16, 16)).save(out, kind)
    content = out.getvalue()
    with quiet():
        for cut in range(0, len(content) * 3 // 4, max(1, len(content) // 40)):
            with pytest.raises(BadImage):
                decode(content[:cut], Form(16, 16, 3))
