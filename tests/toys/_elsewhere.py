"""A GPU for machines that have none: tensors computed on the CPU that say they are there and refuse what CUDA, or Apple's, does.

What is caught: two places met in one operation, a numpy array of a tensor that is elsewhere, a CPU generator for draws there,
float64 on Apple's, and (in `waits`) that the CPU waits for the GPU. What is not: memory, speed, other last bits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_PLAIN = torch._C.DisableTorchFunctionSubclass
_ANYWHERE = {"copy_", "__setitem__", "set_", "__set__", "_set_data", "to", "__get__", "__delete__", "type_as"}
"""Operations that take tensors of two places."""
_WAIT = {"item", "tolist", "cpu", "nonzero", "equal", "allclose", "unique", "masked_select"}
_WAIT |= {"__bool__", "__float__", "__int__", "__index__"}
"""Operations for which the CPU waits until the GPU has come so far."""

_kind = "cuda"
"""Of the GPU that there is: cuda or mps."""
waits: list[str] = []
"""Those that were asked for, since it was last cleared."""


class Elsewhere(torch.Tensor):
    """A tensor that is computed on the CPU and says that it is on a GPU."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", str(func))
        if func == torch.Tensor.grad.__get__:
            with _PLAIN():
                grad = func(*args)
            return grad if grad is None else there(grad)
        if name in _WAIT:
            waits.append(name)
        if func == torch.Tensor.device.__get__:
            return torch.device(_kind, 0)
        if func in (torch.Tensor.is_cuda.__get__, torch.Tensor.is_mps.__get__, torch.Tensor.is_cpu.__get__):
            return func == (torch.Tensor.is_cuda if _kind == "cuda" else torch.Tensor.is_mps).__get__
        if name in ("numpy", "__array__"):
            raise TypeError(
                f"can't convert {_kind}:0 device type tensor to numpy. Use Tensor.cpu() to copy it to host memory first."
            )
        if func is torch.Tensor.cpu:
            return here(args[0])
        if func is torch.Tensor.to:
            return _to(*args, **kwargs)
        if func is torch.Tensor.__getitem__:
            _check_index(args[0], args[1])
        elif func is torch.Tensor.__setitem__ and _indexed(args[1]):
            _check(name, [args[0], args[2]])
        elif name not in _ANYWHERE:
            _check(name, tree_leaves((args, kwargs)))
        if isinstance(kwargs.get("generator"), torch.Generator):
            raise RuntimeError(f"Expected a '{_kind}' device type for generator but found 'cpu' ({name})")
        if kwargs.get("device") is not None:
            place = torch.device(kwargs.pop("device"))
            with _PLAIN():
                out = func(*args, **kwargs)
            return there(out) if place.type == _kind else here(out)
        return _allowed(super().__torch_function__(func, types, args, kwargs))

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        if id(self) not in memo:
            with _PLAIN():
                copied = there(self.detach().clone(memory_format=torch.preserve_format))
                copied.requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                copied._is_param = True
            memo[id(self)] = copied
        return memo[id(self)]

    def __format__(self, spec: str) -> str:
        return format(here(self), spec)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As a tensor of the CPU, which is what a checkpoint is read back as."""
        return here(self).__reduce_ex__(protocol)


class _Place(TorchFunctionMode):
    """Makes there what is asked for there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if any(issubclass(t, Elsewhere) for t in types):
            return func(*args, **kwargs)
        if func is torch.Tensor.to and isinstance(args[0], torch.Tensor):
            return _to(*args, **kwargs)
        if func is torch.Tensor.cuda:
            return there(args[0])
        if (place := kwargs.get("device")) is not None and torch.device(place).type == _kind:
            if isinstance(kwargs.get("generator"), torch.Generator):
                raise RuntimeError(f"Expected a '{_kind}' device type for generator but found 'cpu'")
            return there(func(*args, **{**kwargs, "device": "cpu"}))
        return func(*args, **kwargs)


def there(x: torch.Tensor) -> torch.Tensor:
    """`x` on the GPU."""
    with _PLAIN():
        return _allowed(x if isinstance(x, Elsewhere) else x.as_subclass(Elsewhere))


def here(x: torch.Tensor) -> torch.Tensor:
    """`x` on the CPU."""
    with _PLAIN():
        return x.as_subclass(torch.Tensor)


@contextmanager
def a_gpu(monkeypatch: Any, kind: str = "cuda") -> Iterator[torch.device]:
    """For its time there is one GPU, cuda or mps, which engines choose."""
    from pinxit.core.engine import Engine

    made = Engine.__init__

    def on_gpu(engine: Engine, settings: Any) -> None:
        made(engine, settings)
        engine.device = torch.device(kind, 0)

    monkeypatch.setattr(Engine, "__init__", on_gpu)
    monkeypatch.setattr(nn.Module, "_apply", _apply)
    monkeypatch.setattr(sys.modules[__name__], "_kind", kind)
    monkeypatch.setattr(torch.mps, "manual_seed", lambda seed: torch.default_generator.manual_seed(seed))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "default_generators", (torch.default_generator,))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU that is not there")
    with _Place():
        yield torch.device(kind, 0)


def _apply(module: nn.Module, move: Any, recurse: bool = True) -> nn.Module:
    """What `to`, `cpu`, `double`... do to a module: a parameter can't change its class in place, so each is made anew, once."""
    moved: dict[int, Any] = {}

    def once(x: torch.Tensor) -> torch.Tensor:
        if id(x) not in moved:
            with torch.no_grad():
                y = move(x)
            # The key is an id, so what it is of must live on.
            moved[id(x)] = x, nn.Parameter(y, requires_grad=x.requires_grad) if isinstance(x, nn.Parameter) else y
        return moved[id(x)][1]

    for part in module.modules():
        for held in (part._parameters, part._buffers):
            held.update({name: once(x) for name, x in held.items() if x is not None})
    return module


def _to(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """`x.to(...)` with a device, a dtype, both, or another tensor that has them."""
    if args and isinstance(args[0], torch.Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    copied = {"copy": kwargs.pop("copy", False)}
    device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
    elsewhere = isinstance(x, Elsewhere) if device is None else device.type == _kind
    if elsewhere == isinstance(x, Elsewhere):
        with _PLAIN():
            out = x.to(dtype=x.dtype if dtype is None else dtype, memory_format=layout or torch.preserve_format, **copied)
        return there(out) if elsewhere else out
    with _PLAIN():
        out = x.to(dtype=x.dtype if dtype is None else dtype, memory_format=layout or torch.preserve_format, copy=True)
    return there(out) if elsewhere else here(out)


def _check(name: str, values: list[Any]) -> None:
    tensors = [x for x in values if isinstance(x, torch.Tensor)]
    if any(not isinstance(x, Elsewhere) and x.ndim for x in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {_kind}:0 and cpu ({name})")


def _allowed(out: Any) -> Any:
    """`out`, if the GPU has numbers of its kind."""
    if _kind == "mps":
        with _PLAIN():
            if any(isinstance(x, Elsewhere) and x.dtype == torch.float64 for x in tree_leaves(out)):
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
    return out


def _indexed(index: Any) -> bool:
    return any(isinstance(part, torch.Tensor) for part in (index if isinstance(index, tuple) else (index,)))


def _check_index(x: torch.Tensor, index: Any) -> None:
    parts = index if isinstance(index, tuple) else (index,)
    if not isinstance(x, Elsewhere) and any(isinstance(part, Elsewhere) and part.ndim for part in parts):
        raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
