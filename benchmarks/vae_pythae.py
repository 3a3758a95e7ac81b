"""An epoch of a VAE, 784-512-20, against pythae's BaseTrainer on the same network and images.

Pythae runs in a process of its own, as it would without pinxit. Both write what they write by themselves: pinxit its first and
its last checkpoint, pythae its final model.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from functools import partial

import torch

from benchmarks.harness import Options, Ratio, Section, Side, Work, apart, compare
from benchmarks.runs import alone, fitted, images
from pinxit.data.store import Store
from pinxit.systems import vae


def pythae_trainer(real: Store, count: int, root: str) -> Work:
    """Pythae's trainer for one epoch of the first `count` images, as its users write it."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    pixels = real.images[torch.arange(count) % len(real.images)] / 255
    logging.disable(logging.INFO)
    model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce"))
    plan = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(dir=root), num_epochs=1, learning_rate=1e-3, per_device_train_batch_size=100, no_cuda=True
    )
    trainer = BaseTrainer(model, BaseDataset(pixels, torch.zeros(count)), training_config=plan)

    def work() -> None:
        # Its progress bar runs as always, on no screen.
        with open(os.devnull, "w") as screen, contextlib.redirect_stderr(screen):
            trainer.train()

    return alone(work)


def run(options: Options) -> list[Section]:
    """One epoch; without pythae (`pip install pinxit[bench]`) nothing is measured."""
    try:
        import pythae.models
        import pythae.trainers  # noqa: F401
    except ImportError as error:
        print(f"  skipped, pythae can't be imported ({error}): pip install 'pinxit[bench]'")
        return []
    real = images()
    rounds = 40 if options.quick else 600
    config = vae.Config(hidden=(512,), activation="relu", binarise="none", optimizer="adam", lr=1e-3, rounds=rounds)
    with tempfile.TemporaryDirectory() as root:
        sides = [
            Side("pinxit", fitted(partial(vae.build, config, real.spec), real, root)),
            Side("pythae", apart(partial(pythae_trainer, real, 100 * rounds, root))),
        ]
        ratios = [Ratio("pythae / pinxit", "pythae", "pinxit", at_least=1.5)]
        title = f"vae 784-512-20: {rounds} rounds of 100 images of {real.name}"
        return [compare(title, sides, ratios, options)]
