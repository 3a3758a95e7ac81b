"""How often the health check is wrong: false alarms on real data and good samplers, misses on bad ones, 20 seeds each.

    python experiments/health_rates.py

It needs MNIST and Fashion-MNIST (in PINXIT_DATA), takes about twenty minutes of one core, and writes
experiments/results/health_rates.json. Two protocols are measured, those of `pinxit.observers.health` with its own constants: a
look during the run (live) and the last one (final). No discriminator and no history of losses are looked at. A seed decides the
training set, what is held out, and every sampler. Samplers are made from real images and points:

    real               samples kept from training, five batches a seed (stacks: one)
    good               images: a mixture of 100 Gaussians fitted to the training set's principal axes; points: shares of the
                       modes between 0.7 and 1.3, 1.4 of their spread, and 5 % of bridges between modes
    9 classes, ...     real samples of some classes or modes only
    one image          a single image with a little noise
    shrunken           x -> mean + 0.4 (x - mean); points: modes of 0.2 of their spread
    blur               means of five samples of a class: a bad sampler, yet no copier
    copies             training samples with noise of 0.02 (points: 0.001 sigma); "5 % copies": the rest is real
    trained            as `tanh` of the experiment `collapse`: minimax GAN, 2 x 128 tanh, orthogonal gain 1.4, z 256, Adam
                       beta1 0.5, lr D 1e-4, lr G 1e-3; here batch 64 instead of 512 and 2,000 rounds instead of 25,000, 20
                       nets at once
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinxit.core.game import Batch
from pinxit.core.protocols import Data
from pinxit.core.rng import seed_of
from pinxit.data import load
from pinxit.data.points import Points
from pinxit.data.stacked import Stacked
from pinxit.diagnostics import health, probes
from pinxit.diagnostics.divisions import flat, k_means, labels_of
from pinxit.observers.health import BANK, FINAL, LIVE, PLANE, STACKED, WHOLE

RESULT = Path(__file__).parent / "results" / "health_rates.json"
SEEDS, SPARE, FITTED = 20, 4000, 10_000
"""Seeds; images kept from MNIST's training; training images that the good sampler is fitted to."""
ROUNDS, BATCH = 2000, 64
ALARMS = ("drifting", "saturated", "memorising", "collapsed")
Sampler = Callable[[int, torch.Generator], Tensor]


class Case(NamedTuple):
    """A sampler whose condition is known, and the names of the modes that must be found dropped where that can be said."""

    condition: str
    sampler: Sampler
    dropped: list[str] | None = None


class Look(NamedTuple):
    """How the observer looks: the protocol's name, the samples, the training samples among which copies are sought."""

    protocol: str
    samples: int
    bank: int


def looks(data: Data) -> tuple[Look, Look]:
    """The observer's two looks at a game that draws samples in one pass."""
    live, final = STACKED if isinstance(data, Stacked) else (LIVE[0], FINAL[0])
    return Look("live", live, BANK), Look("final", final, PLANE if data.spec.continuous else WHOLE)


class Subset:
    """Some rows of a data set as a data set; meets `pinxit.core.protocols.Data` as far as health needs it."""

    def __init__(self, data: Data, rows: Tensor, test: Data | None) -> None:
        self.data, self.rows, self._test = data, rows, test
        self.spec, self.name, self.class_names = data.spec, data.name, data.class_names

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """As of the whole."""
        return self.data.batch(self.rows[indices])

    def test(self) -> Data | None:
        """The whole's test split."""
        return self._test


@cache
def images(name: str) -> tuple[Data, Data, Tensor, Tensor]:
    """(training set, where fresh images are, their rows there or none for MNIST's, labels of the latter) of an image set."""
    data = load(name)
    if name == "mnist":
        return data, data, torch.empty(0, dtype=torch.long), known(data)
    whole, test = load("fashion-mnist"), data.test()
    assert test is not None
    taken = {row.numpy().tobytes() for part in (data, test) for row in part.batch(torch.arange(len(part))).images}
    every = whole.batch(torch.arange(len(whole))).images
    rows = torch.tensor([row.numpy().tobytes() not in taken for row in every]).nonzero()[:, 0]
    return data, whole, rows, known(whole)


def known(data: Data) -> Tensor:
    """The labels of a labelled set."""
    labels = labels_of(data, torch.arange(len(data)))
    assert labels is not None
    return labels


