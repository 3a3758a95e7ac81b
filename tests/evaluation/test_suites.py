"""Suites: every file is sound, a bar holds exactly where it should, and a suite is played to its table and not played twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pinxit import systems
from pinxit.core.errors import InputError, Interrupted, RunError
from pinxit.evaluation import abilities, suites
from pinxit.evaluation.suites import Bar, Condition, Suite


@pytest.mark.parametrize("name", suites.names())
def test_every_suite_asks_for_what_there_is(name):
    suite = suites.load(name)
    abilities.told_apart(suite.metrics)
    for run in suite.runs.values():
        preset = systems.preset(run.system, run.preset)
        preset.replace(**({} if run.alone else suite.common) | run.config)
    assert suite.seeds


def test_a_typo_names_the_field_the_run_and_the_suite():
    with pytest.raises(InputError, match="did you mean `rings`"):
        suites.load("ring")
    with pytest.raises(InputError, match="unknown field `runs.a.presett`: did you mean `preset`"):
        Suite.of({"about": "", "data": "ring", "metrics": ["modes"], "runs": {"a": {"system": "gan", "presett": "x"}}})
    bar = {"name": "x", "runs": ["b"], "conditions": [{"metric": "modes", "at_least": 1}]}
    suite = Suite.of({"about": "", "data": "ring", "metrics": ["modes"], "runs": {"a": {"system": "gan"}}, "bars": [bar]})
    with pytest.raises(InputError, match="bar `x` of here names the run `b`"):
        suites.checked(suite, "here")


def verdict(bar, **measured):
    suite = Suite.of({"about": "", "data": "ring", "metrics": ["m"], "runs": {r: {"system": "gan"} for r in measured}})
    return suites.judge(suite.replace(bars=[bar.model_dump()]), measured)[0]


M = (Condition(metric="m", at_least=1.0, at_most=2.0),)


@pytest.mark.parametrize(
    ("over", "values", "holds"),
    [
        ("every", (1.0, 2.0, 1.5), True),
        ("every", (1.0, 2.0, 2.1), False),
        ("most", (1.0, 2.0, 2.1), True),
        ("most", (1.0, 2.5), False),
        ("best", (0.0, 3.0, 1.5), True),
        ("best", (0.0, 3.0), False),
        ("mean", (0.0, 3.0), True),
        ("mean", (0.0, 4.5), False),
        ("median", (0.0, 1.5, 9.0), True),
        ("median", (0.0, 0.5, 1.5), False),
        ("every", (float("nan"),), False),
        ("mean", (float("nan"), 1.5), False),
    ],
)
def test_a_bar_over_seeds(over, values, holds):
    found = verdict(Bar(name="x", runs=("a",), over=over, conditions=M), a=[{"m": value} for value in values])
    assert found.holds is holds


def test_conditions_hold_of_the_same_seed():
    both = (Condition(metric="m", at_least=1.0), Condition(metric="k", at_most=0.0))
    seeds = [{"m": 2.0, "k": 1.0}, {"m": 0.0, "k": -1.0}]
    assert not verdict(Bar(name="x", runs=("a",), over="best", conditions=both), a=seeds).holds
    assert verdict(Bar(name="x", runs=("a",), over="best", conditions=both), a=[*seeds, {"m": 2.0, "k": 0.0}]).holds


def test_all_runs_or_any_of_them():
    good, bad = [{"m": 1.5}], [{"m": 5.0}]
    assert not verdict(Bar(name="x", runs=("a", "b"), conditions=M), a=good, b=bad).holds
    assert verdict(Bar(name="x", runs=("a", "b"), any_of_them=True, conditions=M), a=good, b=bad).holds


def test_bounds_may_be_multiples_of_another_metric_or_of_another_run():
    of_metric = (Condition(metric="m", at_most=0.5, of_metric="k"),)
    assert verdict(Bar(name="x", runs=("a",), conditions=of_metric), a=[{"m": 1.0, "k": 2.0}]).holds
    assert not verdict(Bar(name="x", runs=("a",), conditions=of_metric), a=[{"m": 1.0, "k": 1.9}]).holds
    of_run = (Condition(metric="m", at_least=2.0, of_run="b"),)
    runs = {"a": [{"m": 6.0}], "b": [{"m": 2.0}, {"m": 4.0}]}  # twice the mean of b is 6
    assert verdict(Bar(name="x", runs=("a",), conditions=of_run), **runs).holds
    assert not verdict(Bar(name="x", runs=("a",), conditions=of_run), **{**runs, "a": [{"m": 5.9}]}).holds


def test_a_metric_that_was_not_measured_is_named():
    with pytest.raises(RunError, match="`m` was not measured of a"):
        verdict(Bar(name="x", runs=("a",), conditions=M), a=[{"n": 1.0}])


def test_what_was_judged_by_another_declaration_is_not_done(tmp_path):
    suite = Suite.of({"about": "", "data": "ring", "seeds": [0], "metrics": ["modes"], "runs": {"a": {"system": "gan"}}})
    (job,) = suites.jobs(suite, tmp_path)
    assert not suites.done(suite, job)
    job.folder.mkdir()
    (job.folder / suites.EVALUATION).write_text("[]")
    assert not suites.done(suite, job)
    job.beside(suites.DECLARED).write_text(suites.declared(suite, job))
    assert suites.done(suite, job)
    for change in ({"metrics": ["sliced"]}, {"common": {"rounds": 3}}, {"evaluate.n": 7}, {"data": "grid"}):
        assert not suites.done(suite.replace(**change), job)
    (other,) = suites.jobs(suite.replace(runs={"a": {"system": "gan", "preset": "tiny"}}), tmp_path)
    assert not suites.done(suite, other)


def test_names_with_dots_have_files_of_their_own_and_others_are_refused(tmp_path):
    said = {"about": "", "data": "ring", "seeds": [0, 1], "metrics": ["modes"], "runs": {"lr0.1": {"system": "gan"}}}
    todo = suites.jobs(Suite.of(said), tmp_path)
    commands = [suites.train_command(Suite.of(said), job, 1) for job in todo]
    assert [json.loads(Path(words[3]).read_text())["seed"] for words in commands] == [0, 1]
    assert len({job.beside(".log") for job in todo} | {job.beside(suites.DECLARED) for job in todo}) == 4
    with pytest.raises(InputError, match="it can hold no slash"):
        suites.checked(Suite.of({**said, "runs": {"a/b": {"system": "gan"}}}), "mine")
    with pytest.raises(InputError, match="unknown metric `slicd`: did you mean `sliced`"):
        suites.checked(Suite.of({**said, "metrics": ["slicd"]}), "mine")
    with pytest.raises(InputError, match="seeds"):
        Suite.of({**said, "seeds": []})


def test_an_evaluation_that_was_damaged_since_is_named(tmp_path):
    (job,) = suites.jobs(
        Suite.of({"about": "", "data": "ring", "seeds": [0], "metrics": ["modes"], "runs": {"a": {"system": "gan"}}}), tmp_path
    )
    job.folder.mkdir()
    for content in ("[]", "{bad", None):
        if content is not None:
            (job.folder / suites.EVALUATION).write_text(content)
        with pytest.raises(RunError, match="a-s0 has no evaluation that can be read: remove the folder"):
            suites.found(job)


def test_stopped_itself_a_suite_stops_its_runs(tmp_path, monkeypatch):
    suite = Suite.of({"about": "", "data": "ring", "seeds": [0], "metrics": ["modes"], "runs": {"a": {"system": "gan"}}})
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    def stop(seconds):
        raise Interrupted("stopped", 15)

    monkeypatch.setattr(suites, "_start", lambda *_: child)
    monkeypatch.setattr(suites.time, "sleep", stop)
    with pytest.raises(Interrupted):
        suites.conduct(suite, suites.jobs(suite, tmp_path), processes=1, threads=1, say=print)
    assert child.returncode == -15


@pytest.mark.slow
def test_a_suite_is_played_judged_and_gone_on_with(tmp_path, capsys):
    from pinxit.cli import main

    suite = tmp_path / "mine.toml"
    suite.write_text("""
