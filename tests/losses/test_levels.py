"""Grey levels: their indices, and the probabilities of all of them."""

import pytest
import torch

from pinxit.losses.levels import categorical_log_prob, level_index, level_value, logistic_level_log_prob, mixture_log_prob


@pytest.mark.parametrize("levels", [2, 3, 5, 17, 256])
def test_index_and_value_are_inverse(levels):
    index = torch.arange(levels)
    value = level_value(index, levels)
    assert torch.equal(level_index(value, levels), index)
    assert (value[0], value[-1]) == (-1, 1)
    torch.testing.assert_close(value, torch.linspace(-1, 1, levels), rtol=0, atol=1e-6)


def test_the_scaling_of_8_bit_images():
    pixels = torch.arange(256, dtype=torch.uint8)
    for scaled in (pixels.float() / 127.5 - 1, pixels.float() / 255 * 2 - 1):
        assert torch.equal(level_index(scaled, 256), pixels.long())


def test_categorical_is_the_softmax():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5, dtype=torch.float64)
    index = torch.randint(5, (2, 3))
    want = (logits.exp() / logits.exp().sum(-1, keepdim=True)).log().gather(-1, index[..., None])[..., 0]
    torch.testing.assert_close(categorical_log_prob(index, logits), want)


@pytest.mark.parametrize("levels", [2, 3, 256])
@pytest.mark.parametrize(("mean", "log_scale"), [(0.0, -1.0), (0.7, -6.0), (-3.0, 0.5), (1.5, -4.0)])
def test_a_logistic_sums_to_one_over_the_levels(levels, mean, log_scale):
    x = torch.linspace(-1, 1, levels, dtype=torch.float64)
    log_prob = logistic_level_log_prob(x, torch.full_like(x, mean), torch.full_like(x, log_scale), levels)
    assert log_prob.isfinite().all()
    torch.testing.assert_close(log_prob.exp().sum(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-10, atol=0)


def test_a_logistic_is_the_difference_of_sigmoids():
    x = level_value(torch.arange(1, 15), 16).double()
    mean, scale = torch.tensor(0.2, dtype=torch.float64), 0.15
    want = torch.sigmoid((x + 1 / 15 - mean) / scale) - torch.sigmoid((x - 1 / 15 - mean) / scale)
    got = logistic_level_log_prob(x, mean.expand_as(x), torch.full_like(x, scale).log(), 16)
    torch.testing.assert_close(got.exp(), want, rtol=1e-6, atol=0)  # the levels are float32


def test_a_mixture_is_the_weighted_sum():
    torch.manual_seed(0)
    levels, components = 8, 3
    weights, means, log_scales = torch.randn(3, levels, components, dtype=torch.float64)
    x = level_value(torch.arange(levels), levels).double()
    parts = [logistic_level_log_prob(x, means[:, i], log_scales[:, i], levels).exp() for i in range(components)]
    want = sum(weights.softmax(-1)[:, i] * part for i, part in enumerate(parts)).log()
    torch.testing.assert_close(mixture_log_prob(x, weights, means, log_scales, levels), want)
