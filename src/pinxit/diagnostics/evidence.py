"""The evidence on a sampler, a function a kind: each says what it measures, its threshold and its false-alarm rate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pinxit.diagnostics.divisions import Mixture, Modes
from pinxit.diagnostics.probes import PACK, RESAMPLES, Opponent, Reference, batch_statistics
from pinxit.metrics.modes import STARVED, binomial_tail, chi_square_two, kl_floor, kl_to, mixture_modes, starved
from pinxit.metrics.nearest import auc, authenticity, copying, lower_tail, nearest, rank_z, tail_rank

ALPHA = 0.001
"""Greatest probability of a false alarm of each exact test."""
SHRUNK = {"pairwise distance": (0.7, 0.5), "nearest other": (0.4, 0.1), "effective rank": (0.6, 0.3)}
"""The part of the data's value below which variety has drifted, and below which it has collapsed."""
NARROW = 0.25
"""The part of the data's spread within modes of points below which samples have drifted."""
UNEVEN = -math.log(0.9)
"""The KL of data that lost a class of 10 %: log(1 / (1 - 0.1)) nats."""
NAMED = 8
"""Most dropped modes that a sentence names."""


@dataclass(frozen=True)
class Evidence:
    """One measure of a sampler.

    Args:
        name: of the measure.
        value: the sampler's.
        data: the real data's.
        state: what it argues for.
        text: one clause in plain words.
    """

    name: str
    value: float
    data: float
    state: str
    text: str


def of_mixture(x: Tensor, data: Mixture) -> tuple[list[Evidence], list[str]]:
    """Modes, quality and spread of samples (n, d) of a mixture.

    A mode is captured by one high-quality sample, as the papers count; it is starved where it has under a quarter of its share
    of those (exact binomial, Bonferroni: real data starves one with probability <= 0.001). Half of the modes or fewer captured
    and not starved: collapsed; any starved, or not captured: drifting. High-quality share below half: drifting (real data has
    0.989 +- 0.002 at n = 2,500). Spread within modes below `NARROW` of sigma: drifting.
    """
    found = mixture_modes(x, data.centres, data.sigma, data.class_names)
    counts, n = torch.tensor(found.counts), found.total
    lean = starved(counts, torch.ones(n), alpha=ALPHA)
    missing = [i for i in range(n) if i in lean or not counts[i]]
    state = "collapsed" if len(missing) >= n / 2 else "drifting" if missing else "healthy"
    names = [data.class_names[i] for i in missing]
    text = f"{n - len(missing)} of {n} modes" + (f", missing {_listed(names)}" if names else "")
    rows = [
        Evidence("modes reached", n - len(missing), n, state, text),
        Evidence("modes captured", found.captured, n, "healthy", f"{found.captured} of {n} modes have a sample within 3 sigma"),
    ]
    good = found.high_quality
    state = "drifting" if good < 0.5 else "healthy"
    rows.append(
        Evidence("high quality", good, 1 - math.exp(-4.5), state, f"{good:.0%} of the samples lie within 3 sigma of a mode")
    )
    if math.isfinite(found.spread):
        state = "healthy" if found.spread >= NARROW else "drifting"
        text = f"the modes have {found.spread:.2f} of the data's spread"
        rows.append(Evidence("spread of modes", found.spread, 1.0, state, text))
    if math.isfinite(found.reverse_kl):
        text = f"KL of the modes' histogram {found.reverse_kl:.3f} nats"
        rows.append(Evidence("KL of modes", found.reverse_kl, kl_floor(n, int(counts.sum())), "healthy", text))
    return rows, names


