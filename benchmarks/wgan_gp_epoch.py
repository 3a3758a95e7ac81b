"""WGAN-GP against the loop of the tutorials: an epoch, and its critic's step alone.

The tutorials' side: an image at a time through PIL, ToTensor and Normalize; the generator's graph kept in the critic's step, so
that its gradients are computed and thrown away; real, generated and interpolated images in three passes of their own; plain Adam;
`.item()` at every step; a process of its own, as it would have without pinxit. Networks: the multilayer perceptrons of
PyTorch-GAN's wgan_gp.py without its batch norm in the generator (128, 256, 512, 1024; critic 512, 256), batch 64, five critic
steps.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.gan_epoch import TutorialImages
from benchmarks.harness import Options, Ratio, Section, Side, Work, apart, compare
from benchmarks.runs import Bare, alone, fitted, images
from pinxit.data.store import Store
from pinxit.systems import wgan_gp

CONFIG = wgan_gp.Config(backbone="mlp", generator=(128, 256, 512, 1024), discriminator=(512, 256), lr=2e-4, betas=(0.5, 0.999))


class Tutorial:
    """The tutorials' networks and steps."""

    def __init__(self, config: wgan_gp.Config) -> None:
        self.config = config
        widths = (config.latent, *config.generator, 784)
        body = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
        self.generator = nn.Sequential(*body[:-1], nn.Tanh())
        hidden = [m for a, b in itertools.pairwise((784, *config.discriminator)) for m in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        self.critic = nn.Sequential(*hidden, nn.Linear(config.discriminator[-1], 1))
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), lr=config.lr, betas=config.betas)
        self.d_optimizer = torch.optim.Adam(self.critic.parameters(), lr=config.lr, betas=config.betas)

    def penalty(self, x: Tensor, x_fake: Tensor) -> Tensor:
        """The penalty as the tutorials write it."""
        alpha = torch.rand(len(x), 1)
        between = (alpha * x + (1 - alpha) * x_fake).requires_grad_(True)
        scores = self.critic(between)
        (slopes,) = torch.autograd.grad(scores, between, torch.ones(len(x), 1), create_graph=True, retain_graph=True)
        return ((slopes.view(len(x), -1).norm(2, dim=1) - 1) ** 2).mean()

    def critic_step(self, x: Tensor) -> float:
        """A step of the critic, the generator's graph kept."""
        self.d_optimizer.zero_grad()
        x_fake = self.generator(torch.randn(len(x), self.config.latent))
        loss = -self.critic(x).mean() + self.critic(x_fake).mean() + self.config.lambda_gp * self.penalty(x.data, x_fake.data)
        loss.backward()
        self.d_optimizer.step()
        return loss.item()

    def generator_step(self, n: int) -> float:
        """A step of the generator."""
        self.g_optimizer.zero_grad()
        loss = -self.critic(self.generator(torch.randn(n, self.config.latent))).mean()
        loss.backward()
        self.g_optimizer.step()
        return loss.item()


def tutorial(real: Store, config: wgan_gp.Config) -> Work:
    """As many critic and generator steps as `config.rounds` rounds have."""
    side = Tutorial(config)
    loader = DataLoader(TutorialImages(real), batch_size=config.batch_size, shuffle=True, num_workers=0, drop_last=True)

    def work() -> None:
        step, steps = 0, config.rounds * config.n_critic
        while step < steps:
            for x, _ in itertools.islice(loader, steps - step):
                side.critic_step(x.reshape(len(x), -1))
                step += 1
                if step % config.n_critic == 0:
                    side.generator_step(len(x))

    return alone(work)


def critics(real: Store, config: wgan_gp.Config, *, ours: bool, steps: int) -> Work:
    """Critic steps alone, on batches that are there already."""
    bare, side = Bare(wgan_gp.build(config, real.spec), real), Tutorial(config)
    batch, turn = real.batch(torch.arange(config.batch_size)), bare.stage.turns[0]
    x = batch.images.flatten(1)

    def work() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            if ours:
                bare.turn(turn, batch)
            else:
                side.critic_step(x)
        return time.perf_counter() - start

    return alone(work)


def run(options: Options) -> list[Section]:
    """An epoch, and critic steps alone."""
    real = images()
    config = CONFIG.replace(rounds=10 if options.quick else len(real) // (CONFIG.batch_size * CONFIG.n_critic))
    build = partial(wgan_gp.build, config, real.spec)
    with tempfile.TemporaryDirectory() as root:
        sides = [Side("pinxit", fitted(build, real, root)), Side("tutorial", apart(partial(tutorial, real, config)))]
        ratios = [Ratio("tutorial / pinxit", "tutorial", "pinxit", at_least=2.0)]
        title = f"wgan-gp: an epoch, {config.rounds} rounds of {config.n_critic} critic steps of {config.batch_size} images"
        epoch = compare(title, sides, ratios, options)
    steps = 20 if options.quick else 200
    sides = [
        Side("pinxit", partial(critics, real, config, ours=True, steps=steps)),
        Side("tutorial", apart(partial(critics, real, config, ours=False, steps=steps))),
    ]
    ratios = [Ratio("tutorial / pinxit", "tutorial", "pinxit", at_least=1.1)]
    return [epoch, compare(f"wgan-gp: {steps} critic steps alone", sides, ratios, options)]
