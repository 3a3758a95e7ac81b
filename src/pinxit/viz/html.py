"""The parts of a page that needs nothing else: one HTML file, light and dark, offline."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

# The browser itself refuses to fetch anything, should a mistake ever put an address here.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
NARROW = 400
"""Pictures up to this many pixels wide keep hard pixels where the page enlarges them."""


def page(title: str, body: str, footer: str) -> str:
    """The whole page.

    Args:
        title: the window's, as plain text.
        body: as HTML.
        footer: as plain text.
    """
    css = Path(__file__).with_name("report.css").read_text()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>{body}</main>\n"
        f"<footer>{text(footer)}</footer>\n</body>\n</html>\n"
    )


def number(value: Any, error: float | None = None) -> str:
    """A value as text, to the second digit of its standard error where it has one, else to the fourth digit."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return "not finite" if isinstance(value, float) else str(value)
    if isinstance(value, int) or (error is None and abs(value) >= 1e4):
        text = f"{value:,.0f}"
    elif error is not None and 0 < error < math.inf:
        digits = max(0, 1 - math.floor(math.log10(error)))
        text = f"{value:,.{digits}f} ± {error:,.{digits}f}"
    else:
        text = f"{value:.4g}"
    return text.replace("-", "\N{MINUS SIGN}")


def caption(head: str, words: str) -> str:
    """A caption that begins in bold."""
    return f"<figcaption><b>{text(head)}</b> {text(words)}</figcaption>"


def image(content: bytes, kind: str, alt: str, size: tuple[int, int]) -> str:
    """A picture within the page, of `size` pixels."""
    small = ' class="small"' if size[0] <= NARROW and kind != "image/svg+xml" else ""
    return f'<img{small} src="{uri(content, kind)}" width="{size[0]}" height="{size[1]}" alt="{text(alt)}">'


def uri(content: bytes, kind: str) -> str:
    """A file of the media type `kind` as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def png(picture: Image.Image) -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def text(value: object) -> str:
    """Any value as text of a page."""
    return escape(str(value))