def covered(modes: Modes, mode: Tensor) -> tuple[list[Evidence], list[str]]:
    """How the histogram of the modes of samples (n,) compares with the data's.

    A mode is missing that has under a quarter of the data's share where chance does not explain it (exact binomial test,
    Bonferroni: real data loses one with probability <= 0.001). The share of the data that lies in missing modes decides: half
    or more (or half of the classes) is collapsed; any class, or a quarter of the cells' mass, is drifting: a good model may
    well do without a few of the 50 cells. Classes drift as well where chi-square gives p < 0.001 and their KL is as much as
    losing a class of 10 % (0.105 nats above its floor). Where modes are too many to be tested one by one (1,000 modes, 2,000
    samples) their number is compared with that of 99 real batches: below all of them and under 0.9 of their median is
    drifting, under half collapsed.
    """
    k, n = len(modes.names), len(mode)
    counts = mode.bincount(minlength=k)
    rare = float(modes.shares[modes.shares > 0].min())
    if modes.what == "modes" and (1 - rare) ** n > ALPHA / k:
        return _many(modes, counts)
    lean = _lean(modes, counts)
    missing = float(modes.shares[lean].sum())
    real = modes.held_out.bincount(minlength=k)
    present = int((real > 0).sum())
    test, kl, floor = chi_square_two(counts, real), kl_to(counts, real + 0.5), kl_floor(present, n, len(modes.held_out))
    cells, names = modes.what == "cells", [modes.names[i] for i in lean]
    if cells:
        state = "collapsed" if missing >= 0.5 else "drifting" if missing >= 0.25 else "healthy"
        text = f"{1 - missing:.0%} of the data lies in cells that the samples reach"
    else:
        uneven = test.p < ALPHA and kl - floor > UNEVEN
        state = "collapsed" if max(missing, len(lean) / present) >= 0.5 else "drifting" if lean or uneven else "healthy"
        text = f"{present - len(lean)} of {present} {modes.what}" + (f", missing {_listed(names)}" if names else "")
        text += f", unevenly (KL {kl:.2f} nats)" if uneven and not names else ""
    rows = [
        Evidence(f"{modes.what} reached", present - len(lean), present, state, text),
        Evidence(
            f"mass of missing {modes.what}", missing, 0.0, "healthy", f"{missing:.0%} of the data is in missing {modes.what}"
        ),
        Evidence(
            f"p of {modes.what}", test.p, 0.5, "healthy", f"chi-square of the {modes.what} against real ones: p = {test.p:.2g}"
        ),
        Evidence(f"KL of {modes.what}", kl, floor, "healthy", f"KL of the {modes.what} {kl:.3f} nats (floor {floor:.3f})"),
    ]
    return rows, names


def _lean(modes: Modes, counts: Tensor) -> list[int]:
    """The modes of under a quarter of the data's share, confusion corrected, of which so few are not chance."""
    if modes.confusion is None:
        return starved(counts, modes.shares, alpha=ALPHA)
    n, k = int(counts.sum()), len(counts)
    usual = modes.corrected(modes.held_out.bincount(minlength=k))
    few = (modes.corrected(counts) < STARVED * usual).nonzero()[:, 0].tolist()
    return [i for i in few if binomial_tail(int(counts[i]), n, float(modes.shares[i])) <= ALPHA / k]


def _many(modes: Modes, counts: Tensor) -> tuple[list[Evidence], list[str]]:
    """The number of modes reached against that of real batches as large, and the digits that a channel lacks."""
    n, generator = int(counts.sum()), torch.Generator().manual_seed(0)
    drawn = [modes.shares.multinomial(n, replacement=True, generator=generator) for _ in range(RESAMPLES)]
    real = [len(row.unique()) for row in drawn]
    reached, usual = int((counts > 0).sum()), statistics.median(real)
    low, names = reached < min(real), _lacking(modes, counts)
    state = "healthy"
    if names or (low and reached < 0.9 * usual):
        state = "collapsed" if reached < 0.5 * usual else "drifting"
        names = names or [name for name, count in zip(modes.names, counts.tolist(), strict=True) if not count]
    text = f"{reached:,} of {len(counts):,} modes (real samples, as many: {usual:,.0f})"
    text += f", missing {_listed(names)}" if names else ""
    return [Evidence("modes reached", reached, usual, state, text)], names


def _lacking(modes: Modes, counts: Tensor) -> list[str]:
    """The digits that a channel does without, as "0-*-*", of modes that are named "0-7-3"."""
    digits = torch.tensor([[int(digit) for digit in name.split("-")] for name in modes.names])
    lacking = []
    for channel in range(digits.shape[1]):
        shape = torch.zeros(10, dtype=torch.float64)
        mine = shape.index_add(0, digits[:, channel], counts.double()).long()
        usual = shape.index_add(0, digits[:, channel], modes.shares)
        stars = ["*"] * digits.shape[1]
        missing = starved(mine, usual, alpha=ALPHA / digits.shape[1])
        lacking += ["-".join([*stars[:channel], str(digit), *stars[channel + 1 :]]) for digit in missing]
    return lacking


