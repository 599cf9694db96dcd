"""What the differences between configurations are worth: each with the best, each factor's levels, cost and gain.

Networks that judge the same photographs are compared photograph by photograph, as in `sign_cnn.intervals`. A
configuration is the mean of its seeds. Where each one compared has two seeds or more, the scatter between seeds widens
the interval, which then is one for new photographs and new seeds: the two variances are added, so that the part of
the scatter which is of certain photographs with certain seeds counts twice, and the interval is rather too wide.

The interval by photograph has one photograph added that is won and one that is lost. Among means over many networks
hardly any photograph is won by all that is at stake, and whole ones added to hundreds would be most of the variance:
intervals of 95 % would hold the truth in 100 of 100 cases, and real effects would pass for ties. So what is added is as
large as the largest gain seen on any photograph (as Fay and Feuer, 1997, do for weighted counts), and no smaller than
what one network can win alone. With one seed each, that is a whole photograph, as in `sign_cnn.compare`.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sign_cnn import intervals
from sign_cnn.summary.evidence import Evidence
from sign_cnn.summary.jobs import in_order, number
from sign_cnn.summary.table import Configuration, Difference

MAX_LEVELS = 12
"""A factor with more is a quantity, not a choice."""


@dataclass(frozen=True)
class Level:
    """One value of a factor."""

    value: str
    accuracy: float  # mean over configurations, 0..1
    difference: Difference  # to the mean over levels
    configurations: int
    networks: int  # one for each configuration and seed


@dataclass(frozen=True)
class Effect:
    """A factor whose levels are compared."""

    factor: str
    levels: list[Level]
    balanced: bool  # the levels occur with the same values of all other factors

    @property
    def mean(self) -> float:
        """Over levels, 0..1."""
        return float(np.mean([level.accuracy for level in self.levels]))

    @property
    def shown(self) -> bool:
        """Whether a level differs from the mean beyond its interval."""
        return any(level.difference.shown for level in self.levels)


@dataclass(frozen=True)
class Trend:
    """A factor that a search drew values of: nothing but its value and the accuracy of each configuration."""

    factor: str
    values: list[str]
    accuracies: list[float]  # 0..1


@dataclass(frozen=True)
class Grid:
    """Two factors together."""

    first: str
    second: str
    first_levels: list[str]
    second_levels: list[str]
    accuracy: NDArray[np.float64]  # (first, second), mean over the other factors, 0..1; NaN: nothing there
    interaction: float  # root mean square of what the two main effects do not explain, 0..1


def contrast(parts: Sequence[Evidence], weights: Sequence[float], confidence: float = 0.95) -> Difference:
    """A weighted sum of accuracies and its interval, by photograph and, where each part has some, by seed.

    Args:
        parts: On the same rows.
        weights: That sum to 0: 1 and -1 make a difference.
        confidence: Share of such intervals that should hold the truth.
    """
    rows = parts[0].rows
    gained = np.sum([weight * part.mean_right for weight, part in zip(weights, parts, strict=True)], axis=0)
    alone = max(abs(weight) / part.seeds for weight, part in zip(weights, parts, strict=True))
    unit = max(float((np.abs(gained) / rows).max()), alone)
    low, high = (unit * float(bound) for bound in intervals.difference_bounds(gained / unit, rows, confidence))
    with_seeds = all(part.seeds > 1 for part in parts)
    if with_seeds:
        variance = sum(
            weight**2 * part.accuracies.var(ddof=1) / part.seeds for weight, part in zip(weights, parts, strict=True)
        )
        freedom = sum(part.seeds - 1 for part in parts)
        centre, half = (low + high) / 2, (high - low) / 2
        half = float(np.hypot(half, stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(variance)))
        low, high = max(centre - half, -1.0), min(centre + half, 1.0)
    return Difference(float(gained.sum() / rows.sum()), low, high, with_seeds)


def compare_with_best(ranked: Sequence[Configuration]) -> None:
    """Sets difference and verdict of every configuration that has an accuracy; the first is the best."""
    if not ranked or (best := ranked[0].evidence) is None:
        return
    ranked[0].verdict = "best"
    for item in ranked[1:]:
        if item.evidence and item.evidence.key == best.key:
            item.difference = contrast([item.evidence, best], [1, -1])
            item.verdict = "worse" if item.difference.high < 0 else "tie"
        elif item.accuracies:
            item.verdict = "other rows"


def comparable(ranked: Sequence[Configuration]) -> list[Configuration]:
    """Those on the same rows as the best, itself included."""
    key = ranked[0].evidence.key if ranked and ranked[0].evidence else None
    return [item for item in ranked if item.evidence and item.evidence.key == key]


def main_effects(found: Sequence[Configuration], factors: Sequence[str]) -> list[Effect | Trend]:
    """What each factor does on its own, in the order of `factors`; those of one level are left out.

    Levels are compared over the combinations of the other factors that all of them share; where there is none but some
    share some, as they are. A factor with many levels, or whose levels share nothing, is a trend.

    Args:
        found: On the same rows, in any order.
        factors: Names; a configuration that lacks one takes no part in its effect.
    """
    effects = [_main_effect(found, factor) for factor in factors if factor != "run"]
    return [effect for effect in effects if effect is not None]


def grids(found: Sequence[Configuration], factors: Sequence[str]) -> list[Grid]:
    """Every pair of these factors, the largest interaction first."""
    pairs = [_grid(found, first, second) for first, second in itertools.combinations(factors, 2)]
    return sorted((pair for pair in pairs if pair), key=lambda pair: -pair.interaction)


def front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Which points no other one beats: at most its cost, at least its accuracy, and better in one; cheapest first.

    >>> front([1, 2, 2, 3], [0.5, 0.7, 0.6, 0.7])
    [0, 1]
    """
    picked: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -accuracies[i])):
        best = accuracies[picked[-1]] if picked else -np.inf
        if accuracies[i] > best or (picked and (costs[i], accuracies[i]) == (costs[picked[-1]], best)):
            picked.append(i)
    return picked


