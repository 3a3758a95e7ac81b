"""Conditional variational auto-encoder (Sohn, Lee & Yan, 2015). https://papers.nips.cc/paper/5775

One player: an encoder q(z|x, y), a prior p(z|y) and a decoder p(x|z, y), all told the class y, raise a bound of the conditional
likelihood (equation 4), in nats per image, summed over pixels, channels and latents:

    log p(x|y)  >=  ELBO = E_q log p(x|z, y) - KL(q(z|x, y) || p(z|y)),      z = mu_q + e^(v_q/2) noise
    KL = 1/2 sum (v_p - v_q + (e^v_q + (mu_q - mu_p)^2) / e^v_p - 1)

    `prior` learned    p(z|y) = N(mu_p(y), e^v_p(y)), a vector of each a class
    `prior` standard   p(z|y) = N(0, I), the variant of Kingma et al. 2014: the class reaches the decoder and the encoder only

With `samples` k > 1 the objective is L_k of Burda et al. 2016 under the class. With `label_dropout` a share of the classes is
replaced by the code "unknown", under which the model bounds log p(x) itself and samples without a class; images whose class the
data does not know have that code too. `decoder` and `binarise` are as in the VAE.

Deviations: the paper predicts structured outputs from images, so that its x is a label map and its y an image, and it mixes in
a path that draws z from the prior (GSNN); here y is a class, and the objective is the bound alone. The paper gives no network for
this: `Config` has the width and latents of `vae`, Adam.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam

from pinxit.core import bits
from pinxit.core.clock import Clock
from pinxit.core.config import Config as BaseConfig
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Batch, Loss, Player, Stage, Turn
from pinxit.core.labels import UNKNOWN
from pinxit.core.rng import normal, seed_of, seeded
from pinxit.core.shapes import check_decoder, refuse_unlabelled
from pinxit.core.spec import Spec
from pinxit.losses import likelihood, precision, variational
from pinxit.nn import conditioning
from pinxit.nn.coders import coders


class Config(BaseConfig):
    """The conditional VAE."""

    latent: int = Field(20, ge=1)
    """Dimensions of z."""
    prior: Literal["learned", "standard"] = "learned"
    """p(z|y): a Gaussian a class that is learned, or N(0, I) for all."""
    label_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the images whose class is hidden: the model then takes "unknown" for a class."""
    network: Literal["mlp", "conv"] = "mlp"
    """mlp: any data; conv: square images of 28 or 16, 32, 64, ... pixels, the class as planes beside the image."""
    hidden: tuple[int, ...] = (500,)
    """mlp: widths of the encoder's hidden layers; the decoder's are their reverse."""
    width: int = Field(32, ge=1)
    """conv: channels of the encoder's first map, doubled at each halving of the size up to 8 times."""
    activation: Literal["relu", "tanh"] = "tanh"
    """Of the hidden layers."""
    decoder: Literal["bernoulli", "gaussian", "logistic"] = "bernoulli"
    """p(x|z, y)."""
    binarise: Literal["dynamic", "threshold", "none"] = "dynamic"
    """bernoulli: bits drawn anew each time with the grey level's probability, bits by 1/2, or grey levels (no likelihood)."""
    samples: int = Field(1, ge=1)
    """k: draws of z per image in the objective L_k (Burda et al. 2016); 1 is the ELBO."""
    beta: float = Field(1.0, ge=0)
    """Weight of the KL in training."""
    lr: float = Field(1e-3, gt=0)
    """Adam's learning rate."""
    decay: Literal["none", "linear"] = "none"
    """Of the learning rate: none, or linear to zero over the run."""
    batch_size: int = Field(100, ge=1)
    """Images per round."""
    rounds: int = Field(100_000, ge=1)
    """Updates."""

    def check(self) -> None:
        """L_k has no KL."""
        if self.samples > 1 and self.beta != 1:
            raise InputError(f"`samples` {self.samples} has no KL to weigh: take beta 1, or samples 1")

    def check_data(self, spec: Spec) -> None:
        """There are classes, and the decoder is of such data."""
        refuse_unlabelled(spec, "cvae", unknown=True)
        check_decoder(spec, self.network, self.decoder)


