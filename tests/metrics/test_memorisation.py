"""Copying against samplers that copy, that blur, and that do neither; MEM-1 and MEM-2 on MNIST."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor

from pinxit.core.errors import InputError
from pinxit.metrics.classifier import lenet
from pinxit.metrics.memorisation import Memorisation, _exchanged, memorisation
from pinxit.metrics.nearest import authenticity, copying, lower_tail, nearest, rank_z


def drawn(n: int, d: int, seed: int) -> Tensor:
    """Three clusters of unequal width."""
    g = torch.Generator().manual_seed(seed)
    which = torch.randint(3, (n,), generator=g)
    return 6 * which[:, None] + (0.5 + which[:, None]) * torch.randn(n, d, generator=g)


def judged(generated: Tensor, seed: int = 0) -> Memorisation:
    train, held_out = drawn(600, 6, 1), drawn(300, 6, 2)
    return memorisation(generated, train, held_out, generator=torch.Generator().manual_seed(seed))


def test_the_values_are_those_of_the_statistics_themselves() -> None:
    train, held_out, generated = drawn(600, 6, 1), drawn(300, 6, 2), drawn(250, 6, 3)
    found = memorisation(generated, train, held_out, generator=torch.Generator().manual_seed(0), cells=1)
    near, hit = (v[:, 0] for v in nearest(generated, train))
    real, other = (v[:, 0] for v in nearest(held_out, train))
    own, own_real = (nearest(train[h], train, exclude=h)[0][:, 0] for h in (hit, other))
    assert found.z.value == pytest.approx(rank_z(near, real), abs=1e-12)
    assert found.c_t.value == pytest.approx(found.z.value, abs=1e-9), "one cell"
    assert found.authenticity.value == pytest.approx(authenticity(near, own))
    assert found.authenticity.null == pytest.approx(authenticity(real, own_real))
    assert (found.tail.value, found.tail.p) == lower_tail(near, real)
    assert found.tail.null == pytest.approx(0.01, abs=0.004)
    assert (found.generated, found.held_out, found.train) == (250, 300, 600)
    # The exchanges agree with Mann-Whitney's normal law.
    assert found.z.p == pytest.approx(scipy.stats.norm.cdf(found.z.value), abs=0.04)
    assert found.z.null == pytest.approx(0, abs=0.1)


def test_exchanging_is_recomputing() -> None:
    """The fast sums of ranks against the statistics computed anew on each draw, cells and threshold and ties included."""
    g = torch.Generator().manual_seed(5)
    distance = torch.randint(0, 30, (60,), generator=g).double()
    cell, genuine = torch.randint(0, 3, (60,), generator=g), torch.randint(0, 2, (60,), generator=g).double()
    cell[:2] = 2
    found = _exchanged(distance, cell, genuine, 25, 0.2, 7, torch.Generator().manual_seed(6))
    orders = torch.rand(7, 60, generator=torch.Generator().manual_seed(6)).argsort(1)
    for row, order in enumerate(orders):
        a, b = order[:25], order[25:]
        assert float(found["z"][row]) == pytest.approx(rank_z(distance[a], distance[b]), abs=1e-9)
        expected = copying(distance[a], distance[b], (cell[a], cell[b]), tau=0.2)
        assert float(found["c_t"][row]) == pytest.approx(expected, abs=1e-9, nan_ok=True)
        assert float(found["authenticity"][row]) == pytest.approx(float(genuine[a].mean()))


def test_copies_are_found_be_they_many_or_few() -> None:
    train = drawn(600, 6, 1)
    many = judged(train[:250] + 0.01)
    assert many.copies
    assert many.z.value < -10
    assert many.authenticity.value < 0.05 < many.authenticity.null
    few = drawn(250, 6, 3)
    few[:20] = train[:20]
    found = judged(few)
    assert found.copies
    assert abs(found.z.value) < 4
    assert found.tail.value > 0.07
    assert "copies of training samples" in found.verdict
    assert "false-alarm rate at most 0.2 %" in found.verdict


def test_far_samples_are_no_copies() -> None:
    found = judged(drawn(250, 6, 3) * 1.5 + 1)
    assert not found.copies
    assert found.z.value > 5
    assert found.z.p == pytest.approx(1)
    assert "no copying found" in found.verdict


def test_the_false_alarm_rate_is_kept() -> None:
    """Fresh samples of the data's law, at alpha = 0.2 so that 200 of them can tell: 40 alarms or fewer, and not none."""
    alarms, p = 0, []
    for k in range(200):
        fresh = memorisation(
            drawn(60, 3, 10_000 + k),
            drawn(150, 3, 20_000 + k),
            drawn(80, 3, 30_000 + k),
            generator=torch.Generator().manual_seed(k),
            alpha=0.2,
            exchanges=99,
        )
        alarms += fresh.copies
        p.append((fresh.z.p, fresh.c_t.p, fresh.authenticity.p))
    assert alarms <= 40 + 3 * math.sqrt(200 * 0.2 * 0.8)
    assert alarms >= 10
    for values in zip(*p, strict=True):
        assert sum(v <= 0.1 for v in values) <= 20 + 3 * math.sqrt(200 * 0.1 * 0.9)
        assert scipy.stats.kstest(values, "uniform").pvalue > 0.001


