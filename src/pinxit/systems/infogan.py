"""InfoGAN (Chen, Duan, Houthooft, Schulman, Sutskever & Abbeel, 2016). https://arxiv.org/abs/1606.03657

A GAN whose code has named parts, found without labels: noise z, a category k of K, numbers u ~ U(-1, 1)^d. A recogniser Q on D's
trunk reads c = (k, u) off generated samples, and both players want it to (equations 5 and 6), x~ = G(z, k, u):

    L_I  =  E log Q(k | x~) + log K  +  E log Q(u | x~) + d log 2  <=  I(k, u; x~)

    discriminator   L_D = E sp(-d(x)) + E sp(d(x~)) - lambda L_I          moves D, its trunk and Q
    generator       L_G = E sp(-d(x~))              - lambda L_I          moves G

with sp(t) = log(1 + e^t), Q(k | x) a softmax and Q(u | x) a Gaussian, of scale 1 as in the authors' program for MNIST or learned.
Logit, category and numbers have heads of their own. The stats are in nats: `L_I` of the category, at most log K (2.303 for ten),
and `continuous`, which at scale 1 is at most -0.226 a number. lambda = 0 is the control: a GAN beside a Q that learns nothing.

Labels are never read. `infer(x)` gives the category that Q sees in real images, to be matched with labels afterwards.

Deviations: `paper` is the authors' program for MNIST with images in [-1, 1], LeakyReLU of slope 0.2 (0.01 there, 0.1 in appendix
C.1), batch norm of the generator's 7x7 maps by channel rather than by unit, and the entropy of U(-1, 1) in the bound, where the
program has a Gaussian's.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError
from pinxit.core.game import Batch, Loss, Player, Stage, Turn
from pinxit.core.gan import AbstractGAN
from pinxit.core.gan_config import GANConfig, Normalisation
from pinxit.core.rng import seed_of, seeded, uniform
from pinxit.core.spec import Spec
from pinxit.losses import adversarial, information
from pinxit.nn import backbones, conditioning


class Config(GANConfig):
    """InfoGAN."""

    categories: int = Field(10, ge=2)
    """K, the values of the category (section 7.2)."""
    continuous: int = Field(2, ge=0)
    """d, the numbers of the code (section 7.2)."""
    lambda_info: float = Field(1.0, ge=0)
    """lambda, the weight of the information (section 7); 0 for the control."""
    learn_scale: bool = False
    """Whether Q learns the scale of its Gaussians, or has scale 1 (the authors' program)."""
    dense: int = Field(1024, ge=0)
    """Units of the dense layers between code and maps and between maps and heads; 0 for none (appendix C.1)."""
    recogniser: int = Field(128, ge=0)
    """Units of Q's own hidden layer; 0 for none (appendix C.1)."""
    latent: int = Field(62, ge=1)
    """Dimensions of the noise z (appendix C.1)."""
    prior: Literal["normal", "uniform"] = "uniform"
    """Of z (the authors' program)."""
    normalisation: Normalisation = "batch"
    """Of the discriminator's hidden layers (appendix C.1)."""
    lr: float = Field(1e-3, gt=0)
    """Learning rate of the generator (appendix C.1)."""
    ttur: float = Field(0.2, gt=0)
    """Learning rate of the discriminator as a multiple of the generator's: 2e-4 (appendix C.1)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay of the moments (the authors' program)."""
    batch_size: int = Field(128, ge=1)
    """Images per round (the authors' program)."""
    rounds: int = Field(5000, ge=1)
    """Updates of each player (the authors' program)."""

    def check(self) -> None:
        """A batch has statistics."""
        if self.batch_size == 1 and self.dense:
            raise InputError(
                "`batch_size` is 1: the dense layers' batch norm needs at least 2 images; take --dense 0 or more images"
            )


PRESETS = {
    "paper": Config(),
    "small": Config(width=24, dense=384, ttur=1.0, decay="linear", batch_size=64, rounds=2500),
    "points": Config(
        backbone="mlp", continuous=0, latent=2, prior="normal", generator=(128, 128), discriminator=(128, 128), dense=0,
        normalisation="none", ttur=1.0, decay="linear", batch_size=128, rounds=12_000,
    ),
    "tiny": Config(
        backbone="mlp", latent=8, generator=(32,), discriminator=(32,), dense=0, recogniser=8, normalisation="none", batch_size=8,
        rounds=6,
    ),
}  # fmt: skip


class InfoGAN(AbstractGAN):
    """A generator and a discriminator at play, and a recogniser that both are with."""

    config: Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.generator = _generator(config, spec)
        trunk = backbones.trunk(config, spec)
        if config.dense:
            trunk = conditioning.Deepened(trunk, config.dense, config)
        recognised = config.categories + config.continuous * (2 if config.learn_scale else 1)
        self.discriminator = conditioning.Heads(trunk, (1, recognised), config, hidden=(0, config.recogniser))

    def players(self) -> dict[str, Player]:
        """Discriminator, with Q, and generator."""
        return self.pair("discriminator", self.discriminator, partial(Adam, betas=self.config.betas, fused=True))

    def stages(self) -> tuple[Stage, ...]:
        """One update each a round."""
        turns = (Turn("discriminator", self.discriminator_loss), Turn("generator", self.generator_loss))
        return (Stage(turns, self.config.rounds, self.config.batch_size),)

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """(z, k, u) side by side, (n, latent + K + d), k one-hot."""
        z = super().latents(n, generator=generator)
        k = conditioning.draw_labels(n, self.config.categories, device=self.device, generator=generator)
        u = uniform(n, self.config.continuous, device=self.device, generator=generator)
        return torch.cat((z, conditioning.one_hot(k, self.config.categories), u), dim=1)

    def codes(self) -> tuple[int, int]:
        """K and d."""
        return self.config.categories, self.config.continuous

    def sample_code(self, category: Tensor, continuous: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """G(z, k, u) of categories (n,) and numbers (n, d), which may leave [-1, 1]; z is the same whatever the code."""
        z = super().latents(len(category), generator=generator)
        k = conditioning.one_hot(conditioning.checked(category, self.config.categories).to(self.device), self.config.categories)
        return self.decode(torch.cat((z, k, continuous.to(z)), dim=1))

    def infer(self, x: Tensor) -> Tensor:
        """The category that Q finds likeliest in each image, (n,) int64."""
        _, logits, _, _ = self.judge(x.to(self.device))
        return logits.argmax(dim=1)

    def score(self, x: Tensor) -> Tensor:
        """d(x), (n,)."""
        return self.judge(x.to(self.device))[0]

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """d (n,), the logits of Q(k | x) (n, K), and mean and log scale of Q(u | x) (n, d)."""
        return self.taken_apart(self.discriminator(x))

    def taken_apart(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The outputs of all heads, as `judge` gives them."""
        d, q = self.discriminator.split(outputs)
        logits, rest = q.split((self.config.categories, q.shape[1] - self.config.categories), dim=1)
        mu, log_scale = rest.chunk(2, dim=1) if self.config.learn_scale else (rest, torch.zeros_like(rest))
        return d, logits, mu, log_scale

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D."""
        code = self.latents(len(batch))
        with torch.no_grad():
            x_fake = self.decode(code)
        real, fake = backbones.both(self.discriminator, batch.images, x_fake)
        (d_real, *_), (d_fake, *q) = self.taken_apart(real), self.taken_apart(fake)
        category, continuous = self.information(code, *q)
        total = adversarial.discriminator_loss(d_real, d_fake) - self.config.lambda_info * (category + continuous)
        stats = {"D(x)": torch.sigmoid(d_real).mean(), "D(G(z))": torch.sigmoid(d_fake).mean()}
        return Loss(total, stats | {"L_I": category, "continuous": continuous})

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G."""
        code = self.latents(len(batch))
        d_fake, *q = self.judge(self.decode(code))
        category, continuous = self.information(code, *q)
        source = adversarial.non_saturating_generator_loss(d_fake)
        total = source - self.config.lambda_info * (category + continuous)
        return Loss(total, {"source": source, "L_I": category, "continuous": continuous})

    def information(self, code: Tensor, logits: Tensor, mu: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        """The two parts of L_I, in nats, of samples made from `code`."""
        _, k, u = code.split((self.config.latent, *self.codes()), dim=1)
        category = information.categorical_information(logits, k.argmax(dim=1))
        return category, information.continuous_information(mu, log_scale, u)


def _generator(config: Config, spec: Spec) -> nn.Module:
    """Codes to samples, through a dense layer."""
    inputs = config.latent + config.categories + config.continuous
    if not config.dense:
        return backbones.generator(config, spec, inputs=inputs)
    linear = nn.Linear(inputs, config.dense, bias=False)
    if config.backbone == "dcgan":
        nn.init.normal_(linear.weight, 0.0, 0.02)
    network = backbones.generator(config, spec, inputs=config.dense)
    return nn.Sequential(linear, nn.BatchNorm1d(config.dense), nn.ReLU(), network)


def build(config: Config, spec: Spec, *, seed: int = 0) -> InfoGAN:
    """An InfoGAN for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return InfoGAN(config, spec)
