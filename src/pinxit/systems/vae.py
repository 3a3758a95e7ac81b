"""Variational auto-encoder (Kingma & Welling, 2014). https://arxiv.org/abs/1312.6114

One player: an encoder q(z|x) = N(mu(x), e^logvar(x)) and a decoder p(x|z) that together raise a bound of the likelihood
(equations 3 and 10), in nats per image, summed over pixels, channels and latents, averaged over the batch only:

    log p(x)  >=  ELBO = E_q log p(x|z) - KL(q(z|x) || N(0, I)),      z = mu + e^(logvar/2) noise
    KL = 1/2 sum (mu^2 + e^logvar - logvar - 1)                       (appendix B)

    bernoulli   log p(x|z) = -sum BCE(x, sigmoid(logits)),  x in {0, 1}: `binarise` says how grey levels become bits
    gaussian    a density of the pixels in [-1, 1], one learned variance
    logistic    the probability of the pixels' grey levels under a discretised logistic, one learned scale

With `samples` k > 1 it is the importance weighted auto-encoder (Burda et al. 2016, https://arxiv.org/abs/1509.00519, eq. 8):

    L_k = E log 1/k sum_i w_i,   w_i = p(x, z_i) / q(z_i|x),   z_i ~ q(z|x);        L_k <= L_(k+1) <= log p(x)

Its weights hold the drawn log q - log p, while one sample takes the KL in closed form; the ELBO's figures always do.

Deviations: `beta`, `warmup` and `free_bits` weigh the KL in training (1, 0 and 0 in the paper); the reported ELBO never does.
The `paper` preset takes the MNIST experiment of section 5 with the hidden width 500 and 20 latents, Adagrad, but torch's
initialisation for N(0, 0.01), and no weight decay for the prior of the weights (there small). `iwae` has the network of Burda et
al. (784-200-200-50, tanh), k = 5, and Adam with a linear decay for some 50 minutes on one thread instead of 3,280 epochs; `mnist`
the same network with k = 1 for 8 minutes.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adagrad, Adam

from pinxit.core import bits
from pinxit.core.clock import Clock
from pinxit.core.config import Config as BaseConfig
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage, Turn
from pinxit.core.rng import normal, seed_of, seeded
from pinxit.core.shapes import check_decoder
from pinxit.core.spec import Spec
from pinxit.losses import likelihood, precision, variational
from pinxit.nn.coders import coders


class Config(BaseConfig):
    """The VAE."""

    latent: int = Field(20, ge=1)
    """Dimensions of z (section 5 compares 3 to 200)."""
    network: Literal["mlp", "conv"] = "mlp"
    """mlp: any data, the paper's; conv: square images of 28 or 16, 32, 64, ... pixels."""
    hidden: tuple[int, ...] = (500,)
    """mlp: widths of the encoder's hidden layers; the decoder's are their reverse."""
    width: int = Field(32, ge=1)
    """conv: channels of the encoder's first map, doubled at each halving of the size up to 8 times."""
    activation: Literal["relu", "tanh"] = "tanh"
    """Of the hidden layers (appendix C: tanh)."""
    decoder: Literal["bernoulli", "gaussian", "logistic"] = "bernoulli"
    """p(x|z)."""
    binarise: Literal["dynamic", "threshold", "none"] = "dynamic"
    """bernoulli: bits drawn anew each time with the grey level's probability, bits by 1/2, or grey levels (no likelihood)."""
    samples: int = Field(1, ge=1)
    """k: draws of z per image in the objective L_k (Burda et al. 2016); 1 is the VAE."""
    beta: float = Field(1.0, ge=0)
    """Weight of the KL in training."""
    warmup: int = Field(0, ge=0)
    """Rounds over which the KL's weight grows from 0."""
    free_bits: float = Field(0.0, ge=0)
    """Nats of KL that each latent has for free: sum_j max(free_bits, batch mean of KL_j) (Kingma et al. 2016, eq. 15)."""
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    """Adagrad in the paper."""
    lr: float = Field(0.01, gt=0)
    """Learning rate (section 5: from 0.01, 0.02, 0.1)."""
    decay: Literal["none", "linear"] = "none"
    """Of the learning rate: none, or linear to zero over the run."""
    batch_size: int = Field(100, ge=1)
    """Images per round (section 5)."""
    rounds: int = Field(100_000, ge=1)
    """Updates (ten million images, as in figure 2)."""

    def check(self) -> None:
        """L_k has no KL."""
        if self.samples > 1 and (self.beta != 1 or self.warmup or self.free_bits):
            raise InputError(f"`samples` {self.samples} has no KL to weigh: take beta 1, warmup 0 and free_bits 0, or samples 1")

    def check_data(self, spec: Spec) -> None:
        """The decoder is of such data."""
        check_decoder(spec, self.network, self.decoder)


PRESETS = {
    "paper": Config(),
    "small": Config(
        hidden=(512, 256), activation="relu", decoder="logistic", optimizer="adam", lr=1e-3, warmup=500, rounds=6000,
    ),
    "mnist": Config(
        latent=50, hidden=(200, 200), optimizer="adam", lr=2e-3, decay="linear", batch_size=128, rounds=45_000,
    ),
    "iwae": Config(
        latent=50, hidden=(200, 200), samples=5, optimizer="adam", lr=2e-3, decay="linear", batch_size=128, rounds=120_000,
    ),
    "tiny": Config(latent=2, hidden=(16,), optimizer="adam", lr=1e-3, batch_size=8, rounds=6),
}  # fmt: skip


