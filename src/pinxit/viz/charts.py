"""Curves of a run, from the lines of metrics.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pinxit.core.errors import InputError

PLACE = frozenset({"step", "stage", "round", "images"})
# Okabe & Ito 2008: told apart with every kind of colour vision.
LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DARK = ("#56B4E9", "#E69F00", "#2FBF94", "#E08FBC", "#F0784A", "#8FA8FF")
POINTS = 1200
"""Most points a curve is drawn with."""
SMOOTH = 60
"""From three times as many lines on, the curve is a running mean over this share of them, above the pale values."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes: a title, and the keys it shows with their labels."""

    title: str
    keys: dict[str, str]
    probabilities: bool = False


def curves(rows: Sequence[Mapping[str, float]], *, dark: bool = False, columns: int | None = None) -> Figure:
    """Losses and statistics over the images shown, grouped by meaning; borders of stages as vertical lines.

    Args:
        rows: as `core.records.read` returns them: `step`, `stage`, `round`, `images` and values named `player/stat`.
        dark: for a dark page.
        columns: panels side by side, 1 to 3; by default as they fit best.

    Returns:
        A figure with a clear background; `figure.savefig(path)`.

    Raises:
        InputError: `columns` is not 1, 2 or 3.
    """
    ink, colours = ("#c9ccd1", DARK) if dark else ("#3c4043", LIGHT)
    found = panels(rows)
    if columns is not None and columns not in (1, 2, 3):
        raise InputError(f"`columns` is {columns}: it must be 1, 2 or 3")
    columns = columns or (3 if len(found) in (3, 5, 6) or len(found) > 8 else min(2, max(1, len(found))))
    lines = max(1, math.ceil(len(found) / columns))
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.04, hspace=0.06)
    figure = Figure(figsize=((6, 10, 12)[columns - 1], 2.75 * lines), dpi=150, layout=layout, facecolor="none")
    FigureCanvasAgg(figure)
    if not found:
        figure.text(0.5, 0.5, "nothing logged yet", ha="center", va="center", color=ink, fontsize=11)
        return figure
    for index, panel in enumerate(found):
        axes = figure.add_subplot(lines, columns, index + 1)
        _dress(axes, panel, ink)
        _draw(axes, panel, rows, colours)
        _borders(axes, rows, ink)
        if index >= len(found) - columns:
            axes.set_xlabel("images shown (thousands)", color=ink, fontsize=8.5)
    return figure


def panels(rows: Sequence[Mapping[str, float]]) -> list[Panel]:
    """Which keys share a pair of axes: losses; probabilities; the bound and its reconstruction; else each name alone."""
    seen = dict.fromkeys(key for row in rows for key in row if key not in PLACE and not key.startswith("health/"))
    finite = {key: values[np.isfinite(values)] for key in seen if len(values := _column(rows, key))}
    keys = [key for key, values in finite.items() if len(values)]
    several = len({key.partition("/")[0] for key in keys if "/" in key}) > 1
    grouped: dict[str, list[str]] = {}
    for key in keys:
        grouped.setdefault(_title(key, finite[key]), []).append(key)
    first = [title for title in ("Losses", "Probabilities", "Bound, nats") if title in grouped]
    order = [*first, *(title for title in grouped if title not in first)]
    return [
        Panel(
            "Loss" if title == "Losses" and len(together) == 1 else title,
            {key: _label(key, together, several) for key in together},
            probabilities=title == "Probabilities",
        )
        for title, together in ((title, grouped[title]) for title in order)
    ]


def _title(key: str, values: np.ndarray) -> str:
    name = key.rpartition("/")[2] if "(" not in key else key.partition("/")[2] or key
    if "loss" in name:
        return "Losses"
    if (name.startswith(("D(", "p(", "P(")) or "accuracy" in name) and values.min() >= 0 and values.max() <= 1:
        return "Probabilities"
    if name in ("elbo", "reconstruction"):
        return "Bound, nats"
    return {"kl": "KL, nats", "gradient": "Gradient norms"}.get(name, name.replace("_", " "))


