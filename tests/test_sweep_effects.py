"""Effects of factors, and the figure that shows them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_sweeps import read_ranking, write_first_wrong

from sign_cnn.reports import sweep
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


def test_main_effects_are_drawn_while_there_are_any(tmp_path: Path):
    levels = {"depth": ["1", "2"], "size": ["3", "5"]}
    write_grid(tmp_path, lambda depth, size: 30 - int(depth) - int(size), **levels)
    summarize(tmp_path)
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert drawn["main_effects.png"].startswith(b"\x89PNG")
    for path in {*tmp_path.glob("*size=5*/result.json"), *tmp_path.glob("*depth=2*/result.json")}:
        path.unlink()
    summarize(tmp_path)
    assert not any((tmp_path / "figures").iterdir())
