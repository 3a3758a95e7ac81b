"""What a run in bfloat16 leaves in float32: the sums, differences and exponentials that the losses are made of."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """`x` in float32 where it has fewer bits, else as it is.

    A number of bfloat16 has 8 bits: a log-likelihood near -100 nats would be a multiple of 1/2.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
