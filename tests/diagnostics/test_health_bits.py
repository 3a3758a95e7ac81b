"""The health check on data of bits: what is no bit is made one on either side, and no two sets share a random number."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pinxit.core.bits import as_bits, binarised
from pinxit.core.game import Batch
from pinxit.core.spec import Spec
from pinxit.diagnostics.health import Health, examine, examine_sampler
from pinxit.diagnostics.probes import Opponent, Reference, reference

KINDS = ("dynamic", "fixed", "threshold")
CLASSES, SIDE, TRAINING = 4, 12, 2000


def levels(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Grey images (n, 1, 12, 12) and their classes: waves of random heights, those of a class around one picture of waves."""
    g = torch.Generator().manual_seed(seed)
    place = (torch.arange(SIDE) + 0.5) * math.pi / SIDE
    waves = torch.stack([torch.cos(k * place) for k in range(5)])
    picture = 0.8 * torch.randn(CLASSES, 5, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(CLASSES, (n,), generator=g)
    heights = picture[labels] + 0.6 * torch.randn(n, 5, 5, generator=g)
    return torch.tanh(0.5 * torch.einsum("nab,ah,bw->nhw", heights, waves, waves))[:, None], labels


class Prints:
    """Images that are bits of one kind, or grey levels that stand for them; meets `Splits`."""

    name = "prints"
    class_names = ("a", "b", "c", "d")

    def __init__(self, how: str, n: int = TRAINING, seed: int = 1, *, test: int = 2) -> None:
        self.grey, self.labels = levels(n, seed)
        made = {"dynamic": "none", "fixed": "dynamic", "threshold": "threshold"}[how]
        self.images = binarised(self.grey, made, torch.Generator().manual_seed(seed))
        self.how, self.seed, self.fingerprint = how, test, f"{how}-{seed}"
        self.spec = Spec(1, SIDE, SIDE, levels=2, classes=CLASSES, binarised=how)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.images[indices], self.labels[indices])

    def test(self) -> Prints | None:
        return Prints(self.how, 1500, self.seed) if self.seed else None


@pytest.fixture(scope="module", params=KINDS)
def against(request: pytest.FixtureRequest) -> Reference:
    return reference(Prints(request.param), size=500)


def drawn(x: Tensor, against: Reference, seed: int) -> Tensor:
    """Bits as a model of pixels draws them."""
    how = "threshold" if against.data.spec.binarised == "threshold" else "dynamic"
    return binarised(x, how, torch.Generator().manual_seed(seed))


def states(found: Health) -> dict[str, str]:
    return {row.name: row.state for row in found.evidence}


@pytest.mark.parametrize("kind", ["means", "bits"])
def test_a_sampler_of_the_law_itself_is_healthy_whether_it_gives_means_or_bits(against: Reference, kind: str) -> None:
    for seed in range(10, 15):
        x, _ = levels(500, seed)
        found = examine(x if kind == "means" else drawn(x, against, seed), against, seed=seed)
        assert found.line == "healthy: 4 of 4 classes"
        for name, usual in against.null.items():
            if name != "nearest real":
                row = next(row for row in found.evidence if row.name == name)
                assert float(usual.min()) * 0.97 < row.value < float(usual.max()) * 1.03, name
        assert abs(found.figures["C_T"]) < 4
        assert found.figures["copies"] < 0.02
        assert abs(found.figures["distance from the data"]) < 0.1


def test_means_that_lack_a_class_are_told_which(against: Reference) -> None:
    x, labels = levels(900, 20)
    found = examine(x[labels != 2][:500], against)
    assert (found.state, found.dropped) == ("drifting", ("c",))


def test_a_sampler_that_repeats_itself_has_collapsed(against: Reference) -> None:
    few = drawn(levels(50, 25)[0], against, 25)
    found = examine(few.repeat(10, 1, 1, 1), against)
    assert states(found)["nearest other"] == "collapsed"
    one = examine(levels(1, 26)[0].expand(500, -1, -1, -1), against)
    assert one.state == "collapsed", "its draws differ and are of one class"


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_copies_of_bits_that_the_data_holds_are_found(share: float) -> None:
    for how in ("fixed", "threshold"):
        data, x = Prints(how), levels(500, 30)[0]
        x[: round(500 * share)] = 0.99 * data.images[: round(500 * share)]
        found = examine(x, reference(data, size=500))
        assert found.state == "memorising"
        assert found.figures["copies"] == pytest.approx(share, abs=0.3 * share)
        assert "at least" not in found.line


