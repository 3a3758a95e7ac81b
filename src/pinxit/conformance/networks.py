"""Layers and networks: normalisation, spectral norms, the independence of samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pinxit.conformance.probes import GREY, batch, folder, loss_of, noise, opponents, variants
from pinxit.conformance.record import NOBODY, Measured, Mistake, Row, at_most, near
from pinxit.core import checkpoint
from pinxit.core.clock import Clock
from pinxit.core.game import AbstractGame
from pinxit.core.spec import Spec
from pinxit.nn.norms import BATCH
from pinxit.nn.spectral import matrix, spectral_norm
from pinxit.systems import sngan

Networks = Callable[[], Iterable[tuple[str, nn.Module]]]
"""Makes networks, each with the name of where it comes from."""


def measure_eps(networks: Networks) -> Measured:
    """The largest eps of a batch normalisation."""
    found = [layer.eps for _, network in networks() for layer in network.modules() if isinstance(layer, BATCH)]
    return {"largest eps": max(found), "layers": float(len(found))}


def misread_momentum() -> Iterator[tuple[str, nn.Module]]:
    """0.8, which a Keras original meant as the momentum, is the second argument: eps."""
    yield "generator", nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16, 0.8), nn.LeakyReLU(0.2), nn.Linear(16, 4))


EPS = Row[Networks](
    number=1,
    name="bn-eps",
    property="the eps of batch normalisation is below 1e-3 everywhere",
    paper="Ioffe & Szegedy 2015, algorithm 1",
    equation="x_hat = (x - mu) / sqrt(var + eps), over every network of every system",
    right={"largest eps": at_most(0.000999)},
    measure=measure_eps,
    ours=variants,
    mistakes=(Mistake("BatchNorm2d(n, 0.8): eps for momentum", "PTGAN gan.py:45 and 21 other systems", misread_momentum),),
)

# The independence of samples

Critics = Callable[[], Iterable[tuple[str, nn.Module, Spec]]]
"""Makes critics whose gradient by their samples is penalised, each with the shape of its samples."""


def penalised() -> Iterator[tuple[str, nn.Module, Spec]]:
    """The networks of every system through which a gradient by the samples is taken while the discriminator's loss is computed.

    They are found by watching what enters them: a leaf that requires a gradient.
    """
    for name, game in variants():
        for player in opponents(game):
            for network in game.players()[player].modules:
                if _is_penalised(game, player, network):
                    yield name, network, game.spec


def _is_penalised(game: AbstractGame, player: str, network: nn.Module) -> bool:
    seen: list[bool] = []

    def look(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0].is_leaf and arguments[0].requires_grad)

    handle = network.register_forward_pre_hook(look)
    real = batch(game.spec)
    loss_of(game.train(), player, real.images, real.labels)
    handle.remove()
    return any(seen)


def measure_independence(critics: Critics) -> Measured:
    """The most that the score of one sample changes with the others of its batch, in training mode."""
    most, count = 0.0, 0
    for _, network, spec in critics():
        x = noise(6, *spec.shape, dtype=torch.float32)
        other, seed = x.clone(), torch.get_rng_state()
        other[1:] = noise(5, *spec.shape, dtype=torch.float32)
        scores = []
        for images in (x, other):
            torch.set_rng_state(seed)  # the same dropout
            # A copy: spectral norms move with every pass.
            scores.append(copy.deepcopy(network).train()(images).detach().flatten()[0])
        most, count = max(most, float((scores[0] - scores[1]).abs())), count + 1
    return {"change of d(x1)": most if count else float("nan"), "critics": float(count)}


def normed() -> Iterator[tuple[str, nn.Module, Spec]]:
    """A critic with batch norm in its hidden layers, as in DCGAN."""
    layers = (nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.LeakyReLU(0.2))
    yield "critic", nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 1)), GREY


INDEPENDENCE = Row[Critics](
    number=5,
    name="gp-critics",
    property="in every critic with a gradient penalty the output for x1 is independent of x2",
    paper="Gulrajani et al. 2017, section 4",
    equation="d(x1, x2, ...)_1 = d(x1, x2', ...)_1 in training mode: no batch statistics",
    right={"change of d(x1)": at_most(1e-6)},
    measure=measure_independence,
    ours=penalised,
    mistakes=(
        Mistake(
            "batch norm in the critic",
            "hwalsuk WGAN_GP.py:58, znxlwm WGAN_GP.py:54, StudioGAN models/resnet.py:181, PTGAN dualgan models.py:110",
            normed,
        ),
    ),
)

# Spectral normalisation

Normalise = Callable[[nn.Module], None]
"""Puts spectral normalisation on the layers of a network, in place."""


def measure_spectral(normalise: Normalise) -> Measured:
    """Norms by SVD, the gradient by its formula, u and v in eval mode and in a checkpoint."""
    layers = (nn.Linear(7, 5), nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1))
    settled = [matrix(_settled(normalise, layer, 500)).detach() for layer in layers]
    layer = _settled(normalise, nn.Linear(6, 4), 1)
    before = [state.clone() for state in _vectors(layer)]
    for _ in range(3):
        layer(torch.zeros(1, 6, dtype=torch.float64))
    moved = max(float((a - b).abs().max()) for a, b in zip(before, _vectors(layer), strict=True))
    return {
        "off by": max(abs(float(torch.linalg.matrix_norm(rows, 2)) - 1) for rows in settled),
        "gradient": _gradient_error(normalise),
        "moved in eval": moved,
        "lost by a checkpoint": _lost(normalise),
    }


def _settled(normalise: Normalise, layer: nn.Module, steps: int) -> nn.Module:
    """The layer in eval mode, after `steps` of the power iteration."""
    layer = layer.double()
    # Other values than those of the initialisation, which the iteration has seen already.
    nn.init.normal_(layer.get_parameter("weight"))
    network = nn.Sequential(layer)
    normalise(network)
    for _ in range(steps):
        matrix(layer.train())
    return layer.eval()


def _vectors(layer: nn.Module) -> list[Tensor]:
    """u and v."""
    return [layer.get_buffer(f"parametrizations.weight.0.{name}") for name in ("_u", "_v")]


def _gradient_error(normalise: Normalise) -> float:
    """Against (G - <G, W_bar> u v^T) / sigma with the u and v of this step, far from settled: singular values 1, .99, .98."""
    u, v = (torch.linalg.qr(noise(n, 3))[0] for n in (5, 6))
    layer = nn.Linear(6, 5, bias=False).double()
    original = u @ torch.diag(torch.tensor([1.0, 0.99, 0.98], dtype=torch.float64)) @ v.T
    layer.weight = nn.Parameter(original.clone())
    normalise(nn.Sequential(layer))
    weight = layer.train().weight
    assert isinstance(weight, Tensor)
    x = noise(7, 6)
    (of_original,) = torch.autograd.grad(F.linear(x, weight).sin().sum(), layer.get_parameter("parametrizations.weight.original"))
    u, v = _vectors(layer)
    sigma = u @ original @ v
    w_bar = (original / sigma).requires_grad_()
    (g,) = torch.autograd.grad(F.linear(x, w_bar).sin().sum(), w_bar)
    expected = (g - (g * w_bar).sum() * torch.outer(u, v)) / sigma
    return float(((of_original - expected).norm() / expected.norm()).detach())


def _lost(normalise: Normalise) -> float:
    """How far the u and v of a restored layer are from the saved ones."""
    layers = []
    for _ in range(2):
        layer = nn.Linear(6, 4)
        normalise(nn.Sequential(layer))
        matrix(layer.train())
        layers.append(layer)
    with folder() as place:
        path = checkpoint.save(place, Clock(), layers[0], layers[0], {})
        checkpoint.load(path, layers[1], layers[1])
    return max(float((a - b).abs().max()) for a, b in zip(_vectors(layers[0]), _vectors(layers[1]), strict=True))


class Restless(nn.Module):
    """Spectral normalisation that iterates whenever it is asked, eval mode or not, and takes axis 0 for the outputs.

    Args:
        weight: of the layer.
        differentiate: back-propagate through the iteration too.
        persistent: keep u and v in checkpoints.
    """

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, *, differentiate: bool = False, persistent: bool = True) -> None:
        super().__init__()
        rows = weight.flatten(1)
        self.differentiate = differentiate
        for name, size in zip(("_u", "_v"), rows.shape, strict=True):
            self.register_buffer(name, F.normalize(torch.randn(size, dtype=rows.dtype), dim=0), persistent=persistent)

    def forward(self, weight: Tensor) -> Tensor:
        """W / sigma(W)."""
        rows = weight.flatten(1)
        with torch.set_grad_enabled(self.differentiate):
            v = F.normalize(rows.T @ self._u, dim=0)
            u = F.normalize(rows @ v, dim=0)
        self._u, self._v = u.detach(), v.detach()
        return weight / (u @ rows @ v)


def _restless(differentiate: bool, persistent: bool) -> Normalise:
    def normalise(network: nn.Module) -> None:
        for layer in list(network.modules()):
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                vectors = Restless(layer.weight.detach(), differentiate=differentiate, persistent=persistent)
                parametrize.register_parametrization(layer, "weight", vectors)

    return normalise


SPECTRAL = Row[Normalise](
    number=10,
    name="spectral-norm",
    property="spectral norms are 1 by SVD, their gradient is the formula's, u rests in eval mode and is restored",
    paper="Miyato et al. 2018, eq. 8 and 12, algorithm 1",
    equation="sigma(W_bar) = 1; dL/dW = (G - <G, W_bar> u v^T) / sigma, G = dL/dW_bar; u, v buffers",
    right={
        "off by": at_most(1e-6),
        "gradient": at_most(1e-9),
        "moved in eval": near(0),
        "lost by a checkpoint": near(0),
    },
    measure=measure_spectral,
    ours=spectral_norm,
    mistakes=(
        Mistake("iterates in eval mode too, axis 0 for the outputs", "torchgan spectralnorm.py:65-82", _restless(False, True)),
        Mistake("the iteration differentiated, u not saved", NOBODY, _restless(True, False)),
    ),
)

# Spectral-norm regularisation

Regularised = Callable[[float], sngan.SNGAN]
"""Makes the game whose discriminator is regularised with a weight lambda."""

LAMBDA = 0.3


def our_regularised(weight: float) -> sngan.SNGAN:
    """The system sngan on spectral-norm regularisation."""
    config = sngan.PRESETS["tiny"].replace(backbone="dcgan", width=4, normalisation="none", regularise=weight)
    return sngan.build(config, GREY)


def measure_regulariser(regularised: Regularised) -> Measured:
    """What the regulariser adds to the gradient of every weight of the discriminator, against the SVD."""
    games, real = (regularised(LAMBDA), regularised(0.0)), batch(GREY).images
    gradients, state = [], torch.get_rng_state()
    regulariser = games[0].regulariser
    assert regulariser is not None
    for _ in range(300):
        regulariser()  # settles the power iteration
    layers = [layer for layer in games[0].discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for game in games:
        torch.set_rng_state(state)
        weights = [p for p in game.discriminator.parameters() if p.dim() > 1]
        gradients.append(torch.autograd.grad(loss_of(game, "discriminator", real), weights))
    errors = []
    for layer, with_it, without in zip(layers, *gradients, strict=True):
        u, sigma, vh = torch.linalg.svd(layer.weight.detach().flatten(1).double())
        expected = LAMBDA * sigma[0] * torch.outer(u[:, 0], vh[0])
        errors.append(float(((with_it - without).flatten(1) - expected).norm() / expected.norm()))
    return {"relative error": max(errors)}


class Decay(nn.Module):
    """Half the squared Frobenius norms, in the place of the spectral ones."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.layers = tuple(layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear))

    def forward(self) -> Tensor:
        """The penalty."""
        return 0.5 * torch.stack([layer.weight.square().sum() for layer in self.layers]).sum()


