"""What every figure of the lab returns, and how they look: `viz.charts` on white paper."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pinxit.viz.charts import LIGHT as COLOURS

INK = "#3c4043"
BLUE, ORANGE, GREEN, PINK, AMBER, SKY = COLOURS


Place = Literal["best", "upper left", "upper center", "upper right", "lower left", "lower right"]


@dataclass(frozen=True)
class Result:
    """A figure's numbers by name, and the figure: `result.figure.savefig(path)`."""

    numbers: dict[str, float]
    figure: Figure

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        made = io.BytesIO()
        self.figure.savefig(made, format="png")
        return made.getvalue()


def paper(width: float, height: float) -> Figure:
    """An empty figure, in inches, that no window system knows of."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.09, wspace=0.04, hspace=0.06)
    figure = Figure(figsize=(width, height), dpi=105, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panels(count: int, *, width: float = 4.2, height: float = 3.3) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels side by side, each of the given size."""
    figure = paper(width * count, height)
    return figure, [figure.add_subplot(1, count, number + 1) for number in range(count)]


def dress(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Title at the left, names of the axes, no box."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, pad=6)
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
        axes.spines[side].set_alpha(0.5)
    axes.tick_params(colors=INK, labelsize=8.5, length=3)
    axes.tick_params(which="minor", length=0)
    axes.grid(color=INK, alpha=0.13, linewidth=0.7)
    axes.set_axisbelow(True)


def legend(axes: Axes, place: Place = "best", *, size: float = 8.5) -> None:
    """Inside the panel, without a frame's line."""
    found = axes.legend(loc=place, fontsize=size, labelcolor=INK, framealpha=0.85, handlelength=1.7, borderpad=0.35)
    found.get_frame().set_linewidth(0)


def note(axes: Axes, text: str, at: Sequence[float], *, colour: str = INK, align: str = "left") -> None:
    """Words within a panel; `at` in shares of its width and height."""
    axes.text(at[0], at[1], text, transform=axes.transAxes, color=colour, fontsize=8.5, ha=align, va="center")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of 255 colours: a third of the size, with nothing lost that an eye would miss."""
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    pixels.quantize(255, dither=Image.Dither.NONE).save(path, optimize=True)
