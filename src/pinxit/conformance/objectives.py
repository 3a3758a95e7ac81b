"""Objectives: what the players of the two-player games minimise, by value and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinxit.conformance.probes import Fixed, Slope, data, loss_of, play, shortened
from pinxit.conformance.record import NOBODY, Measured, Mistake, Row, at_most, near
from pinxit.core.clock import Clock
from pinxit.core.game import AbstractGame, Batch, Loss
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.systems import acgan, gan, infogan, lsgan

ONE = Spec(1, 1, 1)
"""One number a sample: it is its own logit below."""
FLAT = Spec(1, 2, 3)
"""Small and not square."""


def scored(game: AbstractGame, fakes: Sequence[float]) -> AbstractGame:
    """`game` whose samples are the numbers `fakes`, and whose discriminator gives each sample as its own logit."""
    game.generator = Fixed(torch.tensor(fakes).view(-1, 1, 1, 1))
    game.discriminator = Slope(torch.ones(1, 1, 1))
    return game


def column(*values: float) -> Tensor:
    """Samples of one number."""
    return torch.tensor(values).view(-1, 1, 1, 1)


# Minimax and non-saturating

Losses = Callable[[Tensor], Tensor]


def _of_gan(objective: str) -> Losses:
    """The generator's loss of the system gan, as a function of the logits of its samples."""

    def loss(d: Tensor) -> Tensor:
        game = scored(gan.build(gan.PRESETS["tiny"].replace(objective=objective), ONE), [0.0])
        game.generator = Logits(d)
        return loss_of(game, "generator", torch.zeros(len(d), 1, 1, 1))

    return loss


class Logits(nn.Module):
    """A generator whose samples are given logits."""

    def __init__(self, d: Tensor) -> None:
        super().__init__()
        self.d = d

    def forward(self, z: Tensor) -> Tensor:
        """The samples (n, 1, 1, 1)."""
        return self.d.view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Generators:
    """The two losses of the generator, of logits."""

    non_saturating: Losses
    minimax: Losses


def measure_saturation(losses: Generators) -> Measured:
    """The gradients by one logit, in float32 as in training."""

    def slope(loss: Losses, at: float) -> float:
        d = torch.tensor([at], requires_grad=True)
        return torch.autograd.grad(loss(d), d)[0].item()

    return {
        "NS at -50": slope(losses.non_saturating, -50.0),
        "NS at -110": slope(losses.non_saturating, -110.0),
        "MM at -50": slope(losses.minimax, -50.0),
        "MM at 0": slope(losses.minimax, 0.0),
    }


NON_SATURATING = Row[Generators](
    number=15,
    name="saturation",
    property="at logit -50 the non-saturating gradient is -1 and the minimax gradient about 0",
    paper="Goodfellow et al. 2014, eq. 1 and section 3",
    equation="d sp(-d)/dd = -(1 - sigmoid(d)), d -sp(d)/dd = -sigmoid(d), in float32",
    right={"NS at -50": near(-1, 1e-6), "NS at -110": near(-1, 1e-6), "MM at -50": near(0, 1e-6), "MM at 0": near(-0.5, 1e-6)},
    measure=measure_saturation,
    ours=Generators(_of_gan("non-saturating"), _of_gan("minimax")),
    mistakes=(
        Mistake(
            "-log(sigmoid + 1e-8), and minimax with the labels of reals",
            "mimicry losses.py:15-33,77-89",
            Generators(
                lambda d: -(torch.sigmoid(d) + 1e-8).log().mean(),
                lambda d: F.binary_cross_entropy_with_logits(d, torch.ones_like(d)),
            ),
        ),
        Mistake(
            "sigmoid, then log",
            "GANLab ganlab_models.ts",
            Generators(lambda d: -torch.sigmoid(d).log().mean(), lambda d: (1 - torch.sigmoid(d)).log().mean()),
        ),
        Mistake(
            "the sign of the minimax loss turned",
            NOBODY,
            Generators(adversarial.non_saturating_generator_loss, lambda d: F.softplus(d).mean()),
        ),
    ),
)

# Least squares


