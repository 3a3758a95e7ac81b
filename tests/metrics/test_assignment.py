"""Codes against labels: one-to-one matching fitted on train, error on test."""

import sys
from dataclasses import replace
from itertools import permutations

import pytest
import torch

from metrics.judgekit import Held, marked
from pinxit.core.errors import InputError
from pinxit.metrics.assignment import assignment_error, match_codes


def digits(n, n_test=0, classes=10, seed=0):
    """Noise that carries its class in the first pixels and a number of its own in the last."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    x = marked(torch.rand(n, 1, 16, 16, generator=generator) - 0.9, labels)
    return Held(x, labels, classes, digits(n_test, classes=classes, seed=seed + 1) if n_test else None)


def truth(x):
    return x.flatten(1)[:, :10].argmax(1)


def chance(x, k=10):
    return ((x.flatten(1)[:, -1] + 0.9) * k).long().clamp(0, k - 1)


def test_permuted_codes_have_no_error():
    order = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    found = assignment_error(lambda x: order[truth(x)], digits(500, 300))
    assert (found.error, found.standard_error, found.majority_error) == (0.0, 0.0, 0.0)
    assert [found.matching[int(order[k])] for k in range(10)] == list(range(10))
    assert found.majority == found.matching
    assert (found.used, found.n_fit, found.n_test) == (10, 500, 300)


def test_random_codes_are_near_nine_in_ten():
    found = assignment_error(chance, digits(5000, 5000))
    assert found.error == pytest.approx(0.9, abs=4 * found.standard_error)
    assert found.standard_error == pytest.approx((found.error * (1 - found.error) / 5000) ** 0.5)


def test_the_matching_is_fitted_on_train_and_the_error_measured_on_test():
    data = digits(500, 400)
    held = data.test()
    held.labels = (held.labels + 1) % 10
    found = assignment_error(truth, data)
    assert found.matching == tuple(range(10))
    assert found.error == 1.0


def test_two_codes_of_one_label_cost_what_majority_vote_hides():
    # Classes 0 and 1 share code 0; class 2 has the codes 1 and 2, two to one.
    def infer(x):
        y = truth(x)
        rare = chance(x, 3) == 0
        return torch.where(y == 2, torch.where(rare, 1, 2), torch.where(y <= 1, 0, y))

    found = assignment_error(infer, digits(6000, 6000))
    y, codes = digits(6000, 6000).test().labels, infer(digits(6000, 6000).test().images)
    zero = found.matching[0]
    assert (zero in (0, 1), found.matching[2]) == (True, 2)
    wrong = ((y <= 1) & (y != zero)) | ((y == 2) & (codes == 1))
    assert found.error == pytest.approx(wrong.double().mean().item())
    assert found.majority_error == pytest.approx(((y <= 1) & (y != found.majority[0])).double().mean().item())
    assert found.majority_error < found.error - 0.02


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_the_matching_is_the_best_of_all(shape):
    generator = torch.Generator().manual_seed(5)
    for _ in range(20):
        codes = torch.randint(shape[0], (30,), generator=generator)
        labels = torch.randint(shape[1], (30,), generator=generator)
        matching = match_codes(codes, labels, *shape)
        right = int((matching[codes] == labels).sum())
        k = max(shape)
        best = max(sum(m[c] == y for c, y in zip(codes.tolist(), labels.tolist(), strict=True)) for m in permutations(range(k)))
        assert right == best
        taken = [m for m in matching.tolist() if m >= 0]
        assert len(set(taken)) == len(taken) == min(shape)


def test_more_codes_than_labels_leave_some_over_which_are_errors():
    def infer(x):
        return truth(x) + 10 * chance(x, 2)

    data = digits(4000, 4000)
    found = assignment_error(infer, data, n_codes=20)
    held = data.test()
    read = torch.tensor(found.matching)[infer(held.images)]
    assert found.error == pytest.approx((read != held.labels).double().mean().item())
    assert sorted(found.matching) == [-1] * 10 + list(range(10))
    assert found.error == pytest.approx(0.5, abs=0.06)
    assert found.majority_error == 0.0


def test_one_code_for_all_is_the_chance_level():
    data = digits(1000, 1000)
    found = assignment_error(lambda x: torch.full((len(x),), 4), data)
    most = torch.bincount(data.labels).argmax().item()
    share = (data.test().labels == most).double().mean().item()
    assert found.error == found.majority_error == pytest.approx(1 - share)
    assert found.used == 1
    assert found.majority == (-1, -1, -1, -1, most, -1, -1, -1, -1, -1)
    assert found.chance == pytest.approx(1 - torch.bincount(data.test().labels).max().item() / 1000)


def test_without_a_test_split_a_half_is_kept():
    data = digits(101)
    found = assignment_error(truth, data)
    assert (found.n_fit, found.n_test) == (50, 51)
    rows = [i for part in data.seen for i in part]
    assert sorted(rows) == list(range(101))


def test_few_images_may_be_fitted_on():
    data = digits(500, 100)
    found = assignment_error(truth, data, n_fit=80)
    assert (found.n_fit, found.error) == (80, 0.0)
    assert len(data.seen[0]) == 80


def test_mistakes_are_named(monkeypatch):
    data = digits(50, 20)
    with pytest.raises(InputError, match=r"`codes` are in \[0, 9\].*\[0, 5\)"):
        assignment_error(truth, data, n_codes=5)
    with pytest.raises(InputError, match="one whole number each"):
        assignment_error(lambda x: torch.zeros(len(x), 10), data)
    with pytest.raises(InputError, match="0 classes"):
        assignment_error(truth, Held(torch.zeros(4, 1, 16, 16), None, 0))
    with pytest.raises(InputError, match="3 `codes` and 2 `labels`"):
        match_codes(torch.tensor([0, 1, 1]), torch.tensor([0, 1]), 2, 2)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(InputError, match=r"pinxit\[eval\]"):
        assignment_error(truth, data)


def test_images_of_unknown_class_are_matched_with_nothing():
    data = digits(300, 90)
    for part in (data, data.test()):
        part.labels[::3] = -1
        part.spec = replace(part.spec, unlabelled=True)
    found = assignment_error(truth, data)
    assert (found.error, found.n_fit, found.n_test) == (0.0, 200, 60)
