"""An evaluation survives JSON, a number that is not finite included, and says what it may be compared with."""

import json
import math
from dataclasses import replace

import pytest

from pinxit.core.errors import InputError
from pinxit.evaluation import scores
from pinxit.evaluation.scores import Evaluation, Score, Value


def evaluation(name="a", value=1.0, error=0.1, *, n=100, better="lower", floor=0.5, about=None, controls=None):
    score = Score(Value("distance", value, error, better), Value("distance", floor, 0.1), controls or {"noise": 9.0}, 0.5)
    return Evaluation(name, about or {}, {"reference": "r", "n": n, "features": "f"}, (score,), {"parameters": 3.0}, ("line",))


def test_json_and_back_is_the_same(tmp_path):
    found = [evaluation(), evaluation("b", 2.0)]
    scores.write(tmp_path / "e.json", found)
    assert scores.read(tmp_path / "e.json") == found


def test_what_is_not_finite_is_null_in_json_and_comes_back_as_nan(tmp_path):
    scores.write(tmp_path / "e.json", [evaluation(value=math.inf, controls={"noise": math.nan})])
    raw = json.loads((tmp_path / "e.json").read_text())
    assert raw[0]["scores"][0]["value"]["value"] is None
    (found,) = scores.read(tmp_path / "e.json")
    assert math.isnan(found.scores[0].value.value)
    assert math.isnan(found.scores[0].controls["noise"])


@pytest.mark.parametrize(
    ("content", "line"),
    [("{", "is not JSON"), ('[{"format": 99}]', "has the format 99"), ('[{"format": 1}]', "does not hold an evaluation")],
)
def test_a_file_that_is_no_evaluation_is_refused_with_its_name(tmp_path, content, line):
    path = tmp_path / "e.json"
    path.write_text(content)
    with pytest.raises(InputError, match=line) as caught:
        scores.read(path)
    assert str(path) in str(caught.value)


def test_differences_name_the_parts_of_the_protocol():
    assert scores.differences(evaluation(), evaluation("b")) == []
    assert scores.differences(evaluation(), evaluation("b", n=50)) == ["n: 100 and 50"]


def test_feature_networks_that_differ_are_named_by_their_digests():
    full = [f"lenet:a (0{k}): 128 activations; and so on" for k in range(2)]
    a, b = (replace(evaluation(), protocol={"features": said}) for said in full)
    assert scores.differences(a, b) == ["features: lenet:a (00) and lenet:a (01)"]
    c = replace(a, protocol={"features": full[0] + " in other words"})
    assert scores.differences(a, c) == [f"features: {full[0]} and {full[0]} in other words"]


def test_a_distance_that_is_half_the_floor_of_its_n_says_so():
    assert "n is small for it: real samples get 50 % of this" in evaluation(value=2.0, floor=1.0).scores[0].note
    assert "small" not in evaluation(value=5.0, floor=1.0).scores[0].note
    assert "small" not in evaluation(value=2.0, floor=1.0, better="higher").scores[0].note


def test_a_file_of_an_older_version_has_no_count():
    found = evaluation().to_json()
    for key in ("n", "by"):
        del found["scores"][0]["value"][key]
    assert scores.of_json(found, "old").scores[0].value.n == 0


def test_a_value_within_three_errors_of_its_floor_says_so():
    assert "not told from real" in evaluation(value=0.9, error=0.1).scores[0].note  # 0.4 < 3 sqrt(0.02)
    assert "not told" not in evaluation(value=0.95, error=0.1).scores[0].note


def test_as_text_it_is_a_line_a_metric():
    """What `print` and a notebook show was the code that makes it, of thousands of characters."""
    head, row, *notes = str(evaluation()).split("\n")
    assert (head, row) == ("a: reference r; n 100; features f", "  distance  1.00 ± 0.10  (real samples 0.50 ± 0.10)")
    assert notes == ["line", "distance: n is small for it: real samples get 50 % of this"]
    assert "distance  not finite" in str(evaluation(value=math.nan))
    assert str(evaluation(value=0.5)).endswith("\nline\ndistance: not told from real samples")
