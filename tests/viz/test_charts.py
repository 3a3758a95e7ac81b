import math

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from pinxit import viz
from pinxit.core.errors import InputError
from pinxit.viz.charts import DARK, LIGHT, _running_mean, panels


def rows_of(n, **values):
    """n lines; a value is a number or a function of the line."""
    return [
        {"step": k, "stage": 0, "round": k, "images": 1000 * k}
        | {key.replace("__", "/"): value(k) if callable(value) else value for key, value in values.items()}
        for k in range(n)
    ]


def titles(rows):
    return {panel.title: list(panel.keys.values()) for panel in panels(rows)}


def test_a_gan_has_losses_and_probabilities():
    row = {"images": 5, "discriminator/loss": 1.3, "discriminator/D(x)": 0.6, "discriminator/D(G(z))": 0.4, "generator/loss": 0.7}
    assert titles([row]) == {"Losses": ["discriminator", "generator"], "Probabilities": ["D(x), real", "D(G(z)), generated"]}


def test_a_vae_has_its_bound_and_the_kl_apart():
    row = {"images": 5, "model/loss": 100.0, "model/elbo": -100.0, "model/reconstruction": -90.0, "model/kl": 10.0}
    assert titles([row]) == {"Loss": ["loss"], "Bound, nats": ["ELBO", "reconstruction"], "KL, nats": ["KL"]}


def test_a_critic_outside_0_1_is_no_probability():
    assert "Probabilities" not in titles([{"images": 1, "critic/D(x)": 7.0}])


def test_statistics_of_one_name_share_a_panel_and_name_their_player():
    row = {"images": 1, "a/cycle_consistency": 1.0, "b/cycle_consistency": 2.0, "b/path_length": 3.0}
    assert titles([row]) == {"cycle consistency": ["a cycle consistency", "b cycle consistency"], "path length": ["path length"]}


def test_probabilities_are_on_0_to_1_with_a_line_at_one_half():
    figure = viz.curves(rows_of(4, **{"d__D(x)": 0.9}))
    (axes,) = figure.axes
    assert axes.get_ylim() == pytest.approx((-0.03, 1.03))
    assert any(list(line.get_ydata()) == [0.5, 0.5] for line in axes.lines)


def test_x_is_thousands_of_images_and_stages_are_separated():
    rows = rows_of(6, g__loss=lambda k: float(k))
    for row in rows[4:]:
        row["stage"] = 1
    (axes,) = viz.curves(rows).axes
    curve, border = axes.lines
    assert list(curve.get_xdata()) == [0, 1, 2, 3, 4, 5]
    assert list(border.get_xdata()) == [3.5, 3.5]


def test_long_runs_show_a_running_mean_over_the_pale_values():
    rows = rows_of(3000, g__loss=lambda k: 5.0 + (-1) ** k)
    (axes,) = viz.curves(rows).axes
    pale, bold = axes.lines
    assert pale.get_alpha() < 0.5 < bold.get_linewidth()
    assert len(pale.get_xdata()) <= 1600
    assert np.ptp(bold.get_ydata()[10:-10]) < 0.1
    assert (pale.get_xdata()[0], pale.get_xdata()[-1]) == (0, 2999)


def test_running_mean_at_the_ends():
    np.testing.assert_allclose(_running_mean(np.arange(6.0), 3), [0.5, 1, 2, 3, 4, 4.5])


def test_a_first_transient_does_not_flatten_the_rest():
    rows = rows_of(400, m__loss=lambda k: 1e6 if k == 0 else 100.0 + k % 10)
    assert viz.curves(rows).axes[0].get_ylim()[1] < 1000


@pytest.mark.parametrize(
    "rows",
    [
        [],
        rows_of(1, g__loss=1.0),
        rows_of(1),
        rows_of(3, g__loss=math.nan),
        [{"images": 1, "<odd> & $key$": 1.0, "a/b/c_d": -2.0, "x/$\\frac$": 3.0}],
        [{"images": 0, "late/loss": 0.0}, {"images": 10}, {"images": 20, "other/stat": 1e-9, "late/loss": math.inf}],
        rows_of(40, **{f"p__s{k}": float(k) for k in range(11)}),
    ],
    ids=["none", "one", "no values", "nan", "odd keys", "gaps", "many"],
)
@pytest.mark.parametrize("dark", [False, True])
def test_any_rows_can_be_drawn(tmp_path, rows, dark):
    viz.curves(rows, dark=dark).savefig(tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").stat().st_size > 1000


def test_colours_differ_and_pyplot_is_not_used():
    import sys

    figure = viz.curves(rows_of(3, **{f"p{k}__loss": float(k) for k in range(6)}))
    assert {to_rgba(line.get_color()) for line in figure.axes[0].lines} == {to_rgba(c) for c in LIGHT}
    assert len(set(DARK)) == 6
    assert "matplotlib.pyplot" not in sys.modules


def test_columns_are_checked():
    with pytest.raises(InputError, match="`columns` is 4"):
        viz.curves([], columns=4)