def measure_least_squares(build: Callable[[lsgan.Config, Spec], lsgan.LSGAN]) -> Measured:
    """Both losses at scores outside [0, 1]; how far a round of the trainer moves a weight, in learning rates."""
    config = lsgan.PRESETS["tiny"]
    game = scored(build(config, ONE), [-2.0])
    measured = {
        "L_D": loss_of(game, "discriminator", column(3.0)).item(),
        "L_G": loss_of(game, "generator", column(3.0)).item(),
    }
    trained = shortened(build(config, FLAT), 1)
    weights = trained.players()["discriminator"].parameters()
    before = [p.detach().clone() for p in weights]
    play(trained, data(FLAT))
    moved = max((p - q).detach().abs().max().item() for p, q in zip(weights, before, strict=True))
    return {**measured, "largest step": moved / config.lr}


class Squashed(lsgan.LSGAN):
    """Scores go through a sigmoid before they are compared with 0 and 1."""

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """Mean squares of probabilities."""
        with torch.no_grad():
            x_fake = self.sample(len(batch))
        d_real, d_fake = (torch.sigmoid(self.discriminator(x)) for x in (batch.images, x_fake))
        return Loss(adversarial.least_squares_discriminator_loss(d_real, d_fake))

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """Mean squares of probabilities."""
        return Loss(adversarial.least_squares_generator_loss(torch.sigmoid(self.discriminator(self.sample(len(batch))))))


class Clipped(lsgan.LSGAN):
    """Weights are clipped as in WGAN."""

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """The loss of weights in [-0.01, 0.01]."""
        with torch.no_grad():
            for w in self.discriminator.parameters():
                w.clamp_(-0.01, 0.01)
        return super().discriminator_loss(batch, clock)


LEAST_SQUARES = Row[Callable[[lsgan.Config, Spec], lsgan.LSGAN]](
    number=16,
    name="lsgan",
    property="LSGAN's scores are raw and its weights unclipped",
    paper="Mao et al. 2017, eq. 2 and 9",
    equation="d = 3, d~ = -2: L_D = 1/2 2^2 + 1/2 2^2 = 4, L_G = 1/2 3^2 = 4.5; |w' - w| <= lr, Adam's first step",
    right={"L_D": near(4, 1e-5), "L_G": near(4.5, 1e-5), "largest step": at_most(1.01)},
    measure=measure_least_squares,
    ours=lsgan.LSGAN,
    mistakes=(
        Mistake("a sigmoid before the squares", "GAN-zoo base_loss_criterions.py:46-51", Squashed),
        Mistake("weights clipped to 0.01", "hwalsuk LSGAN.py:125,178", Clipped),
    ),
)

# Cross-entropies

CLASSES = 10


class Outputs(nn.Module):
    """A discriminator whose outputs are its samples; it takes them apart as `Heads` does."""

    def __init__(self, sizes: tuple[int, int]) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of both heads side by side."""
        return x.flatten(1)

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """The first output, and the others."""
        first, others = outputs.split(self.sizes, dim=1)
        return first.squeeze(1), others


class Echo(nn.Module):
    """A generator whose samples say their code: a logit of 0, and for each category 30 where it is the code's, else 0."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.logit = nn.Parameter(torch.tensor(30.0))

    def forward(self, z: Tensor) -> Tensor:
        """The samples (n, 1 + K, 1, 1)."""
        k = z[:, self.latent : self.latent + CLASSES]
        return torch.cat((torch.zeros(len(z), 1), self.logit * k), dim=1)[:, :, None, None]


@dataclass(frozen=True)
class Judged:
    """L_D of the auxiliary classifier GAN, of logits (d, d~, c, c~, y), and the information of samples that say their code."""

    discriminator: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
    information: Callable[[], Tensor]


def _of_acgan(d_real: Tensor, d_fake: Tensor, c_real: Tensor, c_fake: Tensor, y: Tensor) -> Tensor:
    """L_D of the system acgan."""
    game = acgan.build(acgan.PRESETS["tiny"], Spec(1 + CLASSES, 1, 1, classes=CLASSES))
    game.add_module("discriminator", Outputs((1, CLASSES)))
    x, x_fake = (torch.cat((d[:, None], c), dim=1)[:, :, None, None] for d, c in ((d_real, c_real), (d_fake, c_fake)))
    game.generator = Fixed(x_fake)
    return loss_of(game, "discriminator", x, y)


