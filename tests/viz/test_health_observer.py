"""The health observer: the same bytes whether resumed or not, nothing disturbed, the verdict where it is looked for."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pinxit.core import records
from pinxit.core.clock import Clock
from pinxit.core.config import Settings
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.observers import health as module
from pinxit.observers.health import Health, join
from toys import critic
from toys._nets import Tiny
from viz.vizkit import AutoEncoder, Generator, Pixels, Split

STATS = {"discriminator/loss": 1.25}
BITS = Spec(1, 6, 6, levels=2, binarised="dynamic")


def look(run_dir: Path, game: Generator, data: Pixels, steps: tuple[int, ...] = (0, 10, 20), seed: int = 0) -> Health:
    """What a trainer does with the observer."""
    run_dir.mkdir(exist_ok=True)
    observer = Health(run_dir, data, 10, seed)
    for step in steps:
        if step:
            with (run_dir / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, "stage": 0, "round": step, "images": 8 * step, **STATS}) + "\n")
        observer(game, Clock(step=step, round=step, images=8 * step), STATS)
    observer.finish(game, Clock(step=steps[-1], round=steps[-1], images=8 * steps[-1]))
    return observer


def files(run_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}


def test_a_look_says_state_evidence_and_place(tmp_path: Path) -> None:
    observer = look(tmp_path / "run", Generator(), Split())
    rows = records.read(tmp_path / "run" / "health.jsonl")
    assert [(row["step"], row["round"], row["images"]) for row in rows] == [(10, 10, 80), (20, 20, 160)]
    assert rows[0]["state"] == "collapsed", "a line through the cube is no noise"
    assert "effective rank" in rows[0]
    about = json.loads((tmp_path / "run" / "health.json").read_text())
    assert about["state"] == "collapsed"
    assert about["line"] == observer.line
    assert observer.line.startswith("collapsed: ")
    assert "40 real samples kept from training" in about["protocol"]
    assert {"name", "value", "data", "state", "text"} == set(about["evidence"][0])


@pytest.mark.parametrize(("spec", "said"), [(Spec(1, 6, 6), False), (BITS, True)], ids=["grey", "bits"])
def test_the_protocol_says_what_was_compared_as_bits(tmp_path: Path, spec: Spec, said: bool) -> None:
    look(tmp_path, Generator(spec), Split(spec))
    assert json.loads((tmp_path / "health.json").read_text())["protocol"].endswith("; all compared as bits") is said


def test_the_numbers_join_the_metrics_at_the_end(tmp_path: Path) -> None:
    look(tmp_path, Generator(), Split())
    rows = records.read(tmp_path / "metrics.jsonl")
    assert [row["health/state"] for row in rows] == [4.0, 4.0]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert rows[0]["health/effective rank"] == records.read(tmp_path / "health.jsonl")[0]["effective rank"]
    assert rows[0]["discriminator/loss"] == 1.25
    before = files(tmp_path)
    join(tmp_path)
    assert files(tmp_path) == before


def test_a_look_between_two_intervals_joins_the_later_one(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 4, "a": 1.0}\n{"step": 8, "a": 2.0}\n')
    (tmp_path / "health.jsonl").write_text(
        '{"step": 4, "state": "healthy", "copies": 0.0}\n{"step": 6, "state": "drifting", "copies": 0.5, "r_v": null}\n'
        '{"step": 9, "state": "collapsed", "copies": 1.0}\n'
    )
    join(tmp_path)
    assert records.read(tmp_path / "metrics.jsonl") == [
        {"step": 4, "a": 1.0, "health/state": 0.0, "health/copies": 0.0},
        {"step": 8, "a": 2.0, "health/state": 1.0, "health/copies": 0.5},
    ]


@pytest.mark.parametrize(
    "data",
    [Split(), Pixels(), Split(Spec(2, 1, 1, levels=0)), Split(Spec(3, 5, 9)), Split(BITS)],
    ids=["with a test split", "without", "points", "colour", "bits"],
)
def test_every_kind_of_data_and_no_generator_is_changed(tmp_path: Path, data: Pixels) -> None:
    game = AutoEncoder(data.spec, latent=2).eval()
    before = {name: value.clone() for name, value in game.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    look(tmp_path, game, data)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in game.state_dict().items())
    assert all(p.grad is None for p in game.parameters())
    assert len(records.read(tmp_path / "health.jsonl")) == 2


class Careless(Generator):
    """Draws from the default generator as well."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n, generator=generator) + 0.01 * torch.randn(n, *self.spec.shape)


def test_a_careless_model_changes_neither_the_run_nor_the_verdict(tmp_path: Path) -> None:
    game = Careless()
    for name, seed in (("a", 1), ("b", 2)):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        look(tmp_path / name, game, Split())
        assert torch.equal(torch.get_rng_state(), state)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_model_gone_wrong_is_collapsed_and_the_files_stay_json(tmp_path: Path) -> None:
    game = Generator()
    with torch.no_grad():
        game.net.bias.fill_(math.nan)
    look(tmp_path, game, Split())
    assert "NaN" not in (tmp_path / "health.jsonl").read_text() + (tmp_path / "health.json").read_text()
    assert "100% of the samples are not finite" in json.loads((tmp_path / "health.json").read_text())["line"]


