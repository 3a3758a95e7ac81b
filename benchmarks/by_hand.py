"""A GAN of multilayer perceptrons without autograd: every derivative written out, into memory kept for it.

What is left to be gained over it in torch are its operations themselves: no graph, no modules, one flat tensor a player for Adam,
no copy that the mathematics does not ask for. Its weights after a round are those of the game (tests/test_benchmarks.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from benchmarks.runs import SETTINGS, endless
from pinxit.core.engine import Engine
from pinxit.data.store import Store
from pinxit.systems import gan


class Network:
    """Linear layers and LeakyReLUs, their weights and biases one flat tensor.

    Args:
        layers: from which the weights are copied.
        slope: of the LeakyReLU between them, 0 for a ReLU.
        bounded: tanh at the end.
        batches: the sizes of batch that it will see.
        optimizer: Adam's settings.
    """

    def __init__(
        self, layers: Sequence[nn.Linear], *, slope: float, bounded: bool, batches: Sequence[int], **optimizer: object
    ) -> None:
        self.slope, self.bounded = slope, bounded
        self.flat = nn.Parameter(torch.cat([p.detach().reshape(-1) for layer in layers for p in (layer.weight, layer.bias)]))
        self.flat.grad = torch.zeros_like(self.flat)
        self.adam = Adam([self.flat], fused=True, **optimizer)
        self.weights, self.biases = _views(self.flat.detach(), layers)
        self.by_weights, self.by_biases = _views(self.flat.grad, layers)
        widths = [layers[0].in_features, *(layer.out_features for layer in layers)]
        self.kept = {n: [torch.empty(n, width) for width in widths] for n in batches}
        self.by_kept = {n: [torch.empty(n, width) for width in widths] for n in batches}

    def forward(self, x: Tensor) -> Tensor:
        """The outputs; what each layer gave is kept."""
        kept = self.kept[len(x)]
        kept[0] = x
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            out = torch.addmm(bias, kept[number - 1], weight.t(), out=kept[number])
            if number < len(self.weights):
                F.leaky_relu_(out, self.slope)
        return kept[-1].tanh_() if self.bounded else kept[-1]

    def backward(self, by_output: Tensor, *, weights: bool, inputs: bool) -> Tensor:
        """From the loss's gradient by the outputs: by the weights, into `flat.grad`, and by the inputs, which it returns."""
        kept, by_kept, g = self.kept[len(by_output)], self.by_kept[len(by_output)], by_output
        if self.bounded:
            torch.ops.aten.tanh_backward.grad_input(g, kept[-1], grad_input=g)
        for number in reversed(range(len(self.weights))):
            if weights:
                torch.mm(g.t(), kept[number], out=self.by_weights[number])
                torch.sum(g, 0, out=self.by_biases[number])
            if number or inputs:
                before = torch.mm(g, self.weights[number], out=by_kept[number])
                if number:
                    torch.ops.aten.leaky_relu_backward.grad_input(before, kept[number], self.slope, True, grad_input=before)
                g = before
        return g


class ByHand:
    """The rounds of `gan`, non-saturating, from the weights of `game`; `play` is all of them."""

    def __init__(self, game: gan.GAN, real: Store) -> None:
        Engine(SETTINGS)
        config, self.game, self.rows = game.config, game, real.images.flatten(1)
        self.n, self.rounds = config.batch_size, config.rounds
        adam = {"lr": config.lr, "betas": config.betas}
        self.generator = Network(_linear(game.generator), slope=0.0, bounded=True, batches=[self.n], **adam)
        both = [self.n, 2 * self.n]
        self.discriminator = Network(_linear(game.discriminator), slope=0.2, bounded=False, batches=both, **adam)
        self.mean = self.generator.flat.detach().clone()
        self.images = torch.empty(2 * self.n, self.rows.shape[1])
        self.real = torch.cat((torch.ones(self.n, 1), torch.zeros(self.n, 1)))
        self.order = endless(len(real), self.n)

    @torch.no_grad()
    def play(self) -> None:
        """All rounds."""
        for _ in range(self.rounds):
            self.round(self.order)

    def round(self, order: Iterator[Tensor]) -> None:
        """D's update on real and fake, G's on fresh codes, the average."""
        g, d, n = self.generator, self.discriminator, self.n
        self.images[:n].copy_(self.rows[next(order)]).mul_(2 / 255).sub_(1)
        self.images[n:].copy_(g.forward(self.game.latents(n)))
        scores = d.forward(self.images)
        F.softplus(-scores[:n]).mean() + F.softplus(scores[n:]).mean()  # the loss, which a user wants to see
        d.backward(torch.sigmoid(scores).sub_(self.real).div_(n), weights=True, inputs=False)
        d.adam.step()
        scores = d.forward(g.forward(self.game.latents(n)))
        F.softplus(-scores).mean()
        by_fakes = d.backward(torch.sigmoid(scores).sub_(1).div_(n), weights=False, inputs=True)
        g.backward(by_fakes, weights=True, inputs=False)
        g.adam.step()
        self.mean.lerp_(g.flat.detach(), 0.01)


def _linear(network: nn.Module) -> list[nn.Linear]:
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def _views(flat: Tensor, layers: Sequence[nn.Linear]) -> tuple[list[Tensor], list[Tensor]]:
    weights, biases, start = [], [], 0
    for layer in layers:
        middle, end = start + layer.weight.numel(), start + layer.weight.numel() + layer.out_features
        weights.append(flat[start:middle].view(layer.out_features, layer.in_features))
        biases.append(flat[middle:end])
        start = end
    return weights, biases