def variety(features: Tensor, to_bank: Tensor, against: Reference) -> list[Evidence]:
    """Distances among the samples, directions they use, and how far they are from real ones.

    Each of the first three lies below the range of 99 real batches with probability 1/100 for real data, and must besides be
    under the parts of the data's value in `SHRUNK`, far below what real batches reach (0.9). The distance to the data
    is put on the scale on which 0 is a held-out real sample and 1 a pair of unrelated real ones: above 1/2 (and above the 99
    real batches) the samples are nearer to nothing than to the data, and drift.

    Of bits that are drawn of means the draws vary too, as they do in the data: a model that repeats a hundred means is then a
    mixture of as many laws of bits, and only the modes can speak against it. One that repeats bits is found as any other.
    """
    mine, rows = batch_statistics(features[: against.size], to_bank[: against.size]), []
    for name, (drift, collapse) in SHRUNK.items():
        if name == "effective rank" and features.shape[1] < 4:
            continue  # a single mode of points has the full rank
        if name == "nearest other" and isinstance(against.data, Mixture):
            drift = min(drift, NARROW)  # among points it is the spread within modes over again
        null, value = against.null[name], mine[name]
        usual = float(null.median())
        ratio = value / usual if usual else 1.0
        low = value < float(null.min())
        state = "collapsed" if low and ratio < collapse else "drifting" if low and ratio < drift else "healthy"
        text = (
            f"{name} {ratio:.2f} of the data's (real batches {float(null.min()) / usual:.2f} to {float(null.max()) / usual:.2f})"
            if usual
            else ""
        )
        rows.append(Evidence(name, value, usual, state, text))
    null, value = against.null["nearest real"], mine["nearest real"]
    usual, far = float(null.median()), float(against.null["pairwise distance"].median())
    away = (value - usual) / (far - usual) if far > usual else 0.0
    state = "drifting" if value > float(null.max()) and away > 0.5 else "healthy"
    text = f"samples are {away:.2f} of the way from the data to unrelated real samples"
    return [*rows, Evidence("distance from the data", away, 0.0, state, text)]


def copied(distances: Tensor, hits: Tensor, against: Reference) -> list[Evidence]:
    """Whether samples are copies of training samples: the ratio d1/d2 of the distances to the two nearest of them.

    A copy lies much nearer to its original than to anything else; of a fresh sample both distances are alike, however dense
    or blurred its surroundings. So the ratio is compared with that of held-out real samples at their 1st percentile: the
    exact beta-binomial test at 0.001 is the false-alarm rate, and a share of 3 % (1 % is chance) the least that counts. Where
    more than 1 % of the real samples are in the training set twice, chance is their share; of data that is there twice as a
    whole, copies can't be told.
    C_T, authenticity and the lower tail of d1 itself are reported beside it; they mistake blur or a dense class for copies.
    Where only a part of the training samples is looked at, that part of the copies is found.

    Of bits that the data holds (`fixed`, `threshold`) a copy is found as any other: means that lie near a training sample's bits
    become them, and so do by the threshold grey levels that it was made of. Of bits that are drawn (`dynamic`; or grey levels
    that `fixed` bits were drawn of) a copy is a second draw of one image, nearer than chance but not near: seven in ten are told
    on MNIST, one in six on Fashion-MNIST, where a sampler that only copies is found, and a tenth of copies not always. The
    greyer the images the fewer, down to none; so of dynamic bits the share is said to be the least that it can be.
    """
    null = _ratio(against.to_bank)
    share, p = lower_tail(_ratio(distances), null)
    chance = max(0.01, (tail_rank(null) - 1) / len(null))
    excess = min(1.0, max(0.0, share - chance) / against.whole)
    state = "memorising" if p < ALPHA and excess >= 0.02 else "healthy"
    least = "at least " if against.data.spec.binarised == "dynamic" else ""
    text = f"{least}{excess:.0%} of the samples are copies of training samples (p = {p:.1g})"
    rows = [Evidence("copies", excess, 0.0, state, text)]
    mine, real = distances[:, 0], against.to_bank[:, 0]
    tail = lower_tail(mine, real)[0]
    own = nearest(against.bank[hits], against.bank, exclude=hits)[0][:, 0]
    genuine = authenticity(mine, own)
    rows += [
        Evidence(
            "C_T", copying(mine, real), 0.0, "healthy", "in one cell; far below 0: nearer to training samples than real ones are"
        ),
        Evidence(
            "nearer than 1 % of real", tail, 0.01, "healthy", f"{tail:.1%} nearer to training samples than 1 % of real ones"
        ),
        Evidence("authenticity", genuine, math.nan, "healthy", f"authenticity {genuine:.2f}"),
    ]
    return rows


