"""The importance weighted likelihood of images, 5,000 samples each, against pythae's `get_nll` on a network of the same size.

784-512-20, bits of Fashion-MNIST; 200 images in each of five rounds. Pythae walks through the images one by one, 100
samples at a time, in a process of its own, as it would without pinxit.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial

import torch

from benchmarks.harness import Options, Ratio, Section, Side, Work, apart, compare
from benchmarks.runs import alone
from pinxit import data
from pinxit.metrics.likelihood import importance_weighted
from pinxit.systems import vae


def ours(images: int, samples: int) -> Work:
    """Pinxit's estimate of the first images."""
    real = data.load("fashion-mini-fixed", split="test")
    config = vae.Config(hidden=(512,), activation="relu")
    model = vae.build(config, real.spec).requires_grad_(False).eval()

    def work() -> None:
        importance_weighted(model, real, k=samples, n=images)

    return alone(work)


def theirs(images: int, samples: int) -> Work:
    """Pythae's, as its users write it."""
    from pythae.models import VAE, VAEConfig

    real = data.load("fashion-mini-fixed", split="test")
    x = (real.batch(torch.arange(images)).images + 1) / 2
    model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce")).eval()

    def work() -> None:
        # Its progress lines go to no screen.
        with open(os.devnull, "w") as screen, contextlib.redirect_stdout(screen), torch.no_grad():
            model.get_nll(x, n_samples=samples, batch_size=100)

    return alone(work)


def run(options: Options) -> list[Section]:
    """A few images; without pythae (`pip install pinxit[bench]`) nothing is measured."""
    try:
        import pythae.models  # noqa: F401
    except ImportError as error:
        print(f"  skipped, pythae can't be imported ({error}): pip install 'pinxit[bench]'")
        return []
    images, samples = (2, 200) if options.quick else (200, 5000)
    sides = [Side("pinxit", partial(ours, images, samples)), Side("pythae", apart(partial(theirs, images, samples)))]
    ratios = [Ratio("pythae / pinxit", "pythae", "pinxit", at_least=2.0)]
    title = f"importance weighted likelihood, vae 784-512-20: {images} images, {samples:,} samples each"
    notes = ["pythae's side runs under torch.no_grad, which its get_nll does not do by itself"]
    return [compare(title, sides, ratios, options, rounds=5, notes=notes)]
