"""Four ways of painting: the same pixels always, the distribution that the network says, ties looked at."""

import copy
import os
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn

from pinxit.core.errors import InputError
from pinxit.losses.levels import level_value
from pinxit.nn import sampling
from pinxit.nn.canvas import Canvas, steps
from pinxit.nn.footprint import footprint
from pinxit.nn.gated import GatedStack
from pinxit.nn.masked import MaskedConv2d
from pinxit.nn.outputs import output
from pinxit.nn.pixels import Head, PixelStack, ResidualBlock
from pinxit.nn.sampling import Judge, paint, plan

ENGINES = ("naive", "cached", "wavefront", "fixed-point")


def sharpened(network, factor):
    """Larger weights: distributions that depend on the past, and are far from uniform."""
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(factor)
    return network


def plain(channels, size, *, layers=1, first=3, kernel=3, classes=0, width=4, factor=2.0):
    stem = MaskedConv2d(channels, 2 * width, first, "A", groups=channels)
    blocks = [ResidualBlock(width, kernel, groups=channels, classes=classes) for _ in range(layers)]
    return sharpened(PixelStack(stem, blocks, Head(2 * width, (6,), size, groups=channels)), factor)


def gated(channels, size, *, layers=1, first=3, kernel=3, classes=0, width=4, factor=2.0):
    network = GatedStack(channels, width, layers, size, head=6, first_kernel=first, kernel=kernel, classes=classes)
    return sharpened(network, factor)


# name: (network, output, levels, channels, height, width, classes)
CASES = {
    "grey": (plain, {}, "bernoulli", 2, 1, 4, 4, 0),
    "grey, wide, two layers, 7 x 7": (plain, {"layers": 2, "first": 7}, "bernoulli", 2, 1, 3, 9, 0),
    "grey, tall, 5 x 5 blocks": (plain, {"kernel": 5}, "bernoulli", 2, 1, 9, 3, 0),
    "RGB": (plain, {"width": 5}, "softmax", 4, 3, 3, 4, 0),
    "RGB, mixture": (plain, {"width": 7, "layers": 2}, "logistic-mixture", 5, 3, 4, 3, 0),
    "two channels, conditional": (plain, {}, "bernoulli", 2, 2, 3, 5, 3),
    "gated": (gated, {"layers": 2}, "bernoulli", 2, 1, 4, 5, 0),
    "gated, 5 x 5 blocks, wide": (gated, {"kernel": 5, "first": 7}, "softmax", 3, 1, 3, 11, 0),
    "gated, RGB, conditional": (gated, {"width": 5}, "softmax", 3, 3, 4, 3, 4),
    "one row": (plain, {}, "softmax", 3, 3, 1, 6, 0),
    "one column": (gated, {}, "bernoulli", 2, 1, 6, 1, 0),
}  # fmt: skip
EACH = 1000


@cache
def case(name):
    make, options, kind, levels, channels, height, width, classes = CASES[name]
    torch.manual_seed(sum(name.encode()))
    out = output(kind, levels, 2)
    network = make(channels, out.size, classes=classes, **options)
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            module.weight.data.normal_()
    labels = torch.randint(classes, (EACH,)) if classes else None
    return network, out, torch.zeros(EACH, channels, height, width), labels


def painted(name, engine, **options):
    network, out, x, labels = case(name)
    return paint(network, out, x, labels=labels, generator=torch.Generator().manual_seed(3), engine=engine, **options)


@pytest.mark.parametrize("name", CASES)
def test_all_engines_paint_the_same_pixels(name):
    """11 x 1,000 images, every pixel of them, in float32."""
    images = {engine: painted(name, engine) for engine in ENGINES}
    for engine in ENGINES:
        assert torch.equal(images[engine], images["naive"]), engine
    levels = case(name)[1].levels
    assert set(images["naive"].unique().tolist()) == set(level_value(torch.arange(levels), levels).tolist())
    assert not images["naive"].is_inference()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grey", "RGB", "gated, RGB, conditional", "gated, 5 x 5 blocks, wide"])
