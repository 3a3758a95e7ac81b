"""The score of probabilities whose score is known."""

from __future__ import annotations

import math

import pytest
import torch

from pinxit.core.errors import InputError
from pinxit.metrics.inception_score import inception_score


def test_sure_and_even_is_the_number_of_classes_and_no_knowledge_is_one() -> None:
    sure = torch.eye(10).repeat(100, 1)
    found = inception_score(sure, classifier="lenet:mnist")
    assert found.score == pytest.approx(10, rel=1e-12)
    assert found.error < 1e-12
    assert inception_score(torch.full((100, 10), 0.1), classifier="x", splits=1).score == pytest.approx(1, rel=1e-6)
    assert inception_score(sure[:1].repeat(100, 1), classifier="x").score == pytest.approx(1), "one class only"


def test_two_rows_by_hand() -> None:
    p = torch.tensor([[0.9, 0.1], [0.3, 0.7]], dtype=torch.float64)
    mean = [0.6, 0.4]
    kl = sum(float(v) * math.log(float(v) / mean[k]) for row in p for k, v in enumerate(row)) / 2
    assert inception_score(p, classifier="x", splits=1).score == pytest.approx(math.exp(kl), rel=1e-12)


def test_splits_are_consecutive_and_their_spread_is_the_error() -> None:
    """Of samples sorted by class each split has one: the score is 1 though the set has 10, so they must be shuffled."""
    rows = torch.eye(4, dtype=torch.float64).repeat_interleave(25, 0)
    found = inception_score(rows, classifier="x", splits=4)
    assert (found.score, found.error) == (pytest.approx(1), pytest.approx(0))
    mixed = inception_score(rows, classifier="x", splits=4, generator=torch.Generator().manual_seed(0))
    assert 3 < mixed.score < 4
    assert mixed.error > 0
    p = torch.rand(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)
    parts = [inception_score(p[a:b], classifier="x", splits=1).score for a, b in ((0, 2), (2, 4), (4, 7))]
    three = inception_score(p, classifier="x", splits=3)
    assert three.score == pytest.approx(sum(parts) / 3)
    assert three.error == pytest.approx(float(torch.tensor(parts, dtype=torch.float64).std(correction=0)))


def test_the_name_belongs_to_one_classifier() -> None:
    p = torch.full((20, 4), 0.25)
    assert inception_score(p, classifier="inception-2015").name == "Inception score"
    assert inception_score(p, classifier="lenet:mnist").name == "inception-style score (lenet:mnist)"
    assert "of at most 4 (10 splits of 20)" in str(inception_score(p, classifier="lenet:mnist"))


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(InputError, match="2 of 5 rows"):
        inception_score(torch.cat([torch.full((3, 2), 0.5), torch.tensor([[2.0, -1.0], [0.7, 0.7]])]), classifier="x", splits=1)
    with pytest.raises(InputError, match="1 of 2 rows"):
        inception_score(torch.tensor([[0.5, 0.5], [math.nan, 0.5]]), classifier="x", splits=1)
    with pytest.raises(InputError, match="10 `splits` of 5"):
        inception_score(torch.full((5, 2), 0.5), classifier="x")