def judged(judge: Opponent, x: Tensor, against: Reference, *, logits: bool) -> list[Evidence]:
    """What the discriminator makes of training, held-out and generated samples.

    Memorising: training samples score higher than held-out ones (Mann-Whitney z > 3.1, a false alarm in 1,000), in more than
    55 % of pairs, and held-out samples are on the fakes' side of the middle: r_v = (E D(train) - E D(held out)) / (E D(train) -
    E D(fake)) > 1/2 (Karras et al. 2020, StyleGAN2-ADA, equation 1). Without held-out data it can't be told. Saturated: a
    probability above 0.99 on held-out real samples and below 0.01 on fakes, where the minimax gradient is a hundredth at most.

    Args:
        judge: the discriminator; one whose answer is not a number a sample (an auto-encoder) is left alone.
        x: samples.
        against: the data.
        logits: whether its scores are the logits of probabilities: such a game logs `D(x)`.
    """
    n, rows = min(len(x) // PACK * PACK, len(against.images[0])), []
    if not n:
        return rows
    with torch.no_grad():
        found = [_scores(judge.score, part[:n].to(x.device)) for part in (x, *against.images)]
    if any(scores is None for scores in found):
        return rows
    fake, train, held = (scores for scores in found if scores is not None)
    if against.apart:
        z, share = rank_z(train, held), auc(train, held)
        gap = float(train.mean() - fake.mean())
        r_v = float(train.mean() - held.mean()) / gap if gap > 0 else 0.0
        state = "memorising" if z > 3.1 and share > 0.55 and r_v > 0.5 else "healthy"
        text = f"the discriminator prefers training samples to held-out real ones in {share:.0%} of pairs (r_v = {r_v:.2f})"
        rows.append(Evidence("D prefers training samples", share, 0.5, state, text))
        text = "0: held-out real samples score as training ones do; 1: as generated ones do"
        rows.append(Evidence("r_v", r_v, 0.0, "healthy", text))
    if logits:
        accuracy = {name: float((values > 0).double().mean()) for name, values in (("training", train), ("held-out", held))}
        for name, value in accuracy.items():
            if name == "training" or against.apart:
                text = f"the discriminator takes {value:.0%} of {name} real samples for real"
                rows.append(Evidence(f"D accuracy, {name}", value, 0.5, "healthy", text))
        real, made = float(held.sigmoid().mean()), float(fake.sigmoid().mean())
        state = "saturated" if real > 0.99 and made < 0.01 else "healthy"
        text = f"D = {real:.3f} on {'held-out' if against.apart else 'training'} real samples and {made:.3f} on generated ones"
        text = f"the discriminator is certain: {text}" if state == "saturated" else text
        rows.append(Evidence("D certain", real - made, 0.0, state, text))
    return rows


def pushed(history: Sequence[Mapping[str, float]]) -> list[Evidence]:
    """The norm of every player's gradient against the greatest median of three earlier lines of the run.

    A generator's below a thousandth of it is saturated: the loss no longer says where to go. The measure is the
    run's own: no batch of real data enters, and a median of three is not moved by one odd line.
    """
    rows = []
    for key in dict.fromkeys(key for row in history for key in row if key.endswith("/gradient")):
        values = [row[key] for row in history if key in row]
        if len(values) < 4:
            continue
        medians = [statistics.median(values[k : k + 3]) for k in range(len(values) - 2)]
        scale, now, player = max(medians), medians[-1], key.rpartition("/")[0]
        ratio = now / scale if scale > 0 else 0.0
        gone = player == "generator" and ratio < 1e-3
        text = f"the gradient of the {player} is {ratio:.2g} of its greatest"
        rows.append(Evidence(f"gradient of {player}", now, scale, "saturated" if gone else "healthy", text))
    return rows


def _scores(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """The scores of samples, 240 at a time; None where there is not one number a sample (or a pack of them)."""
    parts = [score(part).detach().float().cpu() for part in x.split(10 * PACK)]
    one = all(part.dim() == 1 or part.shape[1:].numel() == 1 for part in parts)
    return torch.nan_to_num(torch.cat(parts).flatten()) if one else None


def _ratio(distances: Tensor) -> Tensor:
    """d1/d2 of (n, 2); 1 where both are 0, as with a sample that the training set holds twice."""
    return torch.where(distances[:, 1] > 0, distances[:, 0] / distances[:, 1].clamp(min=1e-30), torch.ones_like(distances[:, 0]))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
