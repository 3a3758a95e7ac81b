"""What the generator is told: classes, codes, and which pairs the discriminator is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from pinxit.conformance.probes import GREY, batch, data
from pinxit.conformance.record import NOBODY, Measured, Missing, Mistake, Row, at_least, near
from pinxit.core.clock import Clock
from pinxit.core.game import Batch, Loss
from pinxit.core.rng import uniform
from pinxit.core.spec import Spec
from pinxit.losses import adversarial
from pinxit.nn.conditioning import one_hot
from pinxit.systems import acgan, cgan, infogan

# InfoGAN

Information = Callable[[infogan.Config, Spec], infogan.InfoGAN]
TEN = Spec(1, 6, 5, classes=10)


def _losses(game: infogan.InfoGAN, labels: Tensor) -> tuple[Tensor, Tensor]:
    """L_D and L_G of the same images and random numbers, with these labels beside them."""
    state = torch.get_rng_state()
    batch_ = Batch(data(TEN).batch(torch.arange(len(labels))).images, labels)
    losses = game.discriminator_loss(batch_, Clock()).total, game.generator_loss(batch_, Clock()).total
    torch.set_rng_state(state)
    return losses


def measure_information(build: Information) -> Measured:
    """Labels changed, the weight of L_I changed, and the weights that the heads share."""
    config = infogan.PRESETS["tiny"]
    game, control = (build(config.replace(lambda_info=weight), TEN) for weight in (1.0, 0.0))
    control.load_state_dict(game.state_dict())
    labels = torch.arange(12) % 10
    one, other = _losses(game, labels), _losses(game, (labels + 3) % 10)
    slopes = [
        torch.autograd.grad(_losses(g, labels)[1], list(g.generator.parameters()), allow_unused=True) for g in (game, control)
    ]
    added = sum(float((a - b).square().sum()) for a, b in zip(*slopes, strict=True) if a is not None and b is not None) ** 0.5
    return {
        "moved by labels": max(float((a - b).abs().detach()) for a, b in zip(one, other, strict=True)),
        "gradient of L_I in G": added,
        "weights of two heads": float(_shared(game)),
    }


def _shared(game: infogan.InfoGAN) -> int:
    """Weights outside the trunk that both the validity logit and an output of Q depend on."""
    trunk = {id(p) for p in game.discriminator.trunk.parameters()}
    heads = [p for p in game.discriminator.parameters() if id(p) not in trunk]
    d, *q = game.judge(batch(TEN).images)
    ends = (d.sum(), torch.stack([output.square().sum() for output in q]).sum())
    moved = [torch.autograd.grad(end, heads, retain_graph=True, allow_unused=True) for end in ends]
    return sum(int(((a != 0) & (b != 0)).sum()) for a, b in zip(*moved, strict=True) if a is not None and b is not None)


class FromContinuous(infogan.InfoGAN):
    """The validity is read off the column of the first continuous output."""

    def taken_apart(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The heads, the first wrong."""
        _, logits, mu, log_scale = super().taken_apart(outputs)
        return mu[:, 0], logits, mu, log_scale


class FromValues(infogan.InfoGAN):
    """The information is made of the values of its parts, without their graph."""

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G whose information no gradient passes."""
        code = self.latents(len(batch))
        d_fake, *q = self.judge(self.decode(code))
        information = torch.tensor([float(part.detach()) for part in self.information(code, *q)]).sum()
        return Loss(adversarial.non_saturating_generator_loss(d_fake) - self.config.lambda_info * information)


class FromLabels(infogan.InfoGAN):
    """The category of the code is the label of the real image beside it."""

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_D with such codes."""
        code = self.told(batch)
        with torch.no_grad():
            x_fake = self.decode(code)
        d_real, *_ = self.judge(batch.images)
        d_fake, *q = self.judge(x_fake)
        information = torch.stack(self.information(code, *q)).sum()
        return Loss(adversarial.discriminator_loss(d_real, d_fake) - self.config.lambda_info * information)

    def generator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """L_G with such codes."""
        code = self.told(batch)
        d_fake, *q = self.judge(self.decode(code))
        information = torch.stack(self.information(code, *q)).sum()
        return Loss(adversarial.non_saturating_generator_loss(d_fake) - self.config.lambda_info * information)

    def told(self, batch: Batch) -> Tensor:
        """Noise, label, numbers."""
        assert batch.labels is not None
        z, u = (uniform(len(batch), n, device=self.device) for n in (self.config.latent, self.config.continuous))
        return torch.cat((z, one_hot(batch.labels, self.config.categories), u), dim=1)


INFOGAN = Row[Information](
    number=18,
    name="infogan",
    property="InfoGAN's heads are disjoint, the gradient of L_I reaches G, labels are never read",
    paper="Chen et al. 2016, eq. 5 and 6, appendix C.1",
    equation="L(x, y) = L(x, y'); |dL_G/dG at lambda = 1 - at lambda = 0| > 0; weights of d's head and of Q's: none in common",
    right={"moved by labels": near(0), "gradient of L_I in G": at_least(1e-4), "weights of two heads": near(0)},
    measure=measure_information,
    ours=infogan.InfoGAN,
    mistakes=(
        Mistake("validity from a continuous output", "znxlwm infoGAN.py:76", FromContinuous),
        Mistake("the information made of detached values", "torchgan functional.py:61-68", FromValues),
        Mistake("labels are the codes", "hwalsuk infoGAN.py:14,227", FromLabels),
    ),
)

# Classes and pairs


