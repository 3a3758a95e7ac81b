"""What an engine settles for its process."""

import ctypes
import subprocess
import sys

import pytest

FAULTS = """
from resource import RUSAGE_SELF, getrusage
import torch
from pinxit.core.config import Settings
from pinxit.core.engine import Engine

def faults(rounds):
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        held = [torch.zeros(1 << 20) for _ in range(5)]
        del held
    return (getrusage(RUSAGE_SELF).ru_minflt - before) / rounds

faults(5)
before = faults(20)
Engine(Settings(accelerator="cpu"))
faults(5)
print(before, faults(20))
"""


@pytest.mark.skipif(not (sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")), reason="of glibc")
def test_freed_memory_is_handed_out_again():
    """Five tensors of 4 MiB a round: 5,120 new pages each time as glibc does it by itself, none with an engine."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before > 1000
    assert after < 10
