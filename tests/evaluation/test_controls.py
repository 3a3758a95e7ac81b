"""Controls do what their names say, and depend on nothing but the samples and the seed."""

import pytest
import torch

from pinxit import data
from pinxit.evaluation import controls
from pinxit.evaluation.controls import Control, Spoilt

X = torch.rand(4, 1, 9, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
ROWS = torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:130]


def named(name):
    return next(control for control in controls.CONTROLS if control.name == name)


def drawn():
    return torch.Generator().manual_seed(1)


def test_a_blur_keeps_a_constant_and_spreads_a_point_as_a_gaussian():
    torch.testing.assert_close(controls.blurred(torch.full_like(X, 0.3), drawn(), sigma=1.0), torch.full_like(X, 0.3))
    point = torch.zeros(1, 1, 15, 15)
    point[..., 7, 7] = 1.0
    out = controls.blurred(point, drawn(), sigma=1.5)[0, 0]
    torch.testing.assert_close(out.sum(), torch.tensor(1.0))
    where = torch.arange(15.0) - 7
    assert float((out.sum(0) * where**2).sum()) == pytest.approx(1.5**2, rel=0.02)  # cut at three sigma, and sampled
    torch.testing.assert_close(out, out.T)


def test_a_blur_treats_channels_apart():
    x = torch.cat([X, torch.zeros_like(X)], dim=1)
    out = controls.blurred(x, drawn(), sigma=1.0)
    assert torch.equal(out[:, 1], torch.zeros(4, 9, 9))
    torch.testing.assert_close(out[:, :1], controls.blurred(X, drawn(), sigma=1.0))


def test_noise_has_its_deviation_and_stays_in_range():
    x = torch.zeros(50, 1, 28, 28)
    out = controls.noisy(x, drawn(), sigma=0.2)
    assert float(out.std()) == pytest.approx(0.2, rel=0.02)
    assert float(controls.noisy(X, drawn(), sigma=2.0).abs().max()) == 1.0


def test_one_mode_repeats_one_sample_with_slight_noise():
    real = data.load()
    images = torch.cat(list(Spoilt(named("one mode"), real, ROWS).units()))
    assert len(images) == len(ROWS)
    spread = images.std(dim=0)
    assert 0 < float(spread.max()) < 0.05
    assert images.flatten(1).unique(dim=0).shape[0] == len(ROWS)  # no two are equal


def test_the_dropped_class_is_gone_and_the_others_keep_their_number():
    real = data.load()
    spoilt = Spoilt(named("class dropped"), real, ROWS)
    labels = real.batch(spoilt.rows).labels
    assert len(spoilt) == len(ROWS)
    assert int(labels.min()) == 1
    assert set(spoilt.rows.tolist()) <= set(ROWS.tolist())


def test_units_are_the_same_from_anywhere_and_the_key_tells_controls_and_samples_apart():
    real = data.load()
    noisy = Spoilt(named("noisy"), real, ROWS)
    assert torch.equal(list(noisy.units())[2], next(noisy.units(2)))
    again = Spoilt(named("noisy"), data.load(), ROWS.clone())
    assert noisy.key() == again.key()
    others = [
        Spoilt(named("blurred"), real, ROWS),
        Spoilt(named("noisy"), real, ROWS[:-1]),
        Spoilt(named("noisy"), real, ROWS, 1),
    ]
    assert len({noisy.key(), *(other.key() for other in others)}) == 4


def test_a_strength_is_a_part_of_the_control():
    strong = Control("noisy", "noise of standard deviation 2", pixels=lambda x, g: controls.noisy(x, g, sigma=2.0))
    real = data.load()
    assert Spoilt(strong, real, ROWS).key() != Spoilt(named("noisy"), real, ROWS).key()
