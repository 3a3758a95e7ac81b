"""Pictures of latent spaces that need an encoder: walks along a direction, and what becomes of decoded noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.viz import grids
from pinxit.viz.classes import table
from pinxit.viz.comparisons import beside


@torch.no_grad()
def attribute_walk(
    game: Any,
    x: Tensor,
    vector: Tensor,
    *,
    labels: Tensor | None = None,
    name: str = "",
    reach: float = 1.5,
    steps: int = 7,
) -> Image.Image:
    """One image a row: itself, then Dec(Enc(x) + t v) for t from -reach to reach; t = 1 is the whole difference of the means.

    Args:
        game: encodes and decodes, in eval mode.
        x: images (n, c, h, w) in [-1, 1].
        vector: the direction v, (d,), as `pinxit.metrics.directions` finds it.
        labels: classes (n,) of the images, for models that are told them.
        name: what it changes, for the title.
        reach: ends of the walk.
        steps: columns, an odd number of at least 3, so that the middle is the reconstruction.

    Raises:
        InputError: `steps` is even or too small, or the direction does not fit the codes.
    """
    if steps < 3 or steps % 2 == 0:
        raise InputError(f"`steps` is {steps}: it must be odd and at least 3")
    codes = game.encode(x, labels)
    if vector.shape != codes.shape[1:]:
        raise InputError(f"`vector` has shape {tuple(vector.shape)}, the codes have {codes.shape[1]} numbers")
    values = torch.linspace(-reach, reach, steps).tolist()
    columns = [game.decode(codes + value * vector.to(codes)) for value in values]
    heads = ["image", *(f"{value:+.1f}" if abs(value) > 1e-6 else "0" for value in values)]
    title = f"code + t (mean difference), {name}" if name else "code + t (mean difference)"
    return table([x, *columns], heads=heads, title=title)


@torch.no_grad()
def noise_decoded(games: Mapping[str, Any], x: Tensor, *, n: int = 25, seed: int = 0) -> Image.Image:
    """Decoded N(0, I) of several models side by side, below the spread of the codes that their images really have.

    A variational auto-encoder was trained so that its codes fill N(0, I); an auto-encoder puts them anywhere, and what its
    decoder makes of noise is no sample of anything.

    Args:
        games: names and models that encode and decode, in eval mode.
        x: images (m, c, h, w) in [-1, 1], whose codes are measured, m >= 2.
        n: codes decoded, the same noise for every model with as many latents.
        seed: of the noise.

    Raises:
        InputError: there are no models, or too few images.
    """
    if not games or len(x) < 2 or n < 1:
        raise InputError(f"{len(games)} models, {len(x)} images, `n` {n}: at least 1, 2 and 1 are needed")
    blocks, names = [], []
    for name, game in games.items():
        codes = game.encode(x).float()
        noise = torch.randn(n, codes.shape[1], generator=torch.Generator().manual_seed(seed_of("noise decoded", seed)))
        pictures = grids.tiles(game.decode(noise.to(codes)))
        blocks.append(grids.lay(pictures, grids.square(n), 2, grids.CLEAR))
        names.append(f"{name}: N(0, I) decoded; codes spread {codes.std(dim=0).mean():.1f}")
    return beside(blocks, names)
