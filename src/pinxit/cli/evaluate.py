"""`pinxit evaluate` and `pinxit compare`: runs, and images of any software, before the same judge."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinxit.cli import console, options, shelf
from pinxit.core import files
from pinxit.core.errors import InputError

if TYPE_CHECKING:
    from pinxit.core.protocols import Data
    from pinxit.evaluation.judge import Judge, Subject
    from pinxit.evaluation.scores import Evaluation, Score

HELP = "help"


def evaluate(chosen: options.Evaluate) -> None:
    """Judge, and print a table a subject."""
    if HELP in chosen.metrics:
        _list_metrics()
        return
    if chosen.out is not None and chosen.out.suffix != ".json":
        raise InputError(f"`--json` {chosen.out} ends in {chosen.out.suffix!r}: it must end in .json")
    _check_together(chosen)
    if chosen.out is not None:
        files.probe(chosen.out)
    if chosen.likelihood:
        from pinxit.cli import likelihood

        likelihood.report(chosen)
        return
    from pinxit.evaluation import readings, scores
    from pinxit.evaluation.begun import Begun

    pairs, begun, found = _before(chosen), Begun(chosen.out), []
    for judge, subject in pairs:
        found.append(begun.evaluate(judge, subject))
        _print(found[-1])
    if len(found) > 1:
        console.say("\n".join(readings.read(found)))
    if chosen.out is not None:
        scores.write(chosen.out, found)
        begun.finished()
        console.say(str(chosen.out))


def _check_together(chosen: options.Evaluate) -> None:
    """Refuse options that the others make void."""
    usual = type(chosen)()
    void = ("metrics", "features", "controls", "inception_weights", "size") if chosen.likelihood else ("ais", "samples", "sigma")
    for name in void:
        if getattr(chosen, name) != getattr(usual, name):
            fix = "leave one of them out" if chosen.likelihood else "add --likelihood"
            with_what = "with" if chosen.likelihood else "without"
            raise InputError(f"`--{name.replace('_', '-')}` says nothing {with_what} --likelihood: {fix}")


def compare(chosen: options.Compare) -> None:
    """Judge, and write the page."""
    if chosen.out.suffix != ".html":
        raise InputError(f"`--out` {chosen.out} ends in {chosen.out.suffix!r}: it must end in .html")
    files.probe(chosen.out)
    from pinxit.evaluation import page, readings, scores
    from pinxit.evaluation.begun import Begun
    from pinxit.observers.samples import drawable

    left_out: list[str] = []
    pairs, begun = _before(chosen, left_out), Begun(chosen.out.with_suffix(".json"))
    found = [begun.evaluate(judge, subject) for judge, subject in pairs]
    pictures = {subject.name: _picture(subject) for judge, subject in pairs if drawable(judge.spec)}
    folders = {subject.name: Path(subject.about.get("folder", "")) for _, subject in pairs}
    runs = {name: folder for name, folder in folders.items() if (folder / "config.yaml").exists()}
    scores.write(chosen.out.with_suffix(".json"), found)
    files.write(chosen.out, page.page(found, chosen.title, pictures, runs, left_out))
    begun.finished()
    console.say("\n".join([*readings.read(found), *left_out, str(chosen.out), str(chosen.out.with_suffix(".json"))]))


def _list_metrics() -> None:
    from pinxit.evaluation import abilities, measures

    rows = [(m.name, m.about, "usual" if m.name in measures.USUAL else "") for m in measures.MEASURES]
    shelf.table(("metric", "what it is", ""), [*rows, *((a.name, a.about, "") for a in abilities.ABILITIES)])


def _before(chosen: options.Judged, left_out: list[str] | None = None) -> list[tuple[Judge, Subject]]:
    """Everyone who is judged, each beside the judge of their data.

    Args:
        chosen: the options.
        left_out: takes why somebody can't be judged, where that is no reason to refuse the others; None refuses.
    """
    folders = [shelf.find(folder) for folder in chosen.folders]
    if not folders and not chosen.images:
        raise InputError("nothing to judge: name runs, or --images FOLDER")
    if not folders and chosen.data is None:
        raise InputError("`--images` alone do not say what they are held against: give --data")
    if chosen.size is not None and chosen.data is None:
        raise InputError("`--size` is of `--data`, and runs are held against what they were trained on: leave it out")
    names, bench = unique([*folders, *chosen.images]), Bench(chosen)
    pairs: list[tuple[Judge, Subject]] = []
    for path in (*folders, *chosen.images):
        try:
            if path in folders:
                judge = bench.of_run(path)
                pairs.append((judge, _of_run(path, names[path], judge, chosen.seed)))
            else:
                judge = bench.first()
                pairs.append((judge, _of_images(path, names[path], judge, chosen)))
        except InputError as error:
            if left_out is None:
                raise
            left_out.append(f"{names[path]} is left out: {error}.")
    if not pairs:
        raise InputError("; ".join(left_out or ()).rstrip("."))
    pairs[0][0].check([subject for _, subject in pairs])
    return pairs


class Bench:
    """The judges of a command: one for each set of real samples, that of `--data` or what each run was trained on."""

    def __init__(self, chosen: options.Judged) -> None:
        self.chosen, self._judges = chosen, dict[str, "Judge"]()

    def of_run(self, folder: Path) -> Judge:
        """The judge of a run; where its data are not at hand, that of the runs before it."""
        judge = self._of_run(folder)
        shelf.note_classes(folder, judge.data)
        return judge

    def _of_run(self, folder: Path) -> Judge:
        from pinxit.data import loading

        about = shelf.description(folder)
        named = self.chosen.data
        # As the run saw its own: its files are photographs of any size, scaled to what it makes.
        scaled = named is not None and self.chosen.size is None and loading.kind_of(named) == "files"
        if named is None:
            key = json.dumps([_content(about), about.get("source")], sort_keys=True)
        else:
            key = json.dumps([shelf.spec_of(folder).shape, _crop(about)]) if scaled else ""
        if key in self._judges:
            return self._judges[key]
        try:
            data = shelf.data_of(folder, named) if named is None or scaled else _named(named, self.chosen.size)
        except InputError:
            if not self._judges:
                raise
            return self.first()
        return self._judge(key, data)

    def first(self) -> Judge:
        """The judge of the first run, or of `--data`."""
        return next(iter(self._judges.values())) if self._judges else self._judge("", _named(self.chosen.data, self.chosen.size))

    def _judge(self, key: str, data: Data) -> Judge:
        from pinxit.evaluation.judge import Judge

        if key not in self._judges:
            c = self.chosen
            self._judges[key] = Judge(
                data, n=c.n, network=c.features, weights=c.inception_weights, metrics=c.metrics, controls=c.controls,
                progress=console.Progress(),
            )  # fmt: skip
        return self._judges[key]


def _named(source: str | None, size: int | None) -> Data:
    import pinxit.data

    if source is None:
        raise InputError("no run says what the images are held against: give --data")
    return pinxit.data.load(source, size=size)


def _crop(about: Mapping[str, Any]) -> str:
    return options.Source.of(about.get("source") or {}).crop


def _content(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a run says of its data, the seed of points and stacks left out."""
    from pinxit import data

    content = dict(about.get("data") or {})
    if content.get("name") in data.names():
        content.pop("fingerprint", None)
    return content


