"""The experiments are declared soundly, and their page shows what was measured and nothing else."""

import importlib
import json
import math
import re

import pytest
import torch
from experiments import harness, health_rates, page, parts, readings, ring
from experiments.__main__ import NAMES

from pinxit import systems
from pinxit.data import catalogue
from pinxit.data.points import Points
from pinxit.evaluation import suites
from pinxit.observers import health as observer


def experiment(name):
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


@pytest.mark.parametrize("name", NAMES)
def test_every_run_is_a_preset_with_fields_that_exist(name):
    found = experiment(name)
    assert found.name == name
    names = [run.name for run in found.runs]
    assert len(names) == len(set(names)), "runs share a folder"
    for run in found.runs:
        systems.preset(run.system, run.preset).replace(**run.changes)
        assert run.data.partition("[:")[0] in catalogue.names()
        assert run.name.endswith(f"-s{run.seed}")


def test_a_part_of_a_data_set():
    whole, part = parts.load("fashion-mini"), parts.load("fashion-mini[:300]")
    assert (part.name, len(part), part.spec, part.class_names) == ("fashion-mini[:300]", 300, whole.spec, whole.class_names)
    some = torch.tensor([299, 0])
    assert torch.equal(part.batch(some).images, whole.batch(some).images)
    assert torch.equal(part.batch(some).labels, whole.batch(some).labels)
    assert part.fingerprint != whole.fingerprint
    assert part.test().fingerprint == whole.test().fingerprint


