"""MS-SSIM against the formula written plainly, and what a measure of similarity must do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.ms_ssim import ms_ssim, pair_similarity, scales_of


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def smooth(n: int, side: int, seed: int = 0) -> Tensor:
    low = drawn(n, 1, max(2, side // 8), max(2, side // 8), seed=seed)
    return torch.nn.functional.interpolate(low, size=(side, side), mode="bilinear", align_corners=False)


def by_hand(x: Tensor, y: Tensor, scales: int) -> float:
    """One channel, window by window, in [0, 255] as the paper has it."""
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333][:scales]
    line = [math.exp(-((i - 5) ** 2) / 4.5) for i in range(11)]
    window = torch.tensor([[a * b for b in line] for a in line], dtype=torch.float64)
    window = window / window.sum()
    a, b = (x + 1) * 127.5, (y + 1) * 127.5
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    result = 1.0
    for scale, weight in enumerate(weights):
        values = []
        for i in range(a.shape[0] - 10):
            for j in range(a.shape[1] - 10):
                p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                cs = (2 * cov + c2) / (vp + vq + c2)
                light = (2 * mp * mq + c1) / (mp**2 + mq**2 + c1)
                values.append(float(cs * light if scale == scales - 1 else cs))
        result *= max(0.0, sum(values) / len(values)) ** (weight / sum(weights))
        if scale < scales - 1:
            h, w = a.shape[0] // 2 * 2, a.shape[1] // 2 * 2
            a, b = (t[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3)) for t in (a, b))
    return result


@pytest.mark.parametrize(("side", "scales"), [(16, 1), (21, 1), (22, 2), (29, 2), (45, 3)])
def test_it_is_the_formula(side: int, scales: int) -> None:
    x = smooth(1, side, 1)
    y = (0.7 * x + 0.3 * smooth(1, side, 2) + 0.02 * drawn(1, 1, side, side, seed=3)).clamp(-1, 1)
    assert scales_of(side, side) == scales
    expected = by_hand(x[0, 0], y[0, 0], scales)
    assert 0.1 < expected < 0.999
    assert float(ms_ssim(x, y)) == pytest.approx(expected, rel=1e-9)


def test_scales_by_size() -> None:
    assert [scales_of(n, 300) for n in (16, 28, 32, 64, 88, 128, 176, 1024)] == [1, 2, 2, 3, 4, 4, 5, 5]
    with pytest.raises(InputError, match="15x40 pixels are too small"):
        scales_of(15, 40)


def test_an_image_is_like_itself_and_channels_are_averaged() -> None:
    x, y = drawn(3, 2, 32, 32, seed=4), drawn(3, 2, 32, 32, seed=5)
    torch.testing.assert_close(ms_ssim(x, x), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(ms_ssim(x, y), ms_ssim(y, x))
    torch.testing.assert_close(ms_ssim(x, y), (ms_ssim(x[:, :1], y[:, :1]) + ms_ssim(x[:, 1:], y[:, 1:])) / 2)
    assert float(ms_ssim(x, -x).max()) == 0.0, "the opposite image is cut at 0, and no complex number"


def test_black_is_where_luminance_begins() -> None:
    """Two even images of 0.1 and 0.2 in [0, 1]: l = (2 .1 .2 + 1e-4)/(.1^2 + .2^2 + 1e-4); in [-1, 1] it would be another."""
    x, y = torch.full((1, 1, 16, 16), -0.8, dtype=torch.float64), torch.full((1, 1, 16, 16), -0.6, dtype=torch.float64)
    assert float(ms_ssim(x, y)) == pytest.approx((2 * 0.1 * 0.2 + 1e-4) / (0.01 + 0.04 + 1e-4), rel=1e-6)


def test_pairs_of_different_samples() -> None:
    """Two images: every pair is the same one, and never of an image with itself."""
    two = smooth(2, 32, 6)
    found = pair_similarity(two, generator=torch.Generator().manual_seed(0), pairs=50, chunk=7)
    assert found.value == pytest.approx(float(ms_ssim(two[:1], two[1:])), rel=1e-12)
    assert found.standard_error < 1e-9
    assert found.name == "MS-SSIM (2 of 5 scales)"
    assert "of 50 pairs" in str(found)


def test_collapse_shows() -> None:
    varied = smooth(200, 32, 7)
    collapsed = (smooth(1, 32, 8) + 0.1 * drawn(200, 1, 32, 32, seed=9)).clamp(-1, 1)
    a, b = (pair_similarity(x, generator=torch.Generator().manual_seed(1), pairs=300) for x in (varied, collapsed))
    assert b.value > a.value + 0.3
    assert a == pair_similarity(varied, generator=torch.Generator().manual_seed(1), pairs=300)
    spread = [pair_similarity(varied, generator=torch.Generator().manual_seed(k), pairs=300).value for k in range(2, 22)]
    assert float(torch.tensor(spread, dtype=torch.float64).std()) == pytest.approx(a.standard_error, rel=0.5)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="1 `images`"):
        pair_similarity(drawn(1, 1, 16, 16), generator=torch.Generator())
    bad = drawn(3, 1, 16, 16)
    bad[0, 0, 0, 0] = math.nan
    with pytest.raises(InputError, match="not all finite"):
        pair_similarity(bad, generator=torch.Generator())
    with pytest.raises(InputError, match="8x8 pixels"):
        pair_similarity(drawn(3, 1, 8, 8), generator=torch.Generator())