def unique(paths: Sequence[Path]) -> dict[Path, str]:
    """The folders' own names, with as much of their parents' as tells them apart."""
    resolved = {path: path.resolve() for path in paths}
    if len(set(resolved.values())) < len(paths):
        raise InputError("the same folder is named twice: each subject is judged once")
    depth = 1
    while len({"/".join(path.parts[-depth:]) for path in resolved.values()}) < len(paths):
        depth += 1
    return {path: "/".join(full.parts[-depth:]) for path, full in resolved.items()}


def _of_run(folder: Path, name: str, judge: Judge, seed: int) -> Subject:
    from dataclasses import replace

    from pinxit.core.averaging import published
    from pinxit.evaluation import judge as judging
    from pinxit.training import from_pretrained

    about = shelf.description(folder)
    model = from_pretrained(folder)
    trained_on = (about.get("data") or {}).get("name")
    config = json.dumps([about["system"], about.get("config"), _content(about), about.get("source")], sort_keys=True)
    known: dict[str, Any] = {
        "kind": "run",
        "folder": str(folder),
        "system": about["system"],
        "label": f"{about['system']} {about.get('preset', '')}".strip(),
        "recipe": hashlib.blake2b(config.encode(), digest_size=8).hexdigest(),
        "trained on": trained_on,
        "training seed": about.get("seed"),
        "sampling seed": seed,
        "weights": published(folder),
        "health": _health(folder),
    }
    subject = judging.of_model(model, name, judge.n, judge.spec, seed=seed, data=judge.data, **known)
    lines = [*([f"health at the end of its training: {known['health']}"] if known["health"] else []), *subject.lines]
    if trained_on not in (None, judge.data.name):
        lines.append(f"trained on {trained_on}, judged on {judge.data.name}")
    lines += _other_bank(about, judge)
    if (reached := shelf.unfinished(folder)) is not None:
        lines.append(f"the run is not finished: weights of {reached}")
    return replace(subject, cost={**subject.cost, **_cost(folder)}, lines=lines)


