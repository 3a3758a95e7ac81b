"""Inception-2015, the network of the published FIDs, through torch-fidelity, whose weights no package holds.

Only these features make a Frechet distance an "FID" (Heusel et al. 2017), with images as 8-bit RGB scaled by TensorFlow 1's
bilinear filter.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pinxit.core.errors import InputError
from pinxit.core.rng import seeded
from pinxit.metrics.features.protocol import check_images, digest_of, to_rgb

NAME = "inception-2015"
FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of the file that torch-fidelity downloads, whose name holds its beginning."""
DIM, CLASSES, SIZE = 2048, 1008, 299
AT_ONCE = 16


class InceptionFeatures:
    """The pooled features of Inception-2015; meets `Features` and `Classifies`.

    Weights that are not the published file get a name of their own, so that no score of theirs passes for an FID.

    Args:
        weights: torch-fidelity's file; by default its own download, kept by torch.hub.
        device: where it computes.

    Raises:
        InputError: torch-fidelity is not installed, or the weights are not there and can't be downloaded.
    """

    def __init__(self, weights: Path | str | None = None, device: torch.device | str = "cpu") -> None:
        path = None if weights is None else Path(weights).expanduser()
        self.network = _network(path).to(device)
        path = path or Path(torch.hub.get_dir()) / "checkpoints" / FILE
        self._sha = hashlib.sha256(path.read_bytes()).hexdigest()
        self.name = NAME if self._sha == SHA256 else f"{NAME}[other weights {self._sha[:8]}]"
        self.dim, self.classes, self.device = DIM, CLASSES, torch.device(device)
        self._preprocessing = f"grey repeated to RGB, 8-bit, TensorFlow 1's bilinear to {SIZE}x{SIZE}, (pixel - 128) / 128"
        self.digest = digest_of(self.network.state_dict(), self._preprocessing)

    def describe(self) -> str:
        """One line on what it is."""
        published = "ImageNet weights of 2015-12-05, converted by torch-fidelity, Apache-2.0"
        source = published if self.name == NAME else "weights that are not the published ones"
        return (
            f"{self.name} ({self.digest}): {self.dim} pooled features by torch-fidelity; images in [-1, 1], "
            f"{self._preprocessing}; {source} (sha256 {self._sha[:8]})"
        )

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features of images in [-1, 1]."""
        check_images(images, self.name)
        pixels = to_rgb(images, self.name).to(self.device).add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
        with torch.inference_mode():
            rows = torch.cat([self.network(part)[0] for part in pixels.split(AT_ONCE)])
        return rows.to(images.device).clone()

    @torch.no_grad()
    def told(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The probabilities of its 1,008 outputs, from logits without their bias, as the published inception scores."""
        weight = self.network.get_submodule("fc").get_parameter("weight")
        return (rows.to(self.device) @ weight.T).softmax(1).to(rows.device)


def _network(path: Path | None) -> nn.Module:
    """torch-fidelity's extractor of the pooled features."""
    ways = "give torch-fidelity's file with --inception-weights PATH, or let it download the file where there is internet"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports for other networks
        try:
            from torch_fidelity import FeatureExtractorInceptionV3
        except ImportError:
            raise InputError(f"{NAME} needs torch-fidelity: pip install 'pinxit[eval]'; then {ways}") from None
    if path is not None:
        if not path.is_file():
            raise InputError(f"no weights of {NAME} at {path}: {ways} ({FILE})")
        try:
            # torch-fidelity unpickles without restraint: first see that there is nothing but tensors.
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(f"{path} is not a file of weights ({type(error).__name__}): {ways} ({FILE})") from error
    try:
        with seeded(0):  # it draws weights before it reads them
            return FeatureExtractorInceptionV3(NAME, ["2048"], None if path is None else str(path))
    except OSError as error:  # no network, no room
        raise InputError(f"{NAME} has no weights, and {FILE} can't be downloaded ({error}): {ways}") from None
    except RuntimeError as error:
        line = " ".join(str(error).split())[:120]
        raise InputError(f"{path or FILE} does not hold the weights of {NAME} ({line}): {ways}") from None
