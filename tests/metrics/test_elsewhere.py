"""On a GPU that is not there (`toys._elsewhere`): metrics say of features and models there what they say on the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pinxit import systems
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame
from pinxit.data import load
from pinxit.diagnostics import causality
from pinxit.evaluation.judge import Judge, Subject
from pinxit.metrics import (
    ais,
    assignment,
    conditioning,
    directions,
    distances,
    duality,
    frechet,
    inception_score,
    kernel,
    likelihood,
    memorisation,
    modes,
    ms_ssim,
    nearest,
    pairwise,
    parzen,
    path_length,
    prd,
    precision_recall,
    transport,
    two_sample,
)
from pinxit.metrics.classifier import lenet
from pinxit.metrics.features.plain import Pixels
from pinxit.metrics.features.sources import SampleSource
from pinxit.metrics.lenet import Protocol
from pinxit.viz import classes, grids, walks
from pinxit.viz import directions as walks_along
from toys._elsewhere import a_gpu, there


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


X, Y = torch.randn(64, 8, generator=seeded()), torch.randn(80, 8, generator=seeded()) + 0.1
IMAGES = torch.rand(8, 2, 64, 64, generator=seeded()) * 2 - 1
LABELS = torch.arange(8) % 2
REAL = load((torch.randint(256, (200, 1, 16, 16), generator=seeded(), dtype=torch.uint8), torch.arange(200) % 2))

OF_FEATURES: dict[str, Callable[[Callable[[Tensor], Tensor]], Any]] = {
    "frechet": lambda on: frechet.frechet_distance(on(X), on(Y)),
    "frechet infinity": lambda on: frechet.frechet_infinity(on(X), on(Y), generator=seeded()),
    "kernel": lambda on: kernel.kernel_distance(on(X), on(Y)),
    "kernel subsets": lambda on: kernel.kernel_distance_subsets(on(X), on(Y), generator=seeded(), size=20, subsets=5),
    "mmd": lambda on: kernel.mmd2(on(X), on(Y)),
    "precision": lambda on: precision_recall.precision_recall(on(X), on(Y)),
    "density": lambda on: precision_recall.density_coverage(on(X), on(Y)),
    "pairwise": lambda on: pairwise.kernel_and_neighbourhoods(on(X), on(Y)),
    "prd": lambda on: prd.prd(on(X), on(Y), generator=seeded()),
    "logistic": lambda on: two_sample.logistic_test(on(X), on(Y), generator=seeded()),
    "neighbour": lambda on: two_sample.neighbour_test(on(X), on(Y), generator=seeded()),
    "sliced": lambda on: transport.sliced(on(X), on(Y)),
    "wasserstein": lambda on: transport.wasserstein(on(X), on(X) + 1),
    "mixture": lambda on: modes.mixture_modes(on(X[:, :2]), Y[:5, :2], 0.5),
    "stacks": lambda on: modes.stacked_modes(on(IMAGES), lambda x: x.flatten(1)[:, :10] * 9),
    "parzen": lambda on: parzen.parzen(on(X), on(Y[:40]), on(Y[40:60]), on(Y[60:]), generator=seeded(), sigmas=(0.1, 0.3)),
    "ms-ssim": lambda on: ms_ssim.pair_similarity(on(IMAGES), pairs=5, generator=seeded()),
    "inception": lambda on: inception_score.inception_score(on(X.softmax(1)), classifier="c", generator=seeded()),
    "nearest": lambda on: nearest.nearest(on(X), on(Y)),
    "k nearest": lambda on: distances.kth_nearest(on(X), 3),
    "memorisation": lambda on: memorisation.memorisation(on(X), on(Y[:40]), on(Y[40:]), generator=seeded()),
    "style": lambda on: conditioning.style_features(on(IMAGES)),
    "match": lambda on: conditioning.match_auc(lambda x, y: x.flatten(1)[:, 0] * y, on(IMAGES), on(LABELS), 2),
    "direction": lambda on: directions.between(on(X), on(torch.arange(64) % 2 == 0), name="even"),
    "grid": lambda on: grids.grid(on(IMAGES)).tobytes(),
}

OF_MODELS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "likelihood of a vae": ("vae", lambda model: likelihood.report(model, REAL, k=8, n=20)),
    "likelihood of a cvae": ("cvae", lambda model: likelihood.report(model, REAL, k=8, n=20)),
    "likelihood of pixels": ("pixelcnn", lambda model: likelihood.report(model, REAL, n=10)),
    "likelihood given the class": ("pixelcnn:told", lambda model: likelihood.report(model, REAL, n=10)),
    "annealing": ("vae", lambda model: ais.annealed(model, REAL, plan=PLAN, n=2)),
    "annealing of a generator": ("gan", lambda model: ais.annealed(ais.GaussianObservation(model, 0.1), REAL, plan=PLAN, n=2)),
    "both ways": ("vae", lambda model: ais.bidirectional(model, plan=PLAN, n=2)),
    "directions": ("vae", lambda model: directions.of_classes(model, REAL, 1)),
    "directions of other labels": ("cvae:sure", lambda model: directions.of_classes(model, REAL, 1, told=False)),
    "assignment": ("infogan", lambda model: assignment.assignment_error(model.infer, REAL, n_codes=model.codes()[0])),
    "duality": ("gan", lambda model: duality.duality_gap(model.requires_grad_(True), REAL, steps=3, n=20)),
    "path length": ("gan", lambda model: path_length.path_length(model, Pixels(REAL.spec), n=20)),
    "label accuracy": ("cgan", lambda model: conditioning.label_accuracy(model, judge(), n=20)),
    "swap": ("cgan", lambda model: conditioning.swap_test(model, judge(), n=10)),
    "diversity": ("acgan", lambda model: conditioning.intra_class_diversity(model, judge(), REAL, n=20)),
    "causality": ("pixelrnn", lambda model: causality(model)),
    "evaluator": ("gan", lambda model: evaluated(model)),
    "walk": ("cgan", lambda model: walks.interpolation(model, steps=3, rows=2).tobytes()),
    "walk along": ("vae", lambda model: walks_along.attribute_walk(model, some(model), X.flatten()[:2], name="x").tobytes()),
    "manifold": ("cvae", lambda model: walks.manifold(model, 3, label=1).tobytes()),
    "classes": ("pixelcnn:told", lambda model: classes.class_grid(model, [0, 1], rows=1).tobytes()),
    "traversals": ("infogan", lambda model: classes.traversals(model).tobytes()),
}
PLAN = ais.Plan(distributions=4, chains=2, leapfrogs=2)


def some(model: AbstractGame) -> Tensor:
    return REAL.batch(torch.arange(2)).images.to(model.device)


def judge() -> Any:
    return lenet(REAL, protocol=Protocol("4c3-pool-8", epochs=1), cache=False)


def evaluated(model: Any) -> Any:
    bench = Judge(REAL, n=60, network="pixels", metrics=("frechet", "precision-recall", "memorisation"), controls=False)
    return bench.evaluate(Subject("x", SampleSource(model, 60, REAL.spec), model)).scores


def made(name: str) -> AbstractGame:
    system, _, kind = name.partition(":")
    module = systems.load(system)
    changes: dict[str, Any] = {"told": {"conditional": True}, "sure": {"label_dropout": 0.0}, "": {}}[kind]
    return module.build(module.PRESETS["tiny"].replace(**changes), REAL.spec).eval().requires_grad_(False)


def same(a: Any, b: Any) -> bool:
    """Whether two findings are equal, all but the seconds that they took."""
    if isinstance(a, Tensor):
        return torch.equal(a.cpu(), b.cpu())
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and same(vars(a), vars(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a if "second" not in key)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_of_features_from_there(name, monkeypatch):
    expected = OF_FEATURES[name](lambda x: x)
    with a_gpu(monkeypatch):
        assert same(OF_FEATURES[name](there), expected)


@pytest.mark.parametrize("name", OF_MODELS)
def test_of_a_model_that_is_there(name, tmp_path, monkeypatch):
    system, ask = OF_MODELS[name]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    expected = ask(made(system))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))  # or the features of before would be read
    with a_gpu(monkeypatch) as device:
        assert same(ask(made(system).to(device)), expected)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_of_features_from_where_there_is_no_float64(name, monkeypatch):
    expected = OF_FEATURES[name](lambda x: x)
    with a_gpu(monkeypatch, "mps"):
        assert isinstance(OF_FEATURES[name](there), type(expected))


@pytest.mark.parametrize("name", OF_MODELS)
def test_of_a_model_where_there_is_no_float64(name, tmp_path, monkeypatch):
    system, ask = OF_MODELS[name]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with a_gpu(monkeypatch, "mps") as device:
        model = made(system).to(device)
        if name in ("annealing", "annealing of a generator", "both ways"):
            with pytest.raises(InputError, match="lacks the float64 that annealing needs"):
                ask(model)
        else:
            ask(model)
