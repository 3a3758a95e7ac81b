"""Discriminators that reconstruct: the energy of EBGAN and the control of BEGAN."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinxit.conformance.probes import Fixed, folder, loss_of, noise
from pinxit.conformance.record import NOBODY, Measured, Mistake, Row, at_most, near
from pinxit.core import checkpoint
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss, Stats
from pinxit.core.spec import Spec
from pinxit.losses.adversarial import energy
from pinxit.systems import began, ebgan

FLAT = Spec(1, 2, 3)
"""Small and not square."""

# Energy-based GAN


def measure_energy(build: Callable[[ebgan.Config, Spec], ebgan.EBGAN]) -> Measured:
    """The generator's gradient against central differences; the hinge on energies far above and far below the margin."""
    config = ebgan.PRESETS["tiny"].replace(activation="tanh", pulling_away=0.0, margin=10.0)
    game, x = build(config, FLAT).double(), noise(4, *FLAT.shape)
    game.generator = Fixed(x)
    (gradient,) = torch.autograd.grad(loss_of(game, "generator", x), game.generator.x)

    @torch.no_grad()
    def of(points: Tensor) -> float:
        return (game.discriminator(points) - points).flatten(1).norm(dim=1).mean().item()

    h, steps = 1e-5, torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)
    expected = torch.tensor([(of(x + h * s) - of(x - h * s)) / (2 * h) for s in steps], dtype=x.dtype).view_as(x)
    hinged = build(config, FLAT)
    hinged.add_module("discriminator", Silent())
    # Energies 0 and 20 around the margin 10; reals of energy 0.
    hinged.generator = Fixed(torch.stack((torch.zeros(FLAT.shape), torch.full(FLAT.shape, 20 / math.sqrt(6)))))
    loss = loss_of(hinged, "discriminator", torch.zeros(2, *FLAT.shape))
    return {"gradient's error": ((gradient - expected).norm() / expected.norm()).item(), "hinge": loss.item()}


class Silent(nn.Module):
    """An auto-encoder that reconstructs nothing: the energy is the sample's norm."""

    def encode(self, x: Tensor) -> Tensor:
        """The sample itself."""
        return x.flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Zeros."""
        return torch.zeros(len(codes), *FLAT.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Zeros."""
        return torch.zeros_like(x)


class Detached(ebgan.EBGAN):
    """The target of the reconstruction is a constant for the generator; the hinge is one for the batch."""

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """The energy of a reconstruction against a detached target."""
        x_fake = self.sample(len(batch))
        return Loss(energy(x_fake.detach(), self.discriminator(x_fake)).mean())

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """The margin against the mean energy."""
        x_fake = self.sample(len(batch)).detach()
        e_real, e_fake = (energy(x, self.discriminator(x)).mean() for x in (batch.images, x_fake))
        return Loss(e_real + F.relu(self.margin - e_fake))


EBGAN = Row[Callable[[ebgan.Config, Spec], ebgan.EBGAN]](
    number=13,
    name="ebgan",
    property="EBGAN's generator gradient goes through reconstruction and target; the hinge is per sample",
    paper="Zhao et al. 2017, eq. 1, 2 and 13",
    equation="dL_G/dx~ = d|Dec(Enc(x~)) - x~|/dx~ by differences; e~ = (0, 2m), e = 0: E max(0, m - e~) = m/2 = 5",
    right={"gradient's error": at_most(1e-6), "hinge": near(5, 1e-4)},
    measure=measure_energy,
    ours=ebgan.EBGAN,
    mistakes=(
        Mistake(
            "target detached for the generator, hinge on the batch's mean",
            "PTGAN ebgan.py:179,198-199, znxlwm EBGAN.py",
            Detached,
        ),
    ),
)

# Boundary equilibrium GAN


def measure_control(build: Callable[[began.Config, Spec], began.BEGAN]) -> Measured:
    """k after losses that drive it to both bounds, against the recursion in plain numbers; k in a checkpoint."""
    game = build(began.PRESETS["tiny"].replace(gamma=0.5, lambda_k=0.5), FLAT)
    after = {turn.player: turn.after for turn in game.stages()[-1].turns}
    expected, low, high, error = 0.0, 0.0, 0.0, 0.0
    for real, fake in [(1.0, 0.1)] * 8 + [(0.1, 1.0)] * 4 + [(1.0, 0.1)] * 2 + [(0.2, 0.3)]:
        # The discriminator's own fakes are others than the generator's.
        seen = {"discriminator": {"real": real, "fake": 7 * fake, "k": 0.0}, "generator": {"fake": fake, "convergence": 0.0}}
        for player, stats in seen.items():
            tell = after[player]
            if tell is not None:
                tell({name: torch.tensor(value) for name, value in stats.items()})
        expected = min(max(expected + 0.5 * (0.5 * real - fake), 0.0), 1.0)
        k = float(game.k)
        low, high, error = min(low, k), max(high, k), max(error, abs(k - expected))
    other = build(began.PRESETS["tiny"], FLAT)
    with folder() as place:
        path = checkpoint.save(place, Clock(), game, game, {})
        checkpoint.load(path, other, other)
    return {"least k": low, "greatest k": high, "error": error, "lost by a checkpoint": abs(float(other.k) - float(game.k))}


class Unclipped(began.BEGAN):
    """k goes where it likes."""

    @torch.no_grad()
    def control(self, stats: Stats) -> None:
        """The update without its clip."""
        self.k.add_(self.config.lambda_k * (self.config.gamma * self.real - stats["fake"]))


class Forgetful(began.BEGAN):
    """k is not part of the state."""

    def __init__(self, config: began.Config, spec: Spec) -> None:
        super().__init__(config, spec)
        del self.k
        self.register_buffer("k", torch.zeros(()), persistent=False)


BEGAN = Row[Callable[[began.Config, Spec], began.BEGAN]](
    number=14,
    name="began-k",
    property="BEGAN's k stays in [0, 1], follows the update exactly and survives a checkpoint",
    paper="Berthelot et al. 2017, section 3.4",
    equation="k <- clip(k + lambda_k (gamma l(x) - l(G(z'))), 0, 1), k_0 = 0",
    right={"least k": near(0), "greatest k": near(1), "error": at_most(1e-6), "lost by a checkpoint": near(0)},
    measure=measure_control,
    ours=began.BEGAN,
    mistakes=(
        Mistake("k is never clipped", "compare_gan BEGAN.py:130", Unclipped),
        Mistake("k is no part of the state", NOBODY, Forgetful),
    ),
)

ROWS = (EBGAN, BEGAN)