def _main_effect(found: Sequence[Configuration], factor: str) -> Effect | Trend | None:
    usable = [item for item in found if factor in item.factors and item.evidence]
    levels = in_order([item.factors[factor] for item in _in_sweep_order(usable)])
    if len(levels) < 2:
        return None
    complete, groups = _shared(usable, [factor], len(levels))
    nothing_shared = not complete and (len(levels) == len(usable) or all(len(group) == 1 for group in groups))
    if len(levels) > MAX_LEVELS and any(number(level) is None for level in levels):
        return None  # too many names for a panel
    if len(levels) > MAX_LEVELS or nothing_shared:
        accuracies = [item.evidence.accuracy for item in usable if item.evidence]
        return Trend(factor, [item.factors[factor] for item in usable], accuracies)
    by_level = defaultdict(list)
    for item in complete or usable:
        by_level[item.factors[factor]].append(item)
    return Effect(factor, [_level(level, by_level) for level in levels], bool(complete))


def _level(value: str, by_level: Mapping[str, list[Configuration]]) -> Level:
    parts, weights = [], []
    for level, items in by_level.items():
        weight = ((level == value) - 1 / len(by_level)) / len(items)
        parts += [item.evidence for item in items if item.evidence]
        weights += [weight] * len(items)
    own = [item.evidence for item in by_level[value] if item.evidence]
    accuracy = float(np.mean([part.accuracy for part in own]))
    return Level(value, accuracy, contrast(parts, weights), len(own), sum(part.seeds for part in own))


def _grid(found: Sequence[Configuration], first: str, second: str) -> Grid | None:
    usable = [item for item in found if first in item.factors and second in item.factors and item.evidence]
    ordered = _in_sweep_order(usable)
    levels = [in_order([item.factors[name] for item in ordered]) for name in (first, second)]
    if any(not 1 < len(names) <= MAX_LEVELS for names in levels):
        return None
    complete, _ = _shared(usable, [first, second], len(levels[0]) * len(levels[1]))
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for item in complete or usable:
        if item.evidence:
            place = levels[0].index(item.factors[first]), levels[1].index(item.factors[second])
            cells[place].append(item.evidence.accuracy)
    accuracy = np.full((len(levels[0]), len(levels[1])), np.nan)
    for place, values in cells.items():
        accuracy[place] = np.mean(values)
    if np.isnan(accuracy).mean() > 0.25:
        return None  # as of one factor at a time
    rest = accuracy - np.nanmean(accuracy, axis=1, keepdims=True) - np.nanmean(accuracy, axis=0) + np.nanmean(accuracy)
    return Grid(first, second, levels[0], levels[1], accuracy, float(np.sqrt(np.nanmean(rest**2))))


def _shared(
    usable: Sequence[Configuration], names: Sequence[str], cells: int
) -> tuple[list[Configuration], list[list[Configuration]]]:
    """Configurations whose other factors occur with all values of these, and all of them by their other factors."""
    groups: dict[frozenset[tuple[str, str]], list[Configuration]] = defaultdict(list)
    for item in usable:
        groups[frozenset((key, value) for key, value in item.factors.items() if key not in names)].append(item)
    complete = [item for group in groups.values() if len(group) == cells for item in group]
    return complete, list(groups.values())


def _in_sweep_order(found: Sequence[Configuration]) -> list[Configuration]:
    return sorted(found, key=lambda item: item.place)
