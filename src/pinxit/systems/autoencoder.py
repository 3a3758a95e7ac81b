"""Reducing the Dimensionality of Data with Neural Networks (Hinton & Salakhutdinov, 2006). https://doi.org/10.1126/science.1127647

One player: an encoder and a decoder with a bottleneck between them, trained to reproduce their input. Summed over pixels,
averaged over the batch:

    L = E_x l(x, Dec(Enc(x))),   l = -sum (x log x_hat + (1 - x) log(1 - x_hat))   (cross-entropy, pixels as probabilities)
                                 l = sum (x - x_hat)^2                              (squared)

There is no prior over codes: the model has no likelihood and does not sample. Decoded Gaussian noise is not a sample of it;
`pinxit.viz.directions.noise_decoded` shows what comes of it beside a variational auto-encoder.

Deviations: all layers are trained at once by Adam from torch's initial weights; the paper stacks restricted Boltzmann machines
first and then fine-tunes by conjugate gradients, which is what made such depth possible in 2006. The sizes are its MNIST
experiment's, 784-1000-500-250-30, logistic units with a linear code; `activation` may be another, and the batch is 100 instead
of 1,000.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.config import Config as BaseConfig
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage, Turn
from pinxit.core.rng import seed_of, seeded
from pinxit.core.shapes import coder_plan
from pinxit.core.spec import Spec
from pinxit.losses import likelihood
from pinxit.nn.coders import coders


class Config(BaseConfig):
    """The auto-encoder."""

    latent: int = Field(30, ge=1)
    """Numbers of a code (30 for MNIST)."""
    network: Literal["mlp", "conv"] = "mlp"
    """mlp: any data, the paper's; conv: square images of 28 or 16, 32, 64, ... pixels."""
    hidden: tuple[int, ...] = (1000, 500, 250)
    """mlp: widths of the encoder's hidden layers; the decoder's are their reverse."""
    width: int = Field(32, ge=1)
    """conv: channels of the encoder's first map, doubled at each halving of the size up to 8 times."""
    activation: Literal["sigmoid", "relu", "tanh"] = "sigmoid"
    """Of the hidden layers; the code is linear."""
    loss: Literal["cross-entropy", "squared"] = "cross-entropy"
    """cross-entropy: images, pixels read as probabilities; squared: any data."""
    lr: float = Field(1e-3, gt=0)
    """Adam's learning rate."""
    decay: Literal["none", "linear"] = "none"
    """Of the learning rate: none, or linear to zero over the run."""
    batch_size: int = Field(100, ge=1)
    """Images per round."""
    rounds: int = Field(120_000, ge=1)
    """Updates: 200 passes over MNIST, as the fine-tuning."""

    def check_data(self, spec: Spec) -> None:
        """Cross-entropy is of pixels, convolutions are of square images."""
        if spec.continuous and self.loss != "squared":
            raise InputError(f"`loss` {self.loss!r} needs pixels, this data is continuous: take squared")
        if self.network == "conv":
            coder_plan(spec)


PRESETS = {
    "paper": Config(),
    "small": Config(hidden=(512, 256), activation="relu", decay="linear", rounds=6000),
    "tiny": Config(latent=2, hidden=(16,), activation="tanh", loss="squared", batch_size=8, rounds=6),
}


class Autoencoder(AbstractGame):
    """Encoder and decoder."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.encoder, self.decoder = coders(
            spec, network=config.network, codes=config.latent, latent=config.latent, hidden=config.hidden,
            width=config.width, activation=config.activation,
        )  # fmt: skip

    def players(self) -> dict[str, Player]:
        """The model alone."""
        lr = self.config.lr
        schedule = None if self.config.decay == "none" else lambda clock: {"lr": lr * (1 - clock.progress)}
        return {"model": Player((self,), partial(Adam, lr=lr, fused=True), schedule=schedule)}

    def stages(self) -> tuple[Stage, ...]:
        """Least error of reconstruction."""
        return (Stage((Turn("model", self.model_loss),), self.config.rounds, self.config.batch_size),)

    def model_loss(self, batch: Batch, clock: Clock) -> Loss:
        """E l(x, Dec(Enc(x))), summed over pixels; and the squared error a pixel."""
        x = batch.images
        out = self.decoder(self.encoder(x))
        squared = (self.bounded(out) - x).square().flatten(1)
        if self.config.loss == "squared":
            total = (out - x).square().flatten(1).sum(dim=1).mean()
        else:
            total = -likelihood.bernoulli_log_prob((x + 1) / 2, out).mean()
        return Loss(total, {"squared error": squared.mean()})

    def bounded(self, out: Tensor) -> Tensor:
        """What the decoder's outputs mean, in [-1, 1] for images."""
        kind = "bernoulli" if self.config.loss == "cross-entropy" else "gaussian"
        return likelihood.decoder_mean(kind, out, self.spec)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The codes of images (n, c, h, w), (n, latent)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """The images (n, c, h, w) of codes (n, latent)."""
        return self.bounded(self.decoder(z))

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Dec(Enc(x))."""
        return self.decode(self.encode(x))


def build(config: Config, spec: Spec, *, seed: int = 0) -> Autoencoder:
    """An auto-encoder for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return Autoencoder(config, spec)
