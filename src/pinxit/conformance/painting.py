"""Drawing from a pixel model: each channel given those before it, each by its probability."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pinxit.conformance.record import Measured, Mistake, Row, near
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.outputs import Output, Softmax
from pinxit.nn.pixels import Head, PixelStack
from pinxit.nn.sampling import paint

Painter = Callable[[nn.Module, Output, Tensor], Tensor]


@torch.no_grad()
def copies() -> PixelStack:
    """A model of two levels: the first channel is a fair coin, the others repeat it, P(x_g = x_(g-1)) = sigmoid(50)."""
    network = PixelStack(MaskedConv2d(3, 6, 3, "A", groups=3), [], Head(6, (), 2, groups=3))
    for p in network.parameters():
        p.zero_()
    (last,) = network.head.layers
    network.first.row[2:, :, 0, -1] = 50 * torch.tensor([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0]])  # type: ignore[index]
    last.row[:, :, 0, 0] = torch.eye(6)  # type: ignore[index,operator]
    return network


def measure(painter: Painter) -> Measured:
    """Shares of 64 images of 4 x 4: of pixels whose channels agree, and of those that are 1 in the first."""
    with torch.no_grad():
        x = painter(copies(), Softmax(2), torch.zeros(64, 3, 4, 4))
    agree = (x == x[:, :1]).all(dim=1)
    return {"channels that agree": agree.double().mean().item(), "ones": (x[:, 0] > 0).double().mean().item()}


def ours(network: nn.Module, output: Output, x: Tensor) -> Tensor:
    """As `sample` paints."""
    return paint(network, output, x)


def independently(network: nn.Module, output: Output, x: Tensor) -> Tensor:
    """All channels of a pixel from one forward pass."""
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            logits = network(x)[:, :, row, column].unflatten(1, (x.shape[1], -1))
            x[:, :, row, column] = torch.distributions.Categorical(logits=logits).sample().to(x.dtype) * 2 - 1
    return x


def likeliest(network: nn.Module, output: Output, x: Tensor) -> Tensor:
    """Channel by channel, the likeliest level."""
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            for channel in range(x.shape[1]):
                logits = network(x)[:, 2 * channel : 2 * channel + 2, row, column]
                x[:, channel, row, column] = logits.argmax(dim=1).to(x.dtype) * 2 - 1
    return x


PAINTING = Row[Painter](
    number=31,
    name="channels-drawn",
    property="Each channel is drawn given the channels before it, with its probability",
    paper="van den Oord et al. 2016a, equation 2",
    equation="P(G = B = R) = 1 and P(R = 1) = 1/2 in a model of just that, over 1024 pixels",
    right={"channels that agree": near(1), "ones": near(0.5, 0.06)},
    measure=measure,
    ours=ours,
    mistakes=(
        Mistake("all channels of a pixel from one pass", "pytorch-generative base.py:113-114", independently),
        Mistake("the likeliest level in the place of a draw", "rmsnorm", likeliest),
    ),
)

ROWS = (PAINTING,)
