"""What is said of a comparison follows from the numbers: beyond noise, not told apart, blind, or not comparable."""

from dataclasses import replace

import pytest

from evaluation.test_scores import evaluation
from pinxit.evaluation import readings


def said(*evaluations):
    return readings.read(list(evaluations))


def test_the_best_beyond_noise_is_named_with_the_next_one():
    lines = said(evaluation("a", 1.0), evaluation("b", 2.0), evaluation("c", 3.0))
    assert lines[0] == "distance: a is best beyond noise (1.00 ± 0.10; next b, 2.00 ± 0.10)."


def test_who_has_no_finite_value_is_named():
    lines = said(evaluation("a", 1.0), evaluation("b", float("nan")), evaluation("c", 3.0))
    assert lines[:2] == [
        "distance: a is best beyond noise (1.00 ± 0.10; next c, 3.00 ± 0.10).",
        "distance: b left out, for lack of a finite value.",
    ]


def test_where_more_is_better_the_order_is_the_other_way_round():
    lines = said(evaluation("a", 1.0, better="higher"), evaluation("b", 2.0, better="higher"))
    assert lines[0].startswith("distance: b is best")


def test_within_three_standard_errors_of_the_difference_nobody_is_best():
    apart, near = 0.1 * 2**0.5 * 3.01, 0.1 * 2**0.5 * 2.99
    assert "best beyond noise" in said(evaluation("a", 1.0), evaluation("b", 1.0 + apart))[0]
    assert "not told apart" in said(evaluation("a", 1.0), evaluation("b", 1.0 + near))[0]


def test_some_may_be_equal_and_better_than_the_rest():
    line = said(evaluation("a", 1.0), evaluation("b", 1.1), evaluation("c", 5.0))[0]
    assert line.startswith("distance: a and b are not told apart and better than the rest")


def test_the_spread_of_seeds_counts_where_it_is_greater_than_the_noise_of_samples():
    about = [{"recipe": "x", "label": "gan"}, {"recipe": "y", "label": "vae"}]
    runs = [evaluation(f"a{k}", value, 0.01, about=about[0]) for k, value in enumerate((1.0, 2.0, 3.0))]
    runs += [evaluation(f"b{k}", value, 0.01, about=about[1]) for k, value in enumerate((2.0, 3.0, 4.0))]
    # Means 2 and 3, each with a standard error of 1/sqrt(3): the difference is 1.2 of its errors.
    assert said(*runs)[0].startswith("distance: gan and vae are not told apart (2.00 ± 0.58")
    assert not any("one seed" in line for line in said(*runs))


def test_one_seed_is_said_aloud():
    assert any("one seed" in line for line in said(evaluation("a"), evaluation("b")))


def test_what_is_of_one_protocol_is_read_together_wherever_it_stands():
    lines = said(evaluation("a"), evaluation("b", 1.0, n=50), evaluation("c", 9.0), evaluation("d", 9.0, n=50))
    assert lines[0].startswith("distance: a is best beyond noise")
    assert any(line.startswith("distance: b is best beyond noise") for line in lines)
    assert lines[-1] == "b and d can't be compared with a: they differ in n: 100 and 50."


@pytest.mark.parametrize(("last", "told"), [(1.4, "differ no more than their samples' noise"), (1.5, "differ beyond the noise")])
def test_seeds_of_one_recipe_alone_are_held_against_the_noise_of_their_samples(last, told):
    about = {"recipe": "x", "label": "gan small"}
    (line, *_) = said(evaluation("a", 1.0, about=about), evaluation("b", last, about=about))  # 3 sqrt(0.02) = 0.42
    assert line.startswith(f"distance: 2 seeds of gan small {told}")
    assert "mean 1.2" in line


def test_another_protocol_is_not_compared_but_told():
    lines = said(evaluation("a"), evaluation("b", 9.0, n=50))
    assert lines[-1] == "b can't be compared with a: they differ in n: 100 and 50."
    assert not any("best" in line for line in lines)


@pytest.mark.parametrize(
    ("better", "control", "blind"), [("lower", 0.4, True), ("lower", 2.0, False), ("higher", 0.9, True), ("higher", 0.1, False)]
)
def test_a_metric_by_which_spoilt_samples_are_as_good_as_real_ones_is_named(better, control, blind):
    lines = said(evaluation("a", better=better, controls={"blurred": control}))
    assert any("does not tell spoilt samples from real ones (blurred)" in line for line in lines) is blind


def test_equal_values_of_unknown_noise_are_no_win():
    line = said(evaluation("a", 8.0, None, better="higher"), evaluation("b", 8.0, None, better="higher"))[0]
    assert line == "distance: a and b are equal (8)."
    three = [evaluation(name, value, None, better="higher") for name, value in (("a", 7.0), ("b", 8.0), ("c", 8.0))]
    assert said(*three)[0] == "distance: b and c are equal and before the rest (8)."


def test_two_recipes_of_one_name_are_told_apart():
    runs = [evaluation(f"{kind}{k}", value, about={"recipe": kind, "label": "gan small"})
            for kind, value in (("m", 1.0), ("n", 9.0)) for k in range(2)]  # fmt: skip
    assert said(*runs)[0].startswith("distance: gan small (m0, ...) is best beyond noise")
    assert "next gan small (n0, ...)" in said(*runs)[0]


def test_likelihoods_of_different_protocols_are_not_compared():
    def likelihood(name, note, nats):
        found = evaluation(name, nats)
        (score, *_) = found.scores
        value = replace(score.value, name="NLL, nats", note=note)
        return replace(found, scores=(replace(score, value=value),))

    exact, bound = "exact; bits; 2,000 images", "L_5000; bits; 1,000 images"
    line = said(likelihood("a", exact, 90.0), likelihood("b", bound, 95.0))[0]
    assert line == f"NLL, nats: not compared, for its protocols differ: {bound} / {exact}."
    assert "a is best beyond noise" in said(likelihood("a", exact, 90.0), likelihood("b", exact, 95.0))[0]
