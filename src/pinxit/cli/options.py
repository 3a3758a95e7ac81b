"""The options of every command, as configurations: their docstrings are the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from pinxit.core.config import Config
from pinxit.data.catalogue import DEFAULT

DEFAULT_PRESET = "small"
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What torch's generators take."""


class Run(Config):
    """Which preset, which folder."""

    preset: str = DEFAULT_PRESET
    """Where the system's options start from: paper (its experiment), small (minutes on a CPU), tiny (seconds)."""
    run: Path | None = None
    """The run's folder; None is runs/SYSTEM-DATA-PRESET-sSEED, with a code where further options differ. A run found
    there goes on."""
    seed: Seed = 0
    """Decides every random number of the run."""
    config: Path | None = None
    """A .yaml, .toml or .json file with sections preset, seed, source, config, settings; or the config.yaml of a run. It
    comes after the preset and before flags."""
    print_config: bool = False
    """Print the complete configuration, fit for --config, and do nothing else."""


class Source(Config):
    """What to train on."""

    data: str = DEFAULT
    """A name of `pinxit data list`; or a folder of images (sub-folders are classes), a zip, a .npy or .npz file."""
    size: int | None = Field(None, ge=1)
    """Height and width in pixels; None keeps the images' own."""
    channels: Literal[1, 3] | None = None
    """1 (grey) or 3 (RGB); None as the images are."""
    crop: Literal["centre", "stretch"] = "centre"
    """How a picture is made square: its middle is cut out, or it is stretched."""
    mirror: bool = False
    """Double the set by images flipped left to right."""
    stream: bool = False
    """Decode files while training, for sets that do not fit in memory."""
    workers: int = Field(0, ge=0)
    """Processes that read ahead when streaming."""
    skip_bad: bool = False
    """Leave out files that are not images, instead of refusing the set."""


class Sample(Config):
    """Draw new samples from a trained model: one picture, single files, or an array."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run's folder, or one written by save_pretrained."""
    n: Annotated[int, tyro.conf.arg(aliases=("-n",))] = Field(64, ge=1)
    """Number of samples."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--class",), metavar="CLASS")] = ()
    """Draw these classes alone, by number or name, `n` samples shared among them in their order: --class 8, --class dress bag.
    Where the names are numbers themselves, a number is taken for a name."""
    seed: Seed = 0
    """Another seed, other samples."""
    out: Path | None = None
    """The picture (.png, .webp), or .npz for the array `x` (n, height, width, channels); None is samples.png, unless
    --files."""
    files: Path | None = None
    """A folder for one PNG per sample."""
    engine: Literal["auto", "naive", "cached", "wavefront", "fixed-point"] = "auto"
    """How a model that paints pixel by pixel works: the samples are the same, the time is not."""


class Interpolate(Config):
    """Walk between random latent codes of a trained model, one walk a row."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run's folder, or one written by save_pretrained."""
    n: Annotated[int, tyro.conf.arg(aliases=("-n",))] = Field(8, ge=1)
    """Number of walks."""
    steps: int = Field(10, ge=2)
    """Pictures per walk, its ends included."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--class",), metavar="CLASS")] = ()
    """The walks' classes in turn, of a class-conditional model; by default all. A walk stays in its class."""
    seed: Seed = 0
    """Another seed, other walks."""
    out: Path = Path("interpolation.png")
    """The picture."""


class Reconstruct(Config):
    """Show images beside what a trained model makes of them."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run's folder, or one written by save_pretrained."""
    data: str | None = None
    """Images to reconstruct; None is the run's own set, its test split where it has one."""
    n: Annotated[int, tyro.conf.arg(aliases=("-n",))] = Field(16, ge=1)
    """Number of images."""
    seed: Seed = 0
    """Another seed, other images."""
    out: Path = Path("reconstructions.png")
    """The picture."""


class Complete(Config):
    """Show images of which a part is covered, and how a trained model paints the rest."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run's folder, or one written by save_pretrained."""
    data: str | None = None
    """Images to complete; None is the run's own set, its test split where it has one."""
    known: Literal["top", "left", "random"] = "top"
    """What stays uncovered: the top, the left, or pixels at random."""
    share: float = Field(0.5, gt=0, lt=1)
    """The share of the image that stays uncovered."""
    n: Annotated[int, tyro.conf.arg(aliases=("-n",))] = Field(8, ge=1)
    """Number of images."""
    draws: int = Field(4, ge=1)
    """Completions of each."""
    seed: Seed = 0
    """Another seed, other images and other completions."""
    engine: Literal["auto", "naive", "cached", "wavefront", "fixed-point"] = "auto"
    """How the pixels are painted: the result is the same, the time is not."""
    out: Path = Path("completions.png")
    """The picture."""