def test_the_grey_levels_of_training_images_give_the_very_bits_by_the_threshold() -> None:
    data = Prints("threshold")
    found = examine(data.grey[:500], reference(data, size=500))
    assert found.state == "memorising"
    assert found.figures["copies"] > 0.9


def test_of_drawn_bits_a_sampler_that_only_copies_is_found_and_the_share_is_the_least_it_can_be() -> None:
    """Two draws of one image are not near each other, so that each copy is told with a small probability."""
    data = Prints("dynamic")
    against = reference(data, size=500)
    for x in (data.grey[:500], drawn(data.grey[:500], against, 0)):
        found = examine(x, against)
        assert found.state == "memorising"
        assert found.line.startswith("memorising: at least ")
        assert 0.03 < found.figures["copies"] < 0.9
    few = levels(500, 31)[0]
    few[:10] = data.grey[:10]
    assert examine(few, against).state == "healthy", "2 % of copies are beyond what can be told"


@pytest.mark.parametrize("test", [0, 1, 2])
def test_no_two_sets_share_a_random_number(test: int) -> None:
    """Training samples that are held out, or a test split of the same images, have draws of their own; so has a sampler."""
    data = Prints("dynamic", 600, test=test)
    data.grey = data.images = torch.zeros_like(data.images)
    data.test = lambda: None if not test else Prints.test(data) if test == 2 else data
    against = reference(data, size=300)
    assert len(against.bank.unique(dim=0)) == 600, "nor do two samples"
    samples = against.features(as_bits(data.images[:300], data.spec, "health", "samples", 0))
    for one in (samples, *([against.held_out] if test else [])):
        assert float(torch.cdist(one, against.bank).min()) > 1
    assert torch.equal(reference(data, size=300).bank, against.bank)
    assert not torch.equal(reference(data, size=300, seed=1).bank, against.bank)


def test_a_discriminator_is_shown_what_it_saw_in_training(against: Reference) -> None:
    shown: list[Tensor] = []

    def score(x: Tensor) -> Tensor:
        shown.append(x)
        return x.flatten(1).mean(1)

    x, _ = levels(240, 40)
    examine(x, against, judge=Opponent("discriminator", score))
    samples, training, held = shown
    assert torch.equal(samples, x)
    for images in (training, held):
        assert (set(images.unique().tolist()) == {-1.0, 1.0}) is (against.data.spec.binarised != "dynamic")


def test_samples_that_are_no_numbers_have_no_bits(against: Reference) -> None:
    x, _ = levels(500, 50)
    x[:3] = math.nan
    x[3] = math.inf
    found = examine(x, against)
    assert found.state == "collapsed"
    assert found.figures["not finite"] == pytest.approx(4 / 500)
    assert states(found)["effective rank"] == "healthy"


class Means:
    """A sampler of the law's means."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return levels(n, int(torch.randint(2**31, (1,), generator=generator)))[0]


def test_a_look_is_a_function_of_its_generator_and_leaves_the_default_one_alone(against: Reference) -> None:
    state = torch.get_rng_state()
    again, other, first = (
        examine_sampler(Means(), against, 500, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4, 3)
    )
    assert first.figures == again.figures != other.figures
    assert torch.equal(torch.get_rng_state(), state)
    alike = levels(500, 60)[0]
    figures = [examine(alike, against, seed=seed).figures for seed in (0, 1)]
    assert (figures[0] == figures[1]) is (against.data.spec.binarised == "threshold")


class Grey(Prints):
    """The same images, of which the spec says nothing of bits."""

    def __init__(self, n: int = TRAINING, seed: int = 1) -> None:
        super().__init__("dynamic", n, seed)
        self.spec = Spec(1, SIDE, SIDE, classes=CLASSES)

    def test(self) -> Grey:
        return Grey(1500, 2)


def test_data_that_is_not_of_bits_is_compared_as_it_is() -> None:
    data = Grey()
    against = reference(data, size=500)
    for features, images in ((against.bank, data.images), (against.held_out, data.test().images)):
        mine = against.features(images)
        assert torch.cdist(features.double(), mine.double()).min(1).values.max() < 1e-5
    x = levels(500, 70)[0]
    assert examine(x, against, seed=0).figures == examine(x, against, seed=1).figures
    assert examine(x, against).state == "healthy"
    assert examine(drawn(x, against, 0), against).figures["C_T"] > 10, "bits are far from grey levels"
