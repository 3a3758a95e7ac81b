"""The duality gap of a game whose gap is known in closed form; of a GAN; and what has none."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from pinxit import data
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, Player
from pinxit.core.spec import Spec
from pinxit.data.store import Store
from pinxit.metrics.duality import duality_gap
from pinxit.systems import gan, wgan_gp


class Quadratic(AbstractGame):
    """V = u^2 / 2 + u v - v^2 / 2: max over v is u^2, min over u is -v^2, so the gap is u^2 + v^2."""

    def __init__(self, u, v):
        super().__init__(None, Spec(1, 2, 2))
        self.generator, self.discriminator = nn.ParameterList([torch.tensor(u)]), nn.ParameterList([torch.tensor(v)])

    def players(self):
        optimizer = partial(SGD, lr=0.3)
        return {"discriminator": Player((self.discriminator,), optimizer), "generator": Player((self.generator,), optimizer)}

    def stages(self):
        return ()

    def game_value(self, x):
        u, v = self.generator[0], self.discriminator[0]
        return u**2 / 2 + u * v - v**2 / 2


PIXELS = Store("pixels", torch.zeros(64, 1, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize(("u", "v"), [(0.0, 0.0), (1.5, -0.5), (-2.0, 1.0)])
def test_of_a_game_in_closed_form(u, v):
    game = Quadratic(u, v)
    found = duality_gap(game, PIXELS, steps=100, batch_size=8)
    assert found.gap == pytest.approx(u**2 + v**2, abs=1e-5)
    assert found.best_discriminator == pytest.approx(u**2, abs=1e-5)
    assert found.best_generator == pytest.approx(-(v**2), abs=1e-5)
    assert found.present == pytest.approx(u**2 / 2 + u * v - v**2 / 2, abs=1e-5)
    assert (game.generator[0].item(), game.discriminator[0].item()) == (u, v), "the game is left as it was"


def test_a_generator_far_from_the_data_leaves_its_opponent_more_to_win():
    real = data.load("ring")
    config = gan.PRESETS["points"].replace(r1=0.0)
    near = gan.build(config, real.spec, seed=0)
    far = copy.deepcopy(near)
    with torch.no_grad():
        last = [module for module in far.generator.modules() if isinstance(module, nn.Linear)][-1]
        last.bias += 5
    one, other = (duality_gap(game, real, steps=60) for game in (near, far))
    assert other.best_discriminator > one.best_discriminator > one.present
    assert other.best_discriminator == pytest.approx(0, abs=0.05), "apart, V rises to 0"
    assert one.best_generator < one.present
    assert duality_gap(near, real, steps=60) == one, "repeatable"


def test_a_game_without_one_value_is_refused():
    real = data.load("ring")
    with pytest.raises(InputError, match="no game of one value"):
        duality_gap(wgan_gp.build(wgan_gp.PRESETS["points"], real.spec), real)