def _label(key: str, together: Sequence[str], several: bool) -> str:
    """As short as it can be: the player alone for its only loss or gradient, the name alone where one player has it."""
    player, _, name = key.partition("/")
    if not name:
        return key.replace("_", " ")
    name = name.replace("_", " ")
    if name in ("loss", "gradient"):
        return player.replace("_", " ") if several else name
    unique = sum(other.partition("/")[2] == key.partition("/")[2] for other in together) == 1
    name = {"elbo": "ELBO", "kl": "KL", "D(x)": "D(x), real", "D(G(z))": "D(G(z)), generated"}.get(name, name)
    return name if unique else f"{player.replace('_', ' ')} {name}"


def _column(rows: Sequence[Mapping[str, float]], key: str) -> np.ndarray:
    return np.array([row.get(key, math.nan) for row in rows], dtype=np.float64)


def _draw(axes: Axes, panel: Panel, rows: Sequence[Mapping[str, float]], colours: Sequence[str]) -> None:
    x = _column(rows, "images") / 1000
    every = []
    for number, (key, label) in enumerate(panel.keys.items()):
        y = _column(rows, key)
        known = np.isfinite(x) & np.isfinite(y)
        at, values = x[known], y[known]
        colour, style = colours[number % len(colours)], ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))[number // len(colours) % 3]
        every.append(values)
        if len(values) < 2:
            axes.plot(at, values, "o", color=colour, markersize=4.5, label=label)
        elif len(values) < 3 * SMOOTH:
            axes.plot(at, values, color=colour, linestyle=style, linewidth=1.5, label=label)
        else:
            width = max(3, len(values) // SMOOTH)
            axes.plot(*_thinned(at, values), color=colour, linewidth=0.7, alpha=0.28)
            axes.plot(*_thinned(at, _running_mean(values, width)), color=colour, linestyle=style, linewidth=1.6, label=label)
    _limits(axes, panel, np.concatenate(every))
    if len(panel.keys) > 1:
        _legend(axes, len(panel.keys))


def _legend(axes: Axes, entries: int) -> None:
    """Above the axes, at the right of the title."""
    legend = axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.01, 1.01),
        borderaxespad=0,
        ncols=min(3, entries),
        frameon=False,
        fontsize=8.5,
        handlelength=1.0,
        handletextpad=0.5,
        columnspacing=1.0,
        labelcolor=axes.title.get_color(),
    )
    for text in legend.get_texts():
        _plain(text)


def _plain(text: Text) -> None:
    """Show the text as it is: a name with dollar signs is not a formula."""
    text.set_parse_math(False)


def _limits(axes: Axes, panel: Panel, values: np.ndarray) -> None:
    """0 to 1 for probabilities; else what nearly all values span, so that a first transient does not flatten the rest."""
    if panel.probabilities:
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        axes.axhline(0.5, color=axes.title.get_color(), linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6, zorder=1)
        return
    low, high = np.quantile(values, (0.01, 0.99)) if len(values) >= 50 else (values.min(), values.max())
    margin = 0.08 * (high - low) or 0.05 * max(abs(high), 1e-3)
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}".replace("-", "\N{MINUS SIGN}")))


def _borders(axes: Axes, rows: Sequence[Mapping[str, float]], ink: str) -> None:
    for before, after in pairwise(rows):
        if before.get("stage") != after.get("stage"):
            axes.axvline((before["images"] + after["images"]) / 2000, color=ink, linewidth=0.9, alpha=0.45, zorder=1)


def _dress(axes: Axes, panel: Panel, ink: str) -> None:
    axes.set_facecolor("none")
    title = axes.set_title(panel.title, loc="left", fontsize=10.5, fontweight="bold", color=ink, pad=6)
    _plain(title)
    axes.title.set_color(ink)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(ink)
    axes.spines["bottom"].set_alpha(0.5)
    axes.tick_params(colors=ink, labelsize=8.5, length=0, pad=5)
    axes.grid(axis="y", color=ink, alpha=0.16, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of the `width` values around each, of fewer at the ends."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    at = np.arange(len(values))
    low, high = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most about `POINTS` points, both ends kept."""
    step = max(1, len(x) // POINTS)
    keep = np.unique(np.append(np.arange(0, len(x), step), len(x) - 1))
    return x[keep], y[keep]
