"""Likelihoods that can be compared: -log p(x) in nats per image, exact or bounded, beside the protocol that it depends on.

    L_k = log 1/k sum_i w_i,   w_i = p(x, z_i) / q(z_i|x),   z_i ~ q(z|x)       (Burda et al. 2016, equation 8)
    ELBO = E log w = -distortion - rate,   distortion = -E_q log p(x|z),   rate = KL(q(z|x) || p(z))

-L_k is an upper bound of -log p(x) that falls with k; `bits_per_dim` is nats / (D ln 2). Every random number is a function of
(seed, index of the image, index of the sample): the result does not depend on how the work is cut up, but for float rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pinxit.core import bits
from pinxit.core.errors import InputError
from pinxit.core.labels import labelled
from pinxit.core.protocols import ConditionalBound, ConditionalLikelihood, Data, Likelihood, Splits, Targets, Weighs
from pinxit.core.rng import seed_of, seeded
from pinxit.metrics.estimates import Estimate, Protocol, as_row, check, comparable, estimated

__all__ = [
    "Estimate", "Latents", "Protocol", "check", "comparable", "exact", "held_out", "importance_weighted", "latents", "lines",
    "mutual_information", "noise_of", "report",
]  # fmt: skip

Progress = Callable[[int, int], None]
Model = Any
BLOCK = 128
"""Samples whose noise is drawn together."""
ROWS = 2048
"""Codes decoded at once: the activations then stay within a processor's cache."""
ACTIVE = 1e-2
"""A latent is active where the variance of its posterior mean over images is above this (Burda et al. 2016, section 5.2)."""
MOST = 10_000
"""Most images of the mutual information: it can't show more than the log of their number."""


@dataclass(frozen=True)
class Latents:
    """What the latents of a model carry, averaged over images.

    Args:
        elbo: -distortion - rate.
        distortion: -E_q log p(x|z), in nats.
        rate: KL(q(z|x) || p(z)), in nats, in closed form.
        active: latents whose posterior mean has a variance above `ACTIVE` over images.
        latents: of how many.
        mutual_information: a lower bound of that of image and code under q, in nats; it can't exceed log n_information, which
            is what it shows of codes that tell all these images apart. From above it is bounded by the rate, if nothing is given.
        n_information: images whose posteriors make q(z), `MOST` at most, whatever `n` is.
    """

    elbo: float
    distortion: float
    rate: float
    active: int
    latents: int
    mutual_information: float
    n_information: int


