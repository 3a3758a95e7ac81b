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
