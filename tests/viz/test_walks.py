import math

import pytest
import torch

from pinxit import viz
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.viz.walks import manifolds, slerp
from viz.vizkit import Generator


class Plain:
    """Its decoder shows the code itself: pixel k is latent k / 4."""

    def __init__(self, d: int, cube: bool = False) -> None:
        self.d, self.cube, self.seen = d, cube, []

    def latents(self, n, *, generator=None):
        return torch.rand(n, self.d, generator=generator) * 2 - 1 if self.cube else torch.randn(n, self.d, generator=generator)

    def decode(self, z):
        self.seen.append(z)
        return (z / 4).view(len(z), 1, 1, self.d)


def test_slerp_turns_evenly_and_keeps_the_ends_and_the_length():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    t = torch.tensor([0.0, 1 / 3, 2 / 3, 1.0])[:, None]
    angle = torch.tensor([0.0, 30.0, 60.0, 90.0]) * math.pi / 180
    torch.testing.assert_close(slerp(a, b, t), 2 * torch.stack((angle.cos(), angle.sin()), 1))


@pytest.mark.parametrize("b", [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_slerp_is_straight_where_no_rotation_is_determined(b):
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([b])
    t = torch.tensor([[0.25]])
    torch.testing.assert_close(slerp(a, b, t), torch.lerp(a, b, t))


def test_interpolation_joins_draws_of_the_prior():
    game = Plain(64)
    picture = viz.interpolation(game, steps=5, rows=3, generator=torch.Generator().manual_seed(3))
    ends = torch.randn(6, 64, generator=torch.Generator().manual_seed(3))
    z = torch.cat(game.seen).view(3, 5, 64)
    torch.testing.assert_close(z[:, 0], ends[:3])
    torch.testing.assert_close(z[:, -1], ends[3:])
    assert (z.norm(dim=-1) > 0.8 * ends.norm(dim=-1).min()).all()  # a straight walk would sink to about 0.7 of it
    assert picture.width == 5 * 66 + 2


class Classed(Plain):
    """Its codes end in a one-hot class."""

    spec, device = Spec(1, 1, 6, classes=3), torch.device("cpu")

    def latents_of(self, labels, *, generator=None):
        z = torch.randn(len(labels), 3, generator=generator)
        return torch.cat((z, torch.nn.functional.one_hot(labels, 3).float()), dim=1)


@pytest.mark.parametrize(("classes", "rows"), [((), [0, 1, 2, 0, 1]), ((2, 0), [2, 0, 2, 0, 2])])
def test_a_walk_stays_in_its_class_and_turns_in_the_rest(classes, rows):
    game = Classed(6)
    viz.interpolation(game, steps=4, rows=5, classes=classes, generator=torch.Generator().manual_seed(0))
    z = torch.cat(game.seen).view(5, 4, 6)
    assert torch.equal(z[..., 3:], torch.nn.functional.one_hot(torch.tensor(rows), 3).float()[:, None].expand(5, 4, 3))
    t = torch.linspace(0, 1, 4).view(1, 4, 1)
    torch.testing.assert_close(z[..., :3], slerp(z[:, :1, :3], z[:, -1:, :3], t))


def test_interpolation_stays_in_a_uniform_prior():
    game = Plain(16, cube=True)
    viz.interpolation(game, steps=9, rows=4)
    z = torch.cat(game.seen).view(4, 9, 16)
    torch.testing.assert_close(z[:, 4], (z[:, 0] + z[:, -1]) / 2)
    assert z.abs().max() <= 1


def test_interpolation_is_the_same_each_time():
    assert viz.interpolation(Generator()).tobytes() == viz.interpolation(Generator()).tobytes()


def test_manifold_is_at_gaussian_quantiles_with_the_other_latents_at_zero():
    game = Plain(4)
    viz.manifold(game, n=5, dims=(2, 0))
    z = torch.cat(game.seen).view(5, 5, 4)
    normal = torch.distributions.Normal(0.0, 1.0)
    levels = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    for k in range(5):
        torch.testing.assert_close(normal.cdf(z[k, :, 2]), levels)  # to the right
        torch.testing.assert_close(normal.cdf(z[:, k, 0]), levels.flip(0))  # upward
    assert not z[..., [1, 3]].any()


@pytest.mark.parametrize("dims", [(0, 0), (0, 4), (-5, 1), (1, -3)])
def test_manifold_refuses_latents_that_are_not_there(dims):
    with pytest.raises(InputError, match="two different latents of the 4"):
        viz.manifold(Plain(4), dims=dims)


def test_walks_of_points_are_plotted():
    game = Generator(Spec(2, 1, 1, levels=0), latent=2)
    for picture in (viz.interpolation(game), viz.manifold(game)):
        assert picture.size == (384, 384)


def test_too_few_are_refused():
    with pytest.raises(InputError, match="`steps` is 1"):
        viz.interpolation(Plain(4), steps=1)
    with pytest.raises(InputError, match="`rows` is 0"):
        viz.interpolation(Plain(4), rows=0)
    with pytest.raises(InputError, match="`n` is 1"):
        viz.manifold(Plain(4), n=1)


class Told(Classed):
    """Noise of a class is placed around its number."""

    def free(self):
        return 3

    def placed(self, noise, labels=None):
        labels = torch.zeros(len(noise), dtype=torch.int64) if labels is None else labels
        return torch.cat((noise + labels[:, None], torch.nn.functional.one_hot(labels, 3).float()), dim=1)

    def encode(self, x, labels=None):
        return x.flatten(1)


def test_the_manifold_of_a_class_is_its_prior_s_and_keeps_the_class():
    game = Told(6)
    viz.manifold(game, n=5, dims=(0, 2), label=2)
    (z,) = game.seen
    assert z[:, 3:].tolist() == [[0.0, 0.0, 1.0]] * 25
    assert (z[:, 1] == 2).all()
    torch.testing.assert_close(z[:, 0].view(5, 5)[0], torch.special.ndtri((torch.arange(5.0) + 0.5) / 5) + 2)
    with pytest.raises(InputError, match="of the 3 of this model"):
        viz.manifold(Told(6), dims=(0, 3))
    with pytest.raises(InputError, match="is told no class"):
        viz.manifold(Plain(4), label=1)


def test_every_class_has_its_manifold():
    game = Told(6)
    picture = manifolds(game, range(3), n=4)
    assert [z[0, 3:].argmax().item() for z in game.seen] == [0, 1, 2]
    assert picture.width > 3 * 4 * 64
    assert manifolds(game, range(3), n=4, names=("0", "1", "2")).tobytes() == picture.tobytes()
    assert manifolds(game, range(3), n=4, names=("0", "10", "2")).tobytes() != picture.tobytes()
    with pytest.raises(InputError, match="at least one"):
        manifolds(game, [])