class VAE(AbstractGame):
    """Encoder and decoder."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.encoder, self.decoder = coders(
            spec, network=config.network, codes=2 * config.latent, latent=config.latent, hidden=config.hidden,
            width=config.width, activation=config.activation,
        )  # fmt: skip
        self.log_scale = None if config.decoder == "bernoulli" else nn.Parameter(torch.tensor(-2.0))

    def players(self) -> dict[str, Player]:
        """The model alone."""
        config = self.config
        optimizer = partial(Adam, fused=True) if config.optimizer == "adam" else Adagrad
        schedule = None if config.decay == "none" else lambda clock: {"lr": config.lr * (1 - clock.progress)}
        return {"model": Player((self,), partial(optimizer, lr=config.lr), schedule=schedule)}

    def stages(self) -> tuple[Stage, ...]:
        """Maximum of the bound."""
        return (Stage((Turn("model", self.model_loss),), self.config.rounds, self.config.batch_size),)

    def model_loss(self, batch: Batch, clock: Clock) -> Loss:
        """-E log p(x|z) + beta KL, with beta's warm-up and free bits; or -L_k."""
        config, x = self.config, self.target(batch.images)
        mu, logvar = self.posterior(x)
        noise = normal(config.samples, *mu.shape, device=x.device)
        z = variational.reparameterise(mu, logvar, noise)
        log_prob, kl = self.log_prob_given(x, z), variational.kl_of_each_latent(mu, logvar)
        reconstruction, total = log_prob.mean(), kl.sum(dim=1).mean()
        stats = {"elbo": reconstruction - total, "reconstruction": reconstruction, "kl": total}
        if config.samples > 1:
            log_weights = log_prob + variational.standard_normal_log_ratio(z, logvar, noise)
            bound = variational.importance_bound(log_weights).mean()
            return Loss(-bound, {**stats, f"L_{config.samples}": bound})
        weight = config.beta * min(1.0, (clock.step + 1) / config.warmup if config.warmup else 1.0)
        paid = variational.free_bits(kl, config.free_bits) if config.free_bits else total
        return Loss(weight * paid - reconstruction, stats)

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(E log p(x|z), KL) in nats per image, each (n,); one draw of z, and of the bits where they are dynamic."""
        x = self.target(x, generator)
        mu, logvar = self.posterior(x)
        noise = normal(*mu.shape, device=x.device, generator=generator)
        z = variational.reparameterise(mu, logvar, noise)
        return self.log_prob_given(x, z), variational.kl_to_standard_normal(mu, logvar)

    @property
    def measure(self) -> str:
        """What the bound is a bound of."""
        return likelihood.decoder_measure(self.config.decoder, self.spec, self.config.binarise)

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What is encoded and scored: the images, or their bits as -1 and 1; data that is binarised says itself how."""
        otherwise = self.config.binarise if self.config.decoder == "bernoulli" else "none"
        return bits.binarised(x, bits.drawing(self.spec, otherwise), generator)

    def posterior(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mu and log-variance of q(z|x), (n, latent) each; the log-variance is kept in [-30, 20], where exp is finite."""
        mu, logvar = precision.widened(self.encoder(self.read(x))).chunk(2, dim=1)
        return mu, logvar.clamp(-30, 20)

    def read(self, x: Tensor) -> Tensor:
        """What the encoder reads: bits are 0 and 1, as in the paper, where an empty background is silent."""
        return (x + 1) / 2 if self.config.decoder == "bernoulli" else x

    def rate(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """KL(q(z|x) || N(0, I)) in nats, (n,)."""
        return variational.kl_to_standard_normal(*self.posterior(x))

    def log_weights(self, x: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x, z) - log q(z|x) of `target`s and z = mu + e^(logvar/2) noise, noise (k, n, latent): (k, n)."""
        mu, logvar = self.posterior(x)
        z = variational.reparameterise(mu, logvar, noise)
        return self.log_prob_given(x, z) + variational.standard_normal_log_ratio(z, logvar, noise)

    def log_prob_given(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats, of `target`s (n, c, h, w) and codes (n, latent) or (k, n, latent): (n,) or (k, n)."""
        out = self.decoder(z.flatten(0, -2)).view(*z.shape[:-1], self.spec.dim)
        return likelihood.decoder_log_prob(self.config.decoder, x.flatten(1), out, self.log_scale, self.spec.levels)

    def observe(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A draw of p(x|z), (n, c, h, w): bits for bernoulli, grey levels for logistic."""
        return likelihood.decoder_draw(self.config.decoder, self.decoder(z), self.log_scale, self.spec, generator)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The posterior mean of `target`s (n, c, h, w), (n, latent)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), (n, c, h, w), in [-1, 1] for images."""
        return likelihood.decoder_mean(self.config.decoder, self.decoder(z), self.spec)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
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
