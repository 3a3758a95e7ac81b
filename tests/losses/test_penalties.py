"""Penalties in closed form, through double backward, and against the errors that public code makes."""

import pytest
import torch
from torch import nn

from pinxit.core.errors import InputError
from pinxit.losses import penalties


def rand(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def linear(a):
    return lambda x: (x.flatten(1) * a.flatten()).sum(dim=1)


def smooth(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0)).double()


X, FAKE = rand(5, 3, 2, 2), rand(5, 3, 2, 2, seed=1)


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("one_sided", [False, True])
def test_gradient_penalty_of_a_linear_critic(scale, one_sided):
    """(|a| - 1)^2, or max(0, |a| - 1)^2, whatever the points."""
    a = rand(3, 2, 2, seed=2)
    a *= scale / a.norm()
    expected = max(0.0, scale - 1) ** 2 if one_sided else (scale - 1) ** 2
    got = penalties.gradient_penalty(linear(a), X, FAKE, one_sided=one_sided)
    assert got.item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("n", [1, 2, 64])
def test_unit_slopes_cost_nothing_at_any_batch_size(n):
    """A norm over the whole batch, or over one axis of an image, charges a perfect critic."""
    a = rand(3, 2, 2, seed=2)
    a /= a.norm()
    assert penalties.gradient_penalty(linear(a), rand(n, 3, 2, 2), rand(n, 3, 2, 2, seed=3)).item() < 1e-12
    assert penalties.dragan_penalty(linear(a), rand(n, 3, 2, 2) if n > 1 else rand(1, 3, 2, 2)).item() < 1e-12


def test_epsilon_is_one_number_a_sample():
    points = penalties.between(torch.zeros(50, 3, 2, 2), torch.ones(50, 3, 2, 2)).flatten(1)
    assert (points == points[:, :1]).all()
    assert len(points[:, 0].unique()) == 50
    assert points.min() >= 0
    assert points.max() <= 1
    far = penalties.between(X, FAKE)
    share = ((far - FAKE) / (X - FAKE)).flatten(1)
    torch.testing.assert_close(share, share[:, :1].expand_as(share))


def test_batched_equals_one_by_one():
    """A gradient norm is its own sample's."""
    f = smooth()
    norms = penalties.gradient_norms(f, X)
    for k in range(len(X)):
        x = X[k : k + 1].clone().requires_grad_()
        (slope,) = torch.autograd.grad(f(x).sum(), x)
        assert norms[k].item() == pytest.approx(slope.norm().item(), rel=1e-9)


@pytest.mark.parametrize("name", ["gp", "one-sided", "dragan", "r1"])
def test_gradcheck_through_double_backward(name):
    f = smooth()
    weights = [p.detach().clone().requires_grad_() for p in f.parameters()]

    def value(*parameters):
        def score(x):
            return torch.func.functional_call(f, dict(zip(dict(f.named_parameters()), parameters, strict=True)), x)

        torch.manual_seed(7)
        if name == "dragan":
            return penalties.dragan_penalty(score, X)
        if name == "r1":
            return penalties.r1_penalty(score, X)
        return penalties.gradient_penalty(score, 5 * X, 5 * FAKE, one_sided=name == "one-sided")

    if name == "one-sided":
        with torch.no_grad():
            weights[0] *= 8.0  # some slopes above 1, some below
    assert torch.autograd.gradcheck(value, weights, eps=1e-6, atol=1e-5)


def test_a_flat_critic_has_a_finite_gradient():
    w = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(penalties.gradient_penalty(linear(w), X, FAKE), w)
    assert slope.isfinite().all()


def test_one_sided_penalty_leaves_small_slopes_alone():
    a = rand(12, seed=4)
    a = (0.5 * a / a.norm()).requires_grad_()
    for one_sided in (True, False):
        value = penalties.gradient_penalty(linear(a), X, FAKE, one_sided=one_sided)
        (slope,) = torch.autograd.grad(value, a)
        assert (value.item() == 0 and not slope.any()) == one_sided


def test_dragan_noise_is_per_pixel_its_size_per_sample_and_no_fake_enters():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(dim=1)

    x = rand(400, 3, 2, 2)
    penalties.dragan_penalty(critic, x, noise=0.5)
    delta = ((seen[0] - x) / (0.5 * x.std())).flatten(1)
    assert delta.min() >= 0
    assert delta.max() <= 1
    assert (delta.std(dim=1) > 0).all(), "noise per pixel"
    # The largest of 12 uniforms is near alpha: its own spread over samples shows one alpha a sample.
    assert delta.amax(dim=1).std().item() == pytest.approx(12**-0.5, rel=0.15)


def test_r1_is_half_the_mean_square():
    a = rand(12, seed=5)
    assert penalties.r1_penalty(linear(a), X).item() == pytest.approx(0.5 * a.square().sum().item(), rel=1e-9)
    assert penalties.r1_penalty(linear(torch.zeros(12, dtype=torch.float64)), X).item() == 0


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (torch.ones(64, 32), 1.0),
        (torch.cat((torch.ones(32, 32), -torch.ones(32, 32))), 1.0),
        (torch.eye(8), 0.0),
        (7 * torch.eye(8), 0.0),
    ],
    ids=["collapsed", "antipodal", "orthogonal", "scaled"],
)
def test_pulling_away(codes, expected):
    """Squared, off the diagonal, each code by its own norm."""
    assert penalties.pulling_away(codes.double()).item() == pytest.approx(expected, abs=1e-9)


def test_one_code_makes_no_pair():
    with pytest.raises(InputError, match="in pairs, `codes` has 1: it needs 2 or more"):
        penalties.pulling_away(torch.ones(1, 3))


def test_pulling_away_is_the_double_sum():
    s = rand(6, 4)
    n = len(s)
    pairs = [((s[i] @ s[j]) / (s[i].norm() * s[j].norm())) ** 2 for i in range(n) for j in range(n) if i != j]
    assert penalties.pulling_away(s).item() == pytest.approx((sum(pairs) / (n * (n - 1))).item(), rel=1e-9)
    assert torch.autograd.gradcheck(penalties.pulling_away, s.clone().requires_grad_())


def test_penalties_run_in_float32_under_bf16():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert penalties.gradient_penalty(network, X.float(), FAKE.float()).dtype == torch.float32
        assert penalties.gradient_norms(network, X.bfloat16()).dtype == torch.float32
        codes = torch.randn(16, 32, generator=torch.Generator().manual_seed(0))
        assert penalties.pulling_away(codes.bfloat16()).dtype == torch.float32
        inside = penalties.pulling_away(codes)
    assert torch.equal(inside, penalties.pulling_away(codes))


@pytest.mark.parametrize("pack", [1, 2, 3])
def test_a_pack_s_norm_is_over_all_its_samples(pack):
    f = smooth()
    x = rand(6, *X.shape[1:], seed=5)

    def packed(x):
        return f(x).view(-1, pack).square().sum(dim=1)

    together = x.view(6 // pack, -1).clone().requires_grad_()
    (slopes,) = torch.autograd.grad(packed(together.view_as(x)).sum(), together)
    torch.testing.assert_close(penalties.gradient_norms(packed, x), slopes.norm(dim=1), rtol=1e-9, atol=0)
    assert penalties.r1_penalty(packed, x).item() == pytest.approx(0.5 * slopes.square().sum(dim=1).mean().item(), rel=1e-9)
