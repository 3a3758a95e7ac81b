"""What every model that paints pixel by pixel is told besides its network. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pinxit.core.config import Config


class PixelConfig(Config):
    """The distribution of a sub-pixel and the training of van den Oord et al. 2016."""

    conditional: bool = False
    """A model of the images given their class."""
    output: Literal["bernoulli", "softmax", "logistic-mixture"] = "softmax"
    """Distribution of a sub-pixel: of bits, of levels without order (section 3.5), or logistics on the levels (PixelCNN++)."""
    components: int = Field(10, ge=1)
    """logistic-mixture: logistics a sub-pixel."""
    binarise: Literal["dynamic", "threshold"] = "dynamic"
    """bernoulli on grey levels: bits drawn anew each time with the grey level's probability, or by the threshold 1/2."""
    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    """RMSProp in section 5.2."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate at first."""
    decay: Literal["none", "cosine"] = "none"
    """Of the learning rate: none, or along half a cosine to zero over the run."""
    batch_size: int = Field(16, ge=1)
    """Images a round (section 5.2: 16 for MNIST and CIFAR-10)."""
    rounds: int = Field(500_000, ge=1)
    """Updates."""
