"""`pinxit sample`, `interpolate`, `reconstruct` and `complete`: what a trained model can show."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinxit import systems
from pinxit.cli import console, options, shelf
from pinxit.core import protocols
from pinxit.core.errors import InputError, near

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from pinxit.core.game import AbstractGame, Batch
    from pinxit.core.protocols import Data
    from pinxit.core.spec import Spec

CHUNK = 256
"""Most samples drawn at a time."""
PICTURES = (".png", ".webp")


def sample(chosen: options.Sample) -> None:
    """Draw samples into a grid, into single files, or into an array."""
    out = Path("samples.png") if chosen.out is None and chosen.files is None else chosen.out
    if out is not None:
        _check_suffix(out, (*PICTURES, ".npz"))
    protocol, what = ("Conditional", "sample a class") if chosen.classes else ("Samples", "sample")
    spec = _able(chosen.folder, protocol, what)
    classes = _classes(chosen, spec.classes) if spec.classes else ()
    _check_enough(chosen.n, classes)
    if chosen.files is not None and spec.continuous:
        raise InputError(f"`--files` is for images, {chosen.folder} makes points: take --out points.npz")
    if chosen.files is not None:
        _check_files(chosen.files, chosen.n)
    _check_engine(chosen.folder, chosen.engine)
    game, labels = _model(chosen.folder, protocol, what), _labels(chosen.n, classes)
    x = _draw(game, chosen.n, chosen.seed, labels, **_painting(game, chosen.engine))
    if out is not None and out.suffix == ".npz":
        _write_array(out, x, labels, continuous=game.spec.continuous)
    elif out is not None:
        from pinxit import viz

        _write(out, viz.grid(x))
    if chosen.files is not None:
        _write_each(chosen.files, x)


def interpolate(chosen: options.Interpolate) -> None:
    """Draw walks between random codes."""
    _check_suffix(chosen.out, PICTURES)
    protocol, what = ("HasClassLatents", "walk within a class") if chosen.classes else ("HasLatents", "interpolate")
    spec = _able(chosen.folder, protocol, what)
    classes = _classes(chosen, spec.classes) if spec.classes else ()
    _check_enough(chosen.n, classes)
    if spec.continuous:
        raise InputError(f"interpolations are of images, {chosen.folder} makes points")
    game = _model(chosen.folder, protocol, what)
    from pinxit import viz

    walks: dict[str, Any] = {"steps": chosen.steps, "rows": chosen.n, "classes": classes}
    _write(chosen.out, viz.interpolation(game, **walks, generator=_generator(chosen.seed)))


def reconstruct(chosen: options.Reconstruct) -> None:
    """Draw images beside their reconstructions."""
    _check_suffix(chosen.out, PICTURES)
    if _able(chosen.folder, "Reconstructs", "reconstruct").continuous:
        raise InputError(f"reconstructions are of images, {chosen.folder} makes points")
    game = _model(chosen.folder, "Reconstructs", "reconstruct")
    import torch

    from pinxit import viz
    from pinxit.core.rng import seeded

    batch = _held_out(game, chosen, chosen.n)
    with torch.no_grad(), seeded(chosen.seed):
        x_hat = game.reconstruct(batch.images, batch.labels)
    _write(chosen.out, viz.pairs(batch.images, x_hat))


def complete(chosen: options.Complete) -> None:
    """Draw images, what of them is known, and what the model paints."""
    _check_suffix(chosen.out, PICTURES)
    _able(chosen.folder, "Completes", "complete images")
    game = _model(chosen.folder, "Completes", "complete images")
    import torch

    from pinxit.core.protocols import Conditional
    from pinxit.core.rng import seeded
    from pinxit.viz.completions import completions

    batch = _held_out(game, chosen, chosen.n)
    x = batch.images
    known = _known(chosen, x)
    again, masks = x.repeat(chosen.draws, 1, 1, 1), known.repeat(chosen.draws, 1, 1)
    how = _painting(game, chosen.engine)
    if isinstance(game, Conditional) and batch.labels is not None:
        how["labels"] = batch.labels.repeat(chosen.draws)
    with torch.no_grad(), seeded(chosen.seed):
        drawn = game.complete(again, masks, generator=_generator(chosen.seed), **how)
    _write(chosen.out, completions(x, known, drawn.view(chosen.draws, *x.shape)))


def directions(chosen: options.Directions) -> None:
    """Walk from images of other classes towards each class, and say how well its direction tells held-out images."""
    _check_suffix(chosen.out, PICTURES)
    if _able(chosen.folder, "Encodes", "encode images").continuous or not _has(chosen.folder, "Decodes"):
        raise InputError(f"walks need a decoder of images, {chosen.folder} has none")
    game = _model(chosen.folder, "Encodes", "encode images")
    from pinxit.metrics.directions import likeliest, of_classes
    from pinxit.viz.comparisons import stacked
    from pinxit.viz.directions import attribute_walk

    data = shelf.data_of(chosen.folder, chosen.data)
    if not data.spec.classes:
        raise InputError(f"a direction leads from other classes to one, and {data.name} has no labels: give --data that has")
    batch, sheets = _held_out(game, chosen, 4), []
    told = _tell_of_labels(game, chosen, data)
    labels = batch.labels if told else likeliest(game, batch.images)
    for label in _classes(chosen, data.spec.classes, data) or range(data.spec.classes):
        found = of_classes(game, data, label, told=told, seed=chosen.seed)
        console.say(str(found))
        sheets.append(attribute_walk(game, batch.images, found.vector, labels=labels, name=found.name))
    _write(chosen.out, stacked(sheets))


def _tell_of_labels(game: Any, chosen: options.Directions, data: Data) -> bool:
    """Whether the labels of `data` are the classes of the model; say what that means to a model that is told the class."""
    from pinxit.core.protocols import EncodesGiven

    classes = game.spec.classes
    told = data.spec.classes == classes
    if isinstance(game, EncodesGiven) and told:
        console.say(
            f"note: {chosen.folder} is told the class, so its codes need not tell it (50 % is chance) and no walk changes it: "
            f"{console.command('sample', chosen.folder)} --class does; --data with other labels has directions of those"
        )
    elif isinstance(game, EncodesGiven):
        console.say(
            f"note: {data.name} has {data.spec.classes} labels and {chosen.folder} {classes} classes: the labels are "
            f"taken for attributes, and the class of an image is the one under which its bound is highest"
        )
    return told


def _held_out(game: AbstractGame, chosen: options.Reconstruct | options.Complete | options.Directions, n: int) -> Batch:
    """Real images as the model was trained on them, with their classes: of the test split where there is one.

    Where some images have a class, others are not taken. Bits are drawn once an image. Labels that are not the model's classes
    are left out.
    """
    import torch

    from pinxit.core import bits
    from pinxit.core.game import Batch
    from pinxit.core.labels import labelled

    real = shelf.data_of(chosen.folder, chosen.data)
    shelf.note_classes(chosen.folder, real)
    test = real.test() if isinstance(real, protocols.Splits) else None
    real = real if test is None else test
    if (real.spec.shape, real.spec.continuous) != (game.spec.shape, game.spec.continuous):
        got, made = (f"{s.channels}x{s.height}x{s.width} of {s.levels} levels" for s in (real.spec, game.spec))
        raise InputError(f"samples of {real.name} are {got}, {chosen.folder} was made for {made}: give --data of that kind")
    if len(real) < n:
        console.say(f"note: {real.name} has {len(real):,} images to show, fewer than -n {n:,}")
    order = torch.randperm(len(real), generator=_generator(chosen.seed))
    known = labelled(real, order) if real.spec.unlabelled else order
    batch = real.batch((known if len(known) else order)[:n])
    x = bits.shown_to(game, batch.images, _generator(chosen.seed))
    if game.spec.binarised and not real.spec.binarised and not torch.equal(x, batch.images):
        console.say(f"note: {real.name} has grey levels, {chosen.folder} was made for bits: {bits.RULES[bits.rule(game.spec)]}")
    return Batch(x, batch.labels if real.spec.classes == game.spec.classes else None)


def _known(chosen: options.Complete, x: Tensor) -> Tensor:
    """Which pixels stay uncovered, bool (n, h, w)."""
    import torch

    n, _, h, w = x.shape
    if chosen.known == "random":
        return torch.rand(n, h, w, generator=_generator(chosen.seed)) < chosen.share
    rows, columns = torch.arange(h)[:, None], torch.arange(w)
    edge = rows < round(h * chosen.share) if chosen.known == "top" else columns < round(w * chosen.share)
    return edge.expand(n, h, w)


def _check_engine(folder: Path, engine: str) -> None:
    if engine != "auto" and not _has(folder, "Completes"):
        raise InputError(f"`--engine` is {engine}: {folder} draws an image at once; leave it out")


def _painting(game: Any, engine: str) -> dict[str, Any]:
    """How pixels are painted, for models that paint them one by one."""
    from pinxit.core.protocols import Completes

    if isinstance(game, Completes):
        tell = console.Progress()
        return {"engine": engine, "progress": lambda done, total: tell("pixels", done, total)}
    return {}


def _able(folder: Path, protocol: str, what: str) -> Spec:
    """The shape of the samples of the model in `folder`; raises InputError if its system lacks the capability `protocol`."""
    spec = shelf.spec_of(shelf.find(folder))
    if not _has(folder, protocol):
        able = [name for name in systems.names() if systems.able(name, getattr(protocols, protocol))]
        raise InputError(f"{shelf.description(folder)['system']} can't {what}: {_those(able)} can")
    return spec


def _has(folder: Path, protocol: str) -> bool:
    """Whether the system of the model in `folder` has a capability, as far as that is known before it is loaded."""
    return systems.able(shelf.description(folder)["system"], getattr(protocols, protocol))


def _model(folder: Path, protocol: str, what: str) -> Any:
    """The model in `folder`, whose system has the capability `protocol`; raises InputError if it was trained without."""
    from pinxit.training import from_pretrained

    game = from_pretrained(folder)
    if not isinstance(game, getattr(protocols, protocol)):
        name = shelf.description(folder)["system"]
        raise InputError(f"{folder} can't {what} as it was trained: other runs of {name} can, trained with --conditional")
    return game


def _those(names: list[str]) -> str:
    return f"the system{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else "no system"


def _labels(n: int, classes: Sequence[int]) -> Tensor | None:
    """The class of every sample, where classes are asked for: as many of each as can be, in their order."""
    if not classes:
        return None
    import torch

    return torch.tensor(classes)[torch.arange(n) * len(classes) // n]


def _check_enough(n: int, classes: Sequence[int]) -> None:
    if n < len(classes):
        several = len(classes)
        raise InputError(f"`-n` is {n}, `--class` names {several}: each needs at least one, so -n {several} or more")


def _classes(
    chosen: options.Sample | options.Interpolate | options.Directions, count: int, data: Data | None = None
) -> tuple[int, ...]:
    """Those asked for, of `count`: by their names, those of `data` or of the run's own; by number where no name is a number."""
    words = chosen.classes
    names = list(shelf.class_names(chosen.folder)) if data is None else [str(name) for name in getattr(data, "class_names", ())]
    if words and not names:
        unsaid = f"{chosen.folder} does not say the names of its classes"
        if word := next((word for word in words if not _is_number(word)), None):
            raise InputError(f"`--class` is {word}, and {unsaid}: give numbers from 0 to {count - 1}, places in their order")
        console.say(f"note: {unsaid}: `--class` is taken for places in their order; the training command again writes them")
    folded = list(map(_folded, names))
    numbered = not any(_is_number(name) for name in names)
    found = []
    for word in words:
        if word in names:
            found.append(names.index(word))
        elif _folded(word) in folded:
            found.append(folded.index(_folded(word)))
        elif not _is_number(word) or not numbered:
            raise InputError(f"`--class` is {word}, no class of its data: {near(word, names)}")
        elif not 0 <= int(word) < count:
            raise InputError(f"`--class` is {word}: the classes of {chosen.folder} are 0 to {count - 1}")
        else:
            found.append(int(word))
    return tuple(found)


