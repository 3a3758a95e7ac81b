"""Variational auto-encoder (Kingma & Welling, 2014). https://arxiv.org/abs/1312.6114

One player: an encoder q(z|x) = N(mu(x), e^logvar(x)) and a decoder p(x|z) that together raise a bound of the likelihood
(equations 3 and 10), in nats per image, summed over pixels, channels and latents, averaged over the batch only:

    log p(x)  >=  ELBO = E_q log p(x|z) - KL(q(z|x) || N(0, I)),      z = mu + e^(logvar/2) noise
    KL = 1/2 sum (mu^2 + e^logvar - logvar - 1)                       (appendix B)

    bernoulli   log p(x|z) = -sum BCE(x, sigmoid(logits)),  x in {0, 1}: `binarise` says how grey levels become bits
    gaussian    a density of the pixels in [-1, 1], one learned variance
    logistic    the probability of the pixels' grey levels under a discretised logistic, one learned scale

Deviations: `beta` and `warmup` weigh the KL in training (1 and 0 in the paper); the reported ELBO never does. The
`paper` preset takes the MNIST experiment of section 5 with the hidden width 500 and 20 latents, Adagrad.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adagrad, Adam

from pinxit.core.clock import Clock
from pinxit.core.config import Config as BaseConfig
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage, Turn
from pinxit.core.rng import normal, seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.losses import likelihood, variational
from pinxit.nn.mlp import mlp


class Config(BaseConfig):
    """The VAE."""

    latent: int = Field(20, ge=1)
    """Dimensions of z (section 5 compares 3 to 200)."""
    hidden: tuple[int, ...] = (500,)
    """Widths of the encoder's hidden layers; the decoder's are their reverse."""
    activation: Literal["relu", "tanh"] = "tanh"
    """Of the hidden layers (appendix C: tanh)."""
    decoder: Literal["bernoulli", "gaussian", "logistic"] = "bernoulli"
    """p(x|z)."""
    binarise: Literal["dynamic", "threshold", "none"] = "dynamic"
    """bernoulli: bits drawn anew each time with the grey level's probability, bits by 1/2, or grey levels (no likelihood)."""
    beta: float = Field(1.0, ge=0)
    """Weight of the KL in training."""
    warmup: int = Field(0, ge=0)
    """Rounds over which the KL's weight grows from 0."""
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    """Adagrad in the paper."""
    lr: float = Field(0.01, gt=0)
    """Learning rate (section 5: from 0.01, 0.02, 0.1)."""
    batch_size: int = Field(100, ge=1)
    """Images a round (section 5)."""
    rounds: int = Field(100_000, ge=1)
    """Updates (ten million images, as in figure 2)."""


PRESETS = {
    "paper": Config(),
    "small": Config(
        hidden=(512, 256), activation="relu", decoder="logistic", optimizer="adam", lr=1e-3, warmup=500, rounds=6000,
    ),
    "tiny": Config(latent=2, hidden=(16,), optimizer="adam", lr=1e-3, batch_size=8, rounds=6),
}  # fmt: skip


class VAE(AbstractGame):
    """Encoder and decoder, fully connected."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        if spec.continuous and config.decoder != "gaussian":
            raise InputError(f"`decoder` {config.decoder!r} needs grey levels, this data is continuous: take gaussian")
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[config.activation]
        self.encoder = mlp((spec.dim, *config.hidden, 2 * config.latent), activation)
        self.decoder = mlp((config.latent, *reversed(config.hidden), spec.dim), activation)
        if config.decoder != "bernoulli":
            self.log_scale = nn.Parameter(torch.tensor(-2.0))

    def players(self) -> dict[str, Player]:
        """The model alone."""
        config = self.config
        optimizer = partial(Adam, fused=True) if config.optimizer == "adam" else Adagrad
        return {"model": Player((self,), partial(optimizer, lr=config.lr))}

    def stages(self) -> tuple[Stage, ...]:
        """Maximum of the bound."""
        return (Stage((Turn("model", self.model_loss),), self.config.rounds, self.config.batch_size),)

    def model_loss(self, batch: Batch, clock: Clock) -> Loss:
        """-E log p(x|z) + beta KL, with beta's warm-up."""
        reconstruction, kl = (part.mean() for part in self.elbo(batch.images))
        weight = self.config.beta * min(1.0, (clock.step + 1) / self.config.warmup if self.config.warmup else 1.0)
        return Loss(weight * kl - reconstruction, {"elbo": reconstruction - kl, "reconstruction": reconstruction, "kl": kl})

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(E_q log p(x|z) by one draw of z, KL) in nats per image, each (n,)."""
        x = self.target(x, generator)
        mu, logvar = self.posterior(x)
        noise = normal(*mu.shape, device=x.device, generator=generator)
        z = variational.reparameterise(mu, logvar, noise)
        return self.log_prob_given(x, z), variational.kl_to_standard_normal(mu, logvar)

    @property
    def measure(self) -> str:
        """What the bound is a bound of."""
        match self.config.decoder, self.config.binarise:
            case "gaussian", _:
                return f"density{'' if self.spec.continuous else ' of pixels in [-1, 1]'}, Gaussian decoder"
            case "logistic", _:
                return f"probability of {self.spec.levels} grey levels, discretised logistic decoder"
            case _, "dynamic":
                return "probability of bits drawn with the grey levels' probabilities (dynamic binarisation), Bernoulli decoder"
            case _, "threshold":
                return "probability of bits by the threshold 1/2, Bernoulli decoder"
        return "grey levels in a Bernoulli decoder: no likelihood, not comparable"

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What is encoded and scored: the images, or their bits as -1 and 1."""
        if self.config.decoder != "bernoulli" or self.config.binarise == "none":
            return x
        level = (x + 1) / 2
        if self.config.binarise == "threshold":
            return (level > 0.5).to(x.dtype) * 2 - 1
        if generator is None:
            return torch.bernoulli(level) * 2 - 1
        return torch.bernoulli(level.to(generator.device), generator=generator).to(x.device) * 2 - 1

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log-variance of q(z|x), (n, latent) each; the log-variance is kept in [-30, 20], where exp is finite."""
        mu, logvar = self.encoder(x.flatten(1)).chunk(2, dim=1)
        return mu, logvar.clamp(-30, 20)

    def log_prob_given(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats, (n,)."""
        x, out = x.flatten(1), self.decoder(z)
        match self.config.decoder:
            case "bernoulli":
                return likelihood.bernoulli_log_prob((x + 1) / 2, out)
            case "gaussian":
                return likelihood.gaussian_log_prob(x, out, self.log_scale)
            case _:
                return likelihood.discretised_logistic_log_prob(x, out, self.log_scale, self.spec.levels)

    def encode(self, x: Tensor) -> Tensor:
        """The posterior mean of images (n, c, h, w), (n, latent)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), (n, c, h, w), in [-1, 1] for images."""
        out = self.decoder(z)
        if self.config.decoder == "bernoulli":
            out = torch.sigmoid(out) * 2 - 1
        elif not self.spec.continuous:
            out = out.clamp(-1, 1)
        return out.view(-1, *self.spec.shape)

    def reconstruct(self, x: Tensor) -> Tensor:
        """x_hat: the decoded posterior mean."""
        return self.decode(self.encode(x))

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, latent)."""
        return normal(n, self.config.latent, device=self.device, generator=generator)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """The mean of p(x|z), z ~ N(0, I)."""
        return self.decode(self.latents(n, generator=generator))


def build(config: Config, spec: Spec, *, seed: int = 0) -> VAE:
    """A VAE for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return VAE(config, spec)