def _other_bank(about: Mapping[str, Any], judge: Judge) -> list[str]:
    """That copies are sought among other samples than those that a run was trained on, where it is so."""
    trained = (about.get("data") or {}).get("fingerprint")
    if trained in (None, judge.data.fingerprint) or all(measure.needs != "train" for measure in judge.measures):
        return []
    why = "other data, other files since, another seed, or flipped by --mirror"
    return [f"copies were sought among {judge.data.name}, but it was trained on other samples ({why}): none found says little"]


def _of_images(path: Path, name: str, judge: Judge, chosen: options.Judged) -> Subject:
    import torch

    from pinxit.core import bits
    from pinxit.evaluation.judge import Subject
    from pinxit.metrics import extraction

    source = extraction.folder(str(path), judge.spec, convert=chosen.convert, skip_bad=chosen.skip_bad)
    if len(source) < judge.n:
        fewer = f", or --n {len(source)}" if len(source) > 1 else ""
        raise InputError(f"{path} has {len(source):,} images: give at least {judge.n:,}{fewer}")
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[: judge.n]
    lines = [f"{path}: {note}" for note in getattr(source.data, "notes", ())]
    lines += [f"{path}{source.note}"] if source.note else []
    if judge.spec.binarised and not source.data.spec.binarised:
        lines.append(f"{path} is judged as bits, as {judge.data.name} is: {bits.RULES[bits.rule(judge.spec)]}")
    if path.is_dir() and (parts := source.data.spec.classes):
        lines.append(f"the images of the {parts} classes of {path} are judged as one set")
    images = extraction.DataSource(source.data, order, source.note, judge.spec)
    return Subject(name, images, None, {"kind": "images", "folder": str(path)}, lines=lines)


def _health(folder: Path) -> str:
    found = shelf.json_of(folder / "health.json")
    return str(found["line"]) if isinstance(found, dict) and "line" in found else ""


def _cost(folder: Path) -> dict[str, float]:
    """What a run's own figures say of its time and memory."""
    found = shelf.json_of(folder / "figures.json")
    rows = found if isinstance(found, list) else []
    values = {row["name"]: row["value"] for row in rows if isinstance(row, dict) and {"name", "value"} <= row.keys()}
    names = {"wall time": "training, minutes", "peak memory": "training, peak MiB"}
    return {shown: float(values[name]) for name, shown in names.items() if name in values}


def _picture(subject: Subject) -> Any:
    """The first samples of the subject."""
    from pinxit import viz

    return viz.grid(next(iter(subject.source.units()))[:36])


def _print(found: Evaluation) -> None:
    """The table that a paper could print."""
    controls = list(dict.fromkeys(name for score in found.scores for name in score.controls))
    rows = []
    for score in found.scores:
        arrow = {"lower": "lower", "higher": "higher", "floor": "at floor"}[score.value.better]
        counted = f"{score.value.n:,}" if score.value.n else ""
        spoilt = [f"{score.controls[name]:.4g}" if name in score.controls else "" for name in controls]
        rows.append(
            (
                score.name,
                str(score.value),
                arrow,
                "" if score.floor is None else str(score.floor),
                *spoilt,
                counted,
                _time(score),
            )
        )
    console.say(f"{found.subject}: " + "; ".join(f"{key} {value}" for key, value in found.protocol.items()))
    shelf.table(("metric", "value", "better", "floor", *controls, "n", "s"), rows)
    costs = ", ".join(f"{name} {value:,.4g}" for name, value in found.cost.items())
    notes = dict.fromkeys([*found.lines, *(f"{score.name}: {score.note}" for score in found.scores if score.note)])
    console.say("\n".join([*notes, *([costs] if costs else [])]))


def _time(score: Score) -> str:
    return f"{score.seconds:.2g}" if score.seconds < 10 else f"{score.seconds:,.0f}"
