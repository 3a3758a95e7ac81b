"""Two processes over gloo: equal to each other and, exactly, to a reference that plays both in one."""

import importlib
import importlib.util
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pinxit.core import checkpoint
from pinxit.core.errors import InputError
from pinxit.core.rng import seed_of
from toys._nets import Tiny
from toys._play import PLANE, SYSTEMS, Replicas, differing, named, of_folder, trained

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
DRIVER = str(Path(__file__).parent / "drivers" / "processes.py")
TOYS = [
    "critic",
    "lazy_r1",
    "clipping",
    "equilibrium",
    "normed",
    "growth",
    "pretraining",
    "translators",
    "shared_head",
    "scheduled",
]
ACCUMULATED = ["critic", "equilibrium", "normed"]
GAMES = [*TOYS, *SYSTEMS]


def port():
    """A free one below the range from which connections take theirs, so that it stays free until it is used."""
    while True:
        number = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR")}
    paths = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    return {**clean, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "MASTER_PORT": str(port()), **more}


def torchrun(*arguments):
    head = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port"]
    return [*head, str(port()), DRIVER, *map(str, arguments)]


def alone(*arguments):
    return [sys.executable, DRIVER, *map(str, arguments)]


def done(command, **more):
    ended = subprocess.run(command, env=environment(**more), capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Every toy under torchrun; three of them again with two micro-batches and another seed."""
    folder = tmp_path_factory.mktemp("torchrun")
    (folder / "2").mkdir()
    done(torchrun(folder, 1, 0, 1, *GAMES))
    done(torchrun(folder / "2", 1, 4, 2, *ACCUMULATED, "pool"))
    return folder


def ranks(folder, toy):
    return [torch.load(folder / f"{toy}-rank{rank}.pt", weights_only=True) for rank in range(2)]


class Measuring(Replicas):
    """Keeps the norm of every mean gradient, and hands `after` the fakes of all replicas, its draws seeded by the place."""

    def __init__(self, *args):
        super().__init__(*args)
        self.norms, self.parts = [], {}

    def average(self, replicas):
        super().average(replicas)
        self.norms.append(math.sqrt(sum(float(p.grad.double().square().sum()) for p in replicas[0] if p.grad is not None)))

    def differentiate(self, turn, players, share, clock, place):
        """With every micro-batch's fakes: the yardstick's own stats are means."""
        fakes, objective = [], turn.objective

        def kept(batch, clock):
            loss = objective(batch, clock)
            fakes.append(loss.stats.get("x_fake", torch.zeros(0)).detach())
            return loss

        stats = super().differentiate(replace(turn, objective=kept), players, share, clock, place)
        return {**stats, "x_fake": torch.cat(fakes)}

    def step(self, turn, player, optimizer, clock, stats):
        whole = {"x_fake": torch.cat([s["x_fake"] for s in stats])}
        torch.manual_seed(seed_of(self.seed, clock.stage, clock.round, 0, 0, "after"))
        super().step(
            replace(turn, after=turn.after and (lambda means: turn.after({**means, **whole}))), player, optimizer, clock, stats
        )


def test_a_pool_of_both_processes_samples(played):
    """`after` sees the fakes of both, in the order of the processes, and draws alike in both."""
    spec = importlib.util.spec_from_file_location("pool", Path(DRIVER).with_name("pool.py"))
    pool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pool)
    first, second = ranks(played / "2", "pool")
    assert differing(first["kept"], second["kept"]) == []
    twin = Measuring(pool.build(pool.PRESETS["tiny"], PLANE), 2, 4, 2).fit(Tiny(PLANE))
    assert twin.pool.flatten(1).any(dim=1).sum() > len(twin.pool) / 2
    expected = {f"8/{name}": t for name, t in twin.state_dict().items()}
    assert differing(expected, {key: value for key, value in first["kept"].items() if key in expected}) == []


@pytest.mark.parametrize(("toy", "seed", "accumulate"), [("clipping", 0, 1), ("growth", 0, 1), ("normed", 4, 2)])
def test_gradient_norms_are_of_the_mean_gradient(played, toy, seed, accumulate):
    """Of the last round: the two norms that the reference takes of the gradients it averages itself."""
    module = importlib.import_module(f"toys.{toy}")
    twin = Measuring(module.build(module.PRESETS["tiny"], PLANE), 2, seed, accumulate)
    twin.fit(Tiny(PLANE))
    turns = [turn for turn in twin.games[0].stages()[-1].turns for _ in range(turn.repeats)]
    last = ranks(played / "2" if accumulate == 2 else played, toy)[0]["last"]
    for player in {turn.player for turn in turns}:
        own = [norm for turn, norm in zip(turns, twin.norms[-len(turns) :], strict=True) if turn.player == player]
        assert last[f"{player}/gradient"] == pytest.approx(sum(own) / len(own), rel=1e-5)


def reference(toy, seed, accumulate):
    game = named(toy)
    return Replicas(game, 2, seed, accumulate).fit(Tiny(game.spec))


@pytest.mark.parametrize("toy", GAMES)
def test_ranks_are_equal_at_every_checkpoint(played, toy):
    first, second = ranks(played, toy)
    assert len({key.split("/")[0] for key in first["kept"]}) >= 3
    assert differing(first["kept"], second["kept"]) == []
    assert first["last"] == second["last"] != {}


@pytest.mark.parametrize(("toy", "seed", "accumulate"), [*((t, 0, 1) for t in GAMES), *((t, 4, 2) for t in ACCUMULATED)])
def test_equal_to_the_reference(played, toy, seed, accumulate):
    folder = played / "2" if accumulate == 2 else played
    kept = ranks(folder, toy)[0]["kept"]
    last = max(int(key.split("/")[0]) for key in kept)
    expected = {f"{last}/{name}": t for name, t in reference(toy, seed, accumulate).state_dict().items()}
    assert differing(expected, {key: value for key, value in kept.items() if key in expected}) == []


def test_the_reference_with_one_process_is_the_trainer(tmp_path):
    """The yardstick itself, measured where there is nothing to average."""
    for toy in GAMES:
        data = Tiny(named(toy).spec)
        game = trained(named(toy), data, tmp_path / toy, seed=2).game
        twin = Replicas(named(toy), 1, 2).fit(data)
        assert differing(dict(game.state_dict()), dict(twin.state_dict())) == [], toy


def test_devices_equals_torchrun(played, tmp_path):
    toys = ["critic", "normed"]
    done(alone(tmp_path, 2, 0, 1, *toys))
    for toy in toys:
        for a, b in zip(ranks(played, toy), ranks(tmp_path, toy), strict=True):
            assert differing(a["kept"], b["kept"]) == []
        a, b = of_folder(played / toy), of_folder(tmp_path / toy)
        assert differing(a, b) == []


def test_another_number_of_processes_is_refused(played):
    module = importlib.import_module("toys.critic")
    with pytest.raises(InputError, match="has `processes` 2, this command 1: .* use the old value or a new --run"):
        trained(
            module.build(module.PRESETS["tiny"], PLANE),
            Tiny(PLANE),
            played / "critic",
            log_every=3,
            save_every=5,
            average={"half_life": 50},
        )


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text()


def begun(command, folder, steps=30, **more):
    """The command once its run has a checkpoint of at least `steps` rounds; its output goes to a file."""
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, env=environment(**more), stdout=output, stderr=output, start_new_session=True)
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        found = checkpoint.every(folder / "run" / "checkpoints") if (folder / "run").exists() else []
        if found and int(found[-1].name[5:]) >= steps:
            return process, [int((folder / f"pid-{rank}").read_text()) for rank in range(2)]
        time.sleep(0.01)
    process.kill()
    raise AssertionError((folder / "output").read_text()[-3000:])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done(torchrun(folder, 1, "long", "equilibrium"), ROUNDS="150")
    return of_folder(folder / "run")


@pytest.mark.parametrize(("launch", "victim"), [(torchrun, 1), (alone, 1), (alone, 0)])
def test_killed_process_ends_the_run_everywhere_and_it_resumes(tmp_path, whole, launch, victim):
    devices = 1 if launch is torchrun else 2
    process, pids = begun(launch(tmp_path, devices, "long", "equilibrium"), tmp_path, ROUNDS="150", HESITATES="1.5")
    os.kill(pids[victim], signal.SIGKILL)
    start = time.monotonic()
    try:
        code = process.wait(timeout=90)
        while any(map(alive, pids)) and time.monotonic() < start + 90:
            time.sleep(0.05)
        assert not any(map(alive, pids)), "an orphan"
        assert code != 0
    finally:
        for pid in filter(alive, [*pids, process.pid]):
            os.kill(pid, signal.SIGKILL)
    assert "another process of this run ended; the last checkpoint is intact" in (tmp_path / "output").read_text()
    assert int(checkpoint.every(tmp_path / "run" / "checkpoints")[-1].name[5:]) < 150, "it was to be killed on its way"
    done(launch(tmp_path, devices, "long", "equilibrium"), ROUNDS="150")
    assert differing(whole, of_folder(tmp_path / "run")) == []


@pytest.mark.parametrize(("launch", "number"), [(torchrun, signal.SIGTERM), (alone, signal.SIGTERM), (alone, signal.SIGINT)])
def test_a_signal_saves_in_every_process(tmp_path, launch, number):
    """SIGINT as a terminal sends it, to the whole group; SIGTERM as a scheduler does, to the first process."""
    devices = 1 if launch is torchrun else 2
    process, pids = begun(launch(tmp_path, devices, "long", "equilibrium"), tmp_path, ROUNDS="20000")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid, number)
    process.wait(timeout=90)
    end = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, pids))
    said = (tmp_path / "said-0").read_text()
    step = int(checkpoint.every(tmp_path / "run" / "checkpoints")[-1].name[5:])
    assert f"stopped and saved at round {step} of 20000" in said
    assert step % 4 == 0
