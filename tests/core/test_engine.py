"""What an engine settles for its process."""

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from pinxit.core.config import Settings, check_share
from pinxit.core.engine import Engine
from pinxit.core.errors import InputError

FAULTS = """
from resource import RUSAGE_SELF, getrusage
import torch
from pinxit.core.config import Settings
from pinxit.core.engine import Engine

def faults(rounds):
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.zeros(12 << 20)
    return (getrusage(RUSAGE_SELF).ru_minflt - before) / rounds

faults(5)
before = faults(20)
Engine(Settings(accelerator="cpu"))
faults(5)
print(before, faults(20))
"""


@pytest.mark.slow
@pytest.mark.skipif(not (sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")), reason="of glibc")
def test_freed_memory_is_handed_out_again():
    """A tensor of 48 MiB, which glibc by itself maps and unmaps each time (its threshold never rises above 32 MiB)."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before > 10_000
    assert after < before / 10


def test_a_device_that_is_not_here_is_said_with_those_that_are(monkeypatch):
    def refuse(**_):
        raise RuntimeError("`CUDAAccelerator` can not run on your system")

    monkeypatch.setattr("lightning_fabric.Fabric", refuse)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(InputError) as caught:
        Engine(Settings(accelerator="cuda", devices=4))
    wanted = "`accelerator` is 'cuda' and `devices` 4: no such device here, which has the cpu and 2 x cuda"
    assert str(caught.value) == f"{wanted}; take --accelerator cpu"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match="which has the cpu; take"):
        Engine(Settings(accelerator="cuda"))


class OnGPU:
    """What an engine asks of Fabric, on a GPU."""

    device, global_rank, world_size = torch.device("cuda:0"), 0, 1

    def __init__(self, **_):
        pass

    def launch(self):
        pass


def test_cuda_repeats_every_bit_and_the_cpu_is_left_alone(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that what it was comes back
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    Engine(Settings(accelerator="cpu"))
    assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    monkeypatch.setattr("lightning_fabric.Fabric", OnGPU)
    monkeypatch.setattr("torch.utils.deterministic.fill_uninitialized_memory", True)
    try:
        Engine(Settings(accelerator="cuda"))
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"  # one of the two that cuBLAS repeats itself with
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("batch", [(8, 1, 3), (8, 3, 1), (9, 2, 2)])
def test_a_batch_is_split_evenly(batch):
    with pytest.raises(InputError, match=f"`batch_size` {batch[0]} does not split .* take a multiple of {batch[1] * batch[2]}$"):
        check_share(*batch)
    check_share(batch[1] * batch[2] * 2, *batch[1:])
