"""Lipschitz constants of networks in the Euclidean norm, from above and from below.

    upper   the network is run once and followed: linear maps count their largest singular value as *operators* on samples of
            this size (stride and padding included), activations their greatest slope, sums add, all else is refused
    lower   the largest gradient found: over given points, then climbing from them

The truth lies between. The product of norms can be far above it (Virmaux & Scaman 2018); `upper_by_patterns` closes the gap
for small ReLU networks.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from pinxit.core.errors import InputError

# Greatest slopes, rounded up. silu: 1.0998 at x = 2.3994; gelu: 1.1290 at x = sqrt 2; selu: its scale times alpha.
SLOPES = {
    "relu": 1.0,
    "relu_": 1.0,
    "tanh": 1.0,
    "sigmoid": 0.25,
    "softplus": 1.0,
    "abs": 1.0,
    "hardtanh": 1.0,
    "clamp": 1.0,
    "amax": 1.0,
    "sort": 1.0,
    "silu": 1.09984,
    "gelu": 1.13,
    "selu": 1.75810,
}
ISOMETRIES = """
view reshape flatten unflatten squeeze unsqueeze permute transpose movedim contiguous to float double detach
clone neg view_as chunk split narrow __getitem__ dropout requires_grad_ pixel_shuffle pixel_unshuffle
"""
# Isometries that may stand within a linear map: they act on each sample by itself, whatever their number.
SHAPES = frozenset(("flatten", "contiguous", "neg", "dropout", "clone", "detach"))
SUMS = frozenset(("add", "__add__", "__radd__", "add_", "sub", "__sub__", "__rsub__"))
LINEAR = """
linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d avg_pool1d avg_pool2d
adaptive_avg_pool2d pad interpolate mean sum
"""
LEAKS = frozenset(("item", "tolist", "numpy", "__bool__", "__float__"))
EXPLICIT = 1024
"""An operator's matrix is written out where the smaller of its sides is at most this, and it has at most 2**22 entries."""
Map = Callable[[Tensor], Tensor]
PATTERNS = 16
"""Most ReLU units of which all patterns of activity are tried."""


class Factor(NamedTuple):
    """One operation: its norm, and whether it is exact or a power iteration's, which comes from below."""

    operation: str
    norm: float
    exact: bool


class Upper(NamedTuple):
    """An upper bound, certain if every factor is exact."""

    value: float
    factors: tuple[Factor, ...]


class Lower(NamedTuple):
    """Slopes that are there: the greatest on the given points, the greatest found by climbing, and where (...)."""

    on_points: float
    value: float
    at: Tensor


def upper(network: nn.Module, input_shape: tuple[int, ...]) -> Upper:
    """A bound of |f(x) - f(y)| / |x - y| over all x, y: the product of the norms of the operations (AutoLip).

    Args:
        network: takes (n, *input_shape); in eval mode if it has batch norm or dropout. It is not changed.
        input_shape: of one sample.

    Raises:
        InputError: naming an operation whose slope has no known bound (layer norm, products of two features...), or batch
            norm or dropout in training mode.
    """
    for name, module in network.named_modules():
        if module.training and isinstance(module, _BatchNorm | _DropoutNd):
            kind = type(module).__name__
            raise InputError(f"`{name}` is {kind} in training mode, no function of one sample: call network.eval() first")
    # A copy: in training mode, a forward pass would move the vectors of spectral normalisation.
    twin = copy.deepcopy(network).double().eval()
    x = torch.zeros(1, *input_shape, dtype=torch.float64)
    follower = _Follower(x)
    with torch.no_grad(), follower:
        out = twin(x)
    if not isinstance(out, Tensor):
        raise InputError(f"the network returns {type(out).__name__}: only networks with one output can be bounded")
    final = follower.state(out)
    return Upper(final.bound, final.factors)


def upper_by_patterns(network: nn.Sequential) -> float:
    """max over all 0/1 diagonals D_l of |W_L D_(L-1) ... D_1 W_1|: a bound for ReLU, exact without one (Virmaux & Scaman 2018).

    Args:
        network: Linear layers and ReLUs in sequence, at most 16 ReLU units together.

    Raises:
        InputError: another kind of layer, or more units.
    """
    layers = list(network)
    for layer in layers:
        if not isinstance(layer, nn.Linear | nn.ReLU):
            raise InputError(f"{type(layer).__name__} is in the network: patterns are of Linear and ReLU layers")
    width, widths = 0, []
    for layer in layers:
        width = layer.out_features if isinstance(layer, nn.Linear) else width
        widths += [width] if isinstance(layer, nn.ReLU) else []
    if sum(widths) > PATTERNS:
        raise InputError(f"the network has {sum(widths)} ReLU units: with more than {PATTERNS} there are too many patterns")
    best = 0.0
    for pattern in itertools.product((0.0, 1.0), repeat=sum(widths)):
        active = iter(torch.tensor(pattern, dtype=torch.float64).split(widths))
        product: Tensor | None = None
        for layer in layers:
            if isinstance(layer, nn.Linear):
                weight = layer.weight.detach().double()
                product = weight if product is None else weight @ product
            elif product is not None:
                product = next(active)[:, None] * product
        if product is not None:
            best = max(best, float(torch.linalg.matrix_norm(product, 2)))
    return best


