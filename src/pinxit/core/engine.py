"""Processes, devices and precision, by Lightning Fabric; replicas kept equal by one explicit all-reduce a step."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pinxit.core.config import Settings
from pinxit.core.errors import InputError, LostPeerError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt (malloc.h)."""
KEPT = 1 << 30
"""Bytes: smaller blocks come from the heap, whose free end is given back only when it is longer."""


class Engine:
    """One process of a run.

    DistributedDataParallel is not used: it fails on a turn that moves only part of a player (a penalty alone), and its
    static graph is silently wrong with gradient penalties. Averaging the gradients of the moving player is exact.
    """

    def __init__(self, settings: Settings) -> None:
        from lightning_fabric import Fabric
        from lightning_fabric.utilities.exceptions import MisconfigurationException

        if settings.threads:
            torch.set_num_threads(settings.threads)
        # Under torchrun the number of processes is the launcher's to say.
        devices = (
            int(os.environ.get("LOCAL_WORLD_SIZE", settings.devices)) if "TORCHELASTIC_RUN_ID" in os.environ else settings.devices
        )
        several = devices * settings.num_nodes > 1
        try:
            self.fabric = Fabric(
                accelerator=settings.accelerator,
                devices=devices,
                num_nodes=settings.num_nodes,
                strategy="ddp" if several else "auto",
                precision=settings.precision,
            )
        except (RuntimeError, ValueError, MisconfigurationException) as error:
            wanted = f"`accelerator` is {settings.accelerator!r} and `devices` {devices}"
            raise InputError(f"{wanted}: no such device here, which has {_devices()}; take --accelerator cpu") from error
        self.fabric.launch()
        if self.fabric.device.type == "cpu":
            # Fabric's import has torch look for CUDA by loading NVML, at every optimizer step: a third of a small step.
            os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
            _keep_freed_memory()
        elif self.fabric.device.type == "cuda":
            _repeat_every_bit()
        self.device: torch.device = self.fabric.device
        self.rank: int = self.fabric.global_rank
        self.world: int = self.fabric.world_size
        if self.world > 1:
            atexit.register(_leave)

    def autocast(self) -> AbstractContextManager[None]:
        """The precision's context for forward passes."""
        return self.fabric.autocast()

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their mean over processes; a parameter without one anywhere keeps none.

        The mean lies in memory as its parameter does: on a CPU torch's fused optimizers pair the two place by place, and
        a layout of another order (a convolution's weight in channels_last) would be mixed up without a word.
        """
        if self.world == 1:
            return
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        present = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        flat = torch.cat([*(part.reshape(-1) for part in parts), present])
        _reduce(flat)
        # Read back only where it matters: with every gradient here, each has one.
        some = [1.0] * len(parts) if all(p.grad is not None for p in parameters) else flat[-len(parts) :].tolist()
        pieces = flat[: -len(parts)].div_(self.world).split([part.numel() for part in parts])
        for p, piece, given in zip(parameters, pieces, some, strict=True):
            p.grad = torch.empty_like(p).copy_(piece.view(p.shape)) if given else None

    def mean(self, values: Tensor) -> Tensor:
        """`values` averaged over processes."""
        if self.world > 1:
            values = values.clone()
            _reduce(values)
            values /= self.world
        return values

    def gather(self, values: Tensor) -> Tensor:
        """Every process's `values`, a row each."""
        if self.world == 1:
            return values[None]
        values = values.contiguous()
        rows = [torch.empty_like(values) for _ in range(self.world)]
        with _peers():
            dist.all_gather(rows, values)
        return torch.stack(rows)

    def average_statistics(self, module: nn.Module) -> None:
        """Average the running statistics of normalisation layers, the one state that a forward pass changes."""
        if self.world == 1:
            return
        norms = (m for m in module.modules() if isinstance(m, nn.modules.batchnorm._NormBase))
        state = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]
        if state:
            flat = torch.cat([b.reshape(-1) for b in state])
            _reduce(flat)
            for b, piece in zip(state, flat.div_(self.world).split([b.numel() for b in state]), strict=True):
                b.copy_(piece)

    def broadcast(self, module: nn.Module) -> None:
        """Start every process from the first one's parameters and buffers."""
        if self.world > 1:
            for tensor in [*module.parameters(), *module.buffers()]:
                plain = tensor.detach().contiguous()  # gloo takes no channels_last
                dist.broadcast(plain, src=0)
                tensor.detach().copy_(plain)

    def drift(self, module: nn.Module) -> bool:
        """Whether the replicas differ in any bit of a parameter or buffer."""
        if self.world == 1:
            return False
        mine = torch.stack([_checksum(t) for t in [*module.parameters(), *module.buffers()]])
        low, high = mine.clone(), mine.clone()
        _reduce(low, dist.ReduceOp.MIN)
        _reduce(high, dist.ReduceOp.MAX)
        return not torch.equal(low, high)

    def greatest(self, number: int) -> int:
        """The greatest of every process's `number`: how one process's signal reaches the others."""
        if self.world == 1:
            return number
        tensor = torch.tensor(number, device=self.device)
        _reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def barrier(self) -> None:
        """Wait for the other processes."""
        with _peers():
            self.fabric.barrier()


@contextmanager
def _peers() -> Iterator[None]:
    """Say in one line that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise LostPeerError(
            "another process of this run ended; the last checkpoint is intact, the same command goes on from it"
        ) from error


def _devices() -> str:
    """What there is to compute on, in words."""
    found = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    return " and ".join(["the cpu", *(f"{count} x {name}" for name, count in found.items() if count)])


def _keep_freed_memory() -> None:
    """Have glibc hand freed memory out again, where there is glibc, instead of giving it back to the system at every round.

    Else the tensors of each round may lie on new pages, which the system has to clear first (benchmarks/allocator.py).
    """
    import ctypes

    if tune := getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None:
        tune(M_MMAP_THRESHOLD, KEPT)
        tune(M_TRIM_THRESHOLD, KEPT)


def _repeat_every_bit() -> None:
    """Have CUDA compute the same bits each time, or a resumed run would be no uninterrupted one; where it can't, torch warns."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[missing-attribute]  # all is written first


def _leave() -> None:
    """End the process group before the interpreter: gloo's threads would otherwise abort a process that is done."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _reduce(tensor: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
    with _peers():
        dist.all_reduce(tensor, op=op)


def _checksum(tensor: Tensor) -> Tensor:
    """A 64-bit sum of the tensor's bytes, weighted by position."""
    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).long()
    return (data * torch.arange(1, len(data) + 1, device=data.device)).sum()
