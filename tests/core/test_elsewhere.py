"""On a GPU that is not there (`toys._elsewhere`): nothing mixes two places, and all is what it is on the CPU, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pinxit import training
from pinxit.core import protocols
from pinxit.core.config import Settings
from pinxit.core.game import AbstractGame
from pinxit.core.trainer import Trainer
from toys._elsewhere import a_gpu, waits
from toys._nets import Tiny
from toys._play import IMAGES, SYSTEMS, differing, named, of_folder, shortened

SETTINGS = Settings(save_every=3, log_every=2)


def played(game: AbstractGame, data: Any, folder: Path, settings: Settings = SETTINGS) -> tuple[AbstractGame, dict[str, Any]]:
    """The model that a run as a user starts it gives, and all that it wrote: weights, metrics, verdicts, pictures."""
    model = training.Trainer(shortened(game, 5), data, folder, settings=settings).fit()
    written = {path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix == ".png" or path.name == "health.json"}
    return model, of_folder(folder) | written


def draws(model: AbstractGame) -> Iterator[Tensor]:
    """What a model can do, with generators and labels of the CPU and images of its own place."""

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    able, labels = (lambda name: isinstance(model, getattr(protocols, name))), torch.tensor([1, 0])
    x = Tiny(IMAGES).images[:2].to(model.device)
    given = (x, labels.to(model.device)) if able("EncodesGiven") else (x,)
    if able("Samples"):
        yield model.sample(2, generator=generator())
    if able("Conditional"):
        yield model.sample_class(labels, generator=generator())
    if able("HasLatents"):
        yield model.decode(model.latents(2, generator=generator()))
    if able("HasClassLatents"):
        yield model.decode(model.latents_of(labels, generator=generator()))
    if able("Encodes"):
        yield model.encode(*given)
    if able("Reconstructs"):
        yield model.reconstruct(*given)
    if able("HasCodes"):
        yield model.sample_code(labels, torch.zeros(2, model.codes()[1]), generator=generator())
        yield model.infer(x)
    if able("Matches"):
        yield model.match(x, labels)
    if able("Likelihood") and not able("Conditional"):
        yield model.log_prob(x)
    if able("ConditionalLikelihood"):
        yield model.log_prob_of_class(x, labels)
    if able("Bound"):
        yield from model.elbo(x, generator=generator())
    if able("ConditionalBound"):
        yield from model.elbo_given(x, labels, generator=generator())
    if able("Weighs"):
        yield model.rate(*given)
    if able("Completes"):
        told = {"labels": labels} if able("Conditional") else {}
        for engine in ("naive", "auto"):
            yield model.complete(x, torch.ones(16, 16).tril() > 0, generator=generator(), engine=engine, **told)


@pytest.mark.parametrize("name", [*SYSTEMS, "pixelcnn:told"])
def test_a_run_and_its_model_are_what_they_are_on_the_cpu(name, tmp_path, monkeypatch):
    model, expected = played(named(name), Tiny(IMAGES), tmp_path / "here")
    torch.manual_seed(1)  # bits of a likelihood are drawn from the default generator
    drawn = list(draws(model))
    for kind in ("cuda", "mps"):
        with a_gpu(monkeypatch, kind) as device:
            model, found = played(named(name), Tiny(IMAGES), tmp_path / kind)
            assert {p.device for p in (*model.parameters(), *model.buffers())} == {device}
            torch.manual_seed(1)
            for before, x in zip(drawn, draws(model), strict=True):
                assert x.device == device
                assert torch.equal(before, x.cpu())
        assert differing(expected, found) == [], kind


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_what_a_gpu_refuses_is_refused(kind, monkeypatch):
    with a_gpu(monkeypatch, kind) as device:
        x, layer = torch.ones(3, device=device), torch.nn.Linear(3, 1)
        for wrong in (
            lambda: x + torch.ones(3),
            lambda: layer(x),
            lambda: torch.ones(3)[x.long()],
            lambda: x.numpy(),
            lambda: torch.randn(3, device=device, generator=torch.Generator()),
            lambda: x.uniform_(generator=torch.Generator()),
        ):
            with pytest.raises((RuntimeError, TypeError)):
                wrong()
        assert (x + 1.0 + torch.tensor(1.0)).device == layer.to(device)(x).device == device
        if kind == "mps":
            with pytest.raises(TypeError, match="float64"):
                x.double()
        else:
            assert x.double().device == device


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "cvae"])  # which looks whether its labels are classes
def test_between_two_lines_of_the_log_the_cpu_never_waits_for_the_gpu(name, tmp_path, monkeypatch):
    with a_gpu(monkeypatch):
        game = shortened(named(name), 5)
        trainer = Trainer(game, Tiny(IMAGES), tmp_path, settings=Settings(save_every=1000, log_every=1000))
        play_round, found = trainer.play_round, []

        def watched(*arguments):
            waits.clear()
            play_round(*arguments)
            found.extend(waits)

        monkeypatch.setattr(trainer, "play_round", watched)
        trainer.fit()
    assert trainer.clock.step >= 5
    assert found == []
