"""What the tests of the judge share: labelled data in memory, a judge that reads pixels, samplers with known answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from pinxit.core.game import Batch
from pinxit.core.labels import unlabelled
from pinxit.core.spec import Spec
from pinxit.metrics.classifier import Classifier
from pinxit.metrics.lenet import LeNet


class Held:
    """Labelled images in memory with an optional test split; remembers the rows it was asked for."""

    def __init__(self, images: Tensor, labels: Tensor | None, classes: int, test: Held | None = None, name: str = "held") -> None:
        self.images, self.labels, self._test, self.name = images, labels, test, name
        self.spec = Spec(*images.shape[1:], classes=classes, unlabelled=unlabelled(labels))
        self.seen: list[list[int]] = []

    @property
    def fingerprint(self) -> str:
        labels = b"" if self.labels is None else self.labels.numpy().tobytes()
        return hashlib.sha256(self.images.numpy().tobytes() + labels).hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def test(self) -> Held | None:
        return self._test

    def batch(self, indices: Tensor) -> Batch:
        self.seen.append(indices.tolist())
        return Batch(self.images[indices], None if self.labels is None else self.labels[indices])

    def batches(self, order: Iterable[Tensor], device: torch.device | None = None) -> Iterator[Batch]:
        for indices in order:
            yield self.batch(indices)


def squares(n: int, *, classes: int = 4, channels: int = 1, size: tuple[int, int] = (16, 16), seed: int = 0) -> Held:
    """Noise with a bright square whose column is the class; a class each in turn, so the order tells nothing of the split."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, channels, *size, generator=generator) - 1
    labels = torch.arange(n) % classes
    wide = size[1] // classes
    for k in range(classes):
        images[labels == k, :, 4:10, k * wide : (k + 1) * wide] += 0.9
    return Held(images.clamp(-1, 1), labels, classes)


def split_squares(n: int, n_test: int, **form) -> Held:
    data = squares(n, **form)
    data._test = squares(n_test, seed=99, **form)
    return data


class Pixels(LeNet):
    """The judge's network by hand: the class is the brightest of the first pixels, the features are all pixels."""

    def __init__(self, spec: Spec) -> None:
        nn.Module.__init__(self)
        self.trunk = nn.Sequential(nn.Flatten())
        self.head = nn.Linear(spec.dim, spec.classes, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(spec.classes, spec.dim))
        self.requires_grad_(False).eval()


def pixel_judge(classes: int = 10, size: int = 16, accuracy: float = 0.99) -> Classifier:
    spec = Spec(1, size, size, classes=classes)
    about = {"test": "test split", "hash": "0123456789abcdef", "protocol": "by hand", "seed": 0, "seconds": 0.0}
    return Classifier(name="lenet:held", accuracy=accuracy, n_test=100, spec=spec, network=Pixels(spec), **about)


def marked(x: Tensor, labels: Tensor) -> Tensor:
    """`x` (n, 1, h, w) with the class written into its first pixels, as `Pixels` reads it."""
    flat = x.flatten(1).clone()
    flat[:, :10] = -1
    flat[torch.arange(len(x)), labels] = 1
    return flat.view_as(x)
