"""Differences between configurations, effects of factors, and the figures that show them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_sweeps import rank, read_ranking, write_first_wrong

from sign_cnn.reports import figures, sweep
from sign_cnn.summarize import summarize


def write_grid(
    folder: Path, wrong: Callable[..., int], seeds: int = 2, **levels: list[str]
) -> None:
    """Every combination of the levels; `wrong` says how many of 100 rows from their values."""
    for place in np.ndindex(*map(len, levels.values())):
        pairs = zip(levels, place, strict=True)
        values = {factor: levels[factor][index] for factor, index in pairs}
        name = ",".join(f"{factor}={value}" for factor, value in values.items())
        for seed in range(seeds):
            path, macs = folder / f"{name},seed={seed}", 10**5 * (1 + sum(place))
            write_first_wrong(path, wrong(*values.values()) + seed, macs=macs)


def find_effects(folder: Path) -> pd.DataFrame:
    return sweep.average_factors(*read_ranking(folder))


def test_a_main_effect_is_the_mean_over_the_other_factors(tmp_path: Path):
    def wrong(a: str, b: str) -> int:
        return 10 + 10 * (a == "1") + 60 * (b == "y")

    write_grid(tmp_path, wrong, a=["10", "1", "2"], b=["x", "y"])
    effects = find_effects(tmp_path)
    assert effects["level"].tolist() == ["1", "2", "10", "x", "y"]
    accuracies = [0.495, 0.595, 0.595, 0.8617, 0.2617]
    assert effects["accuracy"].tolist() == pytest.approx(accuracies, abs=1e-4)
    assert effects["networks"].tolist() == [4, 4, 4, 6, 6]
    assert effects["delta"].tolist() == pytest.approx([-1 / 15, 1 / 30, 1 / 30, 0.3, -0.3])
    assert effects["delta_low"].iloc[3] > 0 > effects["delta_high"].iloc[4]


def test_a_main_effect_is_taken_over_what_all_levels_share(tmp_path: Path):
    write_grid(tmp_path, lambda _, b: 10 + 50 * (b == "z"), a=["1", "2"], b=["x", "y", "z"])
    for seed in range(2):  # now only a=2 has the bad level of b
        (tmp_path / f"a=1,b=z,seed={seed}" / "result.json").unlink()
    effect = find_effects(tmp_path).query("factor == 'a'")
    assert effect["networks"].tolist() == [4, 4]
    assert effect["delta"].tolist() == pytest.approx([0, 0])


def test_figures_with_something_to_show_are_drawn_and_others_removed(tmp_path: Path):
    levels = {"depth": ["1", "2"], "size": ["3", "5"]}
    write_grid(tmp_path, lambda depth, size: 30 - int(depth) - int(size), **levels)
    summarize(tmp_path)
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert set(drawn) == {"accuracy_against_cost.png", "heat_maps.png", "main_effects.png"}
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())
    for path in {*tmp_path.glob("*size=5*/result.json"), *tmp_path.glob("*seed=1/result.json")}:
        path.unlink()
    summarize(tmp_path)
    left = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn.keys() - left == {"heat_maps.png"}


def test_heat_maps_show_the_largest_interaction_first(tmp_path: Path):
    two = ["x", "y"]
    write_grid(tmp_path, lambda a, b, c: 40 - 20 * (a == c) - 10 * (b == "x"), a=two, b=two, c=two)
    figure = figures.plot_heat_maps(rank(tmp_path))
    first = figure.axes[0]
    assert (first.get_ylabel(), first.get_xlabel()) == ("a", "c")
    titles = [f"interaction {size} pp" for size in ("10.00", "0.00", "0.00")]
    assert [axes.get_title() for axes in figure.axes] == titles
    cells = [text.get_text() for text in first.texts]
    assert cells == ["84.50", "64.50", "64.50", "84.50"]


def test_the_pareto_front_is_named(tmp_path: Path):
    for width, wrong in enumerate((50, 60, 20, 20, 10), 1):
        write_first_wrong(tmp_path / f"width={width}", wrong, macs=100 * width)
    (axes,) = figures.plot_accuracy_against_cost(rank(tmp_path)).axes  # times are not known
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["width=1", "width=3", "width=5"]


def test_curves_of_a_sweep_are_means_over_seeds(tmp_path: Path):
    for seed, loss in enumerate((0.5, 0.3)):
        path = write_first_wrong(tmp_path / f"depth=1,seed={seed}", 5)
        curve = {"epoch": [1, 2], "val/loss": [1.0, loss], "val/acc": [0.5, 0.9]}
        pd.DataFrame(curve).to_csv(path / "metrics.csv", index=False)
    jobs, _ = sweep.read_jobs(tmp_path, sweep.read_plan(tmp_path)[1])
    curves = sweep.read_curves(tmp_path, jobs, ["depth=1", "depth=2"])
    assert list(curves) == ["depth=1"]
    (line,) = figures.plot_curves(curves).axes[0].lines
    assert line.get_ydata() == pytest.approx([1.0, 0.4])
