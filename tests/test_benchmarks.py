"""What a benchmark counts by hand is what torch counts: a layer that was moved since would be missed."""

from __future__ import annotations

import torch
from benchmarks import dcgan_flops
from benchmarks.overhead import random_images
from benchmarks.runs import Bare

from pinxit.systems import dcgan


def test_the_flops_of_a_dcgan_are_those_of_its_layers():
    real = random_images(8)
    config = dcgan.Config(width=4, batch_size=8)
    bare = Bare(dcgan.build(config, real.spec), real)
    counted = dcgan_flops.counted(bare, real.batch(torch.arange(8)))
    by_hand = sum(layer.flops * sum(layer.calls) for layer in dcgan_flops.layers(dcgan.build(config, real.spec)))
    assert sum(counted) == by_hand > 0
