from pathlib import Path

import numpy as np
import pytest
from fake_runs import judged_run
from scipy.stats import t

from sign_cnn import intervals
from sign_cnn.summary.contents import collect
from sign_cnn.summary.effects import Effect, Evidence, Trend, comparable, contrast, front, grids, main_effects
from sign_cnn.summary.table import Configuration

SIZES = np.repeat([10, 20, 30], 50)
PHOTOGRAPHS = np.repeat(np.arange(150), SIZES)


def evidence(*right: np.ndarray, key: str = "k") -> Evidence:
    """Of rows right in each photograph, one array a seed."""
    return Evidence(key, SIZES, np.stack(right))


def drawn(share: float, seeds: int, seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    return evidence(*(rng.binomial(SIZES, np.minimum(share + 0.2 * rng.random(150), 1)) for _ in range(seeds)))


def configuration(place: int, accuracy: float = 0.9, seeds: int = 2, **factors: str) -> Configuration:
    right = np.floor(SIZES * accuracy + 0.5).astype(np.int64)
    right = [right + (np.arange(150) % 7 == seed) * (right < SIZES) for seed in range(seeds)]
    return Configuration(factors, [], place, frozenset([""]), [], evidence(*right))


def grid(accuracy, levels: dict[str, list[str]]) -> list[Configuration]:
    """Every combination; `accuracy` is a function of the factors."""
    places = np.ndindex(*(len(values) for values in levels.values()))
    picked = [{name: levels[name][i] for name, i in zip(levels, place, strict=True)} for place in places]
    return [configuration(i, accuracy(**factors), **factors) for i, factors in enumerate(picked)]


def test_with_one_seed_each_it_is_the_paired_difference():
    rng = np.random.default_rng(0)
    correct_a, correct_b = rng.random(len(PHOTOGRAPHS)) < 0.95, rng.random(len(PHOTOGRAPHS)) < 0.9
    a, b = (evidence(np.bincount(PHOTOGRAPHS[flags])) for flags in (correct_a, correct_b))
    found = contrast([a, b], [1, -1])
    assert (found.value, found.low, found.high) == pytest.approx(
        intervals.paired_difference(correct_a, correct_b, PHOTOGRAPHS)
    )
    assert not found.with_seeds


def test_the_scatter_between_seeds_widens_the_interval():
    a, b = drawn(0.8, 3), drawn(0.7, 2, seed=1)
    one = contrast([evidence(*a.right), evidence(b.right[0])], [1, -1])
    assert not one.with_seeds
    gained = a.mean_right - b.mean_right
    unit = max(1 / 2, (abs(gained) / SIZES).max())
    low, high = (unit * bound for bound in intervals.difference_bounds(gained / unit, SIZES))
    variance = a.accuracies.var(ddof=1) / 3 + b.accuracies.var(ddof=1) / 2
    half = np.hypot((high - low) / 2, t.ppf(0.975, 3) * np.sqrt(variance))
    both = contrast([a, b], [1, -1])
    assert both.with_seeds
    assert (both.low, both.high) == pytest.approx(((low + high) / 2 - half, (low + high) / 2 + half))
    assert both.value == pytest.approx(a.accuracy - b.accuracy)


def test_equal_configurations_are_a_tie_with_an_interval():
    found = contrast([drawn(0.8, 3), drawn(0.8, 3)], [1, -1])
    assert found.value == 0
    assert found.low < 0 < found.high
    assert found.low == pytest.approx(-found.high)


@pytest.mark.parametrize(("lead", "networks"), [(0.0, 3), (0.8, 3), (0.8, 36)])
def test_intervals_of_means_hold_the_truth_as_often_as_they_say_and_are_no_wider_than_need_be(lead, networks):
    rng = np.random.default_rng(0)
    size, mean = np.full(250, 20), 5.0

    def right(photographs: np.ndarray, ahead: float) -> np.ndarray:
        hidden = photographs + rng.normal(0, 1, photographs.shape)  # of this architecture
        logits = mean + ahead - hidden[None] - rng.normal(0, 1, (networks, *photographs.shape))
        return 1 / (1 + np.exp(-logits / 0.5))

    many = rng.normal(0, 2.2, 40_000)
    truth = float(right(many, lead).mean() - right(many, 0).mean())
    held, widths, whole = [], [], []
    for _ in range(200):
        photographs = rng.normal(0, 2.2, 250)
        a, b = (Evidence("k", size, rng.binomial(20, right(photographs, ahead))) for ahead in (lead, 0.0))
        # The networks of the simulation scatter by photograph alone, so their seeds add nothing to the truth.
        gained = a.mean_right - b.mean_right
        unit = max(1 / networks, (abs(gained) / size).max())
        low, high = (unit * bound for bound in intervals.difference_bounds(gained / unit, size))
        wide_low, wide_high = intervals.difference_bounds(gained, size)
        held.append(low <= truth <= high)
        widths.append(high - low)
        whole.append(wide_high - wide_low)
        found = contrast([a, b], [1, -1])
        assert found.low <= low <= high <= found.high
    assert np.mean(held) >= 0.92
    assert np.mean(widths) < np.mean(whole)


def test_verdicts_are_those_of_the_intervals_and_other_rows_have_none(tmp_path: Path):
    rng = np.random.default_rng(0)
    photographs = np.repeat(np.arange(100), 10)
    hard = np.arange(100)
    for name, wrong in (("a", 3), ("b", 4), ("c", 40)):
        judged_run(tmp_path / f"model={name}", ~(hard < wrong)[photographs], photographs)
    judged_run(tmp_path / "model=d", rng.random(1000) < 0.95, photographs, rows=np.arange(1000) + 5)
    judged_run(tmp_path / "model=e", rng.random(1000) < 0.5, photographs, fingerprint="f" * 64)
    summary = collect(tmp_path, final=True)
    assert {item.name(): item.verdict for item in summary.configurations} == {
        "model=a": "best", "model=b": "tie", "model=c": "worse", "model=d": "other rows", "model=e": "other rows",
    }  # fmt: skip
    assert [item.name()[-1] for item in comparable(summary.configurations)] == ["a", "b", "c"]
    third = next(item for item in summary.configurations if item.name() == "model=c")
    assert third.difference is not None
    assert third.difference.value == pytest.approx(-0.37)


def test_a_main_effect_is_the_mean_over_the_other_factors():
    found = grid(
        lambda a, b: {"1": 0.8, "2": 0.9, "10": 0.9}[a] - 0.1 * (b == "y"), {"a": ["10", "1", "2"], "b": ["x", "y"]}
    )
    by_a, by_b = main_effects(found, ["a", "b"])
    assert isinstance(by_a, Effect)
    assert isinstance(by_b, Effect)
    assert [level.value for level in by_a.levels] == ["1", "2", "10"]
    assert [level.value for level in by_b.levels] == ["x", "y"]
    assert (by_a.balanced, by_a.levels[0].configurations, by_a.levels[0].networks) == (True, 2, 4)
    accuracies = [item.evidence.accuracy for item in found if item.factors["a"] == "1" and item.evidence]
    assert by_a.levels[0].accuracy == pytest.approx(np.mean(accuracies))
    assert sum(level.difference.value for level in by_a.levels) == pytest.approx(0)
    assert by_b.shown
    assert by_b.levels[0].difference.low > 0 > by_b.levels[1].difference.high


def test_a_main_effect_looks_at_the_balanced_part_alone():
    found = grid(lambda b, **_: 0.9 - 0.5 * (b == "z"), {"a": ["1", "2"], "b": ["x", "y", "z"]})
    found = [item for item in found if item.factors != {"a": "1", "b": "z"}]  # a=2 alone has the bad one
    effect = main_effects(found, ["a", "b"])[0]
    assert isinstance(effect, Effect)
    assert effect.balanced
    assert [level.configurations for level in effect.levels] == [2, 2]
    assert not effect.shown


def test_levels_that_nothing_has_all_of_are_compared_as_they_are():
    cells = [("1", "x"), ("2", "x"), ("2", "y"), ("3", "y")]
    found = [configuration(i, 0.9, a=a, b=b) for i, (a, b) in enumerate(cells)]
    effect = main_effects(found, ["a"])[0]
    assert isinstance(effect, Effect)
    assert not effect.balanced
    assert [level.configurations for level in effect.levels] == [1, 2, 1]


def test_one_factor_alone_is_balanced_and_one_level_is_no_effect():
    found = grid(lambda **_: 0.9, {"model": ["a", "b"], "fixed": ["1"]})
    (effect,) = main_effects(found, ["model", "fixed"])
    assert isinstance(effect, Effect)
    assert effect.balanced


def test_what_a_search_drew_is_a_trend():
    found = [configuration(i, 0.9, lr=str(0.1 / (i + 1)), width=str(8 * (i % 3))) for i in range(9)]
    assert [type(effect) for effect in main_effects(found, ["lr", "width"])] == [Trend, Trend]
    many = [configuration(i, 0.9, lr=str(i)) for i in range(13)]
    assert isinstance(main_effects(many, ["lr"])[0], Trend)
    assert main_effects([configuration(i, 0.9, model=f"m{i}") for i in range(13)], ["model"]) == []


def test_the_pair_with_the_largest_interaction_comes_first():
    found = grid(
        lambda a, b, c: 0.8 + 0.1 * (a == b) + 0.05 * (c == "x"), {"a": ["x", "y"], "b": ["x", "y"], "c": ["x", "y"]}
    )
    first, *others = grids(found, ["a", "b", "c"])
    assert (first.first, first.second) == ("a", "b")
    assert first.interaction == pytest.approx(0.05, abs=0.01)
    assert all(pair.interaction < 0.01 for pair in others)
    assert first.accuracy[0, 0] > first.accuracy[0, 1]


def test_one_factor_at_a_time_has_no_pairs():
    cells = [("1", "x"), ("2", "x"), ("3", "x"), ("1", "y"), ("1", "z")]
    assert grids([configuration(i, 0.9, a=a, b=b) for i, (a, b) in enumerate(cells)], ["a", "b"]) == []


def test_the_front_is_what_nothing_beats():
    assert front([3, 1, 2, 2, 5], [0.9, 0.5, 0.7, 0.6, 0.9]) == [1, 2, 0]
    assert front([1, 1], [0.5, 0.5]) == [0, 1]
