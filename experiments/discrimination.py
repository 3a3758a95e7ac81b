"""Which metric sees what: how often each orders graded corruptions of real images rightly.

`python -m experiments.discrimination`. Twelve corruptions have three grades each. In a draw, 2,000 fresh real images are spoilt
to every grade, and a metric is right on a corruption if it puts clean before slight before strong before worst. A metric that has
no better side (`floor`) must move away from its value on the clean images. Draws go on where they were cut off, and those that
lack a metric get it; results/discrimination.json holds every draw.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pinxit.core import files
from pinxit.core.rng import seed_of
from pinxit.evaluation import controls
from pinxit.evaluation.measures import MEASURES, Real, Seen
from pinxit.evaluation.scores import finite

RESULTS = Path(__file__).parent / "results" / "discrimination.json"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "discrimination.png"
N, BANK, DRAWS = 2000, 8000, 20
METRICS = (
    "frechet", "frechet-infinity", "kid", "precision-recall", "prd", "inception", "sliced", "wasserstein", "ms-ssim", "classes",
    "two-sample", "logistic", "memorisation", "parzen",
)  # fmt: skip
Grade = Callable[[Tensor, Tensor, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Corruption:
    """Three grades of one way of spoiling: (images, labels, training images, generator) to as many images."""

    name: str
    grades: tuple[Grade, Grade, Grade]
    said: str


def pixels(change: Callable[[Tensor, torch.Generator], Tensor]) -> Grade:
    """A change of each image alone."""
    return lambda x, labels, train, generator: change(x, generator)


def erased(x: Tensor, generator: torch.Generator, *, side: int) -> Tensor:
    """A black square at a random place of each image."""
    out, (h, w) = x.clone(), x.shape[2:]
    top, left = (torch.randint(size - side + 1, (len(x),), generator=generator) for size in (h, w))
    rows, columns = torch.arange(h), torch.arange(w)
    inside = ((rows >= top[:, None]) & (rows < top[:, None] + side))[:, None, :, None]
    inside = inside & ((columns >= left[:, None]) & (columns < left[:, None] + side))[:, None, None, :]
    return out.masked_fill(inside, -1.0)


def salted(x: Tensor, generator: torch.Generator, *, share: float) -> Tensor:
    """A share of the pixels black or white."""
    u = torch.rand(x.shape, generator=generator)
    return torch.where(u < share / 2, -1.0, torch.where(u < share, 1.0, x))


def paled(x: Tensor, generator: torch.Generator, *, factor: float) -> Tensor:
    """Less contrast about mid-grey."""
    return x * factor


def shifted(x: Tensor, generator: torch.Generator, *, most: int) -> Tensor:
    """Each image moved by up to `most` pixels, black moves in."""
    h, w = x.shape[2:]
    padded = F.pad(x, (most,) * 4, value=-1.0)
    moves = torch.randint(2 * most + 1, (len(x), 2), generator=generator).tolist()
    return torch.stack([image[:, a : a + h, b : b + w] for image, (a, b) in zip(padded, moves, strict=True)])


def dropped(x: Tensor, labels: Tensor, train: Tensor, generator: torch.Generator, *, classes: int) -> Tensor:
    """The first classes gone, the others drawn again."""
    rest = (labels >= classes).nonzero().flatten()
    return x[rest[torch.randint(len(rest), (len(x),), generator=generator)]]


def tilted(x: Tensor, labels: Tensor, train: Tensor, generator: torch.Generator, *, power: float) -> Tensor:
    """Class k drawn exp(-power k / 9) times as often as class 0."""
    weights = torch.exp(-power * labels / 9.0)
    return x[torch.multinomial(weights, len(x), replacement=True, generator=generator)]


def few(x: Tensor, labels: Tensor, train: Tensor, generator: torch.Generator, *, modes: int) -> Tensor:
    """So many different images, each with slight noise of its own."""
    chosen = torch.randperm(len(x), generator=generator)[:modes]
    return controls.noisy(x[chosen[torch.arange(len(x)) % modes]], generator, sigma=0.02)


def copied(x: Tensor, labels: Tensor, train: Tensor, generator: torch.Generator, *, share: float) -> Tensor:
    """A share replaced by training images."""
    count = round(share * len(x))
    chosen = torch.randperm(len(train), generator=generator)[:count]
    return torch.cat([train[chosen], x[count:]])


def averaged(x: Tensor, labels: Tensor, train: Tensor, generator: torch.Generator, *, of: int) -> Tensor:
    """Each the mean of `of` images of its class, itself one of them."""
    out = x.clone()
    for k in labels.unique():
        rows = (labels == k).nonzero().flatten()
        for _ in range(of - 1):
            out[rows] += x[rows[torch.randint(len(rows), (len(rows),), generator=generator)]]
    return out / of


def strangers(x: Tensor, labels: Tensor, train: Tensor, generator: torch.Generator, *, share: float) -> Tensor:
    """A share replaced by uniform noise."""
    count = round(share * len(x))
    return torch.cat([torch.rand(x[:count].shape, generator=generator) * 2 - 1, x[count:]])


def graded(name: str, said: str, change: Any, key: str, *values: Any, whole: bool = False) -> Corruption:
    """A corruption of three strengths."""
    made = [partial(change, **{key: value}) for value in values]
    return Corruption(name, tuple(made if whole else map(pixels, made)), said)  # type: ignore[arg-type]


CORRUPTIONS = (
    graded("blur", "Gaussian of 0.5, 1, 2 pixels", controls.blurred, "sigma", 0.5, 1.0, 2.0),
    graded("noise", "standard deviation 0.1, 0.2, 0.4", controls.noisy, "sigma", 0.1, 0.2, 0.4),
    graded("salt and pepper", "2, 5, 15 % of pixels", salted, "share", 0.02, 0.05, 0.15),
    graded("contrast", "0.8, 0.6, 0.4 of it", paled, "factor", 0.8, 0.6, 0.4),
    graded("shift", "up to 1, 3, 6 pixels", shifted, "most", 1, 3, 6),
    graded("erased square", "of 5, 9, 14 pixels", erased, "side", 5, 9, 14),
    graded("averaged", "of 2, 4, 16 of a class", averaged, "of", 2, 4, 16, whole=True),
    graded("noise images", "1, 5, 20 % of the set", strangers, "share", 0.01, 0.05, 0.2, whole=True),
    graded("classes dropped", "1, 3, 6 of 10", dropped, "classes", 1, 3, 6, whole=True),
    graded("classes uneven", "last e^-1, e^-2, e^-4 as often", tilted, "power", 1.0, 2.0, 4.0, whole=True),
    graded("fewer modes", "500, 100, 20 different images", few, "modes", 500, 100, 20, whole=True),
    graded("copies", "10, 30, 100 % training images", copied, "share", 0.1, 0.3, 1.0, whole=True),
)


def draw(index: int, names: Sequence[str] = METRICS) -> dict[str, Any]:
    """One draw: the values of metrics on clean images and every grade of every corruption; the same images for any of them."""
    from pinxit import data
    from pinxit.metrics.classifier import lenet

    real = data.load()
    test = real.test()
    assert test is not None
    judge = lenet(real)
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed_of("discrimination")))
    bank, pool = order[:BANK], order[BANK:]
    generator = torch.Generator().manual_seed(seed_of("discrimination", index))
    chosen = real.batch(pool[torch.randperm(len(pool), generator=generator)[:N]])
    train = real.batch(bank).images

    def seen(x: Tensor) -> Seen:
        features = judge.features(x)
        with torch.no_grad():
            return Seen(features, x, *2 * (judge.network.head(features).softmax(1),))

    held = seen(test.batch(torch.arange(N)).images)
    against = Real(held, seen(train), True, classifier=judge.name, teller=judge.name)
    measures = [measure for measure in MEASURES if measure.name in names]

    def values(x: Tensor) -> dict[str, float]:
        judged = seen(x)
        return {value.name: value.value for m in measures for value in m.compute(judged, against, index)}

    start = time.process_time()
    assert chosen.labels is not None
    found = {"clean": [values(chosen.images)]}
    for corruption in CORRUPTIONS:
        found[corruption.name] = [values(grade(chosen.images, chosen.labels, train, generator)) for grade in corruption.grades]
    return {"draw": index, "seconds": round(time.process_time() - start, 1), "judge": str(judge), "values": found}


def right(clean: float | None, grades: Sequence[float | None], better: str) -> bool:
    """Whether slight is worse than clean, and strong and worst no better than what is before them.

    A metric that reaches its end at the first grade has seen enough. A value that is not finite (None) has no place in the order.
    """
    row = [value for value in (clean, *grades) if value is not None]
    if len(row) < 1 + len(grades):
        return False
    if better == "floor":
        row = [abs(value - row[0]) for value in row]
    sign = -1 if better == "higher" else 1
    return sign * row[1] > sign * row[0] and all(sign * b >= sign * a for a, b in pairwise(row))


def summary(draws: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The share of draws in which each metric is right on each corruption."""
    sides = sides_of()
    return {
        metric: {
            c.name: sum(
                right(d["values"]["clean"][0][metric], [g[metric] for g in d["values"][c.name]], sides[metric]) for d in draws
            )
            / len(draws)
            for c in CORRUPTIONS
        }
        for metric in sides
        if all(metric in d["values"]["clean"][0] for d in draws)
    }


