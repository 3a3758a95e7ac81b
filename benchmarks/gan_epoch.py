"""An epoch of `gan` on MNIST against the loop of the tutorials, a loop by hand, and nothing but its own matrix products.

The tutorial's side is the loop that most GAN tutorials share: an image at a time through PIL, ToTensor and Normalize; fakes
not detached in the discriminator's step; gradients of the discriminator's weights in the generator's step; BCELoss of a
sigmoid; plain Adam; the numbers printed every 200 steps. It runs in a process of its own, as it would without pinxit. It is
played on three networks:

    tutorial    64-256-256-784 and 784-256-256-1: those of the tutorial that has exactly this loop,
                github.com/yunjey/pytorch-tutorial, tutorials/03-advanced/generative_adversarial_network
    small       100-256-512-1024-784, the generator of github.com/lyeoni/pytorch-mnist-GAN (the same loop, but for the numbers
                read at every step), and 784-512-256-1, its discriminator without the first layer: the preset `small`
    one-layer   100-128-784 and 784-128-1: github.com/wiseodd/generative-models, GAN/vanilla_gan (whose own loop takes
                batches of 64 from an array: only its network is used here)

How much faster a loop can be at all is `tutorial / products`: no loop does without its matrix products. How near to that one can
come that is made of nothing but torch's operations, without autograd, is told by the loop `by hand` (benchmarks/by_hand.py).
"""

from __future__ import annotations

import io
import itertools
import tempfile
import time
from collections.abc import Sequence
from functools import partial

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.by_hand import ByHand
from benchmarks.harness import Options, Ratio, Section, Side, Work, apart, compare
from benchmarks.runs import SETTINGS, alone, fitted, images
from pinxit.core.trainer import Trainer
from pinxit.data.store import Store
from pinxit.systems import gan

SIZES = {
    "small": gan.PRESETS["small"],
    "tutorial": gan.Config(
        latent=64, generator=(256, 256), discriminator=(256, 256), maxout=0, dropout_input=0.0, dropout=0.0,
        optimizer="adam", lr=2e-4,
    ),
    "one-layer": gan.Config(
        generator=(128,), discriminator=(128,), maxout=0, dropout_input=0.0, dropout=0.0, optimizer="adam", lr=2e-4,
    ),
}  # fmt: skip


class TutorialImages(Dataset[tuple[Tensor, int]]):
    """What torchvision's MNIST does for an item: a tensor's row to array to PIL image to transformed tensor."""

    def __init__(self, real: Store) -> None:
        self.data = real.images[:, 0]
        self.targets = torch.zeros(len(real), dtype=torch.int64) if real.labels is None else real.labels
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.data[index].numpy())), int(self.targets[index])


def tutorial(real: Store, config: gan.Config) -> Work:
    """The tutorials' training loop on networks of the same widths."""
    widths = (config.latent, *config.generator, 784)
    body = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
    generator = nn.Sequential(*body[:-1], nn.Tanh())
    hidden = [
        m
        for a, b in itertools.pairwise((784, *config.discriminator))
        for m in (nn.Linear(a, b), nn.LeakyReLU(0.2), nn.Dropout(config.dropout))
    ]
    layers = [m for m in hidden if config.dropout or not isinstance(m, nn.Dropout)]
    discriminator = nn.Sequential(*layers, nn.Linear(config.discriminator[-1], 1), nn.Sigmoid())
    loader = DataLoader(TutorialImages(real), batch_size=config.batch_size, shuffle=True, num_workers=0, drop_last=True)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=config.lr, betas=config.betas)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=config.lr, betas=config.betas)
    criterion, screen = nn.BCELoss(), io.StringIO()

    def work() -> None:
        step = 0
        while step < config.rounds:
            for x, _ in itertools.islice(loader, config.rounds - step):
                x = x.reshape(len(x), -1)
                real_labels, fake_labels = torch.ones(len(x), 1), torch.zeros(len(x), 1)
                real_score = discriminator(x)
                fake_score = discriminator(generator(torch.randn(len(x), config.latent)))
                d_loss = criterion(real_score, real_labels) + criterion(fake_score, fake_labels)
                d_optimizer.zero_grad()
                g_optimizer.zero_grad()
                d_loss.backward()
                d_optimizer.step()

                g_loss = criterion(discriminator(generator(torch.randn(len(x), config.latent))), real_labels)
                d_optimizer.zero_grad()
                g_optimizer.zero_grad()
                g_loss.backward()
                g_optimizer.step()
                step += 1
                if step % 200 == 0:
                    numbers = [t.mean().item() for t in (d_loss, g_loss, real_score, fake_score)]
                    print(step, *(f"{number:.4f}" for number in numbers), file=screen)

    return alone(work)