@torch.no_grad()
def importance_weighted(
    model: Weighs,
    data: Data,
    *,
    k: int = 5000,
    at: Sequence[int] = (),
    n: int = 0,
    seed: int = 0,
    rows: int = ROWS,
    split: str = "",
    weights: str = "given",
    progress: Progress | None = None,
) -> dict[int, Estimate]:
    """-L_k of images, for k and every number in `at` from the same samples; each image is encoded once a chunk.

    Args:
        model: in eval mode; where it conditions on labels, the data's are given, and images without one are left out.
        data: as it is trained on; bits are drawn once an image.
        k: samples an image.
        at: smaller numbers of samples; 1 is an ELBO of one sample.
        n: images, chosen by the seed; 0 for all.
        seed: of the images chosen, the bits and the samples.
        rows: codes decoded at once; bounds the memory.
        split: what the protocol says the data is; by default "train" where it has a test split, else "given".
        weights: what the protocol says of the model's weights.
        progress: called with (images done, images in all).

    Raises:
        InputError: a number out of range, a model without likelihood, or missing labels.
    """
    marks = sorted({*at, k})
    if marks[0] < 1 or marks[-1] > k or rows < 1:
        raise InputError(f"`k` is {k}, `at` {tuple(at)}, `rows` {rows}: 1 <= at <= k and rows >= 1 are needed")
    chosen = _Chosen(model, data, n, seed)
    streams: list[dict[int, tuple[Tensor, Tensor]]] = []
    done = 0
    for indices, x, labels in chosen.batches(max(1, rows // min(BLOCK, k)), model.target):
        streams.append(_stream(model, x, labels, indices, marks, seed, rows))
        done += len(indices)
        if progress is not None:
            progress(done, len(chosen.indices))
    out = {}
    for mark in marks:
        values, ess = (torch.cat([stream[mark][part] for stream in streams]) for part in (0, 1))
        protocol = chosen.protocol(f"L_{mark}", model.measure, mark, split, weights)
        out[mark] = estimated(values, data, protocol, float(ess.mean()))
    return out


@torch.no_grad()
def exact(
    model: Likelihood, data: Data, *, n: int = 0, seed: int = 0, rows: int = 256, split: str = "", weights: str = "given"
) -> Estimate:
    """-log p(x) of a model that knows it; arguments as of `importance_weighted`."""
    chosen = _Chosen(model, data, n, seed)
    batches = chosen.batches(rows, model.target if isinstance(model, Targets) else None)
    with seeded(seed_of("likelihood", seed)):
        if isinstance(model, ConditionalLikelihood):
            parts = [model.log_prob_of_class(x, labels) for _, x, labels in batches if labels is not None]
        else:
            parts = [model.log_prob(x) for _, x, _ in batches]
        values = torch.cat(parts).cpu().double()
    measure = getattr(model, "measure", None) or bits.measure(data.spec)
    return estimated(values, data, chosen.protocol("exact", measure, 0, split, weights))


@torch.no_grad()
def latents(model: Weighs, data: Data, *, n: int = 0, samples: int = 8, seed: int = 0, rows: int = ROWS) -> Latents:
    """Rate, distortion, active latents and mutual information; `samples` draws of z an image, else as `importance_weighted`."""
    chosen, most = _Chosen(model, data, n, seed), _Chosen(model, data, MOST, seed)
    parts: list[tuple[Tensor, ...]] = []
    for indices, x, labels in chosen.batches(max(1, rows // samples), model.target):
        mu, logvar = model.posterior(x, labels)
        noise = noise_of(indices, 0, samples, mu.shape[1], seed).to(mu)
        log_weights = model.log_weights(x, noise, labels).cpu().double().mean(dim=0)
        z = mu + (0.5 * logvar).exp() * noise[0]
        parts.append((log_weights, model.rate(x, labels).cpu().double(), *(t.cpu().double() for t in (mu, logvar, z))))
    elbo, rate, mu, logvar, z = (torch.cat(column) for column in zip(*parts, strict=True))
    spread = mu.var(dim=0) if len(mu) > 1 else torch.zeros(mu.shape[1])
    among = [model.posterior(x, labels) for _, x, labels in most.batches(rows, model.target)]
    some = torch.isin(chosen.indices, most.indices)  # all of them, if they are no more
    return Latents(
        elbo=float(elbo.mean()),
        distortion=float((-elbo - rate).mean()),
        rate=float(rate.mean()),
        active=int((spread > ACTIVE).sum()),
        latents=mu.shape[1],
        mutual_information=mutual_information(z[some], mu[some], logvar[some], *map(torch.cat, zip(*among, strict=True))),
        n_information=len(most.indices),
    )


def mutual_information(
    z: Float[Tensor, "n d"],
    mu: Float[Tensor, "n d"],
    logvar: Float[Tensor, "n d"],
    all_mu: Float[Tensor, "m d"] | None = None,
    all_logvar: Float[Tensor, "m d"] | None = None,
) -> float:
    """E log q(z|x) - log 1/m sum_j q(z|x_j), in nats: in expectation no more than I_q(x; z), and never more than log m.

    (Hoffman & Johnson 2016, section 3; the bound is equation 12 of Poole et al. 2019, https://arxiv.org/abs/1905.06922.)

    Args:
        z: a draw of each posterior.
        mu: means of these posteriors.
        logvar: their log-variances.
        all_mu: means of the posteriors that make q(z), those of `z` among them; by default they are all.
        all_logvar: their log-variances.
    """
    others, logs = (mu, logvar) if all_mu is None or all_logvar is None else (all_mu.to(z), all_logvar.to(z))
    precision = (-logs).exp()
    offset = ((others.square() * precision) + logs).sum(dim=1)
    own = -0.5 * ((z - mu).square() * (-logvar).exp() + logvar).sum(dim=1)
    # (z - mu)^2 / v as three products: (i, j) is the log density of z_i under the posterior of image j, without the 2 pi.
    log_q = [
        torch.logsumexp(-0.5 * (part.square() @ precision.T - 2 * part @ (others * precision).T + offset), dim=1)
        for part in z.split(ROWS // 4)
    ]
    return float((own - torch.cat(log_q)).mean()) + math.log(len(others))


def report(
    model: Model,
    data: Data,
    *,
    k: int = 5000,
    n: int = 1000,
    seed: int = 0,
    split: str = "train",
    weights: str = "given",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """All that is known of a model's likelihood on the test split, or on the data where it has none; JSON-ready.

    Args:
        model: with an exact likelihood or a Gaussian posterior, in eval mode.
        data: the training data.
        k: samples of z an image.
        n: images, chosen by the seed; 0 for all.
        seed: of images, bits and samples.
        split: what the protocol calls data that has no test split.
        weights: which the model has, "averaged" or "raw".
        progress: called with (images done, images in all).

    Raises:
        InputError: the model has no likelihood.
    """
    held, split = held_out(data, split)
    options: dict[str, Any] = {"n": n, "seed": seed, "split": split, "weights": weights}
    if isinstance(model, Likelihood):
        return {"likelihood": [as_row(exact(model, held, **options))]}
    if not isinstance(model, Weighs):
        raise InputError(
            f"{type(model).__name__} has no likelihood: systems with `log_prob` or an encoder and a decoder p(x|z) have one"
        )
    at = [mark for mark in (1, 10, 100, 1000) if mark < k]
    bounds = importance_weighted(model, held, k=k, at=at, progress=progress, **options)
    return {"likelihood": [as_row(bound) for bound in bounds.values()], "latents": asdict(latents(model, held, n=n, seed=seed))}


def lines(found: dict[str, Any]) -> list[str]:
    """A `report` as lines of text."""
    out = []
    for row in found["likelihood"]:
        ess = "" if row["ess"] is None else f"   ESS {row['ess']:.1f}"
        number = "{nats:9.3f} +- {error:.3f} nats   {bits_per_dim:.4f} bits/dim".format(**row)
        out.append(f"-log p(x)  {row['estimator']:<8} {number}{ess}")
    if latent := found.get("latents"):
        out.append("ELBO {elbo:.3f} = -distortion {distortion:.3f} - rate {rate:.3f} nats".format(**latent))
        out.append("active latents {active} of {latents}".format(**latent))
        out.append(_information(latent["mutual_information"], latent["n_information"]))
    last = Protocol(**{f.name: found["likelihood"][-1][f.name] for f in fields(Protocol)})
    return [*out, str(last)]


def _information(found: float, n: int) -> str:
    """The mutual information for what it is: a lower bound, with its ceiling."""
    ceiling = math.log(n)
    if found > ceiling - 0.05:
        return f"I(x; z) >= {found:.2f} nats: all that {n:,} images can show, whose log is {ceiling:.2f}"
    return f"I(x; z) >= {found:.2f} nats, a bound that {n:,} images hold below {ceiling:.2f}"


def held_out(data: Data, otherwise: str) -> tuple[Data, str]:
    """The test split and its name; the data itself, named `otherwise`, where it has none."""
    test = data.test() if isinstance(data, Splits) else None
    return (data, otherwise) if test is None else (test, "test")


def noise_of(indices: Int[Tensor, " n"], start: int, stop: int, d: int, seed: int) -> Float[Tensor, "k n d"]:
    """N(0, I) for samples `start` to `stop` of the images at `indices`: a function of (seed, image, sample, latent)."""
    generator = torch.Generator()
    first, last = start // BLOCK, -(-stop // BLOCK)
    out = torch.empty((last - first) * BLOCK, len(indices), d)
    for column, index in enumerate(indices.tolist()):
        for block in range(first, last):
            generator.manual_seed(seed_of("sample", seed, index, block))
            at = (block - first) * BLOCK
            out[at : at + BLOCK, column] = torch.randn(BLOCK, d, generator=generator)
    return out[start - first * BLOCK : stop - first * BLOCK]


class _Chosen:
    """The images of an estimate, with their bits: functions of the seed and of their index in the data."""

    def __init__(self, model: Model, data: Data, n: int, seed: int) -> None:
        if n < 0:
            raise InputError(f"`n` is {n} of {len(data)} images: it must be >= 0 (0 for all)")
        check(model, data)
        self.conditional = isinstance(model, (ConditionalBound, ConditionalLikelihood))
        rows = labelled(data) if self.conditional else torch.arange(len(data))
        generator = torch.Generator().manual_seed(seed_of("images", seed))
        whole = n == 0 or n >= len(rows)
        self.indices = rows if whole else rows[torch.randperm(len(rows), generator=generator)[:n]].sort().values
        self.data, self.seed, self.device = data, seed, model.device
        self.images = "all" if whole else f"chosen by seed {seed}"
        self.images += " of known class" if len(rows) < len(data) else ""

    def batches(
        self, size: int, target: Callable[[Tensor, torch.Generator], Tensor] | None = None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Indices, images as they are scored, and labels where the model takes them."""
        how, generator = bits.drawing(self.data.spec), torch.Generator()
        for indices in self.indices.split(size):
            batch = self.data.batch(indices)
            scored = []
            for index, x in zip(indices.tolist(), batch.images.split(1), strict=True):
                generator.manual_seed(seed_of("bits", self.seed, index))
                drawn = bits.binarised(x, how, generator)
                scored.append(drawn if target is None else target(drawn, generator))
            labels = batch.labels.to(self.device) if self.conditional and batch.labels is not None else None
            yield indices, torch.cat(scored).to(self.device), labels

    def protocol(self, estimator: str, measure: str, k: int, split: str, weights: str) -> Protocol:
        split = split or ("train" if isinstance(self.data, Splits) and self.data.test() is not None else "given")
        given = "label" if self.conditional else ""
        return Protocol(estimator, measure, given, self.data.name, split, self.images, len(self.indices), k, weights, self.seed)


def _stream(
    model: Weighs, x: Tensor, labels: Tensor | None, indices: Tensor, marks: Sequence[int], seed: int, rows: int
) -> dict[int, tuple[Tensor, Tensor]]:
    """L_k and effective sample size, each (n,), at every mark: sums of weights in float64, kept relative to the greatest."""
    d = model.posterior(x[:1], None if labels is None else labels[:1])[0].shape[1]
    greatest = torch.full((len(x),), -math.inf, dtype=torch.float64)
    total, squares = torch.zeros_like(greatest), torch.zeros_like(greatest)
    out = {}
    stops = sorted({*marks, *range(BLOCK, marks[-1], BLOCK)})
    for start, stop in zip((0, *stops), stops, strict=False):
        noise = noise_of(indices, start, stop, d, seed)
        for part in noise.split(max(1, rows // len(x))):
            log_weights = model.log_weights(x, part.to(x.device), labels).cpu().double()
            top = torch.maximum(greatest, log_weights.amax(dim=0))
            relative = (log_weights - top).exp()
            shrink = (greatest - top).exp()
            total = total * shrink + relative.sum(dim=0)
            squares = squares * shrink.square() + relative.square().sum(dim=0)
            greatest = top
        if stop in marks:
            out[stop] = (greatest + total.log() - math.log(stop)), total.square() / squares
    return out