@pytest.mark.parametrize("what", ["top", "left", "random", "random each", "all"])
def test_all_engines_complete_alike_and_keep_what_is_known(name, what):
    network, out, x, labels = case(name)
    generator = torch.Generator().manual_seed(5)
    n, _, height, width = x.shape
    given = level_value(torch.randint(out.levels, x.shape, generator=generator), out.levels)
    known = torch.zeros(height, width, dtype=torch.bool)
    match what:
        case "top":
            known[: height // 2] = True
        case "left":
            known[:, : width // 2] = True
        case "random":
            known = torch.rand(height, width, generator=generator) < 0.5
        case "random each":
            known = torch.rand(n, height, width, generator=generator) < 0.5
        case _:
            known[:] = True
    images = [
        paint(network, out, given, known, labels=labels, generator=torch.Generator().manual_seed(1), engine=engine)
        for engine in ENGINES
    ]
    for image in images:
        assert torch.equal(image, images[0])
    kept = known.expand(n, height, width)[:, None].expand_as(given)
    assert torch.equal(images[0][kept], given[kept])
    if what != "all":
        assert (images[0] != given).any()


def test_unknown_pixels_are_not_read():
    network, out, x, _ = case("grey")
    known = torch.zeros(4, 4, dtype=torch.bool)
    known[1] = True
    one, other = (
        paint(
            network, out, torch.full_like(x, fill).where(~known, 1.0), known, generator=torch.Generator().manual_seed(0), engine=e
        )
        for fill, e in ((0.3, "naive"), (float("nan"), "wavefront"))
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_result_does_not_depend_on_the_memory(engine):
    network, out, x, labels = case("gated, RGB, conditional")
    judge = Judge(network, out, torch.rand(*x.permute(0, 2, 3, 1).shape, dtype=torch.float64), labels)
    memory = 90_000
    with torch.no_grad():
        assert 5 < sampling.together(judge, x, engine, memory) < 50
        assert sampling.together(judge, x, engine, 1) == 1
    whole, parts = (
        paint(network, out, x[:70], labels=labels[:70], generator=torch.Generator().manual_seed(2), engine=engine, memory=size)
        for size in (1 << 30, memory)
    )
    assert torch.equal(whole, parts)


@pytest.mark.parametrize(("make", "engine"), [(plain, "naive"), (plain, "fixed-point"), (gated, "fixed-point")])
def test_what_passes_hold_keeps_to_the_memory(make, engine):
    """The passes of 60 images need 1.2 MB and more at once; in parts they keep to the 500 kB that are given."""
    torch.manual_seed(0)
    out, memory = output("softmax", 32), 500_000
    network, x = make(1, out.size, width=16), torch.zeros(60, 1, 6, 6)
    known = torch.ones(6, 6, dtype=torch.bool)
    known[0, :3] = False
    images = []

    def work(memory):
        generator = torch.Generator().manual_seed(0)
        images.append(paint(network, out, x, known, generator=generator, engine=engine, memory=memory))

    free, bound = (footprint(lambda memory=memory: work(memory)) for memory in (1 << 30, memory))
    assert torch.equal(*images)
    assert bound < 1.5 * memory, "noise, result, and a copy of the network in float64 for the ties come besides"
    assert free > 2 * memory


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process from /proc")
def test_the_process_keeps_to_it_too():
    """96 images of 256 levels: half a gibibyte together."""
    code = """if True:
        import torch
        from benchmarks.memory import peak
        from pinxit.core.spec import Spec
        from pinxit.nn.sampling import paint
        from pinxit.systems import pixelcnn

        torch.set_num_threads(1)
        model = pixelcnn.build(pixelcnn.PRESETS["tiny"].replace(output="softmax"), Spec(1, 28, 28)).eval()
        used = []
        for n in (2, 96):
            paint(model.network, model.output, torch.zeros(n, 1, 28, 28), engine="fixed-point", memory=2**24)
            used.append(peak())
        print(used[1] - used[0])
    """
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert float(found.stdout) < 40


def test_a_footprint_is_what_lives_at_a_time():
    x = torch.zeros(1000)
    assert footprint(lambda: (x + 1) * 2 + 1) == 8000, "the first is freed before the third"
    assert footprint(lambda: [x + 1 for _ in range(10)]) == 40_000
    assert footprint(lambda: x.view(10, 100).add_(1)) == 0
    assert footprint(lambda: (x + 1).view(10, 100)) == 4000


@pytest.mark.parametrize("engine", ENGINES)
def test_ties_are_decided_alike(engine, monkeypatch):
    """Most draws are made ties: float64 decides them, one image at a time, and the pixels are those of before."""
    name = "RGB"
    network, out, x, _ = case(name)
    want = painted(name, "cached")[:20]
    monkeypatch.setattr(sampling, "SAFETY", 1e6)  # of some 1e-7
    decided = []
    honest = Judge.decide
    monkeypatch.setattr(Judge, "decide", lambda self, *args: decided.append(args[1:]) or honest(self, *args))
    u = torch.rand(EACH, 3, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))[:20]
    monkeypatch.setattr(sampling.torch, "rand", lambda *shape, **_: u)
    assert torch.equal(paint(network, out, x[:20], engine=engine), want)
    assert len(decided) > 200
    if engine != "fixed-point":
        assert len(set(decided)) == len(decided), "no tie twice"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_in_float64(engine, monkeypatch):
    """Deciding ties must not write on the canvas: x is of the judge's own type here, and known pixels come after unknown ones."""
    network, out, x, labels = case("gated, RGB, conditional")
    x, labels, exact = x[:50], labels[:50], copy.deepcopy(network).double()
    known = torch.zeros(4, 3, dtype=torch.bool)
    known[1, 1:], known[3] = True, True
    images = []
    for safety in (100, 1e14):
        monkeypatch.setattr(sampling, "SAFETY", safety)
        u = torch.Generator().manual_seed(2)
        images.append(paint(exact, out, x, known, labels=labels, generator=u, engine=engine))
    u = torch.Generator().manual_seed(2)
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], paint(network, out, x, known, labels=labels, generator=u, engine="cached"))
    assert (images[0][:, :, 3] == 0).all()
    assert images[0].dtype == torch.float32


