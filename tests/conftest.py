"""Fixtures for every test: a data set in memory, one thread."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch
from jaxtyping import install_import_hook

# The shapes written in the signatures of the equations and layers are checked in tests, at every call.
CHECKED = install_import_hook(["pinxit.losses", "pinxit.nn", "pinxit.metrics"], "beartype.beartype")

from pinxit.core.spec import Spec
from toys._nets import Tiny

torch.set_num_threads(1)
# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def points() -> Tiny:
    """Forty-eight points in the plane."""
    return Tiny(Spec(2, 1, 1, levels=0))


@pytest.fixture
def tiny() -> Callable[..., Tiny]:
    """Makes a data set of random samples in memory: `tiny(spec, n=48, seed=0)`."""
    return Tiny