def slopes(f: Callable[[Tensor], Tensor], x: Tensor, *, differentiable: bool = False) -> Tensor:
    """The largest singular value of f's Jacobian at every point of x (n, ...), as (n,); |grad f| where f is scalar.

    Args:
        f: (n, ...) to (n,) or (n, m), each row a function of its own sample alone.
        x: float32 or float64.
        differentiable: keep the graph, so that the slopes can be differentiated.
    """
    points = x.detach().requires_grad_()
    with torch.enable_grad():
        rows = f(points).reshape(len(x), -1).unbind(dim=1)
        if not any(row.requires_grad for row in rows):
            return torch.zeros(len(x), dtype=x.dtype)
        # The last row's pass may free the graph, unless the slopes are to be differentiated.
        gradients = [
            torch.autograd.grad(
                row.sum(), points, create_graph=differentiable, retain_graph=differentiable or row is not rows[-1]
            )[0]
            for row in rows
        ]
        jacobian = torch.stack([gradient.flatten(1) for gradient in gradients], dim=1)
        if len(rows) == 1:
            return jacobian.norm(dim=(1, 2))
        return torch.linalg.matrix_norm(jacobian, 2)


def lower(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    steps: int = 0,
    reach: float | None = None,
    generator: torch.Generator | None = None,
) -> Lower:
    """The greatest slope of f found: over the points x, then by climbing from each of them.

    A step goes along the gradient of the slope and at random, and is kept where the slope is no less. Its length is random, from
    `reach` down to 1/256 of it. (A ReLU network's slope is constant but for jumps: only the random part finds those.)

    Args:
        f: (n, ...) to (n,) or (n, m), each row a function of its own sample alone.
        x: points (n, ...): data, generated samples, interpolates.
        steps: of climbing; 0 for none.
        reach: length of the longest step; by default the standard deviation of x in each coordinate.
        generator: of the random directions, on the CPU.
    """
    points = x.detach().clone()
    best = slopes(f, points).detach()
    on_points = float(best.max())
    longest = (float(x.std()) or 1.0) * math.sqrt(x[0].numel()) if reach is None else reach
    wide = (-1, *(1 for _ in x.shape[1:]))
    for _ in range(steps):
        noise = torch.randn(x.shape, dtype=x.dtype, generator=generator).to(x.device)
        length = longest * 2 ** (-8 * torch.rand(len(x), dtype=x.dtype, generator=generator)).to(x.device)
        step = length.view(wide) * _unit(_unit(noise) + _uphill(f, points))
        reached = slopes(f, points + step).detach()
        kept = reached >= best
        points = torch.where(kept.view(wide), points + step, points)
        best = torch.where(kept, reached, best)
    return Lower(on_points, float(best.max()), points[int(best.argmax())])