@pytest.mark.parametrize("name", ["grey", "RGB", "gated"])
def test_a_number_next_to_an_edge(name, monkeypatch):
    """u closer to a value of F than float32 can tell: every engine gives what float64 says, on both sides."""
    network, out, x, _ = case(name)
    u = torch.rand(EACH, *x.permute(0, 2, 3, 1).shape[1:], dtype=torch.float64, generator=torch.Generator().manual_seed(3))[:1]
    first = painted(name, "naive")[:1]
    judge = Judge(network, out, u, None)
    numbers = judge.exact(first.double())[:, : out.size, 1, 1]
    low, high = 0.0, 1.0  # the value of F between the first level and the others, by bisection
    for _ in range(60):
        middle = (low + high) / 2
        above = bool(out.draw(numbers, torch.tensor([middle], dtype=torch.float64))[0] > 0)
        low, high = (low, middle) if above else (middle, high)
    before = torch.zeros(x.shape[2:], dtype=torch.bool)
    before[0], before[1, 0] = True, True
    for side in (-1, 1):
        u[0, 1, 1, 0] = low + side * 1e-12
        monkeypatch.setattr(sampling.torch, "rand", lambda *shape, u=u, **_: u)
        images = [paint(network, out, first, before, engine=engine) for engine in ENGINES]
        assert all(torch.equal(image, images[0]) for image in images)
        assert bool(images[0][0, 0, 1, 1] > -1) == (side > 0)


def numbers_on_canvas(network, x, labels, slope):
    """The numbers of all sub-pixels of given images as the incremental engine computes them, (n, c, size, h, w)."""
    n, c, h, w = x.shape
    canvas = Canvas(n, h, w, network.pad, x, max(slope, network.slope))
    canvas.keep("image", c)
    network.begin(canvas, labels)
    aside = Canvas(n, h, w, network.pad, x, canvas.slope)
    aside.keep("x", c)
    aside.image("x").copy_(x)
    found = []
    for time in range(-network.lead, steps(h, w, canvas.slope)):
        network.ahead(canvas, time)
        sites = canvas.front(time)
        if sites is None:
            continue
        for group in range(c):
            numbers = network.at(canvas, sites, group)
            if not found:
                found = [aside.keep(g, numbers.shape[2]) for g in range(c)]
            aside.write(group, sites, numbers)
            canvas.write("image", sites, aside.read("x", sites)[..., group, None], group)
    return torch.stack([aside.image(g) for g in range(c)], dim=1)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("order", ["cached", "wavefront"])