about = "two tiny games"
data = "ring"
seeds = [0, 1]
metrics = ["modes"]
evaluate = { n = 200 }
common = { rounds = 4 }
[runs.one]
system = "gan"
preset = "tiny"
[[bars]]
name = "never"
runs = ["one"]
conditions = [{ metric = "modes", at_least = 9 }]
[[bars]]
name = "always"
runs = ["one"]
conditions = [{ metric = "modes", at_least = 0 }, { metric = "log/step", at_least = 4, at_most = 4 }]
""")
    folder = tmp_path / "runs"
    assert main(["suite", str(suite), "--run", str(folder), "--only", "s1"]) == 0
    assert not (folder / "one-s0").exists()
    stamp = (folder / "one-s1" / suites.EVALUATION).stat().st_mtime_ns
    capsys.readouterr()
    assert main(["suite", str(suite), "--run", str(folder)]) == 0
    told = capsys.readouterr().out
    assert (folder / "one-s1" / suites.EVALUATION).stat().st_mtime_ns == stamp
    assert "MISS" in told
    assert "pass" in told
    result = json.loads((folder / suites.RESULT).read_text())
    assert [bar["holds"] for bar in result["bars"]] == [False, True]
    assert [run["run"] for run in result["runs"]] == ["one-s0", "one-s1"]
