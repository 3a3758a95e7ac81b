"""The networks that every adversarial objective plays on: one choice of backbone, whatever the loss.

A discriminator is a trunk (samples to features) with a linear head; two heads on one trunk, a class that enters by
projection, or an auto-encoder are other ways to end the same trunk.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.gan_config import GANConfig, check_pack
from pinxit.core.shares import Share
from pinxit.core.spec import Spec
from pinxit.nn.dcgan import DCGANGenerator, DCGANTrunk
from pinxit.nn.mlp import MLPGenerator, MLPTrunk, orthogonal
from pinxit.nn.norms import has_batch_statistics
from pinxit.nn.resnet import ResNetGenerator, ResNetTrunk
from pinxit.nn.spectral import spectral_norm


def generator(config: GANConfig, spec: Spec, *, inputs: int | None = None, normalisation: str = "batch") -> nn.Module:
    """The backbone's map of codes (n, inputs) to samples (n, c, h, w).

    Args:
        config: the networks.
        spec: of the data.
        inputs: dimensions of the code; `config.latent` by default.
        normalisation: of convolutional backbones; multilayer perceptrons have none.
    """
    latent = config.latent if inputs is None else inputs
    if config.backbone == "dcgan":
        return DCGANGenerator(latent, config.width, spec, normalisation=normalisation)
    if config.backbone == "resnet":
        return ResNetGenerator(latent, config.width, spec, normalisation=normalisation)
    network = MLPGenerator(latent, config.generator, spec, activation=nn.ReLU if config.activation == "relu" else nn.Tanh)
    return finished(network, config)


def trunk(config: GANConfig, spec: Spec, *, extra: int = 0) -> nn.Module:
    """The backbone's map of samples (n, c + extra, h, w) to features (n, f), f its attribute `features`.

    Args:
        config: the networks.
        spec: of the data.
        extra: channels that a sample carries besides its own (a condition, packed samples).
    """
    spec = replace(spec, channels=spec.channels + extra)
    if config.backbone == "dcgan":
        return DCGANTrunk(spec, config.width, normalisation=config.normalisation)
    if config.backbone == "resnet":
        return ResNetTrunk(spec, config.width, normalisation=config.normalisation)
    return MLPTrunk(spec, config.discriminator, activation=config.activation, normalisation=config.normalisation)


class Score(nn.Module):
    """A trunk with one linear head: samples (n, c, h, w) to a logit or a score (n,).

    Args:
        trunk: with the attribute `features`.
        config: says how the head is initialised and whether all weights are normalised spectrally.
        pack: samples judged together, along the channels (PacGAN, Lin et al. 2018): (n, c, h, w) to (n / pack,).
    """

    def __init__(self, trunk: nn.Module, config: GANConfig, *, pack: int = 1) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head(trunk, 1, config)
        self.pack = pack
        finished(self, config, normalise=True)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, " m"]:
        """The scores of samples, or of packs of samples that follow each other."""
        return self.head(self.trunk(packed(x, self.pack))).squeeze(1)


def score(config: GANConfig, spec: Spec, *, pack: int = 1) -> Score:
    """The backbone's discriminator: a trunk and one linear head."""
    return Score(trunk(config, spec, extra=(pack - 1) * spec.channels), config, pack=pack)


def head(trunk: nn.Module, outputs: int, config: GANConfig) -> nn.Linear:
    """A linear head of a trunk, initialised as its backbone is."""
    features = trunk.features
    assert isinstance(features, int)
    linear = nn.Linear(features, outputs)
    if config.backbone == "dcgan":
        nn.init.normal_(linear.weight, 0.0, 0.02)
        nn.init.zeros_(linear.bias)
    elif config.backbone == "resnet":
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
    return linear


def finished(network: nn.Module, config: GANConfig, *, normalise: bool = False) -> nn.Module:
    """`network` with what goes over all its layers: an orthogonal initialisation, and in a discriminator spectral norms."""
    if config.orthogonal and config.backbone == "mlp":
        orthogonal(network, config.orthogonal)
    if normalise and config.normalisation == "spectral":
        spectral_norm(network)
    return network


class Autoencoder(nn.Module):
    """A discriminator that reconstructs: samples (n, c, h, w) to reconstructions of the same shape, through codes (n, code).

    Args:
        config: the networks; the decoder has the generator's shape.
        spec: of the data.
        code: dimensions of the code.
    """

    def __init__(self, config: GANConfig, spec: Spec, code: int) -> None:
        super().__init__()
        self.trunk = trunk(config, spec)
        self.head = head(self.trunk, code, config)
        self.decoder = generator(config, spec, inputs=code, normalisation=config.normalisation)
        finished(self, config, normalise=True)

    def encode(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The codes of samples."""
        return self.head(self.trunk(x))

    def decode(self, codes: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The samples of codes."""
        return self.decoder(codes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The reconstructions of samples."""
        return self.decode(self.encode(x))


def packed(x: Float[Tensor, "n c h w"], pack: int) -> Float[Tensor, "m k h w"]:
    """`pack` samples that follow each other as one of `pack` times the channels; InputError where n is no multiple."""
    check_pack(pack, len(x))
    return x.reshape(len(x) // pack, pack * x.shape[1], *x.shape[2:]) if pack > 1 else x


def pack_share(pack: int) -> Share:
    """What a discriminator of packs asks of the images that it sees at a time."""
    return Share(multiple=pack, why=f"which does not divide into packs of `pack` {pack}")


def both(network: nn.Module, x: Tensor, x_fake: Tensor) -> tuple[Tensor, Tensor]:
    """A discriminator's outputs for real and for generated samples: one pass, but two where it has batch statistics."""
    if has_batch_statistics(network):
        return network(x), network(x_fake)
    check_pack(getattr(network, "pack", 1), len(x))  # else a pack would hold real and generated samples
    scores = network(torch.cat((x, x_fake)))
    share = len(scores) * len(x_fake) // (len(x) + len(x_fake))  # a pack of samples has one score
    real, fake = scores.split((len(scores) - share, share))
    return real, fake