class Directions(Config):
    """Walk along attributes in the latent space of a trained model: what one class has that the others lack."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run's folder, or one written by save_pretrained."""
    data: str | None = None
    """Labelled images; None is the run's own set. To a model that is told the class, labels of another number are attributes."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--class",), metavar="CLASS")] = ()
    """The classes whose directions are shown; by default all."""
    seed: Seed = 0
    """Another seed, other images."""
    out: Path = Path("directions.png")
    """The picture."""


class Info(Config):
    """What a run is and how far it got."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run's folder."""


class Inspect(Config):
    """Look a set over before training: sizes, classes, values, broken files; and a picture of some samples."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """A name of `pinxit data list`, a folder, a zip, a .npy or .npz file."""
    split: Literal["train", "test"] = "train"
    """Which part of it."""
    out: Path = Path("inspection.png")
    """The picture of some of its samples."""


class Demo(Config):
    """Train a GAN, a DCGAN and a VAE on the bundled images and write one page that shows them. Run again, it resumes."""

    run: Path = Path("runs/demo")
    """The folder; the page is its report.html."""
    preset: str = DEFAULT_PRESET
    """Of each system: small takes minutes, tiny seconds."""
    seed: Seed = 0
    """Decides every random number."""


class Theory(Config):
    """Compute a figure of the theory lab: its numbers to the screen, its picture to a file."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """A figure's name; `list` to see them, `all` to make them all."""
    out: Path | None = None
    """The picture (.png), or with `all` the folder of the pictures; None is theory-NAME.png, with `all` theory/."""
    numbers: Path | None = None
    """A .json file for the numbers, and the command that gives them."""
    seed: Seed = 0
    """Decides the samples and the weights that training starts from."""


class Conformance(Config):
    """Measure our implementation beside the mistakes of public code, each planted in its place."""

    only: str | None = None
    """One row of the table, in full; None is the whole table."""


class Judged(Config):
    """What is judged, and how: the options that `evaluate` and `compare` share."""

    folders: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN...")] = ()
    """Folders of runs, or those written by save_pretrained."""
    images: tuple[Path, ...] = ()
    """Folders or zips of images, .npz or .npy files, from any software: judged by the same rule."""
    convert: bool = False
    """images: make them of the data's size and channels (Lanczos, centre crop), and say so; else others are refused."""
    skip_bad: bool = False
    """images: leave out files that can't be decoded, and say how many; else one is enough to refuse the folder."""
    data: str | None = None
    """The real samples; None is what each run was trained on."""
    size: int | None = Field(None, ge=1)
    """data: height and width that the images of a folder or zip are scaled to; None is those of the run, else their own."""
    n: Annotated[int, tyro.conf.arg(aliases=("-n",))] = Field(10_000, ge=2)
    """Samples of each; fewer where the real test samples are fewer, so that the floor has the same number."""
    features: str | None = None
    """The feature network: lenet, efficientnet_lite0, inception-2015, pixels, random-conv; None is lenet for labelled
    images of 16 to 40 pixels, pixels for points and for images neither grey nor RGB, else efficientnet_lite0."""
    inception_weights: Path | None = None
    """inception-2015: the file of its weights; None lets torch-fidelity download them."""
    metrics: tuple[str, ...] = ()
    """Which metrics; none given are the usual ones. `pinxit evaluate --metrics help` lists them."""
    seed: Seed = 0
    """Of the samples that are drawn."""
    controls: bool = True
    """Judge spoilt real samples too."""


class Evaluate(Judged):
    """Judge trained models, or images from any software, against real samples: scores with error, floor and controls."""

    likelihood: bool = False
    """Report likelihoods instead: bounds or exact values with their protocol, of the models that have them."""
    samples: int = Field(5000, ge=1)
    """likelihood: k of the importance-weighted bound."""
    ais: bool = False
    """likelihood: annealed importance sampling too, of decoders and generators, of 16 images."""
    sigma: float = Field(0.1, gt=0)
    """ais: of the Gaussian noise that gives a generator's images a density, for pixels in [-1, 1]."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=("--json",))] = None
    """A .json file for everything that was found."""


class Compare(Judged):
    """Write one page that judges any number of runs, and says in words what is better beyond noise."""

    out: Path = Path("comparison.html")
    """The page (.html); what was found goes beside it (.json)."""
    title: str = "Comparison"
    """Of the page."""


class PlaySuite(Config):
    """Play a named experiment: train its runs side by side, judge them, and hold them against the bars."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """A suite's name, or a .toml file; `list` shows them."""
    run: Path | None = None
    """The folder of its runs; None is runs/suites/NAME. What is done there is not done again."""
    processes: int = Field(2, ge=1)
    """Runs at a time."""
    threads: int = Field(1, ge=1)
    """CPU threads of each."""
    only: str = ""
    """Play the runs whose name contains this, and do not judge the bars."""


class Completion(Config):
    """Print the completion script of a shell: `source <(pinxit completion bash)`."""

    shell: Annotated[tyro.conf.Positional[Literal["bash", "zsh"]], tyro.conf.arg(metavar="{bash,zsh}")]
    """bash or zsh."""


class Nothing(Config):
    """No options."""
