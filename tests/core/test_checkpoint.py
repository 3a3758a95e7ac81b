"""A checkpoint is complete or absent, strict, and resumes the very run it came from."""

import json
import os
import stat

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pinxit.core import checkpoint, files
from pinxit.core.clock import Clock
from pinxit.core.errors import InputError, RunError
from pinxit.core.trainer import Trainer
from toys import critic, pretraining, translators
from toys._nets import Tiny
from toys._play import PLANE, Custom, Seen, StopAt, Stopped, differing, everything, trained


def build():
    return critic.build(critic.PRESETS["tiny"], PLANE)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)
        self.b.weight = self.a.weight
        pieces = torch.arange(12.0).chunk(2)
        self.register_buffer("low", pieces[0])
        self.register_buffer("high", pieces[1])
        self.register_buffer("column", torch.arange(12.0).view(3, 4)[:, 1])
        self.register_buffer("none", torch.zeros(0))


def test_tied_and_overlapping_tensors_go_through_a_file(tmp_path):
    torch.manual_seed(0)
    one, two = Tied(), Tied()
    two.a.weight.data.zero_()
    checkpoint.save(tmp_path, Clock(), one, one, {})
    checkpoint.load(tmp_path / "step-000000000", two, Tied())
    assert two.a.weight is two.b.weight
    assert not differing(dict(one.state_dict()), dict(two.state_dict()))


def test_tied_weights_through_a_run(tmp_path, points):
    def make():
        return translators.build(translators.PRESETS["tiny"], PLANE)

    whole = everything(trained(make(), points, tmp_path / "a"))
    with pytest.raises(Stopped):
        trained(make(), points, tmp_path / "b", observers=[StopAt(5)], save_every=2)
    again = trained(make(), points, tmp_path / "b", save_every=2)
    assert not differing(whole, everything(again))
    assert again.game.critic_x[2].weight is again.game.critic_z[2].weight
    assert again.averaged.critic_x[2].weight is again.averaged.critic_z[2].weight


def test_two_are_kept(tmp_path, points):
    trained(build(), points, tmp_path, save_every=5)
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["step-000000010", "step-000000012"]
    assert sorted(os.listdir(tmp_path / "checkpoints" / "step-000000012")) == [
        "averaged.safetensors",
        "game.safetensors",
        "resume.pt",
    ]


def test_remains_of_killed_writes_are_removed(tmp_path, points):
    folder = tmp_path / "checkpoints"
    remains = folder / ".tmp-step-000000007"
    remains.mkdir(parents=True)
    (remains / "game.safetensors").write_bytes(b"half")
    pictures = tmp_path / "samples"
    pictures.mkdir()
    (pictures / ".step-000000003.tmp4711.png").write_bytes(b"half")
    (pictures / "step-000000002.png").write_bytes(b"whole")
    trained(build(), points, tmp_path)
    assert not remains.exists()
    assert os.listdir(pictures) == ["step-000000002.png"]


def test_resume_values_load_with_weights_only(tmp_path, points):
    trained(build(), points, tmp_path)
    (*_, last) = checkpoint.every(tmp_path / "checkpoints")
    values = torch.load(last / "resume.pt", weights_only=True)
    assert values["clock"]["step"] == 12
    assert set(values["optimizers"]) == {"critic", "generator"}


@pytest.mark.parametrize("name", ["game.safetensors", "averaged.safetensors", "resume.pt"])
@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "gone", "folder"])
def test_damage_is_one_line(tmp_path, points, name, damage):
    trained(build(), points, tmp_path)
    path = checkpoint.every(tmp_path / "checkpoints")[-1] / name
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes({"garbage": b"\x80garbage" * 99, "truncated": content[: len(content) // 2], "empty": b""}[damage])
    with pytest.raises(InputError) as error:
        trained(build(), points, tmp_path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, points):
    import pickle

    trained(build(), points, tmp_path)
    path = checkpoint.every(tmp_path / "checkpoints")[-1] / "resume.pt"

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "boom"),))

    path.write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(InputError):
        trained(build(), points, tmp_path)
    assert not (tmp_path / "boom").exists()


def test_names_and_shapes_are_strict(tmp_path):
    checkpoint.save(tmp_path, Clock(), nn.Linear(2, 2), nn.Linear(2, 2), {})
    path = tmp_path / "step-000000000" / "game.safetensors"
    for module, what in (
        (nn.Linear(2, 3), "size mismatch"),
        (nn.Linear(2, 2, bias=False), "Unexpected"),
        (nn.Bilinear(2, 2, 2), "size"),
    ):
        with pytest.raises(InputError, match=f"does not hold the weights of this {type(module).__name__}: .*{what}"):
            checkpoint.read_weights(path, module)
    with pytest.raises(InputError, match="Missing key"):
        checkpoint.read_weights(path, nn.Sequential(nn.Linear(2, 2)))