class Unsquared(Decay):
    """The sum of the spectral norms, not of their squares."""

    def forward(self) -> Tensor:
        """The penalty."""
        return torch.stack([torch.linalg.matrix_norm(layer.weight.flatten(1), 2) for layer in self.layers]).sum()


def _instead(kind: type[Decay]) -> Regularised:
    def regularised(weight: float) -> sngan.SNGAN:
        game = our_regularised(weight)
        if weight:
            object.__setattr__(game, "regulariser", kind(game.discriminator))
        return game

    return regularised


REGULARISER = Row[Regularised](
    number=11,
    name="spectral-regulariser",
    property="the gradient of the spectral-norm regulariser is lambda sigma_1 u_1 v_1^T",
    paper="Yoshida & Miyato 2017, eq. 4 and algorithm 1",
    equation="d/dW lambda/2 sigma(W)^2 = lambda sigma_1 u_1 v_1^T, against the SVD, in every layer",
    right={"relative error": at_most(1e-4)},
    measure=measure_regulariser,
    ours=our_regularised,
    mistakes=(
        Mistake("weight decay under the name", NOBODY, _instead(Decay)),
        Mistake("sigma not squared", NOBODY, _instead(Unsquared)),
    ),
)

ROWS = (EPS, INDEPENDENCE, SPECTRAL, REGULARISER)
