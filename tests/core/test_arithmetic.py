"""Micro-batches, precision, and the disk filling up for real."""

import math
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import Adam

from pinxit import systems
from pinxit.core import checkpoint
from pinxit.core.clock import Clock
from pinxit.core.errors import RunError
from pinxit.core.game import Loss, Player, Stage, Turn
from pinxit.core.spec import Spec
from toys import critic, lazy_r1
from toys._nets import Tiny
from toys._play import PLANE, Custom, differing, everything, of_folder, trained


def regression():
    torch.manual_seed(0)
    game = Custom(a=nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double())

    def a_loss(batch, clock):
        x = batch.images.flatten(1).double()
        error = (game.a(x)[:, 0] - x[:, 0] * x[:, 1]).square().mean()
        return Loss(error, {"error": error})

    turns = (Turn("a", a_loss), Turn("a", a_loss, every=2, gain=2.0))
    return game.declare({"a": Player((game.a,), partial(Adam, lr=1e-2))}, Stage(turns, 10, 12))


@pytest.mark.parametrize("accumulate", [2, 3, 12])
def test_micro_batches_equal_the_whole(tmp_path, points, accumulate):
    whole = trained(regression(), points, tmp_path / "1", log_every=1)
    parts = trained(regression(), points, tmp_path / "2", log_every=1, accumulate=accumulate)
    for p, q in zip(whole.game.parameters(), parts.game.parameters(), strict=True):
        assert p.dtype == torch.float64
        assert torch.allclose(p, q, rtol=0, atol=1e-12)
    for name, value in whole.records.last.items():
        assert math.isclose(value, parts.records.last[name], rel_tol=1e-6), name


@pytest.mark.parametrize("toy", [critic, lazy_r1])
def test_bf16_with_a_penalty(tmp_path, toy):
    """The penalty's own assertion looks at its dtype; the run is finite, and another one than in float32."""
    tiny = toy.PRESETS["tiny"]
    whole = everything(trained(toy.build(tiny, PLANE), Tiny(PLANE), tmp_path / "32"))
    mixed = trained(toy.build(tiny, PLANE), Tiny(PLANE), tmp_path / "16", precision="bf16-mixed", save_every=4)
    found = everything(mixed)
    floats = [k for k in found if k.startswith(("game", "averaged"))]
    assert all(found[k].dtype == torch.float32 and found[k].isfinite().all() for k in floats)
    assert any(not torch.equal(found[k], whole[k]) for k in floats)
    assert all(torch.allclose(found[k], whole[k], atol=0.2) for k in floats), "the same run but for rounding"
    again = trained(toy.build(tiny, PLANE), Tiny(PLANE), tmp_path / "again", precision="bf16-mixed", save_every=4)
    assert not differing(found, everything(again))


@pytest.mark.parametrize(
    ("system", "changes"),
    [
        ("vae", {"binarise": "threshold"}),
        ("vae", {"binarise": "threshold", "samples": 5}),
        ("cvae", {"binarise": "threshold", "samples": 5}),
        ("autoencoder", {"loss": "cross-entropy"}),
        ("pixelcnn", {"binarise": "threshold"}),
        ("pixelcnn", {"output": "logistic-mixture"}),
    ],
)
def test_likelihoods_in_bf16_are_sums_in_float32(system, changes):
    """The networks round; the bound of their outputs does not: weights of L_k would be off by whole nats."""
    spec = Spec(1, 28, 28, classes=2)
    module = systems.load(system)
    game = module.build(module.PRESETS["tiny"].replace(**changes), spec)
    batch, losses = Tiny(spec).batch(torch.arange(8)), []
    for mixed in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            losses.append(game.model_loss(batch, Clock()))
    whole, found = losses
    for name, value in {"total": found.total, **found.stats}.items():
        assert value.dtype == torch.float32, name
    assert math.isclose(found.total.item(), whole.total.item(), rel_tol=5e-5)


FULL = """
import sys
from pathlib import Path
from pinxit.core.errors import RunError
from toys import critic
from toys._nets import Tiny
from toys._play import PLANE, trained
{limit}
try:
    config = critic.PRESETS["tiny"].replace(rounds=40)
    trained(critic.build(config, PLANE), Tiny(PLANE), Path(sys.argv[1]), save_every=4, log_every=1)
except RunError as error:
    print(error)
    sys.exit(3)
"""


def limited(run_dir, limit):
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join([str(tests.parent / "src"), str(tests)])
    return subprocess.run(
        [sys.executable, "-c", FULL.format(limit=limit), str(run_dir)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def reference(folder):
    trained(critic.build(critic.PRESETS["tiny"].replace(rounds=40), PLANE), Tiny(PLANE), folder, save_every=4, log_every=1)
    return of_folder(folder)


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(tmp_path):
    """The log grows past the limit; the checkpoints stay below it until then."""
    found = limited(tmp_path / "b", "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))")
    assert found.returncode == 3, found.stderr[-2000:]
    assert "File too large; what was saved before is intact" in found.stdout
    assert found.stdout.count("\n") == 1
    resumed = trained(
        critic.build(critic.PRESETS["tiny"].replace(rounds=40), PLANE), Tiny(PLANE), tmp_path / "b", save_every=4, log_every=1
    )
    assert resumed.clock.step == 40
    assert differing(reference(tmp_path / "a"), of_folder(tmp_path / "b")) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few hundred kB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("can't mount a tmpfs here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("room", range(0, 28, 3))
def test_a_full_disk(small_disk, tmp_path, room):
    """Whatever file it is that no longer fits."""
    game = lambda: critic.build(critic.PRESETS["tiny"].replace(rounds=40), PLANE)  # noqa: E731
    trained(
        critic.build(critic.PRESETS["tiny"].replace(rounds=40), PLANE), Tiny(PLANE), tmp_path / "a", save_every=4, log_every=1
    )
    stop = small_disk / "b"

    class Filler:
        every = 1

        def __call__(self, game, clock, stats):
            if clock.step == 10:
                free = os.statvfs(small_disk)
                size = free.f_bavail * free.f_frsize - room * 1024
                (small_disk / "filler").write_bytes(b"x" * max(0, size))

        def finish(self, game, clock): ...

    with pytest.raises(RunError, match="No space left on device"):
        trained(game(), Tiny(PLANE), stop, save_every=4, log_every=1, observers=[Filler()])
    last = int(checkpoint.every(stop / "checkpoints")[-1].name[5:])
    assert last >= 8
    (small_disk / "filler").unlink()
    trained(game(), Tiny(PLANE), stop, save_every=4, log_every=1)
    assert differing(of_folder(tmp_path / "a"), of_folder(stop)) == []
