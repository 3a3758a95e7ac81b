"""The features of the classifier that pinxit trains on a data set: `lenet:<data>`, with its accuracy beside every score."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pinxit.metrics.classifier import Classifier
from pinxit.metrics.features.protocol import check_images, digest_of


class LeNetFeatures:
    """The last hidden layer of a judge; meets `Features` and `Classifies`.

    Args:
        judge: of `pinxit.metrics.classifier.lenet`.
        device: where it computes; the judge's network is moved there.
    """

    def __init__(self, judge: Classifier, device: torch.device | str = "cpu") -> None:
        self.judge, self.name, self.classes = judge, judge.name, judge.network.head.out_features
        judge.network.to(device)
        self.dim = judge.network.head.in_features
        self.digest = digest_of(judge.network.state_dict(), f"{judge.spec.shape}, no resizing, [-1, 1]")

    def describe(self) -> str:
        """One line on what it is."""
        judge, (c, h, w) = self.judge, self.judge.spec.shape
        accuracy = f"{100 * judge.accuracy:.2f} % right on {judge.n_test:,} real images ({judge.test})"
        return (
            f"{self.name} ({self.digest}): {self.dim} activations before the outputs of a classifier ({judge.protocol}), trained "
            f"by pinxit with seed {judge.seed}, {accuracy}; images {c}x{h}x{w} in [-1, 1], no resizing"
        )

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features of images in [-1, 1] of the judge's size and channels."""
        check_images(images, self.name)
        return self.judge.features(images).clone()

    @torch.no_grad()
    def told(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The probabilities of the data's classes."""
        return self.judge.network.head(rows).softmax(1)