def test_damaged_weights_of_a_run_name_the_way_on(tmp_path, points):
    trained(build(), points, tmp_path)
    last = checkpoint.every(tmp_path / "checkpoints")[-1]
    path = last / "averaged.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=f"{path} does not hold.*; delete {last} to go on from the checkpoint before"):
        trained(build(), points, tmp_path)
    model = tmp_path / "model.safetensors"
    model.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="; give another model"):
        checkpoint.read_weights(model, build())


def test_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    path = checkpoint.save(tmp_path, Clock(), nn.Linear(1, 1), nn.Linear(1, 1), {})
    monkeypatch.undo()
    with pytest.raises(InputError, match="has format 99: this version reads 1"):
        checkpoint.load(path, nn.Linear(1, 1), nn.Linear(1, 1))


@pytest.mark.parametrize("change", [
    {"seed": 1}, {"accumulate": 2}, {"log_every": 7}, {"precision": "bf16-mixed"}, {"average": {"half_life": 3}}, {"data": 1},
])  # fmt: skip
def test_what_would_make_another_run_is_refused(tmp_path, change):
    with pytest.raises(Stopped):
        trained(build(), Tiny(PLANE), tmp_path, observers=[StopAt(5)], save_every=2)
    change = dict(change)
    data = Tiny(PLANE, seed=change.pop("data", 0))
    with pytest.raises(InputError, match="a resumed run must equal an uninterrupted one; use the old value or a new --run"):
        trained(build(), data, tmp_path, **change)


def test_what_does_not_change_the_run_may_change(tmp_path, points):
    whole = everything(trained(build(), points, tmp_path / "a"))
    with pytest.raises(Stopped):
        trained(build(), points, tmp_path / "b", observers=[StopAt(5)], save_every=2)
    seen = Seen(every=3)
    assert not differing(whole, everything(trained(build(), points, tmp_path / "b", observers=[seen], save_every=3, threads=1)))
    assert [c.step for c in seen.clocks] == [6, 9, 12]


@pytest.mark.parametrize("save_every", [1, 2, 5, 100])
@pytest.mark.parametrize("log_every", [1, 4])
def test_stopped_twice_equals_never_stopped(tmp_path, points, save_every, log_every):
    options = {"save_every": save_every, "log_every": log_every}
    config = pretraining.PRESETS["tiny"]
    whole = trained(pretraining.build(config, PLANE), points, tmp_path / "a", **options)
    for stop in (4, 9):
        with pytest.raises(Stopped):
            trained(pretraining.build(config, PLANE), points, tmp_path / "b", observers=[StopAt(stop)], **options)
    again = trained(pretraining.build(config, PLANE, seed=5), points, tmp_path / "b", **options)
    assert not differing(everything(whole), everything(again))


def test_a_trainer_can_go_on_after_its_own_failure(tmp_path, points):
    """In a notebook: broken off in the middle of a turn (gradients left, statistics half taken in), then `fit` again."""
    whole = everything(trained(build(), points, tmp_path / "a", accumulate=2))
    game = build()
    real, calls = game.critic_loss, []

    def sometimes(batch, clock):
        calls.append(clock)
        if len(calls) == 40:
            raise KeyboardInterrupt
        return real(batch, clock)

    sometimes.__name__ = "critic_loss"
    game.critic_loss = sometimes
    with pytest.raises(KeyboardInterrupt):
        trained(game, points, tmp_path / "b", accumulate=2, save_every=2)
    assert any(p.grad is not None for p in game.parameters()), "it must have been stopped in the middle of a turn"
    trainer = Trainer(game, points, tmp_path / "b", settings=Trainer.__init__.__kwdefaults__["settings"].replace(accumulate=2))
    trainer.fit()
    assert not differing(whole, everything(trainer))


def test_the_same_trainer_fits_again(tmp_path, points):
    whole = everything(trained(build(), points, tmp_path / "a"))
    stop = StopAt(5)
    from pinxit.core.config import Settings

    trainer = Trainer(build(), points, tmp_path / "b", settings=Settings(save_every=2), observers=[stop])
    with pytest.raises(Stopped):
        trainer.fit()
    stop.step = -1
    trainer.fit()
    assert not differing(whole, everything(trainer))
    trainer.fit()
    assert not differing(whole, everything(trainer)), "fitting a finished run changes nothing"


