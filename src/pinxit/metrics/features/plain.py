"""Features without training: the pixels themselves, and random convolutions, the control that a trained network must beat."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec
from pinxit.metrics.features.protocol import check_images, digest_of, to_rgb

SIDE = 32
FILTERS = ((32, 5), (64, 3), (128, 3))
"""Filters and kernel of each level of `RandomConv`."""


class Pixels:
    """The pixels of an image in a row, at its own size; for points in the plane, their coordinates. Meets `Features`.

    Args:
        spec: of the images.
    """

    def __init__(self, spec: Spec) -> None:
        self.name, self.spec, self.dim = "pixels", spec, spec.dim
        self.digest = digest_of({}, f"pixels {spec.shape} {spec.continuous}")

    def describe(self) -> str:
        """One line on what it is."""
        if self.spec.continuous:
            return f"{self.name} ({self.digest}): the {self.dim} coordinates of a point, unscaled"
        c, h, w = self.spec.shape
        return f"{self.name} ({self.digest}): {self.dim} numbers, the {c}x{h}x{w} values of an image in [-1, 1], no resizing"

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The values of images in [-1, 1] (or of points), float32."""
        if tuple(images.shape[1:]) != self.spec.shape:
            got, want = (", ".join(map(str, shape)) for shape in (images.shape, self.spec.shape))
            raise InputError(f"images for {self.name} are ({got}): they must be (n, {want})")
        if not self.spec.continuous:
            check_images(images, self.name)
        return images.detach().to(torch.float32, copy=True).flatten(1)


class RandomConv:
    """Means and deviations of random convolutions at three scales; meets `Features`.

    Images are scaled to 32x32; each level filters with W ~ N(0, 2 / fan_in), no bias, takes ReLU and, after its mean and standard
    deviation over the positions are kept, halves the side by averaging: 32 filters of 5x5, 64 and 128 of 3x3, so 448 numbers.
    The filters are fixed by the name alone.

    Args:
        device: where it computes.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        generator = torch.Generator().manual_seed(seed_of("random-conv"))
        self.name, self.device = "random-conv", torch.device(device)
        self.dim = 2 * sum(filters for filters, _ in FILTERS)
        self.filters, inputs = [], 3
        for outputs, kernel in FILTERS:
            scale = (2 / (inputs * kernel**2)) ** 0.5
            self.filters.append(torch.randn(outputs, inputs, kernel, kernel, generator=generator) * scale)
            inputs = outputs
        self._preprocessing = f"grey repeated to RGB, antialiased bilinear to {SIDE}x{SIDE}, mean and deviation of 3 levels"
        self.digest = digest_of({str(i): t for i, t in enumerate(self.filters)}, self._preprocessing)
        self.filters = [t.to(self.device, memory_format=torch.channels_last) for t in self.filters]

    def describe(self) -> str:
        """One line on what it is."""
        levels = ", ".join(f"{filters} of {kernel}x{kernel}" for filters, kernel in FILTERS)
        return (
            f"{self.name} ({self.digest}): {self.dim} numbers of untrained convolutions ({levels}, fixed seed), a control; "
            f"images in [-1, 1], {self._preprocessing}"
        )

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features of images in [-1, 1]."""
        check_images(images, self.name)
        with torch.inference_mode():
            x = to_rgb(images, self.name).to(self.device, torch.float32)
            if x.shape[2:] != (SIDE, SIDE):
                x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
            x, found = x.contiguous(memory_format=torch.channels_last), []
            for weight in self.filters:
                x = F.conv2d(x, weight, padding="same").relu_()
                std, mean = torch.std_mean(x, (2, 3), correction=0)
                found += [mean, std]
                x = F.avg_pool2d(x, 2)
            rows = torch.cat(found, 1).to(images.device)
        return rows.clone()
