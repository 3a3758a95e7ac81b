"""The page of a run, or of several: one HTML file that needs nothing else."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pinxit.core import records
from pinxit.core.errors import InputError
from pinxit.viz import grids, html, timelines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ABSENT = "\N{EN DASH}"
FOOTER = "Made by pinxit from the files of the run. Samples are drawn from the averaged weights, where the run averages."
# File: alternative text, head of the caption, caption.
PICTURES = {
    "real_beside_fake": (
        "real data on the left, generated samples on the right",
        "Real and generated.",
        "Nothing is selected: the first draws of a fixed seed.",
    ),
    "strip": (
        "the same latent codes at several times of training",
        "The same noise over training.",
        "Every column is a time, in real images shown.",
    ),
    "classes": (
        "samples of each class, one class a column",
        "Classes.",
        "Along a row only the class changes: the latent code is the same.",
    ),
    "categories": (
        "samples of each category of the code, one category a column",
        "Categories.",
        "Found without labels; along a row only the category changes.",
    ),
    "traversals": (
        "samples along each number of the code, one category a row",
        "Walks along the code.",
        "One number goes from -2 to 2 along a row, all else is held; training had -1 to 1.",
    ),
    "reconstructions": (
        "images and, below them, their reconstructions",
        "Reconstructions",
        "through the latent code, of images chosen by a fixed seed.",
    ),
    "interpolation": (
        "samples between pairs of latent codes, one walk a row",
        "Interpolation",
        "between two draws of the prior, one walk a row.",
    ),
    "noise": (
        "decoded noise",
        "No samples.",
        "What the decoder makes of N(0, I): its codes lie elsewhere, so this model generates nothing.",
    ),
    "manifold": (
        "samples over a plane of two latents",
        "Latent manifold.",
        "The two latents that the data moves most, at the quantiles of the prior, in each class where the model is told it.",
    ),
}


def report(run_dirs: Sequence[Path | str], title: str, facts: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """One self-contained HTML page on one run, or on several with an overview.

    Args:
        run_dirs: run folders; what is missing in one (an unfinished run) is left out.
        title: the page's.
        facts: by system's name its paper: {"title", "authors", "year", "link"}; by default what `paper` of the run's
            config.yaml says.

    Raises:
        InputError: no folder is given, or one is not there.
    """
    if not run_dirs:
        raise InputError("`run_dirs` is empty: a report needs at least one run folder")
    runs = [Run(Path(run_dir), facts or {}) for run_dir in run_dirs]
    only = len(runs) == 1
    head = "" if only else f"<header><h1>{html.text(title)}</h1></header>{_cards(runs)}{_overview(runs)}"
    body = "".join(_section(run, number, only) for number, run in enumerate(runs, 1))
    return html.page(title, head + body, FOOTER)


def sections(run_dirs: Sequence[Path | str]) -> str:
    """What `report` says of each run, as a part of another page; the anchors are run-1, run-2, ..."""
    return "".join(_section(Run(Path(run_dir), {}), number, False) for number, run_dir in enumerate(run_dirs, 1))


@dataclass(frozen=True)
class Run:
    """What a run folder says.

    Args:
        folder: the run's.
        facts: papers by system.
    """

    folder: Path
    facts: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise InputError(f"no run folder {self.folder}: give one that `pinxit train` wrote")

    @cached_property
    def config_text(self) -> str:
        """`config.yaml` as it stands."""
        path = self.folder / "config.yaml"
        return path.read_text() if path.exists() else ""

    @cached_property
    def config(self) -> dict[str, Any]:
        """`config.yaml` as values."""
        import yaml

        return yaml.safe_load(self.config_text) or {}

    @cached_property
    def paper(self) -> Mapping[str, Any]:
        """Title, authors, year and link, as far as known."""
        return self.facts.get(self.system) or self.config.get("paper") or {}

    @cached_property
    def system(self) -> str:
        """The system's name, or the folder's."""
        return str(self.config.get("system") or self.folder.resolve().name)

    @cached_property
    def title(self) -> str:
        """The paper's, or the system's name."""
        return str(self.paper.get("title") or self.system)

    @cached_property
    def figures(self) -> list[dict[str, Any]]:
        """The rows of `figures.json`."""
        path = self.folder / "figures.json"
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError):  # a run that is not finished, or a damaged file: the page is made without
            return []

    @cached_property
    def sheets(self) -> list[timelines.Sheet]:
        """Samples over time."""
        return timelines.sheets(self.folder)

    def summary(self) -> dict[str, str]:
        """What characterises the run in a line, as text by name."""
        values = {figure["name"]: figure for figure in self.figures}
        found = {name: html.number(values[name]["value"]) for name in ("parameters", "images shown") if name in values}
        if "wall time" in values:
            found["minutes"] = f"{values['wall time']['value']:.1f}"
        return found


def _cards(runs: Sequence[Run]) -> str:
    """The last samples of every run, side by side."""
    cards = []
    for place, run in enumerate(runs, 1):
        picture = ""
        if run.sheets:
            last = run.sheets[-1]
            picked = last.tiles[:36]
            sheet = grids.lay(picked, grids.square(len(picked)), last.pad, grids.CLEAR)
            picture = html.image(html.png(sheet), "image/png", f"Samples of {run.system} at the end of training", sheet.size)
        cards.append(f'<a href="#run-{place}">{picture}<span>{html.text(run.title)}</span>{html.text(_names(run))}</a>')
    return f'<nav class="cards" aria-label="Runs">{"".join(cards)}</nav>'


def _overview(runs: Sequence[Run]) -> str:
    names = [name for name in ("parameters", "images shown", "minutes") if any(name in run.summary() for run in runs)]
    head = "".join(f'<th scope="col" class="number">{name}</th>' for name in names)
    rows = []
    for place, run in enumerate(runs, 1):
        summary = run.summary()
        cells = "".join(f'<td class="number">{html.text(summary.get(name, ABSENT))}</td>' for name in names)
        data = html.text(run.config.get("data", {}).get("name", ABSENT))
        year = html.text(run.paper.get("year", ABSENT))
        rows.append(f'<tr><td><a href="#run-{place}">{html.text(run.system)}</a></td><td>{year}</td><td>{data}</td>{cells}</tr>')
    return (
        '<h3>Overview</h3><div class="scroll"><table class="overview"><thead><tr><th scope="col">system</th>'
        f'<th scope="col">year</th><th scope="col">data</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _names(run: Run) -> str:
    """The system, and the data it was trained on."""
    data = run.config.get("data", {}).get("name")
    return f"{run.system} on {data}" if data else run.system


def _section(run: Run, place: int, only: bool) -> str:
    level = "h1" if only else "h2"
    paper, parts = run.paper, []
    if paper.get("authors"):
        parts.append(html.text(f"{paper['authors']}, {paper['year']}" if paper.get("year") else paper["authors"]))
    link = str(paper.get("link", ""))
    if link.startswith(("https://", "http://")):
        parts.append(f'<a href="{html.text(link)}">{html.text(link.partition("://")[2])}</a>')
    data = run.config.get("data", {})
    listed = {"data": data.get("name"), **run.summary(), "seed": run.config.get("seed")}
    terms = "".join(f"<div><dt>{html.text(k)}</dt><dd>{html.text(v)}</dd></div>" for k, v in listed.items() if v is not None)
    return "\n".join((
        f'<section id="run-{place}"{" class=only" if only else ""}>',
        f'<p class="kicker">{html.text(run.folder.resolve().name)}</p>' if run.title != run.folder.resolve().name else "",
        f"<{level}>{html.text(run.title)}</{level}>",
        f'<p class="paper">{". ".join(parts)}</p>' if parts else "",
        f"<dl>{terms}</dl>" if terms else "",
        _pictures(run),
        _health(run),
        _table(run.figures),
        f"<details><summary>Configuration</summary><pre>{html.text(run.config_text)}</pre></details>" if run.config_text else "",
        "</section>",
    ))  # fmt: skip


def _pictures(run: Run) -> str:
    strip = _figure(run, "strip")
    plots = bool(run.sheets) and len(run.sheets[-1].tiles) == 1  # a row of scatter plots needs the page's width
    return "\n".join((
        _figure(run, "real_beside_fake"),
        *((_row(_animation(run)), strip) if plots else (_row(_animation(run), strip),)),
        _curves(run),
        _row(_figure(run, "reconstructions"), _figure(run, "noise")),
        _row(_figure(run, "interpolation"), _figure(run, "manifold")),
        _row(_figure(run, "classes"), _figure(run, "categories")),
        _figure(run, "traversals"),
    ))  # fmt: skip


def _row(*blocks: str) -> str:
    return f'<div class="row">{"".join(blocks)}</div>' if any(blocks) else ""


def _figure(run: Run, name: str) -> str:
    path = run.folder / f"{name}.png"
    if not path.exists():
        return ""
    with Image.open(path) as opened:
        size = opened.size
    alt, head, caption = PICTURES[name]
    picture = html.image(path.read_bytes(), "image/png", f"{run.system}: {alt}", size)
    return f"<figure>{picture}{html.caption(head, f'{caption} {_key(run)}' if name == 'classes' else caption)}</figure>"


def _key(run: Run) -> str:
    """What the numbers above the columns of classes mean; nothing where the names are numbers themselves and stand there."""
    names = [str(name) for name in run.config.get("classes") or ()][: grids.CLASSES]
    numbers = all(name.removeprefix("-").isdecimal() for name in names)
    return "" if numbers else ", ".join(f"{number} {name}" for number, name in enumerate(names)) + "."


def _animation(run: Run) -> str:
    path = run.folder / "timeline.webp"
    if not path.exists() or not run.sheets:
        return ""
    last = run.sheets[-1].picture(grids.CLEAR)
    when = f"from {run.sheets[0].images:,} to {run.sheets[-1].images:,} real images shown."
    alt = f"{run.system}: animation of samples from fixed noise during training"
    still = f'<source media="(prefers-reduced-motion: reduce)" srcset="{html.uri(html.png(last), "image/png")}">'
    moving = html.image(path.read_bytes(), "image/webp", alt, last.size)
    return f"<figure><picture>{still}{moving}</picture>{html.caption('The same noise, in motion,', when)}</figure>"


def _curves(run: Run) -> str:
    path = run.folder / "metrics.jsonl"
    rows = records.read(path) if path.exists() else []
    if not rows:
        return ""
    from pinxit.viz.charts import curves

    sources = ""
    for dark, columns in ((True, 1), (False, 1), (True, None)):
        media = " and ".join(["(prefers-color-scheme: dark)"] * dark + ["(max-width: 44rem)"] * (columns == 1))
        content, (width, height) = _svg(curves(rows, dark=dark, columns=columns))
        sources += f'<source media="{media}" srcset="{html.uri(content, "image/svg+xml")}" width="{width}" height="{height}">'
    content, size = _svg(curves(rows))
    picture = html.image(content, "image/svg+xml", f"Losses and statistics of {run.system} over the images shown", size)
    caption = html.caption(
        "Curves.", "Means over logging intervals; where a paler line lies behind, the curve is their running mean."
    )
    return f'<figure class="wide"><picture>{sources}{picture}</picture>{caption}</figure>'


def _svg(figure: Figure) -> tuple[bytes, tuple[int, int]]:
    """A figure as SVG, the same bytes for the same figure, and its size in CSS pixels."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "pinxit"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(float(inches) * 96) for inches in figure.get_size_inches())
    return buffer.getvalue(), (width, height)