def test_a_finished_run_is_only_finished_again(tmp_path, points):
    whole = everything(trained(build(), points, tmp_path))
    seen, data = Seen(), Tiny(PLANE)
    trainer = trained(build(), data, tmp_path, observers=[seen])
    assert seen.clocks == []
    assert seen.finished == 1
    assert data.seen == []
    assert trainer.clock.step == 12
    again = everything(trainer)
    assert not differing(whole, again)


def test_a_run_killed_before_its_first_picture_shows_it_later(tmp_path, points, monkeypatch):
    """The state before round 1 is observed even if the first process ended between observing and saving."""
    with pytest.raises(Stopped):
        trained(build(), points, tmp_path, observers=[StopAt(0)])
    seen = Seen()
    trained(build(), points, tmp_path, observers=[seen])
    assert [c.step for c in seen.clocks] == list(range(13))


def test_a_full_disk_keeps_the_last_checkpoint_resumable(tmp_path, points, monkeypatch):
    whole = everything(trained(build(), points, tmp_path / "a"))
    import errno

    real, saves = os.replace, []

    def full(a, b):
        saves.append(b)
        if "step-000000008" in str(b):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(a, b)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="step-000000008: No space left on device"):
        trained(build(), points, tmp_path / "b", save_every=2)
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path / "b" / "checkpoints")) == ["step-000000004", "step-000000006"]
    assert not differing(whole, everything(trained(build(), points, tmp_path / "b", save_every=2)))


def test_a_folder_that_can_not_be_written(tmp_path, points):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't write .*: Not a directory"):
        trained(build(), points, tmp_path / "file" / "run")


def test_model_folder(tmp_path):
    game = translators.build(translators.PRESETS["tiny"], PLANE)
    game.save_pretrained(tmp_path / "m")
    about = json.loads((tmp_path / "m" / "config.json").read_text())
    assert about["config"] == game.config.model_dump(mode="json")
    assert about["spec"] == PLANE.to_dict()
    other = translators.build(translators.PRESETS["tiny"], PLANE, seed=3)
    checkpoint.read_weights(tmp_path / "m" / "model.safetensors", other)
    assert not differing(dict(game.state_dict()), dict(other.state_dict()))
    assert "critic_z.2.weight" not in load_file(tmp_path / "m" / "model.safetensors")
    assert stat.S_ISREG((tmp_path / "m" / "config.json").stat().st_mode)
    assert sorted(os.listdir(tmp_path / "m")) == ["config.json", "model.safetensors"]


def test_an_interrupted_replacement_of_the_newest_leaves_the_one_before(tmp_path, monkeypatch):
    """Saving the same round twice removes the old folder first: a kill right there must leave an older checkpoint."""
    for step in (1, 2):
        checkpoint.save(tmp_path, Clock(step=step), nn.Linear(1, 1), nn.Linear(1, 1), {})

    class Killed(BaseException):
        pass

    def killing(path, *args, **kwargs):
        for file in sorted(path.iterdir())[:1] if path.exists() else ():
            file.unlink()
            raise Killed

    monkeypatch.setattr(files.shutil, "rmtree", killing)
    with pytest.raises(Killed):
        checkpoint.save(tmp_path, Clock(step=2), nn.Linear(1, 1), nn.Linear(1, 1), {})
    for path in checkpoint.every(tmp_path):
        checkpoint.load(path, nn.Linear(1, 1), nn.Linear(1, 1))
    assert checkpoint.every(tmp_path)[0].name == "step-000000001"


def test_killed_while_pruning_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killing(path, *args, **kwargs):
        if path.exists():
            (path / "resume.pt").unlink()
            raise Killed

    monkeypatch.setattr(files.shutil, "rmtree", killing)
    with pytest.raises(Killed):
        for step in (1, 2, 3):
            checkpoint.save(tmp_path, Clock(step=step), nn.Linear(1, 1), nn.Linear(1, 1), {})
    assert [checkpoint.load(p, nn.Linear(1, 1), nn.Linear(1, 1))[0].step for p in checkpoint.every(tmp_path)] == [2, 3]


def test_custom_game_without_parameters_of_one_player_is_an_input_error():
    with pytest.raises(InputError, match="has no player"):
        from pinxit.core.game import owners

        owners(Custom(a=nn.Linear(1, 1)).declare({}))