def of_images(name: str, seed: int) -> tuple[Data, list[Case]]:
    """Training data and cases; fresh images are of MNIST those left out of training, of fashion-mini others of Fashion-MNIST."""
    whole, source, rows, labels = images(name)
    draw = torch.Generator().manual_seed(seed_of("rates", name, seed))
    if len(rows):
        train, spare, data = torch.arange(len(whole)), rows, whole
    else:
        order = torch.randperm(len(whole), generator=draw)
        train, spare = order[SPARE:], order[:SPARE]
        data = Subset(whole, train, whole.test())
    classes = labels_of(whole, train[:FITTED])

    def some(rows: Tensor, n: int, g: torch.Generator) -> Tensor:
        return source.batch(rows[torch.randperm(len(rows), generator=g)[:n]]).images

    def of(chosen: list[int]) -> Sampler:
        """Fresh samples of some classes; where there are too few, they come repeatedly."""
        rows = spare[torch.isin(labels[spare], torch.tensor(chosen))]
        return lambda n, g: some(rows.repeat(-(-n // len(rows))), n, g)

    def copies(share: float) -> Sampler:
        def sample(n: int, g: torch.Generator) -> Tensor:
            x, k = some(spare, n, g), round(share * n)
            x[:k] = whole.batch(train[torch.randperm(len(train), generator=g)[:k]]).images
            x[:k] += 0.02 * torch.randn(x[:k].shape, generator=g)
            return x

        return sample

    def blurred(n: int, g: torch.Generator) -> Tensor:
        rows = [train[:FITTED][classes == label] for label in range(10)]
        five = torch.stack([row[torch.randint(len(row), (n // 10, 5), generator=g)] for row in rows]).view(-1, 5)
        return whole.batch(five.flatten()).images.view(len(five), 5, *whole.spec.shape).mean(1)

    def shrunken(n: int, g: torch.Generator) -> Tensor:
        x = some(spare, n, g)
        return x.mean(0) + 0.4 * (x - x.mean(0))

    def one_image(n: int, g: torch.Generator) -> Tensor:
        return some(spare, 1, g) + 0.02 * torch.randn(n, *whole.spec.shape, generator=g)

    out, names = seed % 10, whole.class_names
    half = [(out + k) % 10 for k in range(5)]
    return data, [
        *[Case("real", lambda n, g: some(spare, n, g), [])] * 5,
        Case("good", gaussians(whole, train[:FITTED], draw), []),
        Case("9 of 10 classes", of([c for c in range(10) if c != out]), [names[out]]),
        Case("5 of 10 classes", of(half), sorted(n for c, n in enumerate(names) if c not in half)),
        Case("1 of 10 classes", of([out])),
        Case("one image", one_image),
        Case("shrunken", shrunken),
        Case("blur", blurred),
        Case("noise", lambda n, g: torch.rand(n, *whole.spec.shape, generator=g) * 2 - 1),
        *(Case(f"{round(100 * share)} % copies", copies(share)) for share in (1.0, 0.1, 0.05)),
    ]


def gaussians(source: Data, rows: Tensor, draw: torch.Generator) -> Sampler:
    """A mixture of 100 Gaussians in the principal axes: k-means cells with their own covariances."""
    images = source.batch(rows).images
    axes = probes.Features.of(images[:2000], continuous=False)
    x = axes(images)
    cells = torch.cdist(x, k_means(x[:5000], 100, draw)).argmin(1)
    own = [x[cells == cell] for cell in range(100)]
    held = [part for part in own if len(part) > 10]
    roots = []
    for part in held:
        values, vectors = torch.linalg.eigh(torch.cov(part.T))
        roots.append(vectors * values.clamp(min=0).sqrt())
    mass, means, spread = torch.tensor([float(len(p)) for p in held]), torch.stack([p.mean(0) for p in held]), torch.stack(roots)
    centre = flat(images, source.spec.shape[1:]).mean(0)

    def sample(n: int, g: torch.Generator) -> Tensor:
        chosen = mass.multinomial(n, replacement=True, generator=g)
        noise = torch.randn(n, x.shape[1], 1, generator=g)
        drawn = means[chosen] + torch.bmm(spread[chosen], noise)[:, :, 0]
        return (drawn @ axes.axes.T + centre).clamp(-1, 1).view(n, *source.spec.shape)

    return sample


def of_points(name: str, seed: int) -> tuple[Data, list[Case]]:
    """The same of a mixture in the plane."""
    data = Points(name, seed=seed)
    data.load_test = lambda: Points(name, "test", seed=seed)
    k, sigma = len(data.centres), data.sigma

    def mixture(shares: Tensor, width: float = 1.0, bridges: float = 0.0) -> Sampler:
        def sample(n: int, g: torch.Generator) -> Tensor:
            first, second = (data.centres[shares.multinomial(n, replacement=True, generator=g)] for _ in range(2))
            along = torch.rand(n, 1, generator=g) * (torch.rand(n, 1, generator=g) < bridges)
            return (first + along * (second - first) + width * sigma * torch.randn(n, 2, generator=g)).view(n, 2, 1, 1)

        return sample

    def copies(share: float) -> Sampler:
        def sample(n: int, g: torch.Generator) -> Tensor:
            x, m = mixture(torch.ones(k))(n, g), round(share * n)
            x[:m] = data.batch(torch.randperm(len(data), generator=g)[:m]).images
            x[:m] += 1e-3 * sigma * torch.randn(m, 2, 1, 1, generator=g)
            return x

        return sample

    def lacking(label: str, shares: Tensor) -> Case:
        names = [n for n, share in zip(data.class_names, shares, strict=True) if not share]
        return Case(label, mixture(shares), names)

    draw = torch.Generator().manual_seed(seed_of("rates", name, seed))
    out, whole = seed % k, torch.ones(k)
    first, half, one = whole.clone(), whole.clone(), torch.zeros(k)
    first[out], one[out] = 0, 1
    half[[(out + i) % k for i in range(k // 2)]] = 0
    return data, [
        *[Case("real", mixture(whole), [])] * 5,
        Case("good", mixture(0.7 + 0.6 * torch.rand(k, generator=draw), 1.4, 0.05), []),
        lacking(f"{k - 1} of {k} modes", first),
        lacking(f"{k - k // 2} of {k} modes", half),
        lacking(f"1 of {k} modes", one),
        Case("shrunken", mixture(whole, 0.2)),
        Case("noise", lambda n, g: (torch.rand(n, 2, 1, 1, generator=g) * 2 - 1) * data.centres.max()),
        *(Case(f"{round(100 * share)} % copies", copies(share)) for share in (1.0, 0.1, 0.05)),
    ]


def of_stacks(seed: int) -> tuple[Data, list[Case]]:
    """The same of stacked digits, 100 modes; real samples are stacks of the test digits that the reference does not hold."""
    data = Stacked("stacked-mnist-2", seed=seed)
    fresh = Stacked("stacked-mnist-2", "test", seed=1000 + seed)

    def of(modes: Tensor) -> Sampler:
        rows = torch.isin(fresh.labels, modes).nonzero()[:, 0]
        return lambda n, g: fresh.batch(rows[torch.randint(len(rows), (n,), generator=g)]).images

    def copies(n: int, g: torch.Generator) -> Tensor:
        x = data.batch(torch.randint(len(data), (n,), generator=g)).images
        return x + 0.02 * torch.randn(x.shape, generator=g)

    modes, out = torch.arange(100), (7 * seed + 3) % 100
    return data, [
        Case("real", of(modes), []),
        Case("99 of 100 modes", of(modes[modes != out]), [data.class_names[out]]),
        Case("40 of 100 modes", of(modes[(modes + out) % 100 < 40])),
        Case("1 of 100 modes", of(modes[out : out + 1])),
        Case("100 % copies", copies),
    ]


def collapsed(rounds: int, seeds: int) -> list[Tensor]:
    """Samples of the minimax GANs, (N, 2, 1, 1) a seed: all nets in one batched product."""
    draw = torch.Generator().manual_seed(seed_of("rates", "trained"))

    def net(*widths: int) -> tuple[list[Tensor], Callable[[Tensor], Tensor]]:
        weights = [torch.empty(seeds, a, b) for a, b in pairwise(widths)]
        for layer in weights:
            for matrix in layer:
                nn.init.orthogonal_(matrix, 1.4, generator=draw)
        biases = [torch.zeros(seeds, 1, b) for b in widths[1:]]
        for p in (*weights, *biases):
            p.requires_grad_()

        def apply(x: Tensor) -> Tensor:
            for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                x = torch.baddbmm(bias, torch.tanh(x) if number else x, weight)
            return x

        return [*weights, *biases], apply

    (theta_g, generator), (theta_d, discriminator) = net(256, 128, 128, 2), net(2, 128, 128, 1)
    adam_g = torch.optim.Adam(theta_g, lr=1e-3, betas=(0.5, 0.999), fused=True)
    adam_d = torch.optim.Adam(theta_d, lr=1e-4, betas=(0.5, 0.999), fused=True)
    points = Points("ring").points
    for _ in range(rounds):
        x = points[torch.randint(len(points), (seeds * BATCH,), generator=draw)].view(seeds, BATCH, 2)
        with torch.no_grad():
            x_fake = generator(torch.randn(seeds, BATCH, 256, generator=draw))
        d_real, d_fake = discriminator(torch.cat((x, x_fake), 1)).chunk(2, 1)
        loss = (F.softplus(-d_real) + F.softplus(d_fake)).mean((1, 2)).sum()
        step(adam_d, theta_d, loss)
        loss = -F.softplus(discriminator(generator(torch.randn(seeds, BATCH, 256, generator=draw)))).mean((1, 2)).sum()
        step(adam_g, theta_g, loss)
    with torch.no_grad():
        return list(generator(torch.randn(seeds, FINAL[0], 256, generator=draw)).view(seeds, FINAL[0], 2, 1, 1))


def step(optimizer: torch.optim.Optimizer, parameters: list[Tensor], loss: Tensor) -> None:
    """One step of one player."""
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = gradient
    optimizer.step()


def measure(seeds: int, rounds: int) -> tuple[dict[str, dict[str, str]], list[dict[str, object]]]:
    """What was drawn of each set by each protocol, and a row a protocol, set and condition."""
    found: dict[tuple[str, str, str], list[tuple[str, bool | None, float]]] = {}
    drawn: dict[str, dict[str, str]] = {"live": {}, "final": {}}
    rings = collapsed(rounds, seeds)
    for seed in range(seeds):
        sets = [of_images("mnist", seed), of_images("fashion-mini", seed), of_points("ring", seed), of_points("grid", seed)]
        sets[2][1].append(Case("trained", lambda n, _, x=rings[seed]: x[:n]))
        for data, cases in (*sets, of_stacks(seed)):
            for look in looks(data):
                against = probes.reference(data, size=look.samples, bank=look.bank, held=max(2000, 2 * look.samples), seed=seed)
                drawn[look.protocol][data.name] = (
                    f"{against.size:,} samples, {len(against.held_out):,} held-out real ones, copies sought among "
                    f"{len(against.bank):,} of {len(data):,} training samples"
                )
                for number, case in enumerate(cases):
                    generator = torch.Generator().manual_seed(seed_of("rates", look.protocol, data.name, seed, number))
                    verdict = health.examine(case.sampler(look.samples, generator), against)
                    named = None if case.dropped is None else sorted(verdict.dropped) == sorted(case.dropped)
                    result = verdict.state, named, verdict.figures.get("modes captured", float("nan"))
                    found.setdefault((look.protocol, data.name, case.condition), []).append(result)
        print(f"seed {seed}: {time.process_time():.0f} s", flush=True)
    return drawn, [row(*key, results) for key, results in sorted(found.items())]


def bound(wrong: int, n: int) -> float:
    """One-sided Clopper-Pearson at 95 %: the rate at which at most `wrong` errors of n have a probability of 5 %."""
    low, high = 0.0, 1.0
    for _ in range(40):
        p = (low + high) / 2
        under = sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(wrong + 1)) > 0.05
        low, high = (p, high) if under else (low, p)
    return high


def row(protocol: str, name: str, condition: str, results: list[tuple[str, bool | None, float]]) -> dict[str, object]:
    """Rates of one condition."""
    states = Counter(state for state, _, _ in results)
    n, good = len(results), condition in ("real", "good")
    alarms = sum(states[state] for state in ALARMS)
    wrong = alarms if good else n - alarms
    line: dict[str, object] = {"protocol": protocol, "set": name, "condition": condition, "n": n, "states": dict(states)}
    line["false alarms" if good else "misses"] = wrong
    line["rate below, 95 %"] = round(bound(wrong, n), 4)
    named = [hit for _, hit, _ in results if hit is not None]
    if named and not good:
        line["dropped modes named exactly"] = f"{sum(named)} of {len(named)}"
    if condition == "trained":
        line["modes captured"] = dict(sorted(Counter(int(captured) for _, _, captured in results).items()))
    return line


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the trained rings")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    drawn, rows = measure(options.seeds, options.rounds)
    about = {
        "what": __doc__.partition("\n")[0],
        "command": "python experiments/health_rates.py",
        "seeds": options.seeds,
        "protocols": drawn,
        "trained": f"{options.rounds} rounds of batch {BATCH}",
        "CPU seconds": round(time.process_time() - began),
        "torch": torch.__version__,
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(about, indent=1) + "\n")
    for line in rows:
        print(json.dumps(line))


if __name__ == "__main__":
    main()
