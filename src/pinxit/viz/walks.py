"""Walks through a latent space: between draws of the prior, and over a plane of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.protocols import EncodesGiven, HasClassLatents
from pinxit.core.rng import seed_of
from pinxit.viz import grids
from pinxit.viz.comparisons import beside, stacked

if TYPE_CHECKING:
    from pinxit.core.protocols import HasLatents

CHUNK = 64
"""Codes decoded at a time."""


@torch.no_grad()
def interpolation(
    game: HasLatents,
    *,
    steps: int = 10,
    rows: int = 6,
    classes: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Image.Image:
    """One walk a row, from one draw of the prior (left) to another (right), both ends included.

    The walk is spherical, since a Gaussian's draws lie near a sphere that a straight line leaves (White 2016,
    "Sampling Generative Networks", section 2.1); it is straight where the prior fills a cube, which is convex.

    Args:
        game: in eval mode.
        steps: images a row, >= 2.
        rows: walks, >= 1.
        classes: the rows' classes in turn, of a class-conditional model: a walk stays in its class. None given are all.
        generator: draws the ends; by default a fixed one.

    Returns:
        A picture of mode "RGBA" with clear gutters; for points the walks as a scatter plot.

    Raises:
        InputError: `steps` or `rows` is too small.
    """
    for name, value, least in (("steps", steps, 2), ("rows", rows, 1)):
        if value < least:
            raise InputError(f"`{name}` is {value}: it must be >= {least}")
    generator = generator or torch.Generator().manual_seed(seed_of("interpolation"))
    of_classes = isinstance(game, HasClassLatents)
    ends = _within(game, rows, classes, generator) if of_classes else game.latents(2 * rows, generator=generator)
    path = path_of(game)
    t = torch.linspace(0, 1, steps, dtype=ends.dtype, device=ends.device).view(1, steps, 1)
    z = path(ends[:rows, None], ends[rows:, None], t)  # (rows, steps, d)
    images = _decode(game, z.flatten(0, 1))
    grids.check(images)
    if grids.is_points(images):
        return grids.grid(images)
    return grids.lay(grids.tiles(images), steps, 2, grids.CLEAR)


@torch.no_grad()
def manifold(game: HasLatents, n: int = 20, dims: tuple[int, int] = (0, 1), *, label: int | None = None) -> Image.Image:
    """The plane of two latents, at Gaussian quantiles (Kingma & Welling 2014, figure 4); other latents are 0.

        z = Phi^-1((i + 1/2) / n),   i = 0 .. n - 1,   the first of `dims` to the right, the second upward

    Args:
        game: in eval mode, with a standard normal prior, or one that places such noise within a class (`EncodesGiven`).
        n: images a side, >= 2.
        dims: two different latents; negative ones count from the last.
        label: the class, of a model that is told it.

    Raises:
        InputError: `n` is too small, `dims` are not two latents of the model, or it has no such classes.
    """
    if n < 2:
        raise InputError(f"`n` is {n}: it must be >= 2")
    if label is not None and not isinstance(game, EncodesGiven):
        raise InputError(f"`label` is {label}: {type(game).__name__} is told no class, leave it out")
    like = game.latents(1, generator=torch.Generator().manual_seed(0))
    d = game.free() if isinstance(game, EncodesGiven) else like.shape[1]
    if not all(-d <= k < d for k in dims) or dims[0] % d == dims[1] % d:
        raise InputError(f"`dims` is {dims}: it must name two different latents of the {d} of this model")
    quantiles = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n).to(like)
    z = like.new_zeros(n, n, d)  # row, column, latent
    z[..., dims[0]] = quantiles
    z[..., dims[1]] = quantiles.flip(0)[:, None]
    z = z.flatten(0, 1)
    if isinstance(game, EncodesGiven):
        z = game.placed(z, None if label is None else torch.full((n * n,), label))
    return grids.grid(_decode(game, z), columns=n, pad=0)


def manifolds(
    game: HasLatents, classes: Sequence[int], n: int = 6, dims: tuple[int, int] = (0, 1), names: Sequence[str] = ()
) -> Image.Image:
    """The `manifold` of each class below its number, or its name of `names`, five a row.

    Raises:
        InputError: as there, or without classes.
    """
    if not classes:
        raise InputError("`classes` is empty: name at least one")
    planes = [manifold(game, n, dims, label=label) for label in classes]
    rows = [
        beside(planes[start : start + 5], [f"class {names[label] if names else label}" for label in classes[start : start + 5]])
        for start in range(0, len(planes), 5)
    ]
    return stacked(rows)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """From a to b (..., d) at t in [0, 1]: the direction turns evenly, the length changes evenly.

        sin((1 - t) w) / sin w  a/|a|  +  sin(t w) / sin w  b/|b|,   w the angle between them

    Numbers in which a and b agree (a class) stay, and the others turn by themselves. Where these are parallel or opposite, or
    one of them is 0, the plane of rotation is undetermined and the walk is straight.
    """
    alike, whole = a == b, a
    a, b = a.masked_fill(alike, 0), b.masked_fill(alike, 0)
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    u, v = a / length_a.clamp_min(1e-12), b / length_b.clamp_min(1e-12)
    cosine = (u * v).sum(-1, keepdim=True).clamp(-1, 1)
    angle, sine = cosine.acos(), (1 - cosine**2).sqrt()
    turned = (((1 - t) * angle).sin() * u + (t * angle).sin() * v) / sine.clamp_min(1e-12)
    determined = (sine > 1e-4) & (length_a > 0) & (length_b > 0)
    walk = torch.where(determined, turned * torch.lerp(length_a, length_b, t), torch.lerp(a, b, t))
    return torch.where(alike, whole, walk)


def _within(game: Any, rows: int, classes: Sequence[int], generator: torch.Generator) -> Tensor:
    """Where the walks begin and where they end, (2 rows, d), both in the class of their row."""
    labels = torch.tensor(classes or range(game.spec.classes), device=game.device)
    return game.latents_of(labels[torch.arange(rows) % len(labels)].repeat(2), generator=generator)


def path_of(game: HasLatents) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The walk (a, b, t) between draws of the model's prior: spherical, or straight where the prior fills a cube."""
    return slerp if _leaves_the_cube(game) else torch.lerp


def _leaves_the_cube(game: HasLatents) -> bool:
    """Whether the prior has values beyond [-1, 1]; of 512 Gaussian codes one has, save with probability below 1e-80."""
    codes = game.latents(512, generator=torch.Generator().manual_seed(seed_of("support")))
    return bool(codes.abs().max() > 1) and math.isfinite(float(codes.sum()))


def _decode(game: HasLatents, z: Tensor) -> Tensor:
    return torch.cat([game.decode(part) for part in z.split(CHUNK)])
