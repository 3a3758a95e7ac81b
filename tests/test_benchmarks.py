"""What a benchmark counts by hand is what torch counts: a layer that was moved since would be missed."""

from __future__ import annotations

import torch
from benchmarks import dcgan_flops
from benchmarks.by_hand import ByHand
from benchmarks.overhead import random_images
from benchmarks.runs import Bare

from pinxit.systems import dcgan, gan


def test_the_flops_of_a_dcgan_are_those_of_its_layers():
    real = random_images(8)
    config = dcgan.Config(width=4, batch_size=8)
    bare = Bare(dcgan.build(config, real.spec), real)
    counted = dcgan_flops.counted(bare, real.batch(torch.arange(8)))
    by_hand = sum(layer.flops * sum(layer.calls) for layer in dcgan_flops.layers(dcgan.build(config, real.spec)))
    assert sum(counted) == by_hand > 0


def test_rounds_by_hand_move_the_weights_as_the_game_does():
    """As one vector: where a gradient is nearly zero Adam makes a whole step of its rounding."""
    real = random_images(8)
    config = gan.PRESETS["small"].replace(generator=(16, 24), discriminator=(24, 16), batch_size=8, rounds=3, lr=1e-2)
    game = gan.build(config, real.spec)
    by_hand, bare = ByHand(game, real), Bare(game, real)
    start = [network.flat.detach().clone() for network in (by_hand.generator, by_hand.discriminator)]
    for loop in (by_hand, bare):
        loop.order = iter([torch.randperm(8, generator=torch.Generator().manual_seed(number)) for number in range(3)])
        torch.manual_seed(1)
        loop.play()
    generator, discriminator = (
        torch.cat([p.detach().reshape(-1) for p in m.parameters()]) for m in (game.generator, game.discriminator)
    )
    pairs = [(by_hand.generator.flat, generator), (by_hand.discriminator.flat, discriminator)]
    pairs.append((by_hand.mean, torch.cat([p.reshape(-1) for p in bare.mean])))
    for (hand, played), before in zip(pairs, (*start, start[0]), strict=True):
        assert (hand.detach() - played).norm() < 1e-5 * (played - before).norm()
