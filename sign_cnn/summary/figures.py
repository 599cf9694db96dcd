"""Pictures of a sweep: what each factor does, which two do more together, how far seeds scatter."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from sign_cnn.figures import TEST_COLOUR, TRAIN_COLOUR, VAL_COLOUR, save
from sign_cnn.summary.contents import Summary
from sign_cnn.summary.cost_figure import accuracy_against_cost
from sign_cnn.summary.effects import Effect, Grid, Trend, comparable
from sign_cnn.summary.jobs import in_order, number
from sign_cnn.summary.panels import ACCURACY, caption, name_ticks, panels
from sign_cnn.summary.table import Configuration, varying

MAX_GRIDS = 6
MAX_ROWS = 30
"""Of the picture of seeds."""

_LOG_SPAN = 30


def draw(summary: Summary) -> None:
    """Writes every figure that has something to show, and removes an old one of those that have not.

    Sets `summary.figures`.
    """
    scored = comparable(summary.configurations) or [item for item in summary.configurations if item.accuracies]
    figures: dict[str, tuple[str, Callable[[], Figure | None]]] = {
        "main_effects.png": ("Main effects", lambda: main_effects([*summary.effects, *summary.trends])),
        "heat_maps.png": ("Pairs of factors", lambda: heat_maps(summary.grids)),
        "accuracy_against_cost.png": ("Accuracy against cost", lambda: accuracy_against_cost(scored)),
        "seed_spread.png": ("Spread between seeds", lambda: seed_spread(scored)),
    }
    summary.figures = {}
    for file, (title, make) in figures.items():
        path = summary.folder / "figures" / file
        figure = make()
        if figure is None:
            path.unlink(missing_ok=True)
            continue
        save(figure, path)
        summary.figures[file] = title


def main_effects(effects: Sequence[Effect | Trend]) -> Figure | None:
    """One panel a factor: its levels with intervals of their differences, or the values that a search drew."""
    if not effects:
        return None
    figure, grid = panels(len(effects), width=2.6, height=2.9)
    for axes, effect in zip(grid, effects, strict=False):
        if isinstance(effect, Effect):
            _levels(axes, effect)
        else:
            _values(axes, effect)
        axes.set_xlabel(effect.factor)
        axes.grid(axis="y", alpha=0.3)
    said = []
    compared = [effect for effect in effects if isinstance(effect, Effect)]
    if compared:
        with_seeds = all(level.difference.with_seeds for effect in compared for level in effect.levels)
        which = "new photographs and seeds" if with_seeds else "new photographs"
        said.append(f"bars: 95 % interval of the difference to the mean of the levels (dashed), for {which}")
        said.append("n: configurations × seeds")
    if not all(effect.balanced for effect in compared):
        said.append("*: other factors are not balanced")
    if len(compared) < len(effects):
        said.append("crosses: a configuration each")
    caption(figure, said)
    return figure


def heat_maps(grids: Sequence[Grid]) -> Figure | None:
    """Mean accuracy by two factors, for the pairs with the largest interactions."""
    shown = list(grids)[:MAX_GRIDS]
    if not shown:
        return None
    longest = max(max(len(grid.first_levels), len(grid.second_levels)) for grid in shown)
    columns = min(3, len(shown))
    side = max(2.7, 0.55 * longest)
    figure, places = panels(len(shown), width=side + 0.5, height=side, columns=columns, shared=False)
    values = np.concatenate([grid.accuracy.ravel() for grid in shown])
    low, high = 100 * np.nanmin(values), 100 * np.nanmax(values)
    for axes, grid in zip(places, shown, strict=False):
        percents = 100 * grid.accuracy
        image = axes.imshow(percents, cmap="Blues", vmin=low, vmax=max(high, low + 0.1), aspect="auto")
        for (i, j), value in np.ndenumerate(percents):
            if np.isfinite(value):
                dark = value - low > 0.6 * (high - low) > 0
                axes.text(
                    j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white" if dark else "black"
                )
        name_ticks(axes, grid.second_levels, room=round(10 * side))
        axes.set_yticks(range(len(grid.first_levels)), grid.first_levels)
        axes.set(xlabel=grid.second, ylabel=grid.first)
        axes.set_title(f"interaction {100 * grid.interaction:.2f} points", fontsize=9)
    caption(figure, ["interaction: root mean square of what the two factors do not explain, each on its own"])
    figure.colorbar(image, ax=places, label=ACCURACY, shrink=0.8)
    return figure


def seed_spread(found: Sequence[Configuration]) -> Figure | None:
    """Accuracy of each seed's network, the best configurations above."""
    shown = list(found)[:MAX_ROWS]
    if not any(len(item.accuracies) > 1 for item in shown):
        return None
    figure = Figure(figsize=(7.5, 1.3 + 0.24 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for i, item in enumerate(shown):
        accuracies = [100 * value for value in item.accuracies]
        axes.plot([min(accuracies), max(accuracies)], [i, i], color="0.8", linewidth=1, zorder=1)
        axes.plot(accuracies, [i] * len(accuracies), "o", color=TRAIN_COLOUR, markersize=4.5, alpha=0.8, zorder=2)
        mean = 100 * (item.val_acc or 0.0)
        axes.plot([mean, mean], [i - 0.32, i + 0.32], color=VAL_COLOUR, linewidth=2, zorder=3)
    names = varying(shown, list(shown[0].factors))
    labels = [", ".join(item.factors.get(name, "–") for name in names) or "all" for item in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=8)
    axes.set(xlabel=ACCURACY, ylim=(len(shown) - 0.4, -0.6))
    if names:
        axes.set_ylabel(textwrap.fill(", ".join(names), 60))
    axes.grid(axis="x", alpha=0.3)
    rest = f"; {len(found) - len(shown)} more below" if len(found) > len(shown) else ""
    caption(figure, [f"dots: seeds, line: their mean{rest}"])
    return figure


def _levels(axes: Axes, effect: Effect) -> None:
    values = [level.value for level in effect.levels]
    places = np.arange(len(values))
    accuracies = np.array([level.accuracy for level in effect.levels])
    low = effect.mean + np.array([level.difference.low for level in effect.levels])
    high = np.minimum(effect.mean + np.array([level.difference.high for level in effect.levels]), 1)
    middle, half = (low + high) / 2, (high - low) / 2  # the interval is not quite around the mean
    axes.axhline(100 * effect.mean, color=TEST_COLOUR, linestyle="--", linewidth=1)
    axes.errorbar(places, 100 * middle, 100 * half, fmt="none", ecolor=VAL_COLOUR, elinewidth=2, capsize=4)
    if all(number(value) is not None for value in values):
        axes.plot(places, 100 * accuracies, "-", color="0.75", linewidth=1, zorder=1)
    axes.plot(places, 100 * accuracies, "o", color=VAL_COLOUR, markersize=6)
    name_ticks(axes, values)
    axes.margins(x=0.3, y=0.12)
    networks = sorted({level.networks for level in effect.levels})
    number_of = f"n = {networks[0]}" if len(networks) == 1 else f"n = {networks[0]} to {networks[-1]}"
    axes.set_title(f"{number_of} a level{'' if effect.balanced else ' *'}", fontsize=9)


def _values(axes: Axes, trend: Trend) -> None:
    percents = 100 * np.array(trend.accuracies)
    numbers = [number(value) for value in trend.values]
    style: dict[str, Any] = {"color": VAL_COLOUR, "markersize": 6, "markeredgewidth": 1.5, "alpha": 0.8}
    if any(value is None for value in numbers):
        levels = in_order(trend.values)
        axes.plot([levels.index(value) for value in trend.values], percents, "x", **style)
        name_ticks(axes, levels)
        axes.margins(x=0.3)
        return
    sizes = [value for value in numbers if value is not None]
    axes.plot(sizes, percents, "x", **style)
    if min(sizes) > 0 and max(sizes) > _LOG_SPAN * min(sizes):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif len(set(sizes)) <= 6:
        axes.set_xticks(sorted(set(sizes)), in_order(trend.values))
    else:
        axes.locator_params(axis="x", nbins=5)
