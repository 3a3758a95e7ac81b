"""Randomness as a function of position: no generator state is ever saved, because none outlives a turn."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def seed_of(*position: int | str) -> int:
    """A 63-bit seed, a fixed hash of `position`; near positions give unrelated seeds."""
    digest = hashlib.blake2b(repr(position).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_device(seed: int, device: torch.device) -> None:
    """Seed the default generators that an objective draws from: the CPU's and that of `device`.

    `torch.manual_seed` would queue a call (with a stack trace) for every absent accelerator at each turn.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def training(device: torch.device) -> Iterator[None]:
    """Gradients on whatever the caller has set, and the caller's default generators as they were when it is over."""
    cuda = [device] if device.type == "cuda" and torch.cuda.is_initialized() else []
    with torch.random.fork_rng(cuda), torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from the default CPU generator as if freshly seeded, and leave it as it was found."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def normal(*shape: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """N(0, 1) of `shape` on `device`.

    Without a generator it is drawn on the device from its default generator; with one it is drawn where the generator
    lives and moved, so that a CPU generator gives the same pictures on every device.
    """
    if generator is None:
        return torch.randn(*shape, device=device)
    return torch.randn(*shape, device=generator.device, generator=generator).to(device)


def uniform(*shape: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """U[-1, 1] of `shape` on `device`, drawn as `normal` draws."""
    place = device if generator is None else generator.device
    return (torch.rand(*shape, device=place, generator=generator) * 2 - 1).to(device)


class Order:
    """The endless order of a run: batches of indices, every index once an epoch, from any start.

    Epoch e is the permutation seeded by (seed, e); position p of the run is entry p mod n of epoch p // n. A batch of
    `batch_size` positions is dealt to `world` processes in turn: process r takes positions r, r + world, ...

    Args:
        n: number of samples.
        seed: the run's seed.
        start: images shown before.
        batch_size: images a batch over all processes; a multiple of `world`.
        rank: this process.
        world: number of processes.
    """

    def __init__(self, n: int, seed: int, *, start: int = 0, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self.n, self.seed, self.start, self.batch_size, self.rank, self.world = n, seed, start, batch_size, rank, world

    def __iter__(self) -> Iterator[Tensor]:
        epoch, permutation = -1, torch.empty(0)
        position = self.start
        while True:
            pieces, end = [], position + self.batch_size
            while position < end:
                if position // self.n != epoch:
                    epoch = position // self.n
                    generator = torch.Generator().manual_seed(seed_of("order", self.seed, epoch))
                    permutation = torch.randperm(self.n, generator=generator)
                offset = position % self.n
                piece = permutation[offset : offset + end - position]
                pieces.append(piece)
                position += len(piece)
            indices = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
            yield indices[self.rank :: self.world]
