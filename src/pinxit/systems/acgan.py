"""Auxiliary classifier GAN (Odena, Olah & Shlens, 2017). https://arxiv.org/abs/1610.09585

D is not told the class but tells it: on one trunk it has a source head, the logit d, and a class head, the logits c. Both
players want the class right, of real samples and of generated ones (equations 2 and 3: D maximises L_S + L_C, G L_C - L_S):

    discriminator   L_D = E sp(-d(x)) + E sp(d(x~)) + lambda (CE(c(x), y) + w CE(c(x~), y'))          w = 1
    generator       L_G = E sp(-d(x~))              + lambda  CE(c(x~), y')

with x~ = G(z, y'), sp(t) = log(1 + e^t), and the cross-entropy CE taken on logits. At w = 1 both players are paid for any mark
that tells a class, whether real samples bear it or not, and early in a run they may settle on one; a small w leaves it to real
samples to say what a class looks like.

At any lambda and w, G is paid for classes that C tells apart with certainty, and for none that overlap as real ones do (Gong et
al. 2019, https://arxiv.org/abs/1907.02690): a classifier of its samples may read real ones worse than their label accuracy
suggests.

The classes y' are those of the batch, so of the data's frequencies; `sample(n)` draws them uniformly. The stats `class(x)` and
`class(G(z))` are the shares of classes that D tells right: a high one shows neither that the class is right to others nor that
there is more than one sample of it.

Deviations: the generator's term is the non-saturating one, as is usual; the networks are DCGAN's, with dropout before the heads
only. The paper trains a hundred models of ten ImageNet classes each; `paper` is one such model. `small` has w = 0.1.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig, Normalisation
from pinxit.core.rng import seed_of, seeded
from pinxit.core.shapes import refuse_unlabelled
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.nn import backbones, conditioning


class Config(GANConfig):
    """ACGAN."""

    lambda_class: float = Field(1.0, ge=0)
    """lambda, the weight of the class in both losses (equations 2 and 3: 1)."""
    fake_class: float = Field(1.0, ge=0)
    """w, the weight of generated samples in the discriminator's class term (equation 2: 1)."""
    embedding: int = Field(10, ge=1)
    """Numbers per class beside z (appendix A: z and class have 110 together)."""
    normalisation: Normalisation = "batch"
    """Of the discriminator's hidden layers (appendix A)."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of the discriminator's features that is dropped (appendix A)."""
    lr: float = Field(2e-4, gt=0)
    """Learning rate (appendix A)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay of the moments (appendix A)."""
    batch_size: int = Field(100, ge=1)
    """Images per round (section 4)."""
    rounds: int = Field(50_000, ge=1)
    """Updates of each player (section 4)."""

    def check_data(self, spec: Spec) -> None:
        """Every image has a class."""
        super().check_data(spec)
        refuse_unlabelled(spec, "acgan")


PRESETS = {
    "paper": Config(),
    "small": Config(fake_class=0.1, width=32, dropout=0.0, lr=1e-3, decay="linear", batch_size=64, rounds=2500),
    "points": Config(
        backbone="mlp", latent=2, generator=(128, 128), discriminator=(128, 128), normalisation="none", dropout=0.0, lr=1e-3,
        decay="linear", batch_size=128, rounds=12_000,
    ),
    "tiny": Config(
        backbone="mlp", latent=8, embedding=8, generator=(32,), discriminator=(32,), normalisation="none", lr=1e-3, batch_size=8,
        rounds=6,
    ),
}  # fmt: skip


class ACGAN(AbstractGAN):
    """A generator that is told the class and a discriminator that tells it, at play."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = conditioning.ConditionedGenerator(config, spec, spec.classes, (0, config.embedding))
        trunk = backbones.trunk(config, spec)
        self.discriminator = conditioning.Heads(trunk, (1, spec.classes), config, dropout=config.dropout)

    def players(self) -> dict[str, Player]:
        """Discriminator and generator."""
        return self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))

    def stages(self) -> tuple[Stage, ...]:
        """One update each a round."""
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """(z, c) side by side, (n, latent + classes): c one-hot, of a uniform class."""
        z = super().latents(n, generator=generator)
        labels = conditioning.draw_labels(n, self.spec.classes, device=self.device, generator=generator)
        return torch.cat((z, conditioning.one_hot(labels, self.spec.classes)), dim=1)

    def latents_of(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The same of given classes, one a label; the z of a generator's state are the same whatever the labels."""
        z = super().latents(len(labels), generator=generator)
        return torch.cat((z, conditioning.one_hot(labels, self.spec.classes)), dim=1)

    def sample_class(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """G(z, y), z as in `latents_of`. Raises InputError for a label without class."""
        labels = conditioning.checked(labels, self.spec.classes).to(self.device)
        return self.decode(self.latents_of(labels, generator=generator))

    def match(self, x: Tensor, labels: Tensor) -> Tensor:
        """log C(y | x) of images with classes, (n,)."""
        _, classes = self.judge(x.to(self.device))
        return -F.cross_entropy(classes, labels.to(self.device), reduction="none")

    def score(self, x: Tensor) -> Tensor:
        """d(x), (n,)."""
        return self.judge(x.to(self.device))[0]

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The source's logits (n,) and the classes' (n, K)."""
        source, classes = self.discriminator.split(self.discriminator(x))
        return source, classes

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D."""
        x, y = batch.images, batch.labels
        assert y is not None
        with torch.no_grad():
            x_fake = self.decode(self.latents_of(y))
        real, fake = backbones.both(self.discriminator, x, x_fake)
        (d_real, c_real), (d_fake, c_fake) = self.discriminator.split(real), self.discriminator.split(fake)
        of_class = F.cross_entropy(c_real, y) + self.config.fake_class * F.cross_entropy(c_fake, y)
        stats = {
            "D(x)": torch.sigmoid(d_real).mean(),
            "D(G(z))": torch.sigmoid(d_fake).mean(),
            "class(x)": (c_real.argmax(1) == y).float().mean(),
            "class(G(z))": (c_fake.argmax(1) == y).float().mean(),
        }
        return Loss(adversarial.discriminator_loss(d_real, d_fake) + self.config.lambda_class * of_class, stats)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        y = batch.labels
        assert y is not None
        d_fake, c_fake = self.judge(self.decode(self.latents_of(y)))
        source, of_class = adversarial.non_saturating_generator_loss(d_fake), F.cross_entropy(c_fake, y)
        return Loss(source + self.config.lambda_class * of_class, {"source": source, "class": of_class})


def build(config: Config, spec: Spec, *, seed: int = 0) -> ACGAN:
    """An ACGAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return ACGAN(config, spec)
