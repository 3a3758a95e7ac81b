"""Conditional generative adversarial nets (Mirza & Osindero, 2014). https://arxiv.org/abs/1411.1784

Both players are told a class y: G draws a sample of it, D judges the pair (x, y) (equation 2). Three forms, with logits d and
sp(t) = log(1 + e^t); x real with its class y, x~ = G(z, y), y- a class that is not the sample's:

    two-term       L_D = E sp(-d(x, y)) + E sp(d(x~, y))
                   L_G = E sp(-d(x~, y))
    matching       L_D = E sp(-d(x, y)) + w E sp(d(x, y-)) + (1 - w) E sp(d(x~, y))       (Reed et al. 2016, algorithm 1, w = 1/2)
                   L_G as above
    two-network    L_r = E sp(-r(x)) + E sp(r(x~))
                   L_m = E sp(-m(x, y)) + w E sp(m(x, y-)) + (1 - w) E sp(m(x~, y))       w = 1: m sees real samples only
                   L_G = E sp(-r(x~)) + lambda_m E sp(-m(x~, y))

Two terms leave D free to reject fakes without looking at y; in the other forms a real sample with a wrong class is wrong too,
y- = (y + s) mod K, s uniform in 1..K-1. Two networks, players of their own, separate realism r from match m; the split is that
of StackGAN++ (Zhang et al. 2018, equation 5), whose two parts are heads of one network.

Classes of generated samples are those of the batch, so of the data's frequencies; `sample(n)` draws them uniformly. With
`label_dropout` the class is hidden from both players in that share of the pairs; the extra class "unknown" is then a model of all
the data, at the data's frequencies, and `sample(n)` asks for it. Images whose class the data does not know are of it as well.

Deviations: images in [-1, 1] (tanh for the sigmoid), torch's initialisation, dropout in the discriminator only. The paper gives
no length: `paper` has the rounds in which its rate reaches its floor, and a momentum linear over them. `small` has Adam, DCGAN's
networks and a projection, `mnist` spectral norms too (Miyato & Koyama 2018, https://arxiv.org/abs/1802.05637, equation 3).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Adam

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig
from pinxit.core.rng import seed_of, seeded
from pinxit.core.shapes import refuse_unlabelled
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.nn import backbones, conditioning
from pinxit.nn.mlp import MLPTrunk


class Config(GANConfig):
    """The conditional GAN."""

    form: Literal["two-term", "matching", "two-network"] = "two-term"
    """two-term: the paper's; matching: a wrong class is wrong (Reed et al. 2016); two-network: realism and match judged apart."""
    conditioning: Literal["joint", "plane", "projection"] = "joint"
    """How D reads the class. joint: in a hidden layer, the paper's; plane: as a channel; projection: Miyato & Koyama 2018."""
    mismatch: float = Field(0.5, ge=0, le=1)
    """w, the share of mismatched pairs among the wrong ones (Reed et al. 2016: 1/2)."""
    lambda_match: float = Field(1.0, ge=0)
    """two-network: weight of the match in the generator's loss."""
    label_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the pairs whose class is hidden from both players."""
    entry: tuple[int, int] = (200, 1000)
    """Generator: ReLU units that z and y pass before they meet (section 4.1); (0, k): z as it is beside k numbers a class."""
    joint: tuple[int, int] = (50, 240)
    """joint: units of the layer of y and of the one where x and y meet (section 4.1)."""
    backbone: Literal["mlp", "dcgan", "resnet"] = "mlp"
    """mlp: the paper's, any data; dcgan (Radford et al. 2016) and resnet (Miyato et al. 2018): square images."""
    prior: Literal["normal", "uniform"] = "uniform"
    """Of z (section 4.1)."""
    generator: tuple[int, ...] = (1200,)
    """mlp: widths of the generator's hidden layers after z and y have met (section 4.1)."""
    discriminator: tuple[int, ...] = (240,)
    """mlp: widths of the hidden layers of x (section 4.1)."""
    maxout: int = Field(5, ge=0)
    """mlp: linear maps per maxout unit, one fewer in the joint layer (section 4.1); 0 for `activation`."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """mlp and joint: share of the discriminator's hidden units that is dropped (section 4.1)."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """sgd: with momentum and the decays below (section 4.1); adam: with `decay`."""
    lr: float = Field(0.1, gt=0)
    """Learning rate of the generator, and of the discriminators times `ttur`."""
    lr_decay: float = Field(1.00004, ge=1)
    """sgd: divides the learning rate at every round."""
    lr_floor: float = Field(1e-6, ge=0)
    """sgd: least learning rate."""
    momentum: tuple[float, float] = (0.5, 0.7)
    """sgd: momentum at the start and the end."""
    betas: tuple[float, float] = (0.5, 0.999)
    """adam: decay of the moments."""
    batch_size: int = Field(100, ge=1)
    """Images per round."""
    rounds: int = Field(288_000, ge=1)
    """Updates of each player."""

    def check(self) -> None:
        """The generator is judged, and there is one schedule."""
        self.check_sgd(self.optimizer)
        if self.form == "matching" and self.mismatch == 1:
            raise InputError("`mismatch` is 1 in the matching form: no sample of the generator is judged; take less than 1")

    def check_data(self, spec: Spec) -> None:
        """There are classes; of an image whose class is unknown, nobody can name one that is not its own."""
        super().check_data(spec)
        refuse_unlabelled(spec, "cgan", unknown=self.form == "two-term" or not self.mismatch)


