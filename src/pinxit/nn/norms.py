"""Normalisation of hidden layers, and whether a network mixes the samples of a batch."""

from __future__ import annotations

from torch import nn

from pinxit.core.errors import InputError

BATCH = nn.modules.batchnorm._BatchNorm


def norm(kind: str, channels: int, *, flat: bool = False) -> list[nn.Module]:
    """The layer that normalises `channels` features or maps, as a list of one; empty for `none` and `spectral`.

    Args:
        kind: none, batch, layer (over channels and pixels of one sample) or spectral, which acts on weights instead.
        channels: of the layer's input.
        flat: the input is (n, channels) rather than (n, channels, h, w).
    """
    if kind == "batch":
        return [nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)]
    if kind == "layer":
        return [nn.LayerNorm(channels) if flat else nn.GroupNorm(1, channels)]
    return []


def has_batch_statistics(network: nn.Module) -> bool:
    """Whether the output for one sample depends on the others of its batch in training."""
    return any(isinstance(module, BATCH) for module in network.modules())


def refuse_batch_statistics(network: nn.Module, who: str, why: str) -> None:
    """Raise InputError if `network` mixes samples: `who` is the system, `why` the reason that it must not."""
    for name, module in network.named_modules():
        if isinstance(module, BATCH):
            raise InputError(f"layer `{name}` of {who} is {type(module).__name__}: {why}; take --normalisation none or layer")
