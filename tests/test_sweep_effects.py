"""Differences between configurations, effects of factors, and the figures that show them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_sweeps import rank, write_first_wrong
from scipy.stats import t

from sign_cnn.reports import figures, sweep
from sign_cnn.statistics import contrast, difference_bounds
from sign_cnn.summarize import summarize

SIZES = np.repeat([10, 20, 30], 50)


def draw_right(share: float, seeds: int, seed: int = 0) -> np.ndarray:
    """Rows right of each photo: (seeds, 150)."""
    rng = np.random.default_rng(seed)
    return rng.binomial(SIZES, np.minimum(share + 0.2 * rng.random(150), 1), (seeds, 150))


def test_with_one_seed_each_a_contrast_is_the_difference_by_photo():
    a, b = draw_right(0.8, 1), draw_right(0.7, 1, seed=1)
    expected = (a - b).sum() / SIZES.sum(), *difference_bounds((a - b)[0], SIZES)
    assert contrast([a, b], SIZES, [1, -1]) == pytest.approx(expected)


def test_the_scatter_between_seeds_widens_the_interval():
    a, b = draw_right(0.8, 3), draw_right(0.7, 2, seed=1)
    gained = a.mean(axis=0) - b.mean(axis=0)
    unit = max(1 / 2, (abs(gained) / SIZES).max())
    low, high = (unit * bound for bound in difference_bounds(gained / unit, SIZES))
    variance = sum((right.sum(axis=1) / SIZES.sum()).var(ddof=1) / len(right) for right in (a, b))
    half = np.hypot((high - low) / 2, t.ppf(0.975, 3) * np.sqrt(variance))
    expected = gained.sum() / SIZES.sum(), (low + high) / 2 - half, (low + high) / 2 + half
    assert contrast([a, b], SIZES, [1, -1]) == pytest.approx(expected)


@pytest.mark.parametrize(("lead", "networks"), [(0.0, 3), (0.8, 3), (0.8, 36)])
def test_intervals_of_means_hold_the_truth_and_are_narrower_than_with_whole_photos(
    lead: float, networks: int
):
    rng, size = np.random.default_rng(0), np.full(250, 20)

    def probabilities(photos: np.ndarray, ahead: float) -> np.ndarray:
        hidden = photos + rng.normal(0, 1, photos.shape)  # of this architecture
        return 1 / (
            1 + np.exp(-(5 + ahead - hidden - rng.normal(0, 1, (networks, *photos.shape))) / 0.5)
        )

    many = rng.normal(0, 2.2, 40_000)
    truth = float(probabilities(many, lead).mean() - probabilities(many, 0).mean())
    held, widths, whole = [], [], []
    for _ in range(200):
        photos = rng.normal(0, 2.2, 250)
        a, b = (rng.binomial(20, probabilities(photos, ahead)) for ahead in (lead, 0.0))
        gained = a.mean(axis=0) - b.mean(axis=0)
        unit = max(1 / networks, (abs(gained) / size).max())
        low, high = (unit * bound for bound in difference_bounds(gained / unit, size))
        _, wide_low, wide_high = contrast([a, b], size, [1, -1])
        assert (
            wide_low <= low <= high <= wide_high
        )  # seeds scatter by photo alone here, and add nothing to the truth
        held.append(low <= truth <= high)
        widths.append(high - low)
        whole.append(np.diff(difference_bounds(gained, size)))
    assert np.mean(held) >= 0.92
    assert np.mean(widths) < np.mean(whole)


def write_grid(
    folder: Path, wrong: Callable[..., int], seeds: int = 2, **levels: list[str]
) -> None:
    """Every combination of the levels; `wrong` says how many of 100 rows from their values."""
    for place in np.ndindex(*map(len, levels.values())):
        values = {
            name: options[i] for (name, options), i in zip(levels.items(), place, strict=True)
        }
        name, costs = (
            ",".join(f"{key}={value}" for key, value in values.items()),
            {"macs": 10**5 * (1 + sum(place))},
        )
        for seed in range(seeds):
            write_first_wrong(
                folder / f"{name},seed={seed}", wrong(*values.values()) + seed, **costs
            )


def find_effects(folder: Path) -> pd.DataFrame:
    table, right, rows = sweep.rank(*sweep.read_jobs(folder, sweep.read_plan(folder)[1]))
    return sweep.average_factors(table.loc[list(right)], right, rows)


def test_a_main_effect_is_the_mean_over_the_other_factors(tmp_path: Path):
    write_grid(
        tmp_path,
        lambda a, b: 10 + 10 * (a == "1") + 60 * (b == "y"),
        a=["10", "1", "2"],
        b=["x", "y"],
    )
    effects = find_effects(tmp_path)
    assert effects["level"].tolist() == ["1", "2", "10", "x", "y"]
    assert effects["accuracy"].tolist() == pytest.approx(
        [0.495, 0.595, 0.595, 0.8617, 0.2617], abs=1e-4
    )
    assert effects["networks"].tolist() == [4, 4, 4, 6, 6]
    assert effects["delta"].tolist() == pytest.approx([-1 / 15, 1 / 30, 1 / 30, 0.3, -0.3])
    assert effects["delta_low"].iloc[3] > 0 > effects["delta_high"].iloc[4]


def test_a_main_effect_is_taken_over_what_all_levels_share(tmp_path: Path):
    write_grid(tmp_path, lambda _, b: 10 + 50 * (b == "z"), a=["1", "2"], b=["x", "y", "z"])
    for seed in range(2):
        (
            tmp_path / f"a=1,b=z,seed={seed}" / "result.json"
        ).unlink()  # now a=2 alone has the bad one
    effect = find_effects(tmp_path).query("factor == 'a'")
    assert effect["networks"].tolist() == [4, 4]
    assert effect["delta"].tolist() == pytest.approx([0, 0])


def test_every_figure_is_drawn_and_one_without_anything_to_show_is_removed(tmp_path: Path):
    write_grid(
        tmp_path, lambda depth, size: 30 - int(depth) - int(size), depth=["1", "2"], size=["3", "5"]
    )
    figures = ["accuracy_against_cost.png", "heat_maps.png", "main_effects.png"]
    summarize(tmp_path)
    assert all(
        (tmp_path / "figures" / file).read_bytes().startswith(b"\x89PNG") for file in figures
    )
    for path in {*tmp_path.glob("*size=5*/result.json"), *tmp_path.glob("*seed=1/result.json")}:
        path.unlink()
    summarize(tmp_path)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == figures[::2]


def test_intervals_end_at_100_percent(tmp_path: Path):
    write_grid(tmp_path, lambda _: 0, seeds=1, depth=["1", "2"])
    figure = figures.plot_main_effects(rank(tmp_path), find_effects(tmp_path))
    (bars,) = figure.axes[0].collections
    assert max(segment[:, 1].max() for segment in bars.get_segments()) == pytest.approx(100)


def test_values_that_a_search_drew_are_scattered_on_a_log_axis_where_they_span_much(tmp_path: Path):
    for i in range(8):
        write_first_wrong(
            tmp_path / f"lr={10.0**-i:.7f},dropout={0.1 * i + 0.1:.1f},activation={'abc'[i % 3]}", i
        )
    figure = figures.plot_main_effects(rank(tmp_path), effects := find_effects(tmp_path))
    assert effects.empty
    scales = {axes.get_xlabel(): axes.get_xscale() for axes in figure.axes}
    assert scales == {"lr": "log", "dropout": "linear", "activation": "linear"}


def test_heat_maps_show_the_largest_interaction_first(tmp_path: Path):
    two = ["x", "y"]
    write_grid(tmp_path, lambda a, b, c: 40 - 20 * (a == c) - 10 * (b == "x"), a=two, b=two, c=two)
    figure = figures.plot_heat_maps(rank(tmp_path))
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()) == ("a", "c")
    assert [axes.get_title() for axes in figure.axes] == [
        f"interaction {n} pp" for n in ("10.00", "0.00", "0.00")
    ]
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "84.50",
        "64.50",
        "64.50",
        "84.50",
    ]


def test_one_factor_at_a_time_has_no_heat_map(tmp_path: Path):
    for a, b in ("1x", "2x", "3x", "1y", "1z"):
        write_first_wrong(tmp_path / f"a={a},b={b}", 5)
    assert figures.plot_heat_maps(rank(tmp_path)) is None


def test_the_pareto_front_is_named(tmp_path: Path):
    for width, wrong, macs in (
        (1, 50, 100),
        (2, 60, 200),
        (3, 20, 300),
        (4, 20, 400),
        (5, 10, 500),
    ):
        write_first_wrong(tmp_path / f"width={width}", wrong, macs=macs)
    figure = figures.plot_accuracy_against_cost(rank(tmp_path))
    (axes,) = figure.axes  # training time is not known
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "1  width=1",
        "2  width=3",
        "3  width=5",
    ]