class Products:
    """The matrix products that a round can't do without, on tensors of their shapes, into memory kept for them.

    Discriminator's turn: G forward; D on real and fake, forward and backward but for the input's gradient. Generator's turn:
    G and D forward; D's gradient by its input alone; G backward but for the gradient by z.
    """

    def __init__(self, config: gan.Config) -> None:
        n, self.rounds, self.flops = config.batch_size, config.rounds, 0
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []
        g = _weights((config.latent, *config.generator, 784))
        d = _weights((784, *config.discriminator, 1))
        self._forward(g, n)
        self._forward(d, 2 * n)
        self._backward(d, 2 * n, by_weights=True, by_input=False)
        self._forward(g, n)
        self._forward(d, n)
        self._backward(d, n, by_weights=False, by_input=True)
        self._backward(g, n, by_weights=True, by_input=False)

    def _forward(self, weights: Sequence[Tensor], n: int) -> None:
        for w in weights:
            self._add(torch.randn(n, w.shape[1]), w.t())

    def _backward(self, weights: Sequence[Tensor], n: int, *, by_weights: bool, by_input: bool) -> None:
        for number, w in reversed(list(enumerate(weights))):
            g = torch.randn(n, w.shape[0])
            if by_weights:
                self._add(g.t(), torch.randn(n, w.shape[1]))
            if number or by_input:
                self._add(g, w)

    def _add(self, a: Tensor, b: Tensor) -> None:
        self.calls.append((a, b, a @ b))
        self.flops += 2 * a.shape[0] * a.shape[1] * b.shape[1]

    def play(self) -> None:
        """All rounds."""
        for _ in range(self.rounds):
            for a, b, out in self.calls:
                torch.mm(a, b, out=out)


def _weights(widths: Sequence[int]) -> list[Tensor]:
    return [torch.randn(b, a) / a**0.5 for a, b in itertools.pairwise(widths)]


def run(options: Options) -> list[Section]:
    """Every size of network."""
    real, sections = images(), []
    for size, preset in SIZES.items():
        config = preset.replace(rounds=40 if options.quick else 600)
        build = partial(gan.build, config, real.spec)
        products = Products(config)
        with tempfile.TemporaryDirectory() as root:
            trainer = Trainer(build(), real, tempfile.mkdtemp(dir=root), settings=SETTINGS)
            trainer.fit()
            start = time.perf_counter()
            trainer.save()
            saving = time.perf_counter() - start
            sides = [
                Side("pinxit", fitted(build, real, root)),
                Side("tutorial", apart(partial(tutorial, real, config))),
                Side("by hand", lambda build=build: ByHand(build(), real).play),
                Side("products", lambda products=products: products.play),
            ]
            ratios = [
                Ratio("tutorial / pinxit", "tutorial", "pinxit", at_least=4.0),
                Ratio("pinxit / products", "pinxit", "products", at_most=1.5),
                Ratio("tutorial / by hand", "tutorial", "by hand"),
                Ratio("by hand / products", "by hand", "products"),
                Ratio("tutorial / products: no loop can do better", "tutorial", "products"),
            ]
            notes = [
                f"pinxit includes its first and last checkpoint; one took {saving * 1e3:.0f} ms",
                f"{products.flops / 1e6:.0f} MFLOP of products a round",
            ]
            title = f"gan {size}: {config.rounds} rounds of {config.batch_size} images of {real.name}"
            sections.append(compare(title, sides, ratios, options, notes=notes))
    return sections
