"""What every adversarial system is told besides its objective: its networks and its schedule. No torch here."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from pinxit.core.config import Config
from pinxit.core.errors import InputError
from pinxit.core.shapes import backbone_plan
from pinxit.core.spec import Spec


def _apart(value: str) -> str:
    if value == "batch":
        why = "the penalty takes the gradient of each sample's own score, and batch norm mixes samples"
        raise ValueError(f"{why}: take none, layer or spectral")
    return value


Normalisation = Literal["none", "batch", "layer", "spectral"]
PerSample = Annotated[Normalisation, AfterValidator(_apart)]
"""The normalisation of a network whose gradient is penalised."""


class GANConfig(Config):
    """Networks and schedule: the backbone is a matter of the data, the objective one of the system."""

    backbone: Literal["mlp", "dcgan", "resnet"] = "dcgan"
    """mlp: any data; dcgan (Radford et al. 2016) and resnet (Miyato et al. 2018, table 4): square images."""
    latent: int = Field(100, ge=1)
    """Dimensions of z."""
    prior: Literal["normal", "uniform"] = "normal"
    """z ~ N(0, I), or U[-1, 1] in every dimension."""
    width: int = Field(64, ge=1)
    """dcgan: channels of the largest hidden map, doubled at each halving of the size; resnet: channels of every map."""
    generator: tuple[int, ...] = (512, 512)
    """mlp: widths of the generator's hidden layers."""
    discriminator: tuple[int, ...] = (512, 512)
    """mlp: widths of the discriminator's hidden layers."""
    activation: Literal["relu", "tanh"] = "relu"
    """mlp: relu (LeakyReLU in the discriminator) or tanh."""
    orthogonal: float = Field(0.0, ge=0)
    """mlp: gain of an orthogonal initialisation with zero biases; 0 for torch's."""
    normalisation: Normalisation = "none"
    """Of the discriminator's layers after the first, so of an mlp with two or more hidden ones; spectral: of all its weights."""
    lr: float = Field(2e-4, gt=0)
    """Learning rate of the generator, and of the discriminator times `ttur`."""
    ttur: float = Field(1.0, gt=0)
    """Learning rate of the discriminator as a multiple of the generator's (Heusel et al. 2017)."""
    decay: Literal["none", "linear"] = "none"
    """Of the learning rates: none, or linear to zero over the run."""

    def check_data(self, spec: Spec) -> None:
        """Refuse images that the backbone does not take, and points unless it is mlp."""
        if self.backbone != "mlp":
            choices = get_args(type(self).model_fields["backbone"].annotation)
            takes = "take --backbone mlp" if "mlp" in choices else "take another system, such as gan with --backbone mlp"
            backbone_plan(spec, self.backbone, takes)

    def check_sgd(self, optimizer: str) -> None:
        """Refuse a `decay` beside that of sgd, for a system that offers this optimizer."""
        if optimizer == "sgd" and self.decay != "none":
            what = f"`decay` is {self.decay!r} and `optimizer` sgd, whose rate `lr_decay` lowers already"
            raise InputError(f"{what}: take --decay none, or --optimizer adam")

    def check_penalty(self) -> None:
        """Refuse batch norm in the discriminator, for a system that penalises the gradient of each sample's score."""
        if self.backbone != "mlp" or len(self.discriminator) > 1:  # the first layer has no norm
            try:
                _apart(self.normalisation)
            except ValueError as error:
                raise InputError(f"`normalisation` is {self.normalisation!r}: {error}") from None


def check_pack(pack: int, n: int) -> None:
    """Raise InputError where n samples do not divide into packs."""
    if n % pack:
        raise InputError(f"`pack` is {pack}: a batch of {n} does not divide into packs of it; take a multiple")