def test_seeded_and_without_enough_for_any_cell() -> None:
    assert judged(drawn(250, 6, 3), seed=4) == judged(drawn(250, 6, 3), seed=4)
    tiny = memorisation(drawn(5, 2, 0), drawn(20, 2, 1), drawn(6, 2, 2), generator=torch.Generator().manual_seed(0))
    assert math.isnan(tiny.c_t.value), "tau is above 1"
    assert tiny.c_t.p == 1.0
    with pytest.raises(InputError, match="2/alpha"):
        memorisation(drawn(5, 2, 0), drawn(20, 2, 1), drawn(6, 2, 2), generator=torch.Generator(), alpha=0.001, exchanges=500)
    with pytest.raises(InputError, match="2 and 3 dimensions"):
        memorisation(drawn(5, 2, 0), drawn(20, 3, 1), drawn(6, 3, 2), generator=torch.Generator())


def rows_of(data, seed: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Images in [0, 1]: 10,000 to train on, 2,000 held out, and 2,000 of every generator of the table."""
    g = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=g)
    bank, held_out, other, rest = (data.images[order].float() / 255).split((10_000, 2000, 2000, len(data) - 14_000))
    labels, chosen = data.labels[order], torch.randperm(10_000, generator=g)[:2000]

    def noisy(scale: float) -> Tensor:
        return (bank[chosen] + scale * torch.randn(bank[chosen].shape, generator=g)).clamp(0, 1)

    rows = [(labels[14_000:] == label).nonzero()[:, 0] for label in labels[chosen].tolist()]
    made = {
        "held-out": other,
        "train + N(0, .05)": noisy(0.05),
        "train + N(0, .2)": noisy(0.2),
        "10 % copies": torch.cat([bank[chosen[:200]], other[200:]]),
        "5 % copies": torch.cat([bank[chosen[:100]], other[100:]]),
        "mean of 5": torch.stack([rest[row[torch.randint(len(row), (5,), generator=g)]].mean(0) for row in rows]),
    }
    return bank, held_out, made


# Z_U, authenticity, tail, and whether copying is found: the targets' table, on pixels.
TABLE = {
    "held-out": (0.5, 0.616, 0.012, False),
    "train + N(0, .05)": (-54.7, 0.0, 1.0, True),
    "train + N(0, .2)": (-26.5, 0.258, 0.0, True),
    "10 % copies": (-5.6, 0.563, 0.115, True),
    "mean of 5": (-2.3, 0.839, 0.0, False),
}


@pytest.mark.slow
def test_the_rows_of_mnists_pixels(mnist: Any) -> None:
    """MEM-1: Z within 2 below 10 and within 10 % above, and the verdicts."""
    bank, held_out, made = rows_of(mnist, 0)
    for name, (z, genuine, tail, copies) in TABLE.items():
        g = torch.Generator().manual_seed(1)
        found = memorisation(made[name].flatten(1), bank.flatten(1), held_out.flatten(1), generator=g)
        assert found.z.value == pytest.approx(z, abs=2 if abs(z) < 10 else 0.1 * abs(z)), name
        assert found.authenticity.value == pytest.approx(genuine, abs=0.04), name
        assert found.authenticity.null == pytest.approx(0.616, abs=0.04), name
        assert found.tail.value == pytest.approx(tail, abs=0.012), name
        assert found.copies == copies, f"{name}: {found.verdict}"


@pytest.mark.slow
def test_five_per_cent_of_copies_are_found_among_features_and_blur_is_none(mnist: Any) -> None:
    """MEM-2, on the features of the judge of MNIST, three draws of everything."""
    judge = lenet(mnist)
    for seed in range(3):
        bank, held_out, made = rows_of(mnist, seed)
        train, real = judge.features(2 * bank - 1), judge.features(2 * held_out - 1)
        verdicts = {
            name: memorisation(judge.features(2 * x - 1), train, real, generator=torch.Generator().manual_seed(seed))
            for name, x in made.items()
        }
        found = {name for name, verdict in verdicts.items() if verdict.copies}
        assert found == {"train + N(0, .05)", "10 % copies", "5 % copies"}, {k: v.verdict for k, v in verdicts.items()}
