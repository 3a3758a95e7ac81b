"""Directions of a latent space that change one thing: the difference of mean codes with and without it (Larsen et al. 2016).

A model that is told the class encodes what an image has besides. Of its codes is taken what they are beyond the prior's mean of
their class, z - mu_p(y): there a class should be told from no other, and a direction of another attribute changes no class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pinxit.core import bits
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame
from pinxit.core.labels import UNKNOWN
from pinxit.core.protocols import ConditionalBound, Data, Encodes, EncodesGiven
from pinxit.core.rng import seed_of

CHUNK = 500


@dataclass(frozen=True)
class Direction:
    """A direction between two groups of images.

    Args:
        name: what it changes, "3 to 8".
        vector: mean code of the second group less that of the first, (d,).
        accuracy: share of held-out images on their side of the plane midway between the means; 1/2 says that it means nothing.
        n: images whose codes were averaged.
        n_test: held-out images.
    """

    name: str
    vector: Tensor = field(repr=False, compare=False)
    accuracy: float
    n: int
    n_test: int

    def __str__(self) -> str:
        share = f"tells {100 * self.accuracy:.1f} % (both sides weighing the same)"
        return f"{self.name}: {share} of {self.n_test:,} held-out images, from {self.n:,}"


@torch.no_grad()
def of_classes(
    model: Encodes, data: Data, to: int, *, since: int | None = None, told: bool = True, most: int = 5000, seed: int = 0
) -> Direction:
    """The direction from the images of class `since`, or of all other classes, to those of class `to`.

    Args:
        model: in eval mode.
        data: labelled, images without a class are left out; a fifth of what is taken is held out to judge the direction.
        to: a class.
        since: another class; None for the rest.
        told: of models that are told the class: whether these classes are the model's; else it is told the `likeliest`.
        most: images taken, chosen by the seed.
        seed: of the choice, and of the bits where the model is shown bits.

    Raises:
        InputError: there are no labels, no such class, or fewer than 10 images on a side.
    """
    classes = data.spec.classes
    wrong = next((c for c in (to, since) if c is not None and not 0 <= c < classes), None)
    if wrong is not None or to == since:
        which = f"class {wrong} is not one of 0 to {classes - 1}" if wrong is not None else f"`to` and `since` are both {to}"
        raise InputError(f"no direction of {data.name}: {which if classes else 'it has no labels'}")
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed_of("direction", seed)))[:most]
    generator = torch.Generator().manual_seed(seed_of("bits of directions", seed))
    place = model.device if isinstance(model, AbstractGame) else torch.device("cpu")
    codes, has = [], []
    for indices in chosen.split(CHUNK):
        batch = data.batch(indices).to(place)
        assert batch.labels is not None
        keep = (batch.labels == to) | ((batch.labels == since) if since is not None else batch.labels != UNKNOWN)
        x, labels = bits.shown_to(model, batch.images[keep], generator), batch.labels[keep]
        codes.append(_codes(model, x, labels if told else likeliest(model, x)).float().cpu())
        has.append((labels == to).cpu())
    names = getattr(data, "class_names", None) or [str(c) for c in range(classes)]
    name = f"{'the rest' if since is None else names[since]} to {names[to]}"
    return between(torch.cat(codes), torch.cat(has), name=name)


@torch.no_grad()
def likeliest(model: object, x: Float[Tensor, "n c h w"]) -> Tensor | None:
    """The class under which the bound of each image is highest, (n,) int64; None of a model that is told no class."""
    if not (isinstance(model, ConditionalBound) and isinstance(model, AbstractGame)):
        return None
    bounds = []
    for label in range(model.spec.classes):
        # The same noise for all classes.
        generator = torch.Generator().manual_seed(seed_of("likeliest"))
        log_prob, kl = model.elbo_given(x, torch.full((len(x),), label), generator=generator)
        bounds.append(log_prob - kl)
    return torch.stack(bounds).argmax(dim=0)


def _codes(model: Encodes, x: Tensor, labels: Tensor | None) -> Tensor:
    codes = model.encode(x, labels)
    if isinstance(model, EncodesGiven):
        codes = codes - model.placed(codes.new_zeros(len(x), model.free()), labels)
    return codes


def between(codes: Float[Tensor, "n d"], has: Bool[Tensor, " n"], *, name: str) -> Direction:
    """The direction from codes without to codes with an attribute; every fifth of each group is held out.

    Raises:
        InputError: fewer than 10 codes on a side.
    """
    groups = [codes[~has], codes[has]]
    if min(map(len, groups)) < 10:
        raise InputError(f"{name} has {len(groups[0])} and {len(groups[1])} images: at least 10 of each are needed")
    held = [torch.arange(len(group)) % 5 == 0 for group in groups]
    without, having = (group[~out].mean(dim=0) for group, out in zip(groups, held, strict=True))
    vector, middle = having - without, (having + without) / 2
    side = [(group[out] - middle) @ vector for group, out in zip(groups, held, strict=True)]
    # Each group counts one half, however many it has.
    accuracy = float(((side[0] < 0).float().mean() + (side[1] > 0).float().mean()) / 2)
    tested = sum(map(len, side))
    return Direction(name, vector, accuracy, len(codes) - tested, tested)
