"""One image file to one uint8 array: every mode of Pillow to grey or sRGB, upright, on white, antialiased to size."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, ImageOps

CENTRE, STRETCH = "centre", "stretch"
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_PNG_MARKS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""One of these is in a PNG that says how it is to be turned."""


class BadImage(Exception):
    """A file that can't be read as an image; the message is the reason."""


@dataclass(frozen=True)
class Form:
    """What every image is made into.

    Args:
        height, width: in pixels.
        channels: 1 or 3.
        crop: "centre" scales the short side and cuts the middle out, "stretch" ignores the aspect ratio.
    """

    height: int
    width: int
    channels: int
    crop: str = CENTRE


@dataclass(frozen=True)
class Header:
    """What an image file says of itself without being decoded: its upright size, its mode, whether it is grey."""

    height: int
    width: int
    mode: str
    grey: bool


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings (odd EXIF, huge images) silenced; entered once around a pass, for it is not safe in threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def header(content: bytes) -> Header:
    """The header of an encoded image; raises BadImage."""
    with _reasons(), Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        # Asking decodes a PNG, whose orientation may stand behind the pixels.
        if image.format != "PNG" or any(mark in content for mark in _PNG_MARKS):
            orientation = 1
            with suppress(Exception):  # damaged EXIF is no reason to lose an image
                orientation = image.getexif().get(0x0112, 1)
            if orientation in (5, 6, 7, 8):
                # Pillow opens a TIFF in its upright size, and did not always.
                width, height = upright(content).size if image.format == "TIFF" else (height, width)
        return Header(height, width, image.mode, _is_grey(image))


def decode(content: bytes, form: Form) -> np.ndarray:
    """An encoded image as uint8 (c, h, w) of `form`; raises BadImage."""
    array = np.array(plain(content, form), dtype=np.uint8)
    return array[None] if form.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def plain(content: bytes, form: Form | None) -> Image.Image:
    """An encoded image of `form`; without one in its own size, "L" where it is grey and else "RGB"; raises BadImage."""
    with _reasons():
        image = upright(content)
        out = flat(image, 1 if _is_grey(image) else 3) if form is None else fit(flat(image, form.channels), form)
        to_srgb = _to_srgb(image.info.get("icc_profile")) if out.mode == "RGB" else None
        return out if to_srgb is None else to_srgb.apply(out)


@lru_cache(maxsize=8)
def _to_srgb(profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """From the RGB space of a colour profile (Display P3 of phones, Adobe RGB); None where there is none, or it is sRGB."""
    with suppress(Exception):  # a damaged profile is no reason to lose an image
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
        if found and found.profile.xcolor_space == "RGB " and "sRGB" not in (found.profile.profile_description or ""):
            return ImageCms.buildTransform(found, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    return None


def upright(content: bytes) -> Image.Image:
    """The decoded image in its own mode, turned as its EXIF says; raises what Pillow raises."""
    image = Image.open(io.BytesIO(content))
    image.load()
    with suppress(Exception):  # damaged EXIF is no reason to lose an image
        image = ImageOps.exif_transpose(image)
    return image


def flat(image: Image.Image, channels: int) -> Image.Image:
    """`image` as "L" (1 channel) or "RGB" (3): transparency on white, 16 bits scaled to 8; raises BadImage."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode in _WIDE_MODES or image.mode == "F":
        return Image.fromarray(_scaled(image)).convert(mode)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA") if image.mode != "La" else image.convert("LA").convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB").convert(mode)


def fit(image: Image.Image, form: Form) -> Image.Image:
    """`image` scaled to `form` by Lanczos, antialiased; itself where it has that size."""
    width, height = image.size
    if (height, width) == (form.height, form.width):
        return image
    box = (0.0, 0.0, float(width), float(height))
    if form.crop == CENTRE:
        scale = min(width / form.width, height / form.height)
        left, top = (width - scale * form.width) / 2, (height - scale * form.height) / 2
        box = (left, top, min(left + scale * form.width, width), min(top + scale * form.height, height))
    return image.resize((form.width, form.height), Image.Resampling.LANCZOS, box=box)


def refit(images: np.ndarray, form: Form) -> np.ndarray:
    """Arrays (n, c, h, w) uint8 made into `form`, as their files would be; the same array where nothing changes."""
    if images.shape[1] == 3 and form.channels == 1:
        # Pillow's ITU-R 601 luma, in its fixed-point arithmetic.
        red, green, blue = (images[:, c].astype(np.uint32) for c in range(3))
        images = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)[:, None]
    n, channels, height, width = images.shape
    if (height, width) != (form.height, form.width):
        out = np.empty((n, channels, form.height, form.width), np.uint8)
        for i, image in enumerate(images):
            for c, plane in enumerate(image):
                out[i, c] = fit(Image.fromarray(plane), form)
        images = out
    return images if channels == form.channels else np.repeat(images, 3, axis=1)


def _scaled(image: Image.Image) -> np.ndarray:
    """Wide grey values (h, w) as uint8: [0, 65535] by 1/257, floats in [0, 1] by 255."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0 and high <= 1):
            raise BadImage(f"its floats are in [{low:g}, {high:g}], not in [0, 1]")
        return np.rint(values * 255.0).astype(np.uint8)
    if low < 0 or high > 65535:
        raise BadImage(f"its grey values are in [{low}, {high}], not in [0, 65535]")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _is_grey(image: Image.Image) -> bool:
    if image.mode != "P":
        return image.mode in _GREY_MODES
    palette = image.getpalette() or [0, 1]
    return palette[0::3] == palette[1::3] == palette[2::3]


@contextmanager
def _reasons() -> Iterator[None]:
    """Whatever a decoder raises as BadImage: formats fail in OSError, SyntaxError, ValueError, struct.error and more."""
    try:
        yield
    except (BadImage, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise BadImage("it is not an image" if "cannot identify" in reason else reason or type(error).__name__) from None
