"""The judge of labels: a small convolutional classifier that pinxit trains itself, and train-on-synthetic, test-on-real.

Its last hidden layer is the feature network `lenet:<data>`. A score by this judge stands beside the judge's own accuracy on
held-out real images and a hash of its weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from pinxit.core import files
from pinxit.core.bits import as_bits
from pinxit.core.errors import InputError, RunError
from pinxit.core.labels import labelled
from pinxit.core.protocols import Conditional, Data, Splits
from pinxit.core.rng import Order, seed_of, seeded
from pinxit.core.spec import Spec
from pinxit.data import catalogue
from pinxit.data.binarised import drawn_once
from pinxit.data.store import Store
from pinxit.metrics.features.sources import DataSource
from pinxit.metrics.lenet import CHEAP, FULL, LeNet, Protocol, judge_protocol

__all__ = [
    "CHEAP", "FULL", "Classifier", "LeNet", "Protocol", "Transfer", "judge_protocol", "lenet", "train_on_synthetic",
]  # fmt: skip

FORMAT = 1
CHUNK = 500
LEAST = 16
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Classifier:
    """A trained classifier with what a reader of its scores must know of it.

    Args:
        name: `lenet:<data>`.
        accuracy: share of held-out real images whose class it tells.
        n_test: how many those were.
        test: what they were: "test split", or "held out" of data without one.
        hash: of the weights, 16 hexadecimal digits.
        protocol: how it was trained.
        seed: of the weights, the order and the dropout.
        seconds: what training took.
        spec: of the images it takes.
        network: in eval mode; move it to another device at will.
    """

    name: str
    accuracy: float
    n_test: int
    test: str
    hash: str
    protocol: str
    seed: int
    seconds: float
    spec: Spec
    network: LeNet

    def logits(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """The logits of images in [-1, 1], float32, on the device of `x`."""
        return self._apply(self.network, x)

    def predict(self, x: Float[Tensor, "n c h w"]) -> Int[Tensor, " n"]:
        """The likeliest class of images in [-1, 1], int64."""
        return self.logits(x).argmax(1)

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The activations before the outputs, for images in [-1, 1]."""
        return self._apply(self.network.trunk, x)

    def __str__(self) -> str:
        return f"{self.name} ({self.hash}; {100 * self.accuracy:.2f} % of {self.n_test:,} real images, {self.test})"

    @torch.no_grad()
    def _apply(self, part: nn.Module, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.spec.shape or not x.is_floating_point() or not len(x):
            got = f"{tuple(x.shape)} {x.dtype}"
            raise InputError(f"images for {self.name} are {got}: they must be (n, {', '.join(map(str, self.spec.shape))}) floats")
        device = self.network.head.weight.device
        if self.spec.binarised:  # it has learned from bits: means of bits, and the grey levels that stand for them, are none
            content = x.detach().float().cpu().contiguous().numpy().data
            x = as_bits(x, self.spec, hashlib.blake2b(content, digest_size=8).hexdigest()).to(x.device)
        return torch.cat([part(chunk.to(device, torch.float32)).to(x.device) for chunk in x.split(CHUNK)])


def lenet(
    data: Data, *, protocol: Protocol | None = None, seed: int = 0, cache: bool = True, progress: Progress | None = None
) -> Classifier:
    """The classifier of a data set: from the user's cache, or trained now and kept there.

    The result is a function of (data, protocol, seed), up to the rounding of another machine or number of threads. It
    learns from bits where the data stands for bits, from one draw of them.

    Args:
        data: labelled images of at least 16 pixels a side, those of unknown class are left out; accuracy is measured on its
            test split, or where it has none on a seventh of it that is kept from training.
        protocol: by default `judge_protocol`.
        seed: of the weights, the order of the images and the dropout.
        cache: read and write `classifiers` in `pinxit.data.catalogue.folder()`, else in ~/.cache/pinxit.
        progress: called with (steps done, steps in all).

    Raises:
        InputError: the data has no labels, one class, points instead of images, or images that are too small.
    """
    _check(data)
    data = drawn_once(data)
    test = data.test() if isinstance(data, Splits) else None
    if test is not None and len(apart := labelled(test)):
        rows, held, kind = labelled(data), Part(test, apart), "test split"
    else:
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed_of("held out", data.fingerprint)))
        order = labelled(data, order)
        cut = max(1, len(order) // 7)
        rows, held, kind = order[cut:].sort().values, Part(data, order[:cut].sort().values), "held out"
    protocol = protocol or judge_protocol(len(rows))
    return _obtain(Part(data, rows), held, kind, None, protocol, seed, cache, progress)


@dataclass(frozen=True)
class Transfer:
    """What a classifier learns from generated labelled images.

    Args:
        tstr: accuracy on real test images, trained on generated ones.
        trts: accuracy on generated images, trained on real ones.
        tsts: accuracy on held-out generated images (those that choose the epoch), trained on generated ones. Above `real`,
            classes of generated images are easier to tell apart than those of real ones.
        real: accuracy on real test images, trained on as many real ones: the ceiling of `tstr`.
        shuffled: as `tstr`, with the generated labels shuffled: the control. Chance on average over seeds, but it varies widely
            where classes are few and far apart, because the images of a class still share a favourite label.
        n_test: real images tested on.
        n_generated: generated images that `trts` was tested on.
        n_held: generated images that `tsts` was tested on.
        protocol: everything that makes these figures comparable with others.
        seconds: time taken, generating included.
    """

    tstr: float
    trts: float
    tsts: float
    real: float
    shuffled: float
    n_test: int
    n_generated: int
    n_held: int
    protocol: str
    seconds: float

    @property
    def error(self) -> float:
        """The standard error of `tstr` over test images, sqrt(p (1 - p) / n); that over training seeds is not in it."""
        return (self.tstr * (1 - self.tstr) / self.n_test) ** 0.5


def train_on_synthetic(
    sampler: Conditional,
    data: Data,
    *,
    n: int = 60_000,
    protocol: Protocol = FULL,
    seed: int = 0,
    cache: bool = True,
    progress: Progress | None = None,
) -> Transfer:
    """TSTR and TRTS: train on generated images and test on real ones, and the other way round (Esteban et al. 2017).

    `n` labelled images are generated, labels drawn from the data's. A twelfth of them (5,000 of 60,000) chooses the epoch, the
    rest train. The ceiling trains the same network on n real images, or all there are, split in the same way.

    Args:
        sampler: draws images of given classes, in [-1, 1].
        data: labelled images with a test split.
        n: images generated; at least 24.
        protocol: of all three classifiers; `CHEAP` takes a minute where `FULL` takes an hour.
        seed: of the images and the classifiers.
        cache: keep the real-data classifier, which needs no sampler, in the user's cache.
        progress: called with (steps done, steps in all) of each training in turn.

    Raises:
        InputError: the data has no labels or no test split, or the sampler's images don't fit it.
    """
    _check(data)
    data, began = drawn_once(data), time.perf_counter()
    test = data.test() if isinstance(data, Splits) else None
    if test is None or not len(apart := labelled(test)):
        raise InputError(f"{data.name} has no test split with classes: training on synthetic images is judged on real ones")
    if n < 24:
        raise InputError(f"`n` is {n}: at least 24 generated images are needed, of which a twelfth chooses the epoch")
    real_test = Part(test, apart)
    generator = torch.Generator().manual_seed(seed_of("synthetic", seed))
    images, labels = _generate(sampler, data, n, generator)
    held = n // 12
    synthetic, shuffled = (
        Store(f"generated {kind}", images, y, class_names=[str(k) for k in range(data.spec.classes)])
        for kind, y in (("", labels), ("shuffled", labels[torch.randperm(n, generator=generator)]))
    )
    scores = []
    for source in (synthetic, shuffled):
        train, choose = Part(source, torch.arange(held, n)), Part(source, torch.arange(held))
        network = _train(train, choose, protocol, seed, progress)
        scores.append((_accuracy(network, real_test), _accuracy(network, choose)))
    (tstr, tsts), (control, _) = scores
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed_of("real part", seed)))
    order = labelled(data, order)[:n]
    cut = len(order) // 12
    train, choose = Part(data, order[cut:]), Part(data, order[:cut])
    real = _obtain(train, real_test, "test split", choose, protocol, seed, cache, progress)
    trts = _accuracy(real.network, Part(synthetic, torch.arange(n)))
    about = f"{n - held} generated + {held} to choose the epoch, labels as in the data, 8-bit; {protocol}; seed {seed}; "
    about += f"ceiling: {len(order) - cut} real + {cut}; tested on {len(real_test)} real"
    seconds = time.perf_counter() - began
    return Transfer(tstr, trts, tsts, real.accuracy, control, len(real_test), n, held, about, seconds)