PRESETS = {
    "paper": Config(),
    "small": Config(hidden=(512, 256), activation="relu", decoder="logistic", decay="linear", rounds=6000),
    "mnist": Config(latent=50, hidden=(200, 200), lr=2e-3, decay="linear", batch_size=128, rounds=45_000),
    "tiny": Config(latent=2, label_dropout=0.2, hidden=(16,), batch_size=8, rounds=6),
}


class CVAE(AbstractGame):
    """Encoder, prior and decoder, all told the class."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.classes = spec.classes + (config.label_dropout > 0 or spec.unlabelled)
        self.encoder, self.decoder = coders(
            spec, network=config.network, codes=2 * config.latent, latent=config.latent, hidden=config.hidden,
            width=config.width, activation=config.activation, extra=self.classes,
        )  # fmt: skip
        self.log_scale = None if config.decoder == "bernoulli" else nn.Parameter(torch.tensor(-2.0))
        # All classes start from N(0, I).
        self.moments = None if config.prior == "standard" else nn.Parameter(torch.zeros(self.classes, 2 * config.latent))

    def players(self) -> dict[str, Player]:
        """The model alone."""
        lr = self.config.lr
        schedule = None if self.config.decay == "none" else lambda clock: {"lr": lr * (1 - clock.progress)}
        return {"model": Player((self,), partial(Adam, lr=lr, fused=True), schedule=schedule)}

    def stages(self) -> tuple[Stage, ...]:
        """Maximum of the bound."""
        return (Stage((Turn("model", self.model_loss),), self.config.rounds, self.config.batch_size),)

    def model_loss(self, batch: Batch, clock: Clock) -> Loss:
        """-E log p(x|z, y) + beta KL, or -L_k; a share of the classes unknown."""
        assert batch.labels is not None
        x, k = self.target(batch.images), self.config.samples
        labels = conditioning.drop_labels(batch.labels, self.config.label_dropout, self.spec.classes)
        log_prob, log_ratio, kl = self.weighed(x, normal(k, len(x), self.config.latent, device=x.device), labels)
        reconstruction, rate = log_prob.mean(), kl.mean()
        stats = {"elbo": reconstruction - rate, "reconstruction": reconstruction, "kl": rate}
        if k > 1:
            bound = variational.importance_bound(log_prob + log_ratio).mean()
            return Loss(-bound, {**stats, f"L_{k}": bound})
        return Loss(self.config.beta * rate - reconstruction, stats)

    def weighed(self, x: Tensor, noise: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """log p(x|z, y) and log p(z|y) - log q(z|x, y), both (k, n), of noise (k, n, latent); and KL(q || p(z|y)), (n,)."""
        labels = self.known(len(x), labels)
        (mu, logvar), (mu_p, logvar_p) = self.posterior(x, labels), self.prior(labels)
        z = variational.reparameterise(mu, logvar, noise)
        log_ratio = variational.normal_log_prob(z, mu_p, logvar_p) - variational.normal_log_prob(z, mu, logvar)
        return self.log_prob_given(x, z, labels), log_ratio, variational.kl_between_normals(mu, logvar, mu_p, logvar_p)

    def elbo_given(self, x: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(E log p(x|z, y), KL) in nats per image, each (n,); one draw of z, and of the bits where they are dynamic."""
        x = self.target(x, generator)
        noise = normal(1, len(x), self.config.latent, device=x.device, generator=generator)
        log_prob, _, kl = self.weighed(x, noise, labels)
        return log_prob[0], kl

    def rate(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """KL(q(z|x, y) || p(z|y)) of `target`s in nats, (n,)."""
        labels = self.known(len(x), labels)
        return variational.kl_between_normals(*self.posterior(x, labels), *self.prior(labels))

    def log_weights(self, x: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x, z|y) - log q(z|x, y) of `target`s and noise (k, n, latent): (k, n)."""
        log_prob, log_ratio, _ = self.weighed(x, noise, labels)
        return log_prob + log_ratio

    @property
    def measure(self) -> str:
        """What the bound is a bound of, given the class."""
        return likelihood.decoder_measure(self.config.decoder, self.spec, self.config.binarise)

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What is encoded and scored: the images, or their bits as -1 and 1; data that is binarised says itself how."""
        otherwise = self.config.binarise if self.config.decoder == "bernoulli" else "none"
        return bits.binarised(x, bits.drawing(self.spec, otherwise), generator)

    def known(self, n: int, labels: Tensor | None) -> Tensor:
        """`labels`, "unknown" where there is none; raises InputError where the model has not learned that code."""
        labels = torch.full((n,), UNKNOWN) if labels is None else labels
        if self.classes > self.spec.classes:
            labels = conditioning.named(labels, self.spec.classes)
        elif bool((labels == UNKNOWN).any()):
            raise InputError("without `label_dropout` this cvae needs the class of every image: give labels, or train with it")
        return conditioning.checked(labels, self.classes).to(self.device)

    def code(self, labels: Tensor) -> Tensor:
        """One-hot classes (n, classes), the last of them "unknown" where the model has it."""
        return conditioning.one_hot(labels, self.classes).to(next(self.parameters()).dtype)

    def prior(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log-variance of p(z|y), (n, latent) each."""
        if self.moments is None:
            zeros = next(self.parameters()).new_zeros(len(labels), self.config.latent)
            return zeros, zeros
        mu, logvar = self.moments[labels].chunk(2, dim=1)
        return mu, logvar.clamp(-30, 20)

    def posterior(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mu and log-variance of q(z|x, y), (n, latent) each; the log-variance is kept in [-30, 20]."""
        # Bits are read as 0 and 1, where an empty background is silent.
        x = (x + 1) / 2 if self.config.decoder == "bernoulli" else x
        mu, logvar = precision.widened(self.encoder(x, self.code(self.known(len(x), labels)))).chunk(2, dim=1)
        return mu, logvar.clamp(-30, 20)

    def log_prob_given(self, x: Tensor, z: Tensor, labels: Tensor) -> Tensor:
        """log p(x|z, y) in nats, of `target`s (n, c, h, w) and codes (k, n, latent): (k, n)."""
        inputs = torch.cat((z, self.code(labels).expand(*z.shape[:-1], -1)), dim=-1)
        out = self.decoder(inputs.flatten(0, -2)).view(*z.shape[:-1], self.spec.dim)
        return likelihood.decoder_log_prob(self.config.decoder, x.flatten(1), out, self.log_scale, self.spec.levels)

    def latents(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """(z, y) side by side, (n, latent + classes): y one-hot, unknown where the model knows that, else uniform; z ~ p(z|y)."""
        if self.config.label_dropout:
            labels = self.known(n, None)
        else:
            labels = conditioning.draw_labels(n, self.spec.classes, device=self.device, generator=generator)
        return self.latents_of(labels, generator=generator)

    def latents_of(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The same of given classes, one a label; the noise of a generator's state is the same whatever the labels."""
        return self.placed(normal(len(labels), self.config.latent, device=self.device, generator=generator), labels)

    def placed(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """(z, y) of noise (n, latent) ~ N(0, I): z = mu_p(y) + e^(v_p(y)/2) noise."""
        labels = self.known(len(noise), labels)
        return torch.cat((variational.reparameterise(*self.prior(labels), noise), self.code(labels)), dim=1)

    def free(self) -> int:
        """The numbers of z."""
        return self.config.latent

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(z, y) of `target`s (n, c, h, w): the mean of q(z|x, y) beside the class, (n, latent + classes)."""
        labels = self.known(len(x), labels)
        return torch.cat((self.posterior(x, labels)[0], self.code(labels)), dim=1)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """x_hat: the decoded posterior mean, given the class."""
        return self.decode(self.encode(x, labels))

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z, y), (n, c, h, w), of (z, y) side by side."""
        return likelihood.decoder_mean(self.config.decoder, self.decoder(z), self.spec)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """The mean of p(x|z, y), z and y drawn as in `latents`."""
        return self.decode(self.latents(n, generator=generator))

    def sample_class(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The mean of p(x|z, y), z ~ p(z|y) as in `latents_of`. Raises InputError for a label without class."""
        return self.decode(self.latents_of(conditioning.checked(labels, self.spec.classes).to(self.device), generator=generator))


def build(config: Config, spec: Spec, *, seed: int = 0) -> CVAE:
    """A conditional VAE for data of shape `spec`, its weights drawn from `seed`."""
    with seeded(seed_of("build", seed)):
        return CVAE(config, spec)
