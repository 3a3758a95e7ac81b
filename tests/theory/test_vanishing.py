"""The generator's gradients along the training of fresh adversaries, on tiny networks."""

import pytest
import torch
from torch import nn

from pinxit.core.errors import InputError
from pinxit.losses import adversarial
from pinxit.theory.vanishing import Plan, Trace, vanishing


class Images(nn.Module):
    """z (n, 3) to images (n, 1, 4, 4), with batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4)))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)


def score() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Flatten(0))


def latents(n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(n, 3, generator=generator)


PLAN = Plan(steps=300, batch_size=16, probe=32, lr=3e-2, critic_lr=2e-3, record=(0, 100, 200))


@pytest.fixture(scope="module")
def setting() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return Images(), 0.7 + 0.1 * torch.randn(200, 1, 4, 4)


@pytest.fixture(scope="module")
def trace(setting) -> Trace:
    return vanishing(*(setting[0], latents, setting[1]), score, score, PLAN)


def test_minimax_vanishes_and_the_others_do_not(trace):
    assert trace.step == [0, 100, 200, 300]
    assert trace.accuracy[-1] == 1.0
    found = trace.bars()
    assert found["accuracy_at_200"] == 1.0
    assert found["minimax_fall"] > 100
    assert found["non_saturating_change"] > 1
    assert found["wasserstein_range"] < 3
    assert trace.least_squares[-1] > 10 * trace.minimax[-1]


def test_the_generator_is_left_as_it_was_found(setting):
    generator, real = setting
    state = {name: value.clone() for name, value in generator.state_dict().items()}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    vanishing(generator, latents, real, score, score, Plan(steps=3, batch_size=8, probe=8))
    assert torch.equal(before, torch.get_rng_state())
    assert all(module.training for module in generator.modules())
    assert all(torch.equal(value, state[name]) for name, value in generator.state_dict().items())
    assert all(p.grad is None for p in generator.parameters())


def test_the_first_record_is_the_gradient_of_the_untrained_adversary(setting):
    """Of a network that scores by a fixed weight: gradients of every loss by hand."""
    generator, real = setting

    def fixed() -> nn.Module:
        layer = nn.Linear(16, 1, bias=False)
        nn.init.constant_(layer.weight, 0.1)
        return nn.Sequential(nn.Flatten(), layer, nn.Flatten(0))

    seen: list[torch.Tensor] = []

    def spied(n: int, draw: torch.Generator) -> torch.Tensor:
        seen.append(latents(n, draw))
        return seen[-1]

    trace = vanishing(generator, spied, real, fixed, fixed, Plan(steps=1, batch_size=4, probe=16, record=(0,)))
    generator.eval()
    losses = {
        "minimax": adversarial.minimax_generator_loss,
        "non_saturating": adversarial.non_saturating_generator_loss,
        "least_squares": adversarial.least_squares_generator_loss,
        "wasserstein": adversarial.wasserstein_generator_loss,
    }
    for name, loss in losses.items():
        gradients = torch.autograd.grad(loss(0.1 * generator(seen[0]).flatten(1).sum(1)), list(generator.parameters()))
        expected = torch.cat([g.flatten() for g in gradients]).norm().item()
        assert getattr(trace, name)[0] == pytest.approx(expected, rel=1e-4)
    assert trace.slope[0] == pytest.approx(0.4)
    generator.train()


class Bowl(nn.Module):
    """|x|^2 / 2, whose slope at x is |x|."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x.flatten(1).square().sum(1) / 2


def test_the_slope_is_taken_evenly_between_samples_and_held_out_ones(setting):
    generator, real = setting
    seen: list[torch.Tensor] = []

    def spied(n: int, draw: torch.Generator) -> torch.Tensor:
        seen.append(latents(n, draw))
        return seen[-1]

    trace = vanishing(generator, spied, real, score, Bowl, Plan(steps=1, batch_size=4, probe=16, record=(0,)))
    with torch.no_grad():
        between = torch.stack(
            [torch.lerp(a, b, k / 15) for k, (a, b) in enumerate(zip(generator.eval()(seen[0]), real[-16:], strict=True))]
        )
    generator.train()
    assert trace.slope[0] == pytest.approx(between.flatten(1).norm(dim=1).mean().item(), rel=1e-5)


def test_a_critic_is_compared_with_itself_once_it_has_risen():
    """The gradient before the slope reaches 0.9 does not count; a critic that never does is within no range."""
    lists = {name: [1.0, 1.0, 1.0] for name in ("accuracy", "minimax", "non_saturating", "least_squares")}
    risen = Trace(step=[0, 1, 2], wasserstein=[0.01, 2.0, 5.0], slope=[0.1, 0.95, 0.85], **lists)
    assert risen.bars()["wasserstein_range"] == 2.5
    flat = Trace(step=[0, 1, 2], wasserstein=[0.01, 2.0, 5.0], slope=[0.1, 0.2, 0.89], **lists)
    assert flat.bars()["wasserstein_range"] == float("inf")


def test_the_same_seed_gives_the_same_trace(setting, trace):
    again = vanishing(*(setting[0], latents, setting[1]), score, score, PLAN)
    assert again.to_dict() == trace.to_dict()


def test_mistakes(setting):
    generator, real = setting
    with pytest.raises(InputError, match="must have more"):
        vanishing(generator, latents, real[:32], score, score, PLAN)
    frozen = Images().requires_grad_(False)
    with pytest.raises(InputError, match="requires_grad_"):
        vanishing(frozen, latents, real, score, score, PLAN)
    with pytest.raises(InputError, match="nothing was recorded"):
        Trace().at("minimax", 3)
    with pytest.raises(InputError, match="no list `accuracyy` is recorded: did you mean `accuracy`"):
        Trace().at("accuracyy", 3)
    for name in ("steps", "batch_size", "probe", "lambda_gp", "lr", "critic_lr"):
        with pytest.raises(InputError, match=f"`{name}` is -1"):
            Plan(**{name: -1})
