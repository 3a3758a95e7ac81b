"""How a class enters a network: beside the code of a generator, and in four ways into a discriminator.

plane         a learned plane of the sample's height and width, appended as a channel: any backbone, its first layer mixes them
joint         a layer of the class meets the sample's features in a hidden layer (Mirza & Osindero 2014, section 4.1)
projection    l(phi(x)) + e_y . phi(x), phi the trunk, e_y a learned vector a class (Miyato & Koyama 2018, equation 3)
heads         the class leaves the network instead of entering it: several heads on one trunk (Odena et al. 2017)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pinxit.core.errors import InputError
from pinxit.core.gan_config import GANConfig
from pinxit.core.labels import UNKNOWN
from pinxit.core.spec import Spec
from pinxit.nn import backbones
from pinxit.nn.activations import LeakyReLU
from pinxit.nn.mlp import Maxout
from pinxit.nn.norms import has_batch_statistics, norm

Pair = tuple[Tensor, Tensor]


def checked(labels: Int[Tensor, " n"], classes: int) -> Int[Tensor, " n"]:
    """`labels`, or InputError where one is no class."""
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        wrong = next(label for label in labels.tolist() if not 0 <= label < classes)
        raise InputError(f"there is no class {wrong}: the classes of this model are 0 to {classes - 1}")
    return labels


def one_hot(labels: Int[Tensor, " n"], classes: int) -> Float[Tensor, "n k"]:
    """Rows of the identity, float32."""
    return F.one_hot(labels, classes).float()


def draw_labels(n: int, classes: int, *, device: torch.device, generator: torch.Generator | None = None) -> Int[Tensor, " n"]:
    """Uniform classes in [0, classes), drawn where the generator lives (on `device` without one) and moved to `device`."""
    place = device if generator is None else generator.device
    return torch.randint(classes, (n,), device=place, generator=generator).to(device)


def mismatched(labels: Int[Tensor, " n"], classes: int) -> Int[Tensor, " n"]:
    """Labels of which none is the sample's own: (y + s) mod K, s uniform over 1..K-1, K >= 2.

    A permutation of the batch, the usual way, leaves about one label in K where it belongs.
    """
    return (labels + torch.randint(1, classes, labels.shape, device=labels.device)) % classes


def named(labels: Int[Tensor, " n"], unknown: int) -> Int[Tensor, " n"]:
    """`labels`, those that are not known replaced by the class `unknown`."""
    return labels.masked_fill(labels == UNKNOWN, unknown)


def drop_labels(labels: Int[Tensor, " n"], share: float, unknown: int) -> Int[Tensor, " n"]:
    """Each label replaced by the class `unknown` with probability `share`, and where it is not known."""
    labels = named(labels, unknown)
    return torch.where(torch.rand(labels.shape, device=labels.device) < share, unknown, labels) if share else labels


class ConditionedGenerator(nn.Module):
    """Codes (z, c), side by side in one tensor (n, latent + classes), to samples; c is one-hot, or between classes.

        x = G(z, E c)    or, with a layer for each,    x = G(relu(A z + a), relu(E c + e))

    Args:
        config: the networks.
        spec: of the data.
        classes: rows of the embedding E.
        units: of the layers that z and c pass before they meet; where the first is 0, z enters as it is, E c without ReLU.
        normalisation: of convolutional backbones.
    """

    def __init__(
        self, config: GANConfig, spec: Spec, classes: int, units: tuple[int, int], *, normalisation: str = "batch"
    ) -> None:
        super().__init__()
        z_units, c_units = units
        self.sizes = (config.latent, classes)
        self.code: nn.Module = nn.Sequential(nn.Linear(config.latent, z_units), nn.ReLU()) if z_units else nn.Identity()
        self.embedding = nn.Linear(classes, c_units, bias=bool(z_units))
        if not z_units:
            # Vectors of length 1. At the length of z their many weights, which Adam moves all alike, soon say so much that batch
            # norm leaves nothing of z: the samples of a class are then all one.
            nn.init.normal_(self.embedding.weight, 0.0, c_units**-0.5)
        inputs = (z_units or config.latent) + c_units
        self.network = backbones.generator(config, spec, inputs=inputs, normalisation=normalisation)
        self.active = bool(z_units)

    def forward(self, code: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The samples of codes."""
        z, c = code.split(self.sizes, dim=1)
        embedded = self.embedding(c)
        return self.network(torch.cat((self.code(z), embedded.relu() if self.active else embedded), dim=1))


def planes(spec: Spec, classes: int) -> int:
    """Channels that give a class a code of at least `classes` numbers: 1 for images, several for points."""
    return math.ceil(classes / (spec.height * spec.width))