def lacking(drawn: Mapping[str, Any]) -> list[str]:
    """The metrics of which a draw has no values."""
    has = drawn["values"]["clean"][0]
    return [name for name, values in values_of().items() if not set(values) <= set(has)]


def completed(drawn: dict[str, Any]) -> dict[str, Any]:
    """A draw with the metrics that it lacked."""
    names = lacking(drawn)
    if not names:
        return drawn
    more = finite(draw(drawn["draw"], names))
    values = {
        corruption: [{**had, **got} for had, got in zip(rows, more["values"][corruption], strict=True)]
        for corruption, rows in drawn["values"].items()
    }
    return {**drawn, "values": values}


def sides_of() -> dict[str, str]:
    """Which way each value is better."""
    return {name: better for values in values_of().values() for name, better in values.items()}


@cache
def values_of() -> dict[str, dict[str, str]]:
    """The values of each metric and which way they are better, asked of the metrics themselves on a few numbers."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator)
    images = torch.rand(64, 1, 16, 16, generator=generator) * 2 - 1
    set_ = Seen(x, images, *2 * (torch.rand(64, 3, generator=generator).softmax(1),))
    real = Real(set_, set_, True, classifier="lenet:fashion-mini", teller="lenet:fashion-mini")
    return {m.name: {v.name: v.better for v in m.compute(set_, real, 0)} for m in MEASURES if m.name in METRICS}


def draw_picture(about: Mapping[str, Any]) -> None:
    """The headline picture: a row a metric, a column a corruption, the share of draws that are ordered rightly."""
    from matplotlib.figure import Figure

    right_, names = about["right"], list(about["corruptions"])
    metrics = sorted(right_, key=lambda metric: -sum(right_[metric].values()))
    figure = Figure(figsize=(9.2, 0.34 * len(metrics) + 2.2), layout="constrained")
    axes = figure.add_subplot()
    rows = [[right_[metric][name] for name in names] for metric in metrics]
    axes.imshow(rows, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(rows):
        for k, value in enumerate(row):
            axes.text(k, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color="white" if value < 0.6 else "black")
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=9)
    axes.set_yticks(range(len(metrics)), metrics, fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    title = f"% of {len(about['draws'])} draws in which a metric orders three grades of a corruption rightly (n = {N:,})"
    axes.set_title(title, fontsize=10)
    files.write_with(PICTURE, lambda path: figure.savefig(path, dpi=150))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.discrimination", description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    chosen = parser.parse_args()
    kept = json.loads(RESULTS.read_text())["draws"] if RESULTS.exists() else []
    for index in range(max(chosen.draws, len(kept))):
        if index < len(kept) and not lacking(kept[index]):
            continue
        kept[index:] = [completed(kept[index]) if index < len(kept) else finite(draw(index)), *kept[index + 1 :]]
        about = {
            "study": "discrimination",
            "command": "python -m experiments.discrimination",
            "protocol": f"fashion-mini: {N:,} images outside the bank of {BANK:,} training images, against {N:,} test images",
            "corruptions": {c.name: c.said for c in CORRUPTIONS},
            "right": summary(kept),
            "draws": kept,
        }
        files.write(RESULTS, json.dumps(about, indent=1) + "\n")
        print(f"draw {index + 1} of {chosen.draws}: {kept[index]['seconds']} s", flush=True)
    about = json.loads(RESULTS.read_text())
    about["right"] = summary(about["draws"])
    files.write(RESULTS, json.dumps(about, indent=1) + "\n")
    draw_picture(about)


if __name__ == "__main__":
    main()
