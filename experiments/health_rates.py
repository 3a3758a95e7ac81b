"""How often the health check is wrong: false alarms on real data and good samplers, misses on bad ones, 20 seeds each.

    python experiments/health_rates.py

It needs MNIST (in PINXIT_DATA), takes about eight minutes of one core, and writes experiments/results/health_rates.json. A seed
decides the training set, what is held out, and every sampler. Samplers are made from real images and points:

    real               samples kept from training, five batches a seed
    good               images: a mixture of 100 Gaussians fitted to the training set's principal axes; points: shares of the
                       modes between 0.7 and 1.3, 1.4 of their spread, and 5 % of bridges between modes
    9 classes, ...     real samples of some classes or modes only
    one image          a single image with a little noise
    shrunken           x -> mean + 0.4 (x - mean); points: modes of 0.2 of their spread
    blur               means of five samples of a class: a bad sampler, yet no copier
    copies             training samples with noise of 0.02 (points: 0.001 sigma); "5 % copies": the rest is real
    trained            the networks of the targets' 2D-3: minimax GAN, 2 x 128 tanh, orthogonal gain 1.4, z 256, Adam beta1 0.5,
                       lr D 1e-4, lr G 1e-3; here batch 64 instead of 512 and 2,000 rounds instead of 25,000, 20 nets at once
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

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

RESULT = Path(__file__).parent / "results" / "health_rates.json"
SEEDS, N, TRAIN, STACKS = 20, 2000, 10_000, 5000
ROUNDS, BATCH = 2000, 64
ALARMS = ("drifting", "saturated", "memorising", "collapsed")
Sampler = Callable[[torch.Generator], Tensor]


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


def of_images(name: str, seed: int) -> Iterator[tuple[str, str, Data, Sampler, list[str] | None]]:
    """(set, condition, training data, sampler, names that must be dropped) of an image set; `spare` is never trained on."""
    source, draw = load(name), torch.Generator().manual_seed(seed_of("rates", name, seed))
    order = torch.randperm(len(source), generator=draw)
    data, spare = Subset(source, order[:TRAIN], source.test()), order[TRAIN : TRAIN + 4 * N]
    labels, train = labels_of(source, spare), order[:TRAIN]
    known = labels_of(source, train)

    def some(rows: Tensor, g: torch.Generator, n: int = N) -> Tensor:
        return source.batch(rows[torch.randperm(len(rows), generator=g)[:n]]).images

    def of(classes: list[int]) -> Tensor:
        """Rows of real samples of some classes, spare ones first: where there are too few, unseen ones come repeatedly."""
        rows = spare[torch.isin(labels, torch.tensor(classes))]
        return rows.repeat(1 + N // max(1, len(rows))) if len(classes) == 1 else rows

    def copies(share: float) -> Sampler:
        def sample(g: torch.Generator) -> Tensor:
            x, k = some(spare, g), round(share * N)
            x[:k] = some(train, g, k)[: len(x)]
            x[:k] += 0.02 * torch.randn(x[:k].shape, generator=g)
            return x

        return sample

    def blurred(g: torch.Generator) -> Tensor:
        rows = [train[known == label] for label in range(10)]
        five = torch.stack([row[torch.randint(len(row), (N // 10, 5), generator=g)] for row in rows]).view(-1, 5)
        return source.batch(five.flatten()).images.view(len(five), 5, *source.spec.shape).mean(1)

    def shrunken(g: torch.Generator) -> Tensor:
        x = some(spare, g)
        return x.mean(0) + 0.4 * (x - x.mean(0))

    def one_image(g: torch.Generator) -> Tensor:
        return some(spare, g, 1) + 0.02 * torch.randn(N, *source.spec.shape, generator=g)

    out, names = seed % 10, source.class_names
    for _ in range(5):
        yield name, "real", data, lambda g: some(spare, g), []
    yield name, "good", data, gaussians(source, train, draw), []
    yield name, "9 of 10 classes", data, lambda g: some(of([c for c in range(10) if c != out]), g), [names[out]]
    half = [(out + k) % 10 for k in range(5)]
    yield name, "5 of 10 classes", data, lambda g: some(of(half), g), sorted(n for c, n in enumerate(names) if c not in half)
    yield name, "1 of 10 classes", data, lambda g: some(of([out]), g), None
    yield name, "one image", data, one_image, None
    yield name, "shrunken", data, shrunken, None
    yield name, "blur", data, blurred, None
    yield name, "noise", data, lambda g: torch.rand(N, *source.spec.shape, generator=g) * 2 - 1, None
    for share in (1.0, 0.1, 0.05):
        yield name, f"{share:.0%} copies".replace("%", " %"), data, copies(share), None


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

    def sample(g: torch.Generator) -> Tensor:
        chosen = mass.multinomial(N, replacement=True, generator=g)
        noise = torch.randn(N, x.shape[1], 1, generator=g)
        drawn = means[chosen] + torch.bmm(spread[chosen], noise)[:, :, 0]
        return (drawn @ axes.axes.T + centre).clamp(-1, 1).view(N, *source.spec.shape)

    return sample


def of_points(name: str, seed: int) -> Iterator[tuple[str, str, Data, Sampler, list[str] | None]]:
    """The same of a mixture in the plane."""
    data = Points(name, seed=seed, samples=TRAIN)
    data.load_test = lambda: Points(name, "test", seed=seed, samples=TRAIN)
    k, sigma = len(data.centres), data.sigma

    def mixture(shares: Tensor, width: float = 1.0, bridges: float = 0.0) -> Sampler:
        def sample(g: torch.Generator) -> Tensor:
            first, second = (data.centres[shares.multinomial(N, replacement=True, generator=g)] for _ in range(2))
            along = torch.rand(N, 1, generator=g) * (torch.rand(N, 1, generator=g) < bridges)
            return (first + along * (second - first) + width * sigma * torch.randn(N, 2, generator=g)).view(N, 2, 1, 1)

        return sample

    def copies(share: float) -> Sampler:
        def sample(g: torch.Generator) -> Tensor:
            x, m = mixture(torch.ones(k))(g), round(share * N)
            x[:m] = data.batch(torch.randperm(len(data), generator=g)[:m]).images
            x[:m] += 1e-3 * sigma * torch.randn(m, 2, 1, 1, generator=g)
            return x

        return sample

    draw = torch.Generator().manual_seed(seed_of("rates", name, seed))
    out, whole = seed % k, torch.ones(k)
    first, half, one = whole.clone(), whole.clone(), torch.zeros(k)
    first[out], one[out] = 0, 1
    half[[(out + i) % k for i in range(k // 2)]] = 0
    for _ in range(5):
        yield name, "real", data, mixture(whole), []
    yield name, "good", data, mixture(0.7 + 0.6 * torch.rand(k, generator=draw), 1.4, 0.05), []
    for label, shares in ((f"{k - 1} of {k} modes", first), (f"{k - k // 2} of {k} modes", half), (f"1 of {k} modes", one)):
        yield name, label, data, mixture(shares), [n for n, share in zip(data.class_names, shares, strict=True) if not share]
    yield name, "shrunken", data, mixture(whole, 0.2), []
    yield name, "noise", data, lambda g: (torch.rand(N, 2, 1, 1, generator=g) * 2 - 1) * data.centres.max(), None
    for share in (1.0, 0.1, 0.05):
        yield name, f"{share:.0%} copies".replace("%", " %"), data, copies(share), None


def of_stacks(seed: int) -> Iterator[tuple[str, str, Data, Sampler, list[str] | None]]:
    """The same of stacked digits, 100 modes; real samples are stacked from the test digits that the reference does not hold."""
    data = Stacked("stacked-mnist-2", seed=seed, samples=TRAIN)
    fresh = Stacked("stacked-mnist-2", "test", seed=1000 + seed)

    def of(modes: Tensor) -> Sampler:
        rows = torch.isin(fresh.labels, modes).nonzero()[:, 0]
        return lambda g: fresh.batch(rows[torch.randint(len(rows), (STACKS,), generator=g)]).images

    def copies(g: torch.Generator) -> Tensor:
        x = data.batch(torch.randint(TRAIN, (STACKS,), generator=g)).images
        return x + 0.02 * torch.randn(x.shape, generator=g)

    modes, out = torch.arange(100), (7 * seed + 3) % 100
    yield data.name, "real", data, of(modes), []
    yield data.name, "99 of 100 modes", data, of(modes[modes != out]), [data.class_names[out]]
    yield data.name, "40 of 100 modes", data, of(modes[(modes + out) % 100 < 40]), None
    yield data.name, "1 of 100 modes", data, of(modes[out : out + 1]), None
    yield data.name, "100 % copies", data, copies, None


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
        return list(generator(torch.randn(seeds, N, 256, generator=draw)).view(seeds, N, 2, 1, 1))


def step(optimizer: torch.optim.Optimizer, parameters: list[Tensor], loss: Tensor) -> None:
    """One step of one player."""
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = gradient
    optimizer.step()


def trained(rounds: int, seeds: int) -> Iterator[tuple[int, str, str, Data, Sampler, list[str] | None]]:
    """The collapsed rings."""
    for seed, x in enumerate(collapsed(rounds, seeds)):
        data = Points("ring", seed=seed, samples=TRAIN)
        data.load_test = lambda seed=seed: Points("ring", "test", seed=seed, samples=TRAIN)
        yield seed, "ring", "trained", data, lambda _, x=x: x, None


def every(seeds: int, rounds: int) -> Iterator[tuple[int, str, str, Data, Sampler, list[str] | None]]:
    """Every case of every seed."""
    for seed in range(seeds):
        for cases in (
            of_images("mnist", seed),
            of_images("fashion-mini", seed),
            of_points("ring", seed),
            of_points("grid", seed),
        ):
            yield from ((seed, *case) for case in cases)
        yield from ((seed, *case) for case in of_stacks(seed))
    yield from trained(rounds, seeds)


def measure(seeds: int, rounds: int) -> list[dict[str, object]]:
    """A row a set and condition."""
    found: dict[tuple[str, str], list[tuple[str, bool | None, float]]] = {}
    held: tuple[int, str, Data | None, probes.Reference | None] = (-1, "", None, None)
    for number, (seed, name, condition, data, sampler, dropped) in enumerate(every(seeds, rounds)):
        if held[2] is not data:
            size = STACKS if isinstance(data, Stacked) else N
            held = seed, name, data, probes.reference(data, size=size, bank=TRAIN, held=2 * size, seed=seed)
        generator = torch.Generator().manual_seed(seed_of("rates", "draw", number))
        verdict = health.examine(sampler(generator), held[3])
        named = None if dropped is None else sorted(verdict.dropped) == sorted(dropped)
        captured = verdict.figures.get("modes captured", float("nan"))
        found.setdefault((name, condition), []).append((verdict.state, named, captured))
    return [row(name, condition, results) for (name, condition), results in sorted(found.items())]


def row(name: str, condition: str, results: list[tuple[str, bool | None, float]]) -> dict[str, object]:
    """Rates of one condition; the bound is one-sided Clopper-Pearson for no error in n, 1 - 0.05^(1/n)."""
    states = Counter(state for state, _, _ in results)
    n, good = len(results), condition in ("real", "good")
    alarms = sum(states[state] for state in ALARMS)
    wrong = alarms if good else n - alarms
    line: dict[str, object] = {"set": name, "condition": condition, "n": n, "states": dict(states)}
    line["false alarms" if good else "misses"] = wrong
    if not wrong:
        line["rate below, 95 %"] = round(1 - 0.05 ** (1 / n), 4)
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
    rows = measure(options.seeds, options.rounds)
    about = {
        "what": __doc__.partition("\n")[0],
        "command": "python experiments/health_rates.py",
        "seeds": options.seeds,
        "samples": {"images and points": N, "stacks": STACKS},
        "training samples": TRAIN,
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