PRESETS = {
    "paper": Config(),
    "small": Config(
        conditioning="projection", backbone="dcgan", prior="normal", width=32, normalisation="batch", entry=(0, 10), maxout=0,
        dropout=0.0, optimizer="adam", lr=1e-3, decay="linear", batch_size=64, rounds=2500),
    "mnist": Config(
        conditioning="projection", backbone="dcgan", prior="normal", width=32, normalisation="spectral", entry=(0, 10), maxout=0,
        dropout=0.0, optimizer="adam", lr=5e-4, decay="linear", batch_size=64, rounds=6000),
    "points": Config(
        latent=2, prior="normal", generator=(128, 128), discriminator=(128, 128), entry=(0, 16), joint=(16, 128), maxout=0,
        dropout=0.0, optimizer="adam", lr=1e-3, decay="linear", batch_size=128, rounds=12_000),
    "tiny": Config(
        form="two-network", label_dropout=0.2, latent=8, entry=(8, 8), generator=(32,), discriminator=(16,), joint=(8, 16),
        maxout=2, optimizer="adam", lr=1e-3, batch_size=8, rounds=6),
}  # fmt: skip


class CGAN(AbstractGAN):
    """A generator and one or two discriminators at play, all told the class."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.classes = spec.classes + (config.label_dropout > 0 or spec.unlabelled)
        self.generator = conditioning.ConditionedGenerator(config, spec, self.classes, config.entry)
        two = config.form == "two-network"
        self.discriminator = backbones.Score(_trunk(config, spec), config) if two else _judge(config, spec, self.classes)
        self.matcher = _judge(config, spec, self.classes) if two else None

    def players(self) -> dict[str, Player]:
        """One or two discriminators, and the generator."""
        if self.config.optimizer == "adam":
            players = self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))
        else:
            sgd = partial(SGD, momentum=self.config.momentum[0], fused=True)
            players = self.pair("discriminator", self.discriminator, sgd, schedule=self.schedule)
        if self.matcher is not None:
            players["matcher"] = replace(players["discriminator"], modules=(self.matcher,))
        return players

    def stages(self) -> tuple[Stage, ...]:
        """One update each a round."""
        matcher = () if self.matcher is None else (Turn("matcher", self.matcher_loss),)
        turns = (Turn("discriminator", self.discriminator_loss), *matcher, Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def schedule(self, lr: float, clock: Clock) -> dict[str, Any]:
        """Learning rate and momentum of section 4.1."""
        config, (first, last) = self.config, self.config.momentum
        return {"lr": max(lr / config.lr_decay**clock.step, config.lr_floor), "momentum": first + clock.progress * (last - first)}

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """(z, c) side by side, (n, latent + classes): c one-hot, of a uniform class or of the unknown one."""
        z = super().latents(n, generator=generator)
        if self.config.label_dropout:
            labels = torch.full((n,), self.spec.classes, device=self.device)
        else:
            labels = conditioning.draw_labels(n, self.spec.classes, device=self.device, generator=generator)
        return torch.cat((z, conditioning.one_hot(labels, self.classes)), dim=1)

    def latents_of(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The same of given classes, one a label; the z of a generator's state are the same whatever the labels."""
        return torch.cat((super().latents(len(labels), generator=generator), conditioning.one_hot(labels, self.classes)), dim=1)

    def sample_class(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """G(z, y), z as in `latents_of`. Raises InputError for a label without class."""
        return self.decode(self.latents_of(conditioning.checked(labels, self.spec.classes).to(self.device), generator=generator))

    def match(self, x: Tensor, labels: Tensor) -> Tensor:
        """The logits (n,) of images with classes: m(x, y), or d(x, y) of the other forms."""
        return (self.matcher or self.discriminator)(x.to(self.device), labels.to(self.device))

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D, or L_r."""
        if self.matcher is None:
            return self.of_pairs(self.discriminator, batch, self.config.mismatch if self.config.form == "matching" else 0.0)
        with torch.no_grad():
            x_fake = self.decode(self.latents_of(self.labels(batch)))
        d_real, d_fake = backbones.both(self.discriminator, batch.images, x_fake)
        stats = {"D(x)": torch.sigmoid(d_real).mean(), "D(G(z))": torch.sigmoid(d_fake).mean()}
        return Loss(adversarial.discriminator_loss(d_real, d_fake), stats)

    def matcher_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_m."""
        assert self.matcher is not None
        return self.of_pairs(self.matcher, batch, self.config.mismatch)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        y = self.labels(batch)
        x_fake = self.decode(self.latents_of(y))
        if self.matcher is None:
            return Loss(adversarial.non_saturating_generator_loss(self.discriminator(x_fake, y)))
        realism = adversarial.non_saturating_generator_loss(self.discriminator(x_fake))
        match = adversarial.non_saturating_generator_loss(self.matcher(x_fake, y))
        return Loss(realism + self.config.lambda_match * match, {"realism": realism, "match": match})

    def of_pairs(self, network: nn.Module, batch: Batch, w: float) -> Loss:
        """The loss of a network that judges pairs: right ones, generated ones unless w is 1, mismatched ones unless it is 0."""
        assert batch.labels is not None
        x, y = batch.images, self.labels(batch)
        pairs = {"D(x)": (x, y)}
        if w < 1:
            with torch.no_grad():
                pairs["D(G(z))"] = (self.decode(self.latents_of(y)), y)
        if w:
            pairs["D(x, y-)"] = (x, conditioning.mismatched(batch.labels, self.spec.classes))
        d = conditioning.judged(network, *pairs.values())
        stats = {name: torch.sigmoid(logits).mean() for name, logits in zip(pairs, d, strict=True)}
        if len(d) == 2:
            return Loss(adversarial.discriminator_loss(*d), stats)
        return Loss(adversarial.matching_discriminator_loss(*d, weight=w), stats)

    def labels(self, batch: Batch) -> Tensor:
        """The classes of the batch, a share of them unknown."""
        assert batch.labels is not None
        return conditioning.drop_labels(batch.labels, self.config.label_dropout, self.spec.classes)


def _trunk(config: Config, spec: Spec, extra: int = 0) -> nn.Module:
    if config.backbone != "mlp":
        return backbones.trunk(config, spec, extra=extra)
    return MLPTrunk(
        replace(spec, channels=spec.channels + extra), config.discriminator, activation=config.activation,
        normalisation=config.normalisation, pieces=config.maxout, dropout=config.dropout,
    )  # fmt: skip


def _judge(config: Config, spec: Spec, classes: int) -> nn.Module:
    if config.conditioning == "plane":
        return conditioning.PlaneScore(_trunk(config, spec, conditioning.planes(spec, classes)), config, spec, classes)
    if config.conditioning == "projection":
        return conditioning.ProjectionScore(_trunk(config, spec), config, classes)
    pieces = config.maxout if config.backbone == "mlp" else 0
    return conditioning.JointScore(_trunk(config, spec), config, classes, config.joint, pieces=pieces, dropout=config.dropout)


def build(config: Config, spec: Spec, *, seed: int = 0) -> CGAN:
    """A conditional GAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return CGAN(config, spec)
