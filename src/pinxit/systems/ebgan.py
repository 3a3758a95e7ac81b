"""Energy-based GAN (Zhao, Mathieu & LeCun, 2017). https://arxiv.org/abs/1609.03126

The discriminator is an auto-encoder, its energy the error of reconstruction (equation 13); real samples get low energies and
generated ones at least the margin m (equations 1 and 2):

    e(x) = |Dec(Enc(x)) - x|_2,  one norm a sample

    discriminator   L_D = E [ e(x) + max(0, m - e(G(z))) ]          the hinge sample by sample
    generator       L_G = E e(G(z)) + w PT(Enc(G(z)))

    PT(s) = 1/(N (N-1)) sum over i != j of (s_i^T s_j / (|s_i| |s_j|))^2          the pulling-away term (equation 14)

The generator's gradient flows through the reconstruction and through its target. At equilibrium L_D = m. `pretrain` rounds
first fit the auto-encoder to real samples alone (section 2.3 notes that it learns an energy without negatives), and set m to
the energy that they reach, an average over the last hundred rounds.

Deviations: the `paper` preset has margin, weight and rate of the MNIST experiment of section 4.1 on networks of our own sizes:
the discriminator's 400 units are none of table 1's, and the decoder has the generator's hidden layers where the paper's is a
single layer. Images are in [-1, 1], and their energies twice those of [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Stats, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig
from pinxit.core.rng import seed_of, seeded
from pinxit.core.shares import Share
from pinxit.core.spec import Spec
from pinxit.losses import penalties
from pinxit.losses.adversarial import energy, energy_loss
from pinxit.nn import backbones


class Config(GANConfig):
    """EBGAN."""

    margin: float = Field(10.0, gt=0)
    """m, in the unit of the energy: a Euclidean norm over a sample's pixels, which run from -1 to 1 (section 4.1)."""
    pulling_away: float = Field(0.1, ge=0)
    """w, the weight of the pulling-away term (section 4.1)."""
    pretrain: int = Field(0, ge=0)
    """Rounds in which the auto-encoder alone learns the real samples; then `margin` is the energy reached."""
    code: int = Field(64, ge=1)
    """Dimensions of the auto-encoder's code."""
    backbone: Literal["mlp", "dcgan", "resnet"] = "mlp"
    """mlp: section 4.1; dcgan: sections 4.3 and 4.4; resnet (Miyato et al. 2018)."""
    generator: tuple[int, ...] = (800, 800)
    """mlp: widths of the hidden layers of the generator, and of the decoder."""
    discriminator: tuple[int, ...] = (400,)
    """mlp: widths of the encoder's hidden layers."""
    lr: float = Field(1e-3, gt=0)
    """Learning rate (section 4.1)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay of the moments."""
    batch_size: int = Field(64, ge=2)
    """Images per round; the pulling-away term compares them in pairs."""
    rounds: int = Field(50_000, ge=1)
    """Updates of each player."""


PRESETS = {
    "paper": Config(),
    "small": Config(backbone="dcgan", width=32, normalisation="batch", lr=2e-4, pretrain=300, rounds=3000),
    "points": Config(
        latent=2, generator=(128, 128), discriminator=(128, 128), code=1, margin=0.5, pulling_away=0.0, decay="linear",
        batch_size=128, rounds=12_000,
    ),
    "tiny": Config(latent=8, generator=(32,), discriminator=(32,), code=4, pretrain=3, batch_size=8, rounds=6),
}  # fmt: skip


class EBGAN(AbstractGAN):
    """A generator and an auto-encoder at play."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = backbones.generator(config, spec)
        self.discriminator = backbones.Autoencoder(config, spec, config.code)
        self.register_buffer("margin", torch.tensor(config.margin))
        if config.pulling_away:
            self.share = Share(least=2, why="and `pulling_away` compares samples in pairs")

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        return self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))

    def rates(self, lr: float) -> Callable[[Clock], Mapping[str, Any]] | None:
        """`lr`, decayed over the rounds of both stages."""
        rounds = sum(stage.rounds for stage in self.stages())
        return None if self.config.decay == "none" else lambda clock: {"lr": lr * (1 - clock.step / rounds)}

    def stages(self) -> tuple[Stage, ...]:
        """The auto-encoder alone, if so wished; then one update each a round."""
        config = self.config
        alone = Turn("discriminator", self.reconstruction_loss, after=self.set_margin)
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        first = (Stage((alone,), config.pretrain, config.batch_size),) if config.pretrain else ()
        return (*first, Stage(turns, config.rounds, config.batch_size))

    def reconstruction_loss(self, batch: Batch, clock: Clock) -> Loss:
        """E e(x), before the game; the margin as the last hundred rounds' mean of it: m + (e - m) / min(round + 1, 100)."""
        loss = energy(batch.images, self.discriminator(batch.images)).mean()
        return Loss(loss, {"energy": loss, "margin": self.margin + (loss.detach() - self.margin) / min(clock.round + 1, 100)})

    @torch.no_grad()
    def set_margin(self, stats: Stats) -> None:
        """The margin moves; the mean over shares is that of the whole batch, for it is linear in the energy."""
        self.margin.copy_(stats["margin"])

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D."""
        x = batch.images
        with torch.no_grad():
            x_fake = self.sample(len(x))
        x_hat, x_fake_hat = backbones.both(self.discriminator, x, x_fake)
        e_real, e_fake = energy(x, x_hat), energy(x_fake, x_fake_hat)
        loss = energy_loss(e_real, e_fake, self.margin)
        return Loss(loss, {"energy real": e_real.mean(), "energy fake": e_fake.mean()})

    def score(self, x: Tensor) -> Tensor:
        """-e(x), (n,): greater for what D takes for real."""
        return -energy(x, self.discriminator(x))

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        x_fake = self.sample(len(batch))
        codes = self.discriminator.encode(x_fake)
        loss = energy(x_fake, self.discriminator.decode(codes)).mean()
        if not self.config.pulling_away:
            return Loss(loss)
        pulled = penalties.pulling_away(codes)
        return Loss(loss + self.config.pulling_away * pulled, {"pulling away": pulled})


def build(config: Config, spec: Spec, *, seed: int = 0) -> EBGAN:
    """An EBGAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return EBGAN(config, spec)