def test_too_little_data_and_games_without_samples_are_left_alone(tmp_path: Path) -> None:
    class Silent(Generator):
        sample = None

    look(tmp_path / "few", Generator(), Pixels(n=15))
    assert set(files(tmp_path / "few")) == {"metrics.jsonl"}
    game = torch.nn.Linear(1, 1)
    observer = Health(tmp_path, Split(), 10, 0)
    observer(game, Clock(step=10), {})
    observer.finish(game, Clock(step=10))
    assert observer.line == ""
    assert not (tmp_path / "health.jsonl").exists()


def test_a_new_run_forgets_what_an_older_one_left(tmp_path: Path) -> None:
    look(tmp_path, Generator(), Split())
    Health(tmp_path, Split(), 10, 0)(Generator(), Clock(), {})
    assert records.read(tmp_path / "health.jsonl") == []


def test_the_seed_decides_the_probe(tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(made))
        look(tmp_path / name, AutoEncoder(), Split(), seed=seed)
        made.append(files(tmp_path / name))
    assert made[0] == made[1]
    assert made[0]["health.jsonl"] != made[2]["health.jsonl"]


class Stop(Exception):
    """A run that dies."""


class Killer:
    """Ends a run when a round is over, after the other observers have seen it."""

    def __init__(self, step: int) -> None:
        self.every, self.step = 1, step

    def __call__(self, game: object, clock: Clock, stats: object) -> None:
        if clock.step == self.step:
            raise Stop

    def finish(self, game: object, clock: Clock) -> None:
        """Nothing."""


def trainer(run_dir: Path, kill: int = 0, watched: bool = True, spec: Spec = Spec(1, 6, 6)) -> Trainer:
    data = Tiny(spec)
    observers = [Health(run_dir, data, 3, 0)] * watched + [Killer(kill)] * bool(kill)
    settings = Settings(log_every=2, save_every=5)
    return Trainer(
        critic.build(critic.PRESETS["tiny"].replace(rounds=14), data.spec), data, run_dir, settings=settings, observers=observers
    )


@pytest.mark.parametrize("spec", [Spec(1, 6, 6), BITS], ids=["grey", "bits"])
@pytest.mark.parametrize("kills", [(4,), (6, 9, 12), (3, 3), (14,)])
def test_a_killed_run_has_the_same_health_as_an_uninterrupted_one(tmp_path: Path, kills: tuple[int, ...], spec: Spec) -> None:
    trainer(tmp_path / "whole", spec=spec).fit()
    for kill in kills:
        with pytest.raises(Stop):
            trainer(tmp_path / "killed", kill, spec=spec).fit()
    trainer(tmp_path / "killed", spec=spec).fit()
    whole, killed = files(tmp_path / "whole"), files(tmp_path / "killed")
    assert {"health.jsonl", "health.json", "metrics.jsonl"} <= set(whole)
    for name in ("health.jsonl", "health.json", "metrics.jsonl"):
        assert whole[name] == killed[name], name
    assert [row["step"] for row in records.read(tmp_path / "whole" / "health.jsonl")] == [3, 6, 9, 12, 14]
    trainer(tmp_path / "whole", spec=spec).fit()
    assert files(tmp_path / "whole") == whole, "a finished run reported again"


@pytest.mark.parametrize("spec", [Spec(1, 6, 6), BITS], ids=["grey", "bits"])
def test_watching_does_not_change_the_run(tmp_path: Path, spec: Spec) -> None:
    watched, alone = trainer(tmp_path / "a", spec=spec).fit(), trainer(tmp_path / "b", watched=False, spec=spec).fit()
    for name, value in watched.state_dict().items():
        assert torch.equal(value, alone.state_dict()[name])
    plain = [
        {k: v for k, v in row.items() if not k.startswith("health/")} for row in records.read(tmp_path / "a" / "metrics.jsonl")
    ]
    assert plain == records.read(tmp_path / "b" / "metrics.jsonl")


def test_a_resumed_run_shows_the_last_verdict_at_once(tmp_path: Path) -> None:
    first = look(tmp_path, Generator(), Split(), steps=(0, 10, 20))
    again = Health(tmp_path, Split(), 10, 0)
    assert again.line == ""
    again.recall(Clock(step=25))
    assert again.line == json.loads((tmp_path / "health.jsonl").read_text().splitlines()[-1])["line"]
    assert again.line.split(":")[0] == first.line.split(":")[0]


def test_probes_shrink_for_large_images_and_slow_samplers(tmp_path: Path) -> None:
    class Slow:
        def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
            raise NotImplementedError

    observer = Health(tmp_path, Pixels(), 10, 0)
    assert (observer._probe(Generator(), final=False), observer._probe(Generator(), final=True)) == module.LIVE[
        :1
    ] + module.FINAL[:1]
    assert (observer._probe(Slow(), final=False), observer._probe(Slow(), final=True)) == (module.LIVE[1], module.FINAL[1])
    large = Pixels(n=20)
    large.spec = Spec(3, 512, 512)
    assert Health(tmp_path, large, 10, 0)._probe(Generator(), final=True) == module.VALUES // (3 * 512 * 512)