def _table(figures: Sequence[Mapping[str, Any]]) -> str:
    if not figures:
        return ""
    rows = ""
    for row in figures:
        value = html.number(row["value"], row.get("standard_error"))
        rows += (
            f'<tr><td>{html.text(row["name"])}</td><td class="number">{html.text(value)}</td><td class="unit">'
            f'{html.text(row.get("unit", ""))}</td><td class="protocol">{html.text(row.get("protocol", ""))}</td></tr>'
        )
    return (
        '<h3>Figures</h3><div class="scroll"><table class="figures"><thead><tr>'
        '<th scope="col">figure</th><th scope="col" class="number">value ± standard error</th>'
        '<th scope="col">unit</th><th scope="col">protocol</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _health(run: Run) -> str:
    """The last verdict, those before it on a tape, and the evidence, from health.json and health.jsonl."""
    path, looks = run.folder / "health.json", run.folder / "health.jsonl"
    if not path.exists():
        return ""
    try:
        about = json.loads(path.read_text())
        rows = records.read(looks) if looks.exists() else []
    except (ValueError, InputError):
        return "<p>The files of its health are damaged: they are left out.</p>"
    tape = "".join(
        f'<span class="{html.text(row["state"])}" title="{row["images"]:,.0f} images: {html.text(row["line"])}"></span>'
        for row in rows
    )
    told = "".join(
        f'<tr><td>{html.text(row["name"])}</td><td class="number">{html.text(_given(row["value"]))}</td>'
        f'<td class="number">{html.text(_given(row["data"]))}</td><td class="protocol">{html.text(row["text"])}</td></tr>'
        for row in about["evidence"]
    )
    return (
        f'<h3>Health</h3><p><b class="{html.text(about["state"])}">{html.text(about["state"])}</b>'
        f"{html.text(about['line'].removeprefix(about['state']))}</p>"
        + (f'<div class="tape" role="img" aria-label="{len(rows)} looks during training">{tape}</div>' if rows else "")
        + f"<details><summary>Evidence: {html.text(about['protocol'])}</summary>"
        '<div class="scroll"><table><thead><tr><th scope="col">measure</th><th scope="col" class="number">samples</th>'
        '<th scope="col" class="number">data</th><th scope="col">in words</th></tr></thead>'
        f"<tbody>{told}</tbody></table></div></details>"
    )


def _given(value: float | None) -> str:
    return ABSENT if value is None else html.number(value)