class Pairs(nn.Module):
    """A discriminator of pairs that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """The same logit for every pair, (n,)."""
        self.shown.append((x.detach(), labels))
        return x.flatten(1).sum(dim=1) * 0.0


class Classes(Protocol):
    """The conditional systems: one that is shown pairs, in a given form, and all that draw samples of a class."""

    def of_form(self, form: str) -> cgan.CGAN:
        """A conditional GAN in that form."""
        ...

    def drawing(self) -> list[cgan.CGAN | acgan.ACGAN]:
        """Models that are told the class."""
        ...


class Ours:
    """The systems cgan and acgan; `kind` and `told` are put in their places by the mistakes."""

    def __init__(self, kind: type[cgan.CGAN] = cgan.CGAN, told: type[acgan.ACGAN] = acgan.ACGAN) -> None:
        self.kind, self.told = kind, told

    def of_form(self, form: str) -> cgan.CGAN:
        """A conditional GAN in that form, which hides no label."""
        return self.kind(cgan.PRESETS["tiny"].replace(form=form, label_dropout=0.0, dropout=0.0), GREY)

    def drawing(self) -> list[cgan.CGAN | acgan.ACGAN]:
        """Models that are told the class."""
        models: list[cgan.CGAN | acgan.ACGAN] = [self.of_form(form) for form in ("two-term", "matching", "two-network")]
        return [*models, self.told(acgan.PRESETS["tiny"], GREY)]


def measure_classes(classes: Classes) -> Measured:
    """Real images with labels that D is shown; samples of the same z with another class."""
    n, matching, mismatching = 300, 0, 0
    source = data(GREY, n).batch(torch.arange(n))
    assert source.labels is not None
    own = {image.numpy().tobytes(): int(label) for image, label in zip(source.images, source.labels, strict=True)}
    for form, player in (("matching", "discriminator"), ("two-network", "matcher")):
        game, pairs = classes.of_form(form), Pairs()
        game.add_module(player, pairs)
        turn = next(turn for turn in game.stages()[-1].turns if turn.player == player)
        turn.objective(source, Clock())
        for images, labels in pairs.shown:
            for image, label in zip(images, labels, strict=True):
                truth = own.get(image.numpy().tobytes())
                if truth is not None:
                    matching += int(truth == int(label))
                    mismatching += int(truth != int(label))
    same, moved = _swapped(classes)
    return {
        # Each real image is shown once with its own label and once with another, in either form.
        "wrong labels that are right": float(matching - 2 * n),
        "wrong labels": mismatching / (2 * n),
        "samples that keep x": float(same),
        "moved at the same y": moved,
    }


@torch.no_grad()
def _swapped(classes: Classes) -> tuple[int, float]:
    """Samples that another class leaves as they were, and the most that a sample changes at the same z and class."""
    labels, same, moved = torch.arange(30) % 3, 0, 0.0
    for model in classes.drawing():
        x, again, other = (
            model.eval().sample_class(y, generator=torch.Generator().manual_seed(1)) for y in (labels, labels, (labels + 1) % 3)
        )
        same += int(((x - other).flatten(1).abs().amax(dim=1) < 1e-6).sum())
        moved = max(moved, float((x - again).abs().max()))
    return same, moved


class Permuted(cgan.CGAN):
    """The wrong labels are those of the batch in another order: some are right."""

    def discriminator_loss(self, batch: Batch, clock: Clock) -> Loss:
        """The three terms with permuted labels."""
        return self.of_permuted(self.discriminator, batch) if self.matcher is None else super().discriminator_loss(batch, clock)

    def matcher_loss(self, batch: Batch, clock: Clock) -> Loss:
        """The three terms with permuted labels."""
        assert self.matcher is not None
        return self.of_permuted(self.matcher, batch)

    def of_permuted(self, network: nn.Module, batch: Batch) -> Loss:
        """GAN-CLS with a permutation for the mismatch."""
        assert batch.labels is not None
        x, y = batch.images, batch.labels
        wrong = y[torch.randperm(len(y))]
        d_match, d_fake, d_wrong = network(x, y), network(self.decode(self.latents_of(y)).detach(), y), network(x, wrong)
        return Loss(adversarial.matching_discriminator_loss(d_match, d_fake, d_wrong))


class Deaf(cgan.CGAN):
    """The class does not reach the generator."""

    def sample_class(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Samples of class 0."""
        return super().sample_class(torch.zeros_like(labels), generator=generator)


class Redrawn(cgan.CGAN):
    """Every picture has new noise, so that nothing can be told from a change."""

    def sample_class(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Samples of fresh noise."""
        return super().sample_class(labels)


CLASSES = Row[Classes](
    number=19,
    name="classes",
    property="a mismatched label is never the true one; swapping y, and only that, changes the sample",
    paper="Reed et al. 2016, algorithm 1; Mirza & Osindero 2014, eq. 2",
    equation="D's real pairs: n (x_i, y_i), n (x_i, y_i-), y_i- != y_i for every i; G(z, y) != G(z, y'), G(z, y) = G(z, y)",
    right={
        "wrong labels that are right": near(0),
        "wrong labels": near(1),
        "samples that keep x": near(0),
        "moved at the same y": near(0),
    },
    measure=measure_classes,
    ours=Ours(),
    mistakes=(
        Mistake("wrong labels by a permutation of the batch", NOBODY, Ours(Permuted)),
        Mistake("the class does not reach G", NOBODY, Ours(Deaf)),
        Mistake("new noise for every picture", "PTGAN cgan.py:132", Ours(Redrawn)),
    ),
)

UNPAIRED = Missing(
    number=20,
    name="discogan",
    property="DiscoGAN's loss is unchanged when the B batch is permuted",
    why="pinxit has no DiscoGAN yet, nor data of two domains",
    system="discogan",
    who="PTGAN discogan.py:159,167",
)

ROWS = (INFOGAN, CLASSES, UNPAIRED)
