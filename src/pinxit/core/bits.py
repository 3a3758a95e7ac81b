"""Images as bits: how grey levels become -1 and 1, and what a likelihood of them is a probability of.

    dynamic     each pixel is drawn anew, 1 with its grey level's probability (Burda et al. 2016, section 5)
    fixed       drawn so once, and kept (Salakhutdinov & Murray 2008); or bits that never were anything else
    threshold   1 where the grey level is above 1/2

The three are different data: the same model's -log p differs by 2 to 30 nats between them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinxit.core.errors import InputError, near
from pinxit.core.game import AbstractGame
from pinxit.core.protocols import Targets
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec

WAYS = ("dynamic", "threshold", "none")
RULES = {
    "dynamic": "each pixel is drawn, 1 with its grey level's probability",
    "threshold": "a pixel is 1 where its grey level is above 1/2",
}


def binarised(x: Tensor, how: str, generator: torch.Generator | None = None) -> Tensor:
    """Grey levels in [-1, 1] to bits, -1 and 1; bits stay as they are.

    Args:
        x: of any shape.
        how: dynamic, threshold, or none, which returns `x`.
        generator: of the dynamic bits; drawn where it lives. By default the default generator of x's device.

    Raises:
        InputError: an unknown `how`.
    """
    match how:
        case "none":
            return x
        case "threshold":
            return (x > 0).to(x.dtype) * 2 - 1
        case "dynamic":
            level = (x + 1) / 2
            if generator is None:
                return torch.bernoulli(level) * 2 - 1
            return torch.bernoulli(level.to(generator.device), generator=generator).to(x.device) * 2 - 1
    raise InputError(f"`how` is {how!r}: {near(how, WAYS)}")


def drawing(spec: Spec, otherwise: str = "none") -> str:
    """The `how` of `binarised` for images of `spec`: dynamic data is drawn, bits stay; grey levels are treated as `otherwise`."""
    if not spec.binarised:
        return otherwise
    return "dynamic" if spec.binarised == "dynamic" else "none"


def rule(spec: Spec) -> str:
    """The `how` of `binarised` that makes of grey levels such bits as those of `spec`; none where `spec` has no bits."""
    return "dynamic" if spec.binarised == "fixed" else spec.binarised or "none"


def as_bits(x: Tensor, spec: Spec, *position: int | str) -> Tensor:
    """Images as bits by the `rule` of `spec`, where its data is made of bits; `x` otherwise. Bits stay what they are.

    Real and generated images go the same way: neither a grey level nor a model's mean of bits is a sample of them.

    Args:
        x: images of any shape, without NaN.
        spec: of the data that they are compared with.
        position: which images they are; decides what is drawn, and nothing else does. Other images need another one.

    Returns:
        Of bits: float32 on the CPU, -1 and 1.
    """
    if not spec.binarised:
        return x
    generator = torch.Generator().manual_seed(seed_of("bits", *position))
    return binarised(x.float().cpu().clamp(-1, 1), rule(spec), generator)


def shown_to(model: object, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Images as `model` was trained on them: bits, where it was made for bits or makes them itself; `x` otherwise.

    Args:
        model: of any kind; only one that makes bits itself, or was made for data of fixed bits, is shown some.
        x: images (n, c, h, w) in [-1, 1].
        generator: of the bits that are drawn.
    """
    if isinstance(model, AbstractGame) and model.spec.binarised in ("fixed", "threshold"):
        x = binarised(x, rule(model.spec), generator)
    return model.target(x, generator) if isinstance(model, Targets) else x


def measure(spec: Spec, otherwise: str = "none") -> str:
    """What p(x) is a probability of, for a model of the bits or the grey levels of `spec`; see `drawing`."""
    match spec.binarised or otherwise:
        case "dynamic":
            return "probability of bits drawn with the grey levels' probabilities (dynamic binarisation)"
        case "fixed":
            return "probability of bits that the data holds, the same at every look (fixed binarisation)"
        case "threshold":
            return "probability of bits by the threshold 1/2"
    return f"probability of {spec.levels} grey levels"