class PlaneScore(nn.Module):
    """d(x, y): a learned plane a class is appended to the sample as a channel.

    Args:
        trunk: takes samples with `planes(spec, classes)` channels more.
        config: of the backbone.
        spec: of the data.
        classes: that a sample can be paired with.
    """

    def __init__(self, trunk: nn.Module, config: GANConfig, spec: Spec, classes: int) -> None:
        super().__init__()
        self.score = backbones.Score(trunk, config)
        self.shape = (planes(spec, classes), spec.height, spec.width)
        self.embedding = nn.Embedding(classes, math.prod(self.shape))
        backbones.finished(self, config, normalise=True)

    def forward(self, x: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The logits of pairs."""
        return self.score(torch.cat((x, self.embedding(labels).view(-1, *self.shape)), dim=1))


class ProjectionScore(nn.Module):
    """d(x, y) = l(phi(x)) + e_y . phi(x); arguments as of `PlaneScore`, the trunk takes the samples alone."""

    def __init__(self, trunk: nn.Module, config: GANConfig, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = backbones.head(trunk, 1, config)
        # As the backbone's head is initialised, not N(0, 1): the product with thousands of features would drown l.
        start = backbones.head(trunk, classes, config).weight.detach()
        self.embedding = nn.Embedding.from_pretrained(start, freeze=False)
        backbones.finished(self, config, normalise=True)

    def forward(self, x: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The logits of pairs."""
        features = self.trunk(x)
        return self.head(features).squeeze(1) + (self.embedding(labels) * features).sum(dim=1)


class JointScore(nn.Module):
    """d(x, y): the trunk's features and a layer of the class meet in a hidden layer.

    Args:
        trunk: takes the samples alone.
        config: of the backbone.
        classes: that a sample can be paired with.
        units: of the class's layer and of the one where both meet.
        pieces: linear maps a maxout unit of the class's layer, one fewer where both meet; 0 for LeakyReLU.
        dropout: share of both layers' units that is dropped.
    """

    def __init__(
        self, trunk: nn.Module, config: GANConfig, classes: int, units: tuple[int, int], *, pieces: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.trunk, self.classes = trunk, classes
        features = trunk.features
        assert isinstance(features, int)
        self.of_class = _hidden(classes, units[0], pieces, dropout)
        self.joint = _hidden(features + units[0], units[1], max(pieces - 1, 1) if pieces else 0, dropout)
        self.head = nn.Linear(units[1], 1)
        backbones.finished(self, config, normalise=True)

    def forward(self, x: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The logits of pairs."""
        of_class = self.of_class(one_hot(labels, self.classes).to(x.dtype))
        return self.head(self.joint(torch.cat((self.trunk(x), of_class), dim=1))).squeeze(1)


def judged(network: nn.Module, *pairs: Pair) -> tuple[Tensor, ...]:
    """d(x, y) of several batches of pairs: one pass, but one a batch where the network has batch statistics."""
    if has_batch_statistics(network):
        return tuple(network(x, y) for x, y in pairs)
    x, y = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return network(x, y).split([len(part) for part, _ in pairs])


class Layer(nn.Sequential):
    """Features (n, f) to (n, units): linear, normalised as the discriminator is, LeakyReLU(0.2)."""

    def __init__(self, features: int, units: int, config: GANConfig) -> None:
        linear = nn.Linear(features, units)
        if config.backbone == "dcgan":
            nn.init.normal_(linear.weight, 0.0, 0.02)
            nn.init.zeros_(linear.bias)
        super().__init__(linear, *norm(config.normalisation, units, flat=True), LeakyReLU())
        self.features = units


class Deepened(nn.Sequential):
    """A trunk with one dense layer more."""

    def __init__(self, trunk: nn.Module, units: int, config: GANConfig) -> None:
        features = trunk.features
        assert isinstance(features, int)
        super().__init__(trunk, Layer(features, units, config))
        self.features = units


class Heads(nn.Module):
    """A trunk with several heads that share nothing else: samples to their outputs side by side, (n, sum of sizes).

    Args:
        trunk: with the attribute `features`.
        sizes: outputs of each head.
        config: of the backbone.
        hidden: units of a hidden layer of each head; 0 for a linear head. By default all are linear.
        dropout: share of the features that is dropped.
    """

    def __init__(
        self, trunk: nn.Module, sizes: Sequence[int], config: GANConfig, *, hidden: Sequence[int] = (), dropout: float = 0.0
    ) -> None:
        super().__init__()
        features = trunk.features
        assert isinstance(features, int)
        self.trunk, self.sizes = trunk, tuple(sizes)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList()
        for size, units in zip(sizes, hidden or (0,) * len(sizes), strict=True):
            if units:
                layer = Layer(features, units, config)
                self.heads.append(nn.Sequential(layer, backbones.head(layer, size, config)))
            else:
                self.heads.append(backbones.head(trunk, size, config))
        backbones.finished(self, config, normalise=True)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n s"]:
        """The outputs of all heads; `split` takes them apart."""
        features = self.dropout(self.trunk(x))
        return torch.cat([head(features) for head in self.heads], dim=1)

    def split(self, outputs: Float[Tensor, "n s"]) -> tuple[Tensor, ...]:
        """The outputs of each head, (n, size); those of a head with one output (n,)."""
        parts = outputs.split(self.sizes, dim=1)
        return tuple(part.squeeze(1) if size == 1 else part for part, size in zip(parts, self.sizes, strict=True))


def _hidden(d_in: int, d_out: int, pieces: int, dropout: float) -> nn.Sequential:
    layers = [Maxout(d_in, d_out, pieces)] if pieces else [nn.Linear(d_in, d_out), LeakyReLU()]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))