def test_kept_numbers_are_those_of_a_whole_pass(name, order):
    """In float32 they differ by less than a tenth of what is called a tie, or not at all; so do both from float64."""
    network, out, x, labels = case(name)
    x = level_value(torch.randint(out.levels, x.shape, generator=torch.Generator().manual_seed(2)), out.levels)
    with torch.no_grad():
        whole = network(x, labels).unflatten(1, (x.shape[1], -1))
        kept = numbers_on_canvas(network, x, labels, x.shape[3] if order == "cached" else 1)
        judge = Judge(network, out, torch.rand(*x.permute(0, 2, 3, 1).shape, dtype=torch.float64), labels)
        exact = judge.exact(x.double(), labels).unflatten(1, (x.shape[1], -1))
    assert whole.std() > 0.1
    assert (whole - kept).abs().max() < judge.tolerance / 10
    assert (whole - exact).abs().max() < judge.tolerance / 10
    assert 0 < (kept - exact).abs().max() < judge.tolerance / 10
    assert judge.tolerance < 1e-3


def everything(levels, channels, height, width):
    """All images there are."""
    rows = torch.tensor(list(product(range(levels), repeat=channels * height * width)))
    return level_value(rows, levels).view(-1, channels, height, width).double()


@pytest.mark.parametrize("make", [plain, gated])
@pytest.mark.parametrize(
    ("kind", "levels", "channels", "height", "width"),
    [("bernoulli", 2, 1, 2, 3), ("softmax", 3, 1, 2, 2), ("softmax", 2, 3, 1, 2), ("softmax", 3, 3, 1, 2),
     ("logistic-mixture", 3, 1, 2, 2), ("logistic-mixture", 3, 3, 1, 2), ("bernoulli", 2, 3, 2, 1)],
)  # fmt: skip
def test_all_images_together_have_probability_one(make, kind, levels, channels, height, width):
    torch.manual_seed(0)
    out = output(kind, levels, 2)
    network = make(channels, out.size).double()
    x = everything(levels, channels, height, width)
    with torch.no_grad():
        p = out.log_prob(x, network(x)).exp()
    assert p.max() > 2 / len(x), "not the uniform distribution"
    torch.testing.assert_close(
        p.sum(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-6 if kind == "logistic-mixture" else 1e-10, atol=0
    )


@pytest.mark.parametrize(("make", "channels", "levels"), [(plain, 1, 2), (gated, 1, 2), (plain, 3, 2)])
@pytest.mark.parametrize("engine", ["wavefront", "fixed-point"])
def test_samples_are_of_the_distribution(make, channels, levels, engine):
    """NLL of own samples = entropy, and every image comes as often as p says (chi-squared)."""
    torch.manual_seed(4)
    out = output("softmax", levels)
    height, width, n = (2, 3, 20_000) if channels == 1 else (1, 2, 20_000)
    network = make(channels, out.size, factor=2.5)
    images = everything(levels, channels, height, width).float()
    with torch.no_grad():
        log_p = out.log_prob(images, network(images)).double()
        x = paint(
            network, out, torch.zeros(n, channels, height, width), generator=torch.Generator().manual_seed(0), engine=engine
        )
        nll = -out.log_prob(x, network(x)).double()
    entropy = -(log_p.exp() * log_p).sum()
    deviation = (log_p.exp() * (log_p + entropy).square()).sum().sqrt()
    assert (nll.mean() - entropy).abs() < 4 * deviation / n**0.5
    codes = ((x + 1) / 2).flatten(1).long() @ (2 ** torch.arange(x[0].numel() - 1, -1, -1))
    counts, want = torch.bincount(codes, minlength=len(images)).double(), n * log_p.exp()
    seen = want > 5
    chi = ((counts - want).square() / want)[seen].sum()
    assert chi < seen.sum() + 5 * (2 * seen.sum()) ** 0.5


def test_fixed_point_runs_what_is_not_final_only():
    """Fewer images and fewer rows with time, and far fewer passes than sub-pixels."""
    network, out, _, _ = case("grey")
    x = torch.zeros(400, 1, 12, 5)
    shapes = []
    hook = network.register_forward_hook(lambda module, args, result: shapes.append(tuple(args[0].shape)))
    fast = paint(network, out, x, engine="fixed-point", generator=torch.Generator().manual_seed(0))
    hook.remove()
    assert torch.equal(fast, paint(network, out, x, engine="cached", generator=torch.Generator().manual_seed(0)))
    shapes = shapes[3:]  # two measure what a tie is, the third what an image needs
    assert len(shapes) < 60 / 2
    images, rows = [shape[0] for shape in shapes], [shape[2] for shape in shapes]
    assert images == sorted(images, reverse=True)
    assert images[-1] < 100
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] < 12, "only as many rows above the first that is not final as it can see"