def _uphill(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The direction in which the slope of f grows fastest at each point, of length one; 0 where it is constant."""
    points = x.detach().requires_grad_()
    with torch.enable_grad():
        total = _sum_of_slopes(f, points)
        if not total.requires_grad:
            return torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(total, points, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else _unit(gradient)


def _sum_of_slopes(f: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Half the squared Jacobian's entries summed: smooth where a norm would not be, with the same uphill for scalar f."""
    total = points.new_zeros(())
    for row in f(points).reshape(len(points), -1).unbind(dim=1):
        (gradient,) = torch.autograd.grad(row.sum(), points, create_graph=True)
        total = total + 0.5 * gradient.square().sum()
    return total


def _unit(x: Tensor) -> Tensor:
    length = x.flatten(1).norm(dim=1).view(-1, *(1 for _ in x.shape[1:]))
    return torch.where(length > 0, x / length.clamp(min=torch.finfo(x.dtype).tiny), torch.zeros_like(x))


def operator_norm(apply: Callable[[Tensor], Tensor], shape: tuple[int, ...], *, tolerance: float = 1e-10) -> tuple[float, bool]:
    """The largest singular value of a linear map of samples (n, *shape), in float64, and whether it is exact.

    SVD of the explicit matrix where that is small; else orthogonal iteration on A^T A with four vectors, the transpose by
    automatic differentiation, until the norm changes by less than `tolerance`.
    """
    size = math.prod(shape)
    probe = torch.zeros(1, *shape, dtype=torch.float64)
    outputs = apply(probe).numel()
    if min(size, outputs) <= EXPLICIT and size * outputs <= 2**22:
        columns = apply(torch.eye(size, dtype=torch.float64).view(size, *shape)).reshape(size, -1)
        return float(torch.linalg.matrix_norm(columns, 2)), True
    x = torch.randn(4, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    norm, before = 0.0, -1.0
    for _ in range(2000):
        basis = torch.linalg.qr(x.T).Q.T
        with torch.enable_grad():
            y, transpose, *_ = torch.func.vjp(apply, basis.reshape(4, *shape))
        x = transpose(y)[0].reshape(4, size)
        norm, before = float(torch.linalg.matrix_norm(y.reshape(4, -1), 2)), norm
        if abs(norm - before) <= tolerance * norm:
            break
    return norm, False


@dataclass(frozen=True)
class _State:
    """A tensor that depends on the input: the bound of its slope, and how it came about.

    `linear` maps samples of `shape` (those of the last tensor after a nonlinearity, whose bound is `base`) to this tensor:
    linear operations in a row, named in `label`, are bounded as one.
    """

    tensor: Tensor
    bound: float
    factors: tuple[Factor, ...]
    base: float
    shape: tuple[int, ...]
    linear: Map | None = None
    label: str = ""


class _Follower(TorchFunctionMode):
    """Sees every torch function that a forward pass calls, and bounds each result's slope by the input."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        # A tensor is kept with its state: a freed one's id would be given to another.
        self.known = {id(x): _State(x, 1.0, (), 1.0, tuple(x.shape[1:]))}

    def state(self, x: Tensor) -> _State:
        """What is known of a tensor; a slope of 0 where it does not depend on the input."""
        return self.known.get(id(x)) or _State(x, 0.0, (), 0.0, tuple(x.shape[1:]))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        inputs = [self.known[id(x)] for x in _tensors((*args, *kwargs.values())) if id(x) in self.known]
        sizes = [state.tensor.numel() for state in inputs]
        out = func(*args, **kwargs)
        call = _Call(getattr(func, "__name__", str(func)), func, args, kwargs)
        if inputs and call.name in LEAKS:
            raise InputError(f"`{call.name}` takes a number out of the network: what depends on it can't be bounded")
        for result in _tensors([out]) if inputs else ():
            self.known[id(result)] = _after(call, inputs, sizes, result)
        return out


class _Call(NamedTuple):
    """A torch function called."""

    name: str
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def argument(self, place: int, name: str, default: Any) -> Any:
        """An argument, however it was given."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def again(self, x: Tensor) -> Tensor:
        """The same call on another first argument."""
        return self.func(x, *self.args[1:], **self.kwargs)


def _after(call: _Call, inputs: list[_State], sizes: list[int], out: Tensor) -> _State:
    """The state of `out`, or InputError where the operation has no rule."""
    shape = tuple(out.shape[1:])
    factors = tuple(itertools.chain.from_iterable(state.factors for state in inputs))
    if call.name in SUMS and call.kwargs.get("alpha", 1) == 1 and all(size == out.numel() for size in sizes):
        if len(inputs) == 1:
            return dataclasses.replace(inputs[0], tensor=out)
        bound = sum(state.bound for state in inputs)
        return _State(out, bound, factors, bound, shape)
    if call.name in ("cat", "stack"):
        bound = math.sqrt(sum(state.bound**2 for state in inputs))
        return _State(out, bound, factors, bound, shape)
    if len(inputs) > 1:
        raise InputError(f"the network uses `{call.name}` on two functions of its input: its slope can't be bounded")
    (before,) = inputs
    if call.name in ISOMETRIES.split():
        if call.name in SHAPES:
            return dataclasses.replace(before, tensor=out, linear=_then(before.linear, call.again))
        return _State(out, before.bound, factors, before.bound, shape)
    if call.name in LINEAR.split() and call.args and call.args[0] is before.tensor and out.ndim and len(out) == 1:
        origin = call.again(torch.zeros_like(before.tensor))
        linear = _then(before.linear, lambda x: call.again(x) - origin)
        norm, exact = operator_norm(linear, before.shape)
        label = f"{before.label} {call.name}".strip()
        factors = (*(factors[:-1] if before.label else factors), Factor(label, norm, exact))
        return _State(out, before.base * norm, factors, before.base, before.shape, linear, label)
    slope = _slope(call, before.tensor, out)
    if slope is None:
        raise InputError(f"the network uses `{call.name}`, whose slope has no bound that is known here")
    bound = before.bound * slope
    return _State(out, bound, (*factors, Factor(call.name, slope, True)), bound, shape)


def _then(first: Map | None, second: Map) -> Map:
    return second if first is None else lambda x: second(first(x))


def _slope(call: _Call, x: Tensor, out: Tensor) -> float | None:
    """The greatest slope of an operation that acts number by number; None if it is not one that is known."""
    if call.name in SLOPES:
        return SLOPES[call.name]
    if call.name == "leaky_relu":
        return max(1.0, abs(call.argument(1, "negative_slope", 0.01)))
    if call.name == "elu":
        return max(1.0, abs(call.argument(1, "alpha", 1.0)))
    if call.name in ("mul", "__mul__", "__rmul__", "div", "__truediv__") and x is call.args[0] and x.numel() == out.numel():
        other = torch.as_tensor(call.args[1], dtype=torch.float64).abs()
        return float(other.max() if "mul" in call.name else 1 / other.min())
    if call.name == "batch_norm" and not call.argument(5, "training", False):
        gain = call.argument(3, "weight", None)
        scale = (call.args[2] + call.argument(7, "eps", 1e-5)).rsqrt()
        return float((scale if gain is None else scale * gain).abs().max())
    return None


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    """The tensors among `values` and in lists of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