def _folded(name: str) -> str:
    """`name` in small letters, each accent one character with its letter: macOS names folders with the two apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def _draw(game: Any, n: int, seed: int, labels: Tensor | None = None, **painting: Any) -> Tensor:
    import torch

    from pinxit.core.rng import seeded

    generator = _generator(seed)
    with torch.no_grad(), seeded(seed):
        if labels is not None:
            return torch.cat([game.sample_class(part, generator=generator, **painting) for part in labels.split(CHUNK)])
        return torch.cat([game.sample(min(CHUNK, n - done), generator=generator, **painting) for done in range(0, n, CHUNK)])


def _generator(seed: int) -> Any:
    import torch

    return torch.Generator().manual_seed(seed)


def _check_suffix(out: Path, allowed: tuple[str, ...]) -> None:
    if out.suffix not in allowed:
        raise InputError(f"`--out` {out} ends in {out.suffix!r}: it must end in {' or '.join(allowed)}")


def _write(out: Path, picture: Image) -> None:
    from pinxit.core import files

    files.write_with(out, picture.save)
    console.say(str(out))


def _names(n: int) -> list[str]:
    return [f"{number:06d}.png" for number in range(n)]


def _check_files(folder: Path, n: int) -> None:
    """Refuse to mix samples with other files."""
    if others := sorted({part.name for part in folder.iterdir()} - set(_names(n))) if folder.is_dir() else []:
        raise InputError(f"`--files` {folder} holds {others[0]} besides: give a new folder, or one that is empty")


def _write_each(folder: Path, x: Tensor) -> None:
    """One PNG a sample, in its own size."""
    from pinxit.core import files
    from pinxit.viz.grids import picture, to_uint8

    for name, pixels in zip(_names(len(x)), to_uint8(x), strict=True):
        files.write_with(folder / name, picture(pixels).save)
    console.say(f"{folder}: {len(x):,} files")


def _write_array(out: Path, x: Tensor, labels: Tensor | None, *, continuous: bool) -> None:
    """uint8 (n, h, w, c) under the key `x`, or float32 (n, d) for points; the classes asked for, int64 (n,), under `y`."""
    import numpy as np

    from pinxit.core import files
    from pinxit.viz.grids import to_uint8

    array = x.flatten(1).cpu().numpy() if continuous else to_uint8(x)
    arrays: dict[str, Any] = {"x": array} if labels is None else {"x": array, "y": labels.numpy()}
    files.write_with(out, lambda temporary: np.savez_compressed(temporary, **arrays))
    console.say(f"{out}: x {array.shape} {array.dtype}")
