"""Trained critics against the exact W1, on pairs where the answer is known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pinxit.core.errors import InputError
from pinxit.theory import critics


@pytest.fixture(scope="module")
def apart() -> tuple[torch.Tensor, torch.Tensor]:
    """Two equal clouds 2 apart: W1 = 2, reached by f(x) = -x_1 alone."""
    x = 0.2 * torch.randn(48, 2, generator=torch.Generator().manual_seed(0))
    return x, x + torch.tensor([2.0, 0.0])


def test_the_exact_distance_of_a_shift(apart):
    assert critics.exact(*apart) == pytest.approx(2.0, rel=1e-6)


@pytest.mark.slow
def test_a_penalised_critic_overshoots_as_far_as_its_weight_allows(apart):
    """a t - lambda (a - 1)^2 is greatest at a = 1 + t / (2 lambda): 2 (1 + 0.1) at lambda = 10, 2 (1 + 0.01) at 100."""
    for weight, expected in ((10.0, 2.2), (100.0, 2.02)):
        critic = critics.train(*apart, "penalty", steps=500, lambda_gp=weight)
        found = critics.reached(critic, *apart)
        assert found.value == pytest.approx(expected, rel=0.02)
        assert found.on_lines == pytest.approx(expected / 2, rel=0.02)


@pytest.mark.slow
def test_a_spectrally_normalised_critic_is_one_lipschitz_and_below_the_truth(apart):
    for constraint, least in (("spectral", 0.5), ("sorted", 1.9)):
        found = critics.reached(critics.train(*apart, constraint, steps=500), *apart)
        assert least < found.value <= 2.0 * found.bound * (1 + 1e-5)
        assert found.slope <= found.bound * (1 + 1e-5) <= 1.05


def test_a_clipped_critic_reaches_no_more_than_k_times_the_distance(apart):
    critic = critics.train(*apart, "clip", steps=300, clip=0.02)
    assert max(float(p.abs().max()) for p in critic.parameters()) <= 0.02 + 1e-9
    found = critics.reached(critic, *apart)
    assert 0 < found.value <= 2.0 * found.slope * (1 + 1e-5) <= 2.0 * found.bound * (1 + 1e-5)
    assert found.slope < 0.1
    assert found.scaled == pytest.approx(found.value / found.slope)


def test_the_same_seed_gives_the_same_critic_and_the_default_generator_is_left_alone(apart):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = (critics.train(*apart, "penalty", steps=5, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(critics.weights(first), critics.weights(again))
    assert not torch.equal(critics.weights(first), critics.weights(other))
    assert not first.training


def test_a_discriminator_of_equal_halves_estimates_no_divergence_and_of_far_ones_log_two(apart):
    x, far = apart
    assert critics.js_estimate(critics.train_discriminator(x, far, steps=100), x, far) == pytest.approx(math.log(2), abs=1e-3)
    blind = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    with torch.no_grad():
        blind[0].weight.zero_()
        blind[0].bias.zero_()
        assert critics.js_estimate(blind, x, far) == pytest.approx(0, abs=1e-7)


def test_sorted_pairs_permute_and_keep_every_norm():
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    y = critics.SortedPairs()(x)
    assert torch.equal(y[:, 0], torch.minimum(x[:, 0], x[:, 1]))
    assert torch.equal(y[:, 5], torch.maximum(x[:, 4], x[:, 5]))
    torch.testing.assert_close(y.norm(dim=1), x.norm(dim=1))


def test_the_share_at_the_bound_counts_both_ends():
    assert critics.at_the_bound(torch.tensor([-0.01, 0.01, 0.00995, 0.0, 0.005]), 0.01) == 0.6


def test_an_unknown_constraint_is_refused(apart):
    with pytest.raises(InputError, match="did you mean `penalty`"):
        critics.train(*apart, "penality")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr": 0.0}, "`lr` is 0.0"),
        ({"steps": -1}, "`steps` is -1"),
        ({"clip": 0.0}, "`clip` is 0.0"),
        ({"lambda_gp": -1.0}, "`lambda_gp` is -1.0"),
        ({"widths": (3,)}, "`widths` has 3: sorted pairs need even"),
        ({"x_fake": torch.zeros(4, 3)}, r"`x_fake` has shape \(4, 3\)"),
        ({"x": torch.zeros(0, 2)}, r"`x` has shape \(0, 2\)"),
    ],
)
def test_mistakes_name_the_argument(changes, said):
    given = {"x": torch.zeros(4, 2), "x_fake": torch.ones(4, 2), "constraint": "sorted", "steps": 1, **changes}
    with pytest.raises(InputError, match=said):
        critics.train(**given)


def test_arrays_for_points_are_named():
    x = np.zeros((4, 2))
    for call in (critics.exact, lambda *pair: critics.train(*pair, "clip"), critics.train_discriminator):
        with pytest.raises(InputError, match="`x` is of type ndarray: it must be of type Tensor, as torch.from_numpy gives"):
            call(x, x)
