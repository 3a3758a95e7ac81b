"""LeakyReLU for discriminators, made for penalties on their gradient.

It is linear on either side of zero, so its second derivative is zero wherever there is one. Torch's own returns that zero as a
tensor, which a gradient penalty then carries back through the whole network, layer by layer, to add zeros to its gradients. Here
nothing is returned; values and gradients are the same bits.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function


class LeakyReLU(nn.LeakyReLU):
    """max(x, slope x); see the module."""

    def __init__(self, slope: float = 0.2) -> None:
        super().__init__(slope)

    def forward(self, input: Tensor) -> Tensor:
        """The activation; where no gradient is asked for, and for what is no plain tensor (a bound's tracer), torch's own."""
        if torch.is_grad_enabled() and type(input) is Tensor and input.requires_grad:
            return _LeakyReLU.apply(input, self.negative_slope)
        return super().forward(input)


class _LeakyReLU(Function):
    """Whose gradient depends on the incoming one alone, as far as it is differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:
        out = F.leaky_relu(x, slope)
        ctx.slope = slope
        ctx.save_for_backward(out)  # its sign is that of x, and the next layer keeps it anyway
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (out,), (grad,) = ctx.saved_tensors, grad_outputs
        if torch.is_grad_enabled():  # to be differentiated again, by `grad` alone
            one = grad.new_ones(())
            return grad * torch.where(out.detach() > 0, one, one * ctx.slope), None
        return torch.ops.aten.leaky_relu_backward(grad, out, ctx.slope, True), None
