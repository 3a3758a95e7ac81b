"""What every model that paints pixel by pixel is told besides its network. No torch here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pinxit.core.config import Config
from pinxit.core.errors import InputError
from pinxit.core.shapes import refuse_unlabelled
from pinxit.core.spec import Spec


def odd(side: int) -> int:
    """`side` of a masked kernel, or InputError where it is even."""
    if side % 2 == 0:
        raise InputError(f"a masked kernel has a centre, so its sides are odd, not {side}: take {side + 1}")
    return side


Side = Annotated[int, AfterValidator(odd)]
"""The side of a masked kernel."""


class PixelConfig(Config):
    """The distribution of a sub-pixel and the training of van den Oord et al. 2016."""

    conditional: bool = False
    """A model of the images given their class."""
    output: Literal["bernoulli", "softmax", "logistic-mixture"] = "softmax"
    """Distribution of a sub-pixel: of bits, of levels without order (section 3.5), or logistics on the levels (PixelCNN++)."""
    components: int = Field(10, ge=1)
    """logistic-mixture: logistics per sub-pixel."""
    binarise: Literal["dynamic", "threshold"] = "dynamic"
    """bernoulli on grey levels: bits drawn anew each time with the grey level's probability, or by the threshold 1/2."""
    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    """RMSProp in section 5.2."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate at first."""
    decay: Literal["none", "cosine"] = "none"
    """Of the learning rate: none, or along half a cosine to zero over the run."""
    batch_size: int = Field(16, ge=1)
    """Images per round (section 5.2: 16 for MNIST and CIFAR-10)."""
    rounds: int = Field(500_000, ge=1)
    """Updates."""

    def check_data(self, spec: Spec) -> None:
        """Refuse continuous data, and for a conditional model data without classes."""
        if spec.continuous:
            raise InputError("a pixel model is of grey levels or bits, this data is continuous: take vae with --decoder gaussian")
        if self.conditional:
            refuse_unlabelled(spec, "a conditional pixel model")