def _of_infogan() -> Tensor:
    """L_I of the system infogan, in nats."""
    config = infogan.PRESETS["tiny"].replace(categories=CLASSES, continuous=0, learn_scale=False)
    game = infogan.build(config, Spec(1 + CLASSES, 1, 1))
    game.add_module("discriminator", Outputs((1, CLASSES)))
    game.generator = Echo(config.latent)
    loss = game.generator_loss(Batch(torch.zeros(20, 1 + CLASSES, 1, 1)), Clock())
    return loss.stats["L_I"]


def measure_cross_entropies(judged: Judged) -> Measured:
    """L_D where D is sure, in the right and in the wrong, and where its class head is undecided."""
    y = torch.arange(CLASSES)
    right, wrong = 30 * F.one_hot(y).float(), 30 * F.one_hot((y + 1) % CLASSES).float()
    sure = torch.full((CLASSES,), 30.0)
    return {
        "right": judged.discriminator(sure, -sure, right, right, y).item(),
        "class undecided": judged.discriminator(sure, -sure, 0 * right, 0 * right, y).item(),
        "class wrong": judged.discriminator(sure, -sure, wrong, wrong, y).item(),
        "source wrong": judged.discriminator(-sure, sure, right, right, y).item(),
        "information": judged.information().item(),
    }


def _softmaxed(d_real: Tensor, d_fake: Tensor, c_real: Tensor, c_fake: Tensor, y: Tensor) -> Tensor:
    """A softmax, then the cross-entropy that takes logits."""
    of_class = sum(F.cross_entropy(c.softmax(dim=1), y) for c in (c_real, c_fake))
    return adversarial.discriminator_loss(d_real, d_fake) + of_class


def _sigmoided(d_real: Tensor, d_fake: Tensor, c_real: Tensor, c_fake: Tensor, y: Tensor) -> Tensor:
    """A sigmoid, then the cross-entropy of probabilities, which in float32 ends at a hundred."""
    real, fake = (torch.sigmoid(d) for d in (d_real, d_fake))
    source = F.binary_cross_entropy(real, torch.ones_like(real)) + F.binary_cross_entropy(fake, torch.zeros_like(fake))
    return source + F.cross_entropy(c_real, y) + F.cross_entropy(c_fake, y)


def _halved(d_real: Tensor, d_fake: Tensor, c_real: Tensor, c_fake: Tensor, y: Tensor) -> Tensor:
    """The class term of real samples alone."""
    return adversarial.discriminator_loss(d_real, d_fake) + F.cross_entropy(c_real, y)


def _softmaxed_information() -> Tensor:
    """log K - CE of a softmax of the sure logits."""
    y = torch.arange(CLASSES)
    return math.log(CLASSES) - F.cross_entropy((30 * F.one_hot(y).float()).softmax(dim=1), y)


CROSS_ENTROPIES = Row[Judged](
    number=17,
    name="logits",
    property="cross-entropies, of two classes and of many, are fed with logits",
    paper="Odena et al. 2017, eq. 2 and 3; Chen et al. 2016, eq. 5",
    equation="logits of +-30 in float32: L_D = 0; with c = 0, 2 log 10; with c wrong, 2 * 30; with d wrong, 60; L_I = log 10",
    right={
        "right": near(0, 1e-6),
        "class undecided": near(2 * math.log(CLASSES), 1e-5),
        "class wrong": near(60, 1e-4),
        "source wrong": near(60, 1e-4),
        "information": near(math.log(CLASSES), 1e-5),
    },
    measure=measure_cross_entropies,
    ours=Judged(_of_acgan, _of_infogan),
    mistakes=(
        Mistake(
            "a softmax before the cross-entropy",
            "PTGAN acgan.py:100,113, infogan.py:111,126",
            Judged(_softmaxed, _softmaxed_information),
        ),
        Mistake("a sigmoid before the cross-entropy", "PTGAN acgan.py", Judged(_sigmoided, _of_infogan)),
        Mistake("the class term of generated samples left out", NOBODY, Judged(_halved, _of_infogan)),
    ),
)

ROWS = (NON_SATURATING, LEAST_SQUARES, CROSS_ENTROPIES)
