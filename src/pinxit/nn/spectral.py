"""Spectral norms of layers: normalised away (Miyato et al. 2018), penalised (Yoshida & Miyato 2017), or computed exactly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)
EXPLICIT = 2048
"""Most numbers of input and of output up to which a convolution's matrix is written out."""


def spectral_norm(network: nn.Module) -> None:
    """Divide every weight of `network` by its largest singular value, in place: W / sigma(W) (Miyato et al. 2018, eq. 8).

    The weight is seen as the matrix (out, in * kh * kw); u and v are buffers, moved by one step of power iteration at every
    forward pass in training mode, and held in eval mode (algorithm 1).
    """
    for module in list(network.modules()):
        if isinstance(module, LAYERS) and not parametrize.is_parametrized(module, "weight"):
            parametrizations.spectral_norm(module, n_power_iterations=1)


def matrix(module: nn.Module) -> Float[Tensor, "o i"]:
    """The layer's present weight as a matrix, its output channels first; those of a transposed convolution are axis 1."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return (weight.transpose(0, 1) if isinstance(module, nn.ConvTranspose2d) else weight).flatten(1)


class SpectralRegulariser(nn.Module):
    """1/2 sum over layers of sigma(W)^2, whose gradient by W is sigma u v^T (Yoshida & Miyato 2017, eq. 4 and algorithm 1).

    A penalty, not a re-parametrisation: it pulls the norms down by no more than its weight says. u is a buffer, moved by one
    step of power iteration at every call in training mode, as in `spectral_norm`.

    Args:
        network: whose linear, convolutional and embedding layers are penalised; it stays its owner's.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._layers = tuple(module for module in network.modules() if isinstance(module, LAYERS))  # a tuple: not sub-modules
        for number, module in enumerate(self._layers):
            rows = matrix(module).detach()
            u = F.normalize(torch.randn(len(rows), dtype=rows.dtype), dim=0)
            for _ in range(15):
                u = _step(rows, u)[0]
            self.register_buffer(f"u{number}", u)

    def forward(self) -> Float[Tensor, ""]:
        """The penalty."""
        with torch.autocast(self.get_buffer("u0").device.type, enabled=False):
            norms = [self._norm(number, matrix(module)) for number, module in enumerate(self._layers)]
            return 0.5 * torch.stack(norms).square().sum()

    def _norm(self, number: int, rows: Tensor) -> Tensor:
        """u^T W v, differentiable in W alone."""
        with torch.no_grad():
            u, v = _step(rows, self.get_buffer(f"u{number}"))
            if self.training:
                self.get_buffer(f"u{number}").copy_(u)
        return u @ rows @ v


def operator_norm(layer: nn.Module, shape: tuple[int, ...], *, tolerance: float = 1e-9, most: int = 10_000) -> float:
    """The largest singular value of a linear or convolutional layer as a map of samples of `shape`, without its bias.

    A convolution's is not that of its reshaped kernel: padding and stride count. Exact (SVD of the explicit matrix) where
    input and output have at most 2,048 numbers; else power iteration on the map and its transpose, in float64.

    Args:
        layer: Linear, Conv2d or ConvTranspose2d.
        shape: of one sample, (features,) or (c, h, w).
        tolerance: relative change of the norm at which the iteration ends.
        most: steps at the most.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    weight = weight.detach().to("cpu" if weight.device.type == "mps" else weight.device, torch.float64)  # Apple's has no float64

    def apply(x: Tensor) -> Tensor:
        match layer:
            case nn.Linear():
                return F.linear(x, weight)
            case nn.Conv2d():
                padding = layer.padding
                if layer.padding_mode != "zeros":
                    x, padding = F.pad(x, layer._reversed_padding_repeated_twice, mode=layer.padding_mode), 0
                return F.conv2d(x, weight, None, layer.stride, padding, layer.dilation, layer.groups)
            case nn.ConvTranspose2d():
                padding = tuple(int(p) for p in layer.padding)
                return F.conv_transpose2d(
                    x, weight, None, layer.stride, padding, layer.output_padding, layer.groups, layer.dilation
                )
        raise TypeError(f"`layer` is {type(layer).__name__}: it must be Linear, Conv2d or ConvTranspose2d")

    size = torch.Size(shape).numel()
    zero = torch.zeros(1, *shape, dtype=torch.float64, device=weight.device)
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(weight, 2))
    if max(size, apply(zero).numel()) <= EXPLICIT:
        columns = apply(torch.eye(size, dtype=torch.float64, device=weight.device).view(size, *shape)).flatten(1)
        return float(torch.linalg.matrix_norm(columns, 2))
    x = torch.randn(1, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(weight.device)
    norm = 0.0
    for _ in range(most):
        x = (x / x.norm()).requires_grad_()
        y = apply(x)
        (x,) = torch.autograd.grad(y, x, y.detach())  # the transpose of the map, on y
        old, norm = norm, float(x.norm()) ** 0.5
        if abs(norm - old) <= tolerance * norm:
            break
    return norm


def _step(rows: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """v = W^T u / |.|, u = W v / |.|: one step of power iteration."""
    v = F.normalize(rows.T @ u, dim=0)
    return F.normalize(rows @ v, dim=0), v