@dataclass(frozen=True)
class Part:
    """Some rows of a data set."""

    data: Data
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def shuffled(self, seed: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless batches, every row once an epoch."""
        order = Order(len(self), seed, batch_size=min(batch_size, len(self)))
        yield from self._read(self.rows[i] for i in order)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every row once."""
        yield from self._read(iter(self.rows.split(CHUNK)))

    def _read(self, order: Iterator[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.data.batches(order):
            if batch.labels is None:
                raise InputError(f"{self.data.name} has no labels: a classifier needs a class for each image")
            yield batch.images, batch.labels


def _train(part: Part, choose: Part | None, protocol: Protocol, seed: int, progress: Progress | None) -> LeNet:
    """A network trained on `part`, after the epoch (the first of equals) that does best on `choose`, or after the last."""
    per_epoch = len(part) / min(protocol.batch_size, len(part))
    ends = [round((epoch + 1) * per_epoch) for epoch in range(protocol.epochs)]
    best, weights = -1.0, None
    with torch.enable_grad(), seeded(seed_of("classifier", seed)):
        network = LeNet(part.data.spec, protocol.architecture).to(memory_format=torch.channels_last).train()
        adam = torch.optim.Adam(network.parameters(), lr=protocol.lr, fused=True)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, ends[-1]) if protocol.decay else None
        for step, (x, y) in enumerate(islice(part.shuffled(seed_of("classifier", seed), protocol.batch_size), ends[-1]), start=1):
            adam.zero_grad(set_to_none=True)
            F.cross_entropy(network(x.contiguous(memory_format=torch.channels_last)), y).backward()
            adam.step()
            if cosine is not None:
                cosine.step()
            if progress is not None:
                progress(step, ends[-1])
            if choose is not None and step in ends and (score := _accuracy(network, choose)) > best:
                best, weights = score, {name: t.clone() for name, t in network.state_dict().items()}
    if weights is not None:
        network.load_state_dict(weights)
    return network.requires_grad_(False).eval()


@torch.no_grad()
def _accuracy(network: LeNet, part: Part) -> float:
    """The share of rows whose class is the likeliest; the network is left in the mode it was in."""
    training = network.training
    network.eval()
    right = sum(int((network(x).argmax(1) == y).sum()) for x, y in part.in_order())
    network.train(training)
    return right / len(part)


def _obtain(
    part: Part,
    test: Part,
    kind: str,
    choose: Part | None,
    protocol: Protocol,
    seed: int,
    cache: bool,
    progress: Progress | None,
) -> Classifier:
    """The classifier of these rows, from the cache or trained and put there."""
    name, spec = f"lenet:{part.data.name}", part.data.spec
    places = _places((part, test, choose), protocol, seed) if cache else []
    for path in places:
        if (found := _read(path, spec, protocol)) is not None:
            return replace(found, name=name)
    began = time.perf_counter()
    network = _train(part, choose, protocol, seed, progress)
    seconds = time.perf_counter() - began
    accuracy, weights = _accuracy(network, test), _hash(network)
    trained = Classifier(name, accuracy, len(test), kind, weights, str(protocol), seed, seconds, spec, network)
    if cache:
        _write(places, trained)
    return trained


def _places(parts: Sequence[Part | None], protocol: Protocol, seed: int) -> list[Path]:
    """Where the classifier of these rows is kept, by their very pixels and labels: fingerprints may be of names and sizes."""
    rows = [None if p is None else DataSource(p.data, p.rows).key() for p in parts]
    key = hashlib.blake2b(repr((FORMAT, rows, asdict(protocol), seed)).encode(), digest_size=8).hexdigest()
    return [folder / f"lenet-{key}.json" for folder in _folders()]


def _folders() -> tuple[Path, ...]:
    """Where classifiers are kept: beside the data sets, or in the user's own cache where that is a folder of others."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinxit"
    return tuple(dict.fromkeys(folder / "classifiers" for folder in (catalogue.folder(), own)))


def _write(places: list[Path], trained: Classifier) -> None:
    """In the first place that takes it: the weights, then what is known of them, without which they are never read."""
    about = {key: value for key, value in vars(trained).items() if key not in ("network", "spec")}
    state = {name: t.contiguous() for name, t in trained.network.state_dict().items()}
    reason = ""
    for path in places:
        try:
            files.write(path.with_suffix(".safetensors"), to_bytes(state))
            files.write(path, json.dumps({**about, "spec": trained.spec.to_dict()}, indent=1) + "\n")
        except RunError as error:
            reason = str(error)
        else:
            return
    warnings.warn(f"{trained.name} was trained but is not kept: {reason}", stacklevel=2)


def _read(path: Path, spec: Spec, protocol: Protocol) -> Classifier | None:
    """A kept classifier, or None where there is none, a part of one, or one whose weights are not those described."""
    # In the layout it was trained in, so that a kept network rounds as the one just trained.
    network = LeNet(spec, protocol.architecture).to(memory_format=torch.channels_last)
    try:
        about: dict[str, Any] = json.loads(path.read_text())
        network.load_state_dict(from_bytes(path.with_suffix(".safetensors").read_bytes()))
        about |= {"spec": Spec(**about["spec"]), "network": network.requires_grad_(False).eval()}
        found = Classifier(**about)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError):
        return None
    return found if found.spec == spec and found.hash == _hash(network) else None


def _generate(sampler: Conditional, data: Data, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`n` images as uint8, as a file would hold them, and their labels, drawn from those of the data."""
    rows = labelled(data)
    drawn = rows[torch.randint(len(rows), (n,), generator=generator)]
    labels = torch.cat([y for _, y in Part(data, drawn).in_order()])
    pixels = []
    with torch.no_grad():
        for y in labels.split(CHUNK):
            x = sampler.sample_class(y, generator=generator)
            if tuple(x.shape) != (len(y), *data.spec.shape) or not bool(x.isfinite().all()):
                want = (len(y), *data.spec.shape)
                raise InputError(f"the sampler's images are {tuple(x.shape)}: they must be finite and {want}, as {data.name}")
            x = as_bits(x.cpu(), data.spec, "synthetic", generator.initial_seed(), len(pixels))
            pixels.append(x.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8))
    return torch.cat(pixels), labels


def _check(data: Data) -> None:
    spec = data.spec
    if spec.continuous or min(spec.height, spec.width) < LEAST:
        got = "points" if spec.continuous else f"{spec.height}x{spec.width} pixels"
        raise InputError(f"{data.name} has {got}: a classifier needs images of at least {LEAST} pixels a side")
    if spec.classes < 2:
        raise InputError(f"{data.name} has {spec.classes} classes: a classifier needs labels of at least 2")
    if (known := len(labelled(data))) < LEAST:
        raise InputError(f"{data.name} has {known} images of known class: a classifier needs at least {LEAST}")


def _hash(network: nn.Module) -> str:
    """A hash of the weights, 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for name, t in sorted(network.state_dict().items()):
        digest.update(repr((name, tuple(t.shape))).encode() + t.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
