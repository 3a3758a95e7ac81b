"""metrics.jsonl: whole lines, none twice, none from a future that was not saved."""

import json
from types import SimpleNamespace

import pytest
import torch

from pinxit.core.clock import Clock
from pinxit.core.errors import InputError, RunError
from pinxit.core.records import Records, read

ENGINE = SimpleNamespace(rank=0, world=1, device=torch.device("cpu"), mean=lambda x: x, gather=lambda x: x[None])


def test_a_path_may_be_a_string(tmp_path):
    """For `pinxit.viz.curves(read("runs/a/metrics.jsonl"))`."""
    (tmp_path / "m.jsonl").write_text('{"step": 1}\n')
    assert read(str(tmp_path / "m.jsonl")) == [{"step": 1}]


def test_a_half_line_at_the_end_is_left_out(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read(path) == [{"step": 1}, {"step": 2}]
    Records(path, ENGINE).rewind(Clock(step=2), None)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_a_last_line_without_its_newline_stays_whole(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}')
    records = Records(path, ENGINE)
    records.rewind(Clock(step=2), None)
    records.close(Clock(step=3))
    assert [row["step"] for row in read(path)] == [1, 2, 3]


def test_damage_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(InputError, match=r"line 2 of .*m\.jsonl is not JSON"):
        read(path)


def test_rewinding_drops_later_lines_and_changes_no_digit(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = [json.dumps({"step": k, "a": 0.1 * k, "b": 1e-300 / 3, "c": float("nan")}) + "\n" for k in range(6)]
    path.write_text("".join(lines))
    Records(path, ENGINE).rewind(Clock(step=3), None)
    assert path.read_text() == "".join(lines[:4])


def test_state_survives_a_round_trip(tmp_path):
    from pinxit.core.game import Loss, Turn

    def a_loss(batch, clock): ...

    turn = Turn("a", a_loss)
    one, two = Records(tmp_path / "1", ENGINE), Records(tmp_path / "2", ENGINE)
    for k in range(3):
        one.add(turn, Loss(torch.tensor(0.1 * k), {"s": torch.tensor([0.7])}), 1)
        one.end(turn)
    torch.save(one.state(), tmp_path / "state")
    two.rewind(Clock(), torch.load(tmp_path / "state", weights_only=True))
    for records in (one, two):
        records.add(turn, Loss(torch.tensor(9.0)), 1)
        records.end(turn)
    assert one.close(Clock()) == two.close(Clock())
    assert one.last["a/loss"] == pytest.approx((0.1 + 0.2 + 9) / 4)


def test_micro_batches_of_a_tensor_are_joined_in_order(tmp_path):
    from pinxit.core.game import Loss, Turn

    def a_loss(batch, clock): ...

    turn, records = Turn("a", a_loss), Records(tmp_path / "m", ENGINE)
    for part in torch.arange(12.0).view(6, 2).split(2):
        records.add(turn, Loss(torch.tensor(3.0), {"x_fake": part, "s": part.sum()}), 3)
    stats = records.end(turn)
    assert torch.equal(stats["x_fake"], torch.arange(12.0).view(6, 2))
    assert stats["s"] == 66 / 3
    assert set(records.close(Clock())) == {"a/loss", "a/s"}


def test_numbers_of_few_bits_are_averaged_in_float32(tmp_path):
    from pinxit.core.game import Loss, Turn

    def a_loss(batch, clock): ...

    turn, records = Turn("a", a_loss), Records(tmp_path / "m", ENGINE)
    for value in (256.0, 258.0, 260.0, 258.0, 262.0, 256.0):
        records.add(turn, Loss(torch.tensor(value, dtype=torch.bfloat16)), 6)
    records.end(turn)
    assert records.close(Clock())["a/loss"] == pytest.approx(1550 / 6, rel=1e-6)


def test_stats_are_shared_out_whole(tmp_path):
    """Scalars become their mean over processes, larger tensors one batch, process after process; as they are for one."""
    x = torch.arange(4.0).view(2, 2)
    stats = {"x_fake": x, "s": torch.tensor(1.0), "t": torch.tensor([5.0])}
    assert Records(tmp_path / "m", ENGINE).shared(stats) is stats
    two = SimpleNamespace(rank=1, world=2, mean=lambda v: v + 0.5, gather=lambda v: torch.stack((v, v + 100)))
    found = Records(tmp_path / "m", two).shared(stats)
    assert list(found) == list(stats)
    assert torch.equal(found["x_fake"], torch.cat((x, x + 100)))
    assert (found["s"], found["t"]) == (1.5, 5.5)


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't write"):
        Records(tmp_path / "file" / "m.jsonl", ENGINE).close(Clock())