@pytest.mark.parametrize("path", sorted(harness.RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_are_of_the_runs_as_they_are_declared(path):
    """A result of other settings must be measured anew, not shown."""
    result = json.loads(path.read_text())
    if "experiment" not in result:
        pytest.skip("of a script of its own")
    found = experiment(path.stem)
    settings = dict(found.settings)
    declared = {run.name: json.loads(json.dumps([run.system, run.preset, dict(run.changes), run.data, run.seed, settings]))
                for run in found.runs}  # fmt: skip
    keys = ("system", "preset", "changes", "data", "seed", "settings")
    assert {run["run"]: [run.get(k) for k in keys] for run in result["runs"]} == declared
    assert result["protocol"] == " ".join(found.about.split()), "measured by another protocol"
    bars = experiment(path.stem).bars([{**run} for run in result["runs"]])
    assert json.loads(json.dumps([vars(bar) for bar in bars])) == result["bars"], "the bars follow from the runs"


def test_the_page_shows_the_results():
    assert page.PAGE.read_text() == page.text(), "make it anew: python -m experiments page"


def results(key):
    found = [json.loads(path.read_text()) for path in sorted(harness.RESULTS.glob("*.json"))]
    return {result[key]: result for result in found if key in result}


def test_every_missed_bar_says_by_how_much_and_why():
    missed = re.findall(r"\*\*missed\*\*(.*)\|", page.text())
    assert missed
    for said in missed:
        assert re.match(r": .*\d", said), "give the reason in experiments/readings.py, or `why` of the experiment's bar"


def test_a_suite_shows_every_seed_of_what_its_bars_are_about():
    text = page.text()
    for name, result in results("suite").items():
        metrics = list(dict.fromkeys(c.metric for bar in suites.load(name).bars for c in bar.conditions))
        seeds = {}
        for run in result["runs"]:
            seeds.setdefault(run["run"].rpartition("-s")[0], []).append([run[key] for key in metrics])
        for run, rows in seeds.items():
            shown = [", ".join(page.plain(value) or "none" for value in column) for column in zip(*rows, strict=True)]
            assert len(rows) == 1 or f"| {' | '.join([run, *shown])} |\n" in text, (name, run)


def test_ring_and_rings_play_the_same_runs_as_the_page_says():
    suite = suites.load("rings")
    assert {name: (run.system, run.preset, run.config) for name, run in suite.runs.items()} == {
        name: (system, "points", changes) for name, (system, changes) in ring.LOSSES.items()
    }
    assert (suite.seeds, suite.evaluate.n, suite.common) == (ring.SEEDS, ring.SAMPLES, {})


@pytest.mark.parametrize(("kind", "name"), [("experiment", "ring"), ("suite", "rings")])
def test_a_loss_that_lacks_modes_is_told_with_what_was_recorded(kind, name):
    result = results(kind)[name]
    part = page.section(result) if kind == "experiment" else page.suite_section(result)
    assert readings.HOW_RINGS_DIFFER[name] in part
    losses = {run["run"].rpartition("-s")[0] for run in result["runs"] if run["modes"] < 8}
    assert losses
    for loss in losses:
        assert loss in readings.RECORDED, "say what the recorded figures show"
        assert re.search(rf"^- {loss}: modes .*generator/loss .*{re.escape(readings.RECORDED[loss])}$", part, re.MULTILINE)


def test_the_health_check_is_measured_as_the_observer_looks():
    (result,) = results("what").values()
    live, final = result["protocols"]["live"], result["protocols"]["final"]
    assert live.keys() == final.keys() == {"mnist", "fashion-mini", "ring", "grid", "stacked-mnist-2"}
    for name in live:
        stacked = name.startswith("stacked")
        samples = observer.STACKED if stacked else (observer.LIVE[0], observer.FINAL[0])
        assert [int(said[name].split()[0].replace(",", "")) for said in (live, final)] == list(samples)
        assert f"among {observer.BANK:,} of" in live[name]
    assert f"among {observer.PLANE:,} of 100,000" in final["ring"]
    assert f"among {observer.WHOLE:,} of 128,000" in final["stacked-mnist-2"]
    found = {}
    for row in result["rows"]:
        found.setdefault((row["set"], row["condition"]), []).append((row["protocol"], row["n"]))
    for (name, condition), rows in found.items():
        n = 100 if condition == "real" and not name.startswith("stacked") else 20
        assert rows == [("final", n), ("live", n)] or rows == [("live", n), ("final", n)], (name, condition)


def test_the_readme_tells_both_protocols_errors():
    (result,) = results("what").values()
    text = " ".join((page.PAGE.parents[1] / "README.md").read_text().split())
    for protocol in ("live", "final"):
        rows = [row for row in result["rows"] if row["protocol"] == protocol]
        alarms, good, misses, bad = page.totals(rows)
        assert f"{alarms or 'no'} false alarms in {good} and {misses} misses in {bad:,}" in text, protocol
        few = [row for row in rows if row["condition"] == "5 % copies"]
        found = ", ".join(f"{row['n'] - row['misses']} of {row['n']} ({row['set']})" for row in few)
        assert found in text, protocol
        named = [row["dropped modes named exactly"].split(" of ") for row in rows if "dropped modes named exactly" in row]
        assert " of ".join(str(sum(map(int, column))) for column in zip(*named, strict=True)) in text, protocol


@pytest.mark.parametrize(("wrong", "n"), [(0, 20), (3, 20), (1, 100)])
def test_the_bound_on_a_rate_is_where_so_few_errors_have_a_probability_of_5_percent(wrong, n):
    p = health_rates.bound(wrong, n)
    assert sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(wrong + 1)) == pytest.approx(0.05)
    assert health_rates.bound(n, n) == pytest.approx(1)


def test_looks_are_the_observers():
    live, final = health_rates.looks(Points("ring", samples=10))
    assert live == ("live", observer.LIVE[0], observer.BANK)
    assert final == ("final", observer.FINAL[0], observer.PLANE)


def test_numbers_that_are_not_finite_become_null():
    assert harness.finite({"a": [1.0, float("nan")], "b": (float("inf"), "x")}) == {"a": [1.0, None], "b": [None, "x"]}


def test_a_result_of_other_settings_is_not_read(tmp_path):
    found = experiment("ring")
    run = found.runs[0]
    folder = tmp_path / "ring" / run.name
    folder.mkdir(parents=True)
    kept = {"system": run.system, "preset": run.preset, "changes": dict(run.changes), "data": run.data, "seed": run.seed}
    kept["settings"] = dict(found.settings)
    (folder / "result.json").write_text(json.dumps(kept))
    assert harness.read(found, run, tmp_path) is not None
    for other in ({"changes": {"rounds": 1}}, {"settings": {"accumulate": 2}}):
        (folder / "result.json").write_text(json.dumps({**kept, **other}))
        assert harness.read(found, run, tmp_path) is None