def test_painting_leaves_no_trace():
    network, out, x, _ = case("grey")
    network.train()
    seen = []
    hook = network.register_forward_hook(lambda module, args, result: seen.append((module.training, result.requires_grad)))
    state = torch.get_rng_state()
    paint(network, out, x[:2], engine="naive", generator=torch.Generator().manual_seed(0))
    hook.remove()
    assert set(seen) == {(False, False)}, "in eval mode and without a graph"
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    paint(network.eval(), out, x[:2])
    assert not network.training
    assert not torch.equal(torch.get_rng_state(), state), "the default generator where none is given"


@pytest.mark.parametrize("engine", ENGINES)
def test_progress_counts_up_to_all_pixels(engine):
    seen = []
    painted("grey", engine, progress=lambda done, total: seen.append((done, total)), memory=100_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (EACH * 16, EACH * 16)


def test_the_plan():
    """By architecture (slope 2, none, or 15 of 28 columns), device and batch."""
    network, steep, recurrent = case("grey")[0], gated(1, 1, layers=13), plain(1, 1)
    assert (network.slope, steep.slope) == (2, 15)
    recurrent.slope = recurrent.up = None
    cpu, other = torch.device("cpu"), torch.device("cuda")
    for batch in (1, 2, 3, 64):
        few = batch <= 2
        assert plan(network, "auto", cpu, 28, batch) == "wavefront"
        assert plan(network, "auto", cpu, 2, batch) == ("fixed-point" if few else "cached")
        assert plan(steep, "auto", cpu, 28, batch) == ("fixed-point" if few else "wavefront")
        assert plan(steep, "auto", cpu, 31, batch) == "wavefront"
        assert plan(recurrent, "auto", cpu, 28, batch) == "cached"
        assert plan(network, "auto", other, 28, batch) == "fixed-point"
        assert plan(network, "naive", cpu, 28, batch) == "naive"
    with pytest.raises(InputError, match="whole row"):
        plan(recurrent, "wavefront", cpu, 28, 1)
    with pytest.raises(InputError, match="did you mean `wavefront`"):
        plan(network, "wave-front", cpu, 28, 1)


def test_the_batch_is_what_the_plan_is_told(monkeypatch):
    told = []
    monkeypatch.setattr(sampling, "plan", lambda *args: told.append(args[-2:]) or "cached")
    network, out, x, _ = case("grey")
    paint(network, out, x[:3])
    assert told == [(4, 3)]


def test_masks_of_another_form_are_refused():
    network, out, x, _ = case("grey")
    for known in (torch.zeros(4, 5, dtype=torch.bool), torch.zeros(4, 4), torch.zeros(3, 4, 4, dtype=torch.bool)):
        with pytest.raises(InputError, match="`known`"):
            paint(network, out, x, known)


def test_no_images():
    network, out, x, _ = case("grey")
    for engine in ENGINES:
        assert paint(network, out, x[:0], engine=engine).shape == (0, 1, 4, 4)
