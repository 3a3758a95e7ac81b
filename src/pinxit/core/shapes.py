"""Which data the networks take: rules that the command line, the configurations and the networks share. No torch here."""

from __future__ import annotations

from pinxit.core.errors import InputError
from pinxit.core.spec import Spec

SIZES = (16, 28, 32, 64, 128)
"""Sides of the images that the convolutional backbones of GANs take."""


def backbone_plan(spec: Spec, who: str, otherwise: str = "") -> tuple[int, int]:
    """The side of the smallest map and the number of doublings to the image, of the backbones `dcgan` and `resnet`.

    Raises:
        InputError: the images are not square or of no size in `SIZES`; or points, and `otherwise` says what takes those.
    """
    if spec.continuous or spec.height != spec.width or spec.height not in SIZES:
        got = f"points{otherwise and f': {otherwise}'}" if spec.continuous else f"{spec.height}x{spec.width}"
        raise InputError(f"the {who} networks take square images of {', '.join(map(str, SIZES))} pixels (--size 64), not {got}")
    side = 7 if spec.height == 28 else 4
    return side, (spec.height // side).bit_length() - 1


def coder_plan(spec: Spec) -> tuple[int, int]:
    """The side of the smallest map and the number of doublings to the image, of convolutional encoders and decoders.

    Raises:
        InputError: the data are no square images of 28 or 16, 32, 64, ... pixels.
    """
    size, power = spec.height, spec.height & (spec.height - 1) == 0
    if spec.continuous or size != spec.width or not (size == 28 or (power and size >= 16)):
        got = f"{spec.height}x{spec.width}" if not spec.continuous else "points"
        raise InputError(
            f"`network` conv takes square images of 28 or 16, 32, 64, ... pixels (--size 32), not {got}: or take mlp"
        )
    side = 7 if size == 28 else 4
    return side, (size // side).bit_length() - 1


def check_decoder(spec: Spec, network: str, decoder: str) -> None:
    """Raise InputError where the networks or the decoder's distribution of a VAE do not suit the data."""
    if spec.continuous and decoder != "gaussian":
        raise InputError(f"`decoder` {decoder!r} needs grey levels, this data is continuous: take gaussian")
    if network == "conv":
        coder_plan(spec)


def refuse_unlabelled(spec: Spec, who: str, *, unknown: bool = False) -> None:
    """Raise InputError if the data has no classes to tell the system `who`, or, without a class `unknown`, not of every image."""
    if spec.classes < 2:
        how = "put the images of each class into a sub-folder of its own, or give a .npz with images and labels"
        raise InputError(f"{who} needs labels of at least 2 classes, this data has {spec.classes or 'none'}: {how}")
    if spec.unlabelled and not unknown:
        fix = "leave the others out, or take cvae, or cgan with `form` two-term"
        raise InputError(f"{who} needs the class of every image, this data has it of some: {fix}")
