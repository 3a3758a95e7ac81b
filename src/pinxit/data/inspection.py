"""`inspect`: what a data set truly holds, in text and one picture, before anything is trained on it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinxit.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from pinxit.data.decode import Form, Header
    from pinxit.data.filelist import Files
    from pinxit.data.points import Points

# Images that are decoded for the statistics; of more, every k-th.
DECODED = 20_000
_SHOWN, _COLUMNS, _TILE = 64, 8, 64


@dataclass
class _Found:
    """What a look at the images of a set has gathered."""

    title: str
    count: int
    sizes: Counter[tuple[int, int]]  # (width, height)
    modes: Counter[str]
    classes: list[tuple[str, int]] = field(default_factory=list)
    values: Any = 0  # how often each of the 256 values occurs
    digests: list[bytes] = field(default_factory=list)  # one a decoded image
    bad: list[str] = field(default_factory=list)
    notes: Sequence[str] = ()
    ignored: dict[str, int] = field(default_factory=dict)
    ending: str = ""  # of the line of sizes


def inspect(
    source: Any,
    *,
    out: Path | str | None = None,
    split: str = "train",
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    crop: str = "centre",
    seed: int = 0,
) -> str:
    """A report on a data set, and a contact sheet (for points, a scatter plot) as a PNG.

    Files that can't be read are reported, not raised. With `size`, values and pictures are those that training would see;
    without, the images' own.

    Args:
        source: anything that `load` takes.
        out: the PNG to write; a path that does not end in .png is a folder for contact.png; None writes none.
        split: as in `load`, and so are the following.
        size: in pixels.
        channels: 1 or 3.
        crop: "centre" or "stretch".
        seed: of points.

    Raises:
        InputError: there is nothing to look at, or `out` is neither a .png nor a folder.
        RunError: `out` can't be written.
    """
    from pinxit.data import loading

    shape = loading.check(split, size, channels, crop)
    if out is not None and Path(out).suffix not in ("", ".png"):
        raise InputError(f"`out` is {out} and ends in {Path(out).suffix!r}: it must end in .png, or be a folder for contact.png")
    out = None if out is None else Path(out) if str(out).endswith(".png") else Path(out) / "contact.png"
    kind = loading.kind_of(source)
    if kind == "files":
        return _report(*_look_at_files(Path(source).expanduser(), split, shape, channels, crop), out)
    data: Any = loading.load(source, split=split, size=size, channels=channels, crop=crop, seed=seed)
    if kind == "points":
        return _report_points(data, out)
    return _report(*_look_at_store(data, split), out)


def _look_at_files(
    root: Path, split: str, size: tuple[int, int] | None, channels: int | None, crop: str
) -> tuple[_Found, list[Image.Image]]:
    import numpy as np

    from pinxit.data import decode, filelist, notes

    files = filelist.scan(root, split)
    found = _Found(f"{root} ({split})", len(files), Counter(), Counter(), notes=files.notes, ignored=files.ignored)
    with decode.quiet():
        heads, bad = _headers(files, found)
        channels = channels or (1 if all(head.grey for head in heads.values()) else 3)
        form = None if size is None else decode.Form(*size, channels, crop)
        tiles = _decode(files, list(heads), form, found, bad)
    found.bad = [f"{files.entries[i].name} ({reason})" for i, reason in sorted(bad.items())]
    found.ending = "; training needs one --size" if len(found.sizes) > 1 else ""
    if form is not None:
        found.ending = f"; looked at as {form.width}x{form.height}"
    if files.labels is not None:
        labels = np.asarray(files.labels)
        found.classes = notes.counts_of(labels, files.class_names)
        found.notes = (*files.notes, *notes.on_labels(labels, files.class_names))
    return found, tiles


def _headers(files: Files, found: _Found) -> tuple[dict[int, Header], dict[int, str]]:
    """The headers of the files that have one, counted in `found`, and the reasons of the others."""
    from pinxit.data import decode, filelist, pack

    read = filelist.Reader(files)
    heads: dict[int, Header] = {}
    bad = {}
    for i, head in enumerate(pack.in_threads(lambda i: decode.header(read(i)), range(len(files)))):
        if isinstance(head, decode.BadImage):
            bad[i] = str(head)
        else:
            heads[i] = head
            found.sizes[head.width, head.height] += 1
            found.modes[head.mode] += 1
    return heads, bad


def _decode(files: Files, good: list[int], form: Form | None, found: _Found, bad: dict[int, str]) -> list[Image.Image]:
    """Decode up to DECODED images, count their values in `found`, and return tiles of some."""
    from pinxit.data import decode, filelist, pack

    read = filelist.Reader(files)
    chosen = _spread(good, DECODED)
    shown = set(_spread(chosen, _SHOWN))
    tiles = []
    for i, image in zip(chosen, pack.in_threads(lambda i: decode.plain(read(i), form), chosen), strict=True):
        if isinstance(image, decode.BadImage):
            bad[i] = str(image)
            continue
        found.values = found.values + _histogram(image)
        found.digests.append(_digest(repr((image.size, image.mode)).encode() + image.tobytes()))
        if i in shown:
            tiles.append(_tile(image))
    return tiles


def _look_at_store(data: Any, split: str) -> tuple[_Found, list[Image.Image]]:
    from PIL import Image

    from pinxit.data import notes

    n, channels, height, width = data.images.shape
    mode = "L" if channels == 1 else "RGB"
    found = _Found(f"{data.name} ({split})", n, Counter({(width, height): n}), Counter({mode: n}), notes=data.notes)
    found.values = sum(_histogram(chunk.numpy()) for chunk in data.images.split(4096))
    found.digests = [_digest(image.numpy()) for image in data.images]
    if data.labels is not None:
        found.classes = notes.counts_of(data.labels.numpy(), data.class_names)
    shown = data.images[_spread(range(n), _SHOWN)].permute(0, 2, 3, 1).numpy()
    return found, [_tile(Image.fromarray(x[..., 0] if channels == 1 else x)) for x in shown]


def _report(found: _Found, tiles: list[Image.Image], out: Path | None) -> str:
    from pinxit.data.notes import first_few

    lines = [f"{found.title}: {found.count} images", *_size_lines(found)]
    lines.append(f"modes      {', '.join(f'{mode} {count}' for mode, count in found.modes.most_common()) or 'none'}")
    lines += _class_lines(found.classes, found.count)
    if found.digests:
        lines += _value_lines(found)
    lines.append(f"bad files  {f'{len(found.bad)}: {first_few(found.bad, 10)}' if found.bad else 'none'}")
    if found.ignored:
        others = [f"{kind} {count}" for kind, count in sorted(found.ignored.items())]
        lines.append(f"ignored    {sum(found.ignored.values())} files that are no images: {first_few(others, 10)}")
    lines += [f"note: {note}" for note in found.notes]
    if tiles and out is not None:
        _save_sheet(tiles, out)
        lines.append(f"contact sheet of {len(tiles)} images: {out}")
    return "\n".join(lines)


def _size_lines(found: _Found) -> list[str]:
    import statistics

    sizes = found.sizes
    if len(sizes) < 2:
        return [f"sizes      {w}x{h} (width x height){found.ending}" for w, h in sizes]
    sides = [[size[axis] for size in sizes.elements()] for axis in (0, 1)]
    spans = [f"{min(side)} / {statistics.median_low(side)} / {max(side)}" for side in sides]
    common = ", ".join(f"{w}x{h} ({count})" for (w, h), count in sizes.most_common(4))
    return [
        f"sizes      {len(sizes)} different; width min / median / max {spans[0]}, height {spans[1]}",
        f"           most common: {common}{found.ending}",
    ]


def _class_lines(classes: Sequence[tuple[str, int]], images: int, most: int = 20) -> list[str]:
    if not classes:
        return ["classes    none"]
    top, wide = max(1, *(count for _, count in classes)), max(len(name) for name, _ in classes[:most])
    unknown = images - sum(count for _, count in classes)
    lines = [f"classes    {len(classes)}{f', unknown of {unknown} images' if unknown else ''}"]
    lines += [f"  {name:<{wide}}  {count:>8}  {'#' * round(30 * count / top)}" for name, count in classes[:most]]
    if rest := [count for _, count in classes[most:]]:
        lines.append(f"  and {len(rest)} more, of {min(rest)} to {max(rest)} images")
    return lines


def _value_lines(found: _Found) -> list[str]:
    import numpy as np

    values = np.arange(256) / 255
    weights = found.values / found.values.sum()
    mean = float(weights @ values)
    std = float(weights @ (values - mean) ** 2) ** 0.5
    held = np.flatnonzero(found.values)
    seen, copies = len(found.digests), len(found.digests) - len(set(found.digests))
    of = "" if seen + len(found.bad) >= found.count else f"; of {seen} images, evenly spread"
    return [
        f"values     {held[0]} to {held[-1]} of 255, {len(held)} different{of}",
        f"mean, std  {mean:.4f}, {std:.4f} (pixels in [0, 1]{of})",
        f"copies     {copies} images repeat another pixel for pixel{of}" if copies else f"copies     none{of}",
    ]


def _report_points(data: Points, out: Path | None) -> str:
    points, labels = data.points, data.labels
    mean, std = points.mean(0).tolist(), points.std(0).tolist()
    within = (points - data.centres[labels]).std().item()
    counts = labels.bincount(minlength=len(data.centres))
    low, high = points.amin(0).tolist(), points.amax(0).tolist()
    lines = [
        f"{data.name}: {len(data)} points in the plane",
        f"classes    {len(data.centres)} Gaussians, of {counts.min()} to {counts.max()} points",
        f"values     x {low[0]:.3f} to {high[0]:.3f}, y {low[1]:.3f} to {high[1]:.3f}",
        f"mean, std  x {mean[0]:.4f}, {std[0]:.4f}; y {mean[1]:.4f}, {std[1]:.4f}",
        f"sigma      {data.sigma} declared, {within:.4f} found within the Gaussians",
    ]
    if out is not None:
        _save_scatter(data, out)
        lines.append(f"scatter plot: {out}")
    return "\n".join(lines)


def _save_scatter(data: Points, out: Path) -> None:
    from matplotlib.figure import Figure

    from pinxit.core import files

    points, labels = data.points[:5000], data.labels[:5000]
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(*points.T.numpy(), c=labels.numpy(), cmap="turbo", s=3, linewidths=0)
    axes.scatter(*data.centres.T.numpy(), marker="+", c="black", linewidths=0.7)
    axes.set(title=f"{data.name}, {len(points):,} of {len(data):,} points", aspect="equal")
    files.write_with(out, lambda temporary: figure.savefig(temporary, format="png", dpi=120))


def _digest(content: Any) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _histogram(image: Any) -> np.ndarray:
    import numpy as np

    return np.bincount(np.asarray(image).ravel(), minlength=256)


def _spread(items: Sequence[int], most: int) -> list[int]:
    """At most `most` of `items`, evenly spaced."""
    return [items[i * len(items) // most] for i in range(most)] if len(items) > most else list(items)


def _tile(image: Image.Image) -> Image.Image:
    """`image` whole within a square, on grey; small ones enlarged by a whole factor without smoothing."""
    from PIL import Image as Pillow

    scale = _TILE / max(image.size)
    nearest = scale >= 1
    scale = int(scale) if nearest else scale
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    scaled = image.convert("RGB").resize(size, Pillow.Resampling.NEAREST if nearest else Pillow.Resampling.LANCZOS)
    tile = Pillow.new("RGB", (_TILE, _TILE), (200, 200, 200))
    tile.paste(scaled, ((_TILE - size[0]) // 2, (_TILE - size[1]) // 2))
    return tile


def _save_sheet(tiles: Iterable[Image.Image], out: Path) -> None:
    from PIL import Image as Pillow

    from pinxit.core import files

    tiles = list(tiles)
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    step = _TILE + 2
    sheet = Pillow.new("RGB", (columns * step - 2, rows * step - 2), (255, 255, 255))
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % columns * step, i // columns * step))
    files.write_with(out, lambda temporary: sheet.save(temporary, format="PNG"))
