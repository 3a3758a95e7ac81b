"""Stacked MNIST, on which a thousand modes can be counted: a handwritten digit a channel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.core.game import Batch
from pinxit.core.rng import seed_of
from pinxit.core.spec import Spec
from pinxit.data.splits import WithTest
from pinxit.data.store import to_float

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinxit.core.protocols import Data

NAMES = {"stacked-mnist-2": 2, "stacked-mnist": 3}
SAMPLES = {"train": 128_000, "test": 26_000}


class Stacked(WithTest):
    """Images of 2 or 3 channels, each an MNIST digit chosen at random; meets `pinxit.core.protocols.Data`.

    128,000 fixed stacks for training and 26,000 for testing; every channel is drawn independently, with replacement, among the
    digits of the split. The label is the mode: 0 to 99 (2 channels) or 0 to 999, the digits read as a number, "0-7-3" being
    73. A uniform sampler of n stacks has a KL of (K - 1)/2n to uniform; the true one, 26,000 of 3 digits, 0.0237 +- 0.0011.

    `all_digits` draws both splits from all 70,000 digits, as VEEGAN (Srivastava et al. 2017) and the papers that compare
    themselves with it do: then nothing is held out, and the two splits differ in their pairings only.

    Reference: Metz et al. 2017 (Unrolled GAN), section 3.3.1; Lin et al. 2018 (PacGAN), section 4.2: 128,000 stacks.

    Args:
        name: "stacked-mnist-2" or "stacked-mnist".
        split: "train" or "test".
        seed: with name and split, decides which digits are stacked.
        samples: how many; by default as above.
        all_digits: whether to draw from the digits of both splits.

    Raises:
        InputError: an unknown name or split, or MNIST is not on this machine and can't be downloaded.
    """

    load_test: Callable[[], Data] | None

    def __init__(
        self, name: str, split: str = "train", *, seed: int = 0, samples: int | None = None, all_digits: bool = False
    ) -> None:
        from pinxit.data.named import read

        if name not in NAMES or split not in SAMPLES:
            raise InputError(f"stacked digits `{name}`, split `{split}`: choose from {', '.join(NAMES)}; train or test")
        self.name, self.stacks, self.has_test, self.notes = name, NAMES[name], True, ()
        parts = [read("mnist", part) for part in (("train", "test") if all_digits else (split,))]
        self.digits = torch.cat([torch.from_numpy(images).view(-1, *images.shape[-2:]) for images, _ in parts])
        self.digit_labels = torch.cat([torch.from_numpy(labels) for _, labels in parts])
        classes = 10**self.stacks
        self.class_names = tuple("-".join(str(mode).zfill(self.stacks)) for mode in range(classes))
        self.spec = Spec(self.stacks, *self.digits.shape[1:], levels=256, classes=classes)
        generator = torch.Generator().manual_seed(seed_of("stacked", name, split, seed, all_digits))
        many = SAMPLES[split] if samples is None else samples
        self.chosen = torch.randint(len(self.digits), (many, self.stacks), generator=generator)
        place = 10 ** torch.arange(self.stacks - 1, -1, -1)
        self.labels = (self.digit_labels[self.chosen] * place).sum(1)
        self._flat = self.digits.flatten(1)
        self.load_test = partial(Stacked, name, "test", seed=seed, all_digits=all_digits) if split == "train" else None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the digits and of how they are stacked, 32 hexadecimal digits."""
        digest = hashlib.blake2b(repr((self.spec, tuple(self.chosen.shape))).encode(), digest_size=16)
        for tensor in (self.digit_labels, self._flat, self.chosen):
            digest.update(tensor.numpy().data)
        return digest.hexdigest()

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.chosen)

    def batch(self, indices: Tensor) -> Batch:
        """The stacks at `indices` (int64, (n,)): images (n, c, 28, 28) float32 in [-1, 1], labels (n,) int64, the modes."""
        rows = self.chosen.index_select(0, indices).flatten()
        images = self._flat.index_select(0, rows).view(len(indices), *self.spec.shape)
        return Batch(to_float(images), self.labels.index_select(0, indices))

    def batches(self, order: Iterable[Tensor], device: torch.device | None = None) -> Iterator[Batch]:
        """`batch` of each index tensor of `order`, in order, on `device`: digits are stacked when they are asked for."""
        for indices in order:
            batch = self.batch(indices)
            yield batch if device is None or device.type == "cpu" else batch.to(device)
