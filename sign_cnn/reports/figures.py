"""Figures of a run and of a sweep, as Matplotlib `Figure`s that `save_figure` writes.

Colours also differ in grey and for colour-blind readers.
"""

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.calibration import CalibrationDisplay

from sign_cnn.files import atomic_write
from sign_cnn.reports.run import NUM_BINS, calibration_error, select_split
from sign_cnn.reports.sweep import MAX_LEVELS, list_factors, select_balanced
from sign_cnn.runs import Predictions

BLUE, ORANGE, GREY = "#3f90da", "#e76300", "#474747"
MAX_NUMBERED_CLASSES = 40  # numbers in the cells of more classes would overlap
ACCURACY = "validation accuracy / %"
COSTS = {"macs": "MACs per input", "fit_seconds": "training time of a run / s"}


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG atomically."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130, bbox_inches="tight")


def plot_learning_curves(metrics: pd.DataFrame, title: str, best_epoch: int) -> Figure:
    """Plot loss and accuracy of a run by epoch.

    Args:
        metrics: Rows of metrics.csv; of the columns train/loss, train/acc, val/loss, val/acc, those
            that are missing are left out.
        title: Title of the figure.
        best_epoch: The epoch of the best checkpoint, counted from 1.

    Returns:
        The figure.
    """
    figure = plot_curves({split: select_split(metrics, split) for split in ("train", "val")})
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(f"grey line: the checkpoint that is kept, of epoch {best_epoch}", fontsize=8)
    for axes in figure.axes:
        axes.axvline(best_epoch, color="0.6", linewidth=1, zorder=0)
    return figure


def plot_curves(curves: dict[str, pd.DataFrame]) -> Figure:
    """Plot loss and accuracy by epoch.

    Args:
        curves: By name, from `select_split`; an epoch may have several rows, one for each run.

    Returns:
        The figure.
    """
    figure, panels = _make_panels(2, 5.4, 3.9, "lines: means over runs; shades: lowest to highest")
    for axes, key, label in zip(panels, ("loss", "acc"), ("loss", "accuracy"), strict=True):
        for name, table in curves.items():
            if key in table:
                found = table.groupby("epoch")[key].agg(["mean", "min", "max"])
                (line,) = axes.plot(found["mean"], "o-", ms=3.5, label=textwrap.fill(name, 60))
                bounds, colour = (found["min"], found["max"]), line.get_color()
                axes.fill_between(found.index, *bounds, color=colour, alpha=0.15)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
    panels[0].set_yscale("log")
    panels[0].yaxis.set(major_formatter="{x:g}", minor_formatter="{x:.2g}")
    lines = panels[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper left", fontsize=8, ncols=1)
    return figure


def plot_confusion_matrix(counts: ArrayLike, class_names: list[str], title: str) -> Figure:
    """Plot a confusion matrix: right predictions in grey, wrong ones in red.

    Args:
        counts: int64 (C, C), number of rows by true class (down) and predicted class.
        class_names: C names.
        title: Title of the figure.

    Returns:
        The figure.
    """
    number, longest = len(class_names), max(map(len, class_names))
    side = np.clip(0.27 * number + 0.1 * longest + 1, 5, 14)
    figure, (axes,) = _make_panels(1, side, side, title)
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The root makes a single error visible; the minimum keeps black numbers legible.
    wrong = np.minimum(1.5 * np.sqrt(shares), 0.7)
    signed = np.where(np.eye(number, dtype=bool), shares / 2, -wrong)
    axes.imshow(signed, cmap="RdGy", vmin=-1, vmax=1)
    for true, predicted in np.argwhere(counts) if number <= MAX_NUMBERED_CLASSES else []:
        count = str(counts[true, predicted])
        axes.text(predicted, true, count, ha="center", va="center", fontsize=6.5)
    axes.set_xticks(range(number), class_names, rotation=90 if longest > 2 else 0, fontsize=8)
    axes.set_yticks(range(number), class_names, fontsize=8)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def plot_reliability(predictions: Predictions, title: str) -> Figure:
    """Plot accuracy by confidence, above the number of rows.

    Args:
        predictions: One row or more of one split.
        title: Title of the figure.

    Returns:
        The figure.
    """
    confidence = softmax(predictions.logits.astype(float), axis=1).max(axis=1)
    error = calibration_error(confidence, predictions.correct)
    figure, (axes,) = _make_panels(1, 5, 4.5, f"{title}; calibration error {error:.2%}")
    style = {"ax": axes, "name": "measured", "color": ORANGE}
    CalibrationDisplay.from_predictions(predictions.correct, confidence, n_bins=NUM_BINS, **style)
    bins, share = np.linspace(0, 1, NUM_BINS + 1).tolist(), np.full(len(confidence), 1)
    axes.hist(confidence, bins, weights=share / len(share), color=BLUE, alpha=0.4, label="rows")
    axes.set(xlabel="confidence: probability of the predicted class", ylabel="accuracy")
    axes.legend(loc="upper left", fontsize=8)
    return figure


def plot_sheet(
    photos: pd.DataFrame, pictures: NDArray[np.uint8], title: str, heat: Sequence[Any] = ()
) -> Figure:
    """Plot a contact sheet.

    Args:
        photos: Has the columns `class` and `predicted`, and may have the probability `p`.
        pictures: uint8 (N, H, W, 3), a picture of each of the first N photos.
        title: Title of the figure.
        heat: For each picture float (H, W), 0..1, a map to lay over it.

    Returns:
        The figure.
    """
    bright = "; bright: covering it makes the predicted class less likely" if heat else ""
    caption = f"true → predicted class; p: mean probability of the true class{bright}"
    figure, panels = _make_panels(len(pictures), 1.45, 1.95, caption, columns=6)
    figure.suptitle(title, fontsize=10)
    for place, (axes, photo) in enumerate(zip(panels, photos.to_dict("records"), strict=False)):
        axes.imshow(pictures[place])
        if heat:
            axes.imshow(heat[place], cmap="inferno", vmin=0, vmax=1, alpha=0.5)
        caption = textwrap.fill(f"{photo['class']} → {photo['predicted']}", 14)
        axes.set_title(caption + (f"\np = {photo['p']:.2f}" if "p" in photo else ""), fontsize=9)
        axes.set_axis_off()
    return figure


def plot_main_effects(effects: pd.DataFrame) -> Figure | None:
    """Plot the mean accuracy of each level of each factor, with intervals.

    Args:
        effects: From `average_factors`.

    Returns:
        The figure, or None if there are no effects.
    """
    groups = effects.groupby("factor", sort=False)
    caption = "bars: 95 % interval of the difference to the mean (dashed)"
    figure, panels = _make_panels(len(groups), 2.9, 2.9, caption)
    for axes, (factor, effect) in zip(panels, groups, strict=True):
        axes.sharey(panels[0])
        accuracy, delta = effect["accuracy"], effect["delta"]
        above = np.minimum(effect["delta_high"] - delta, 1 - accuracy)
        bars = 100 * np.array([delta - effect["delta_low"], above])
        axes.axhline(100 * accuracy.mean(), color=GREY, linestyle="--", linewidth=1)
        axes.errorbar(effect["level"].astype(str), 100 * accuracy, bars, fmt="o", color=ORANGE)
        axes.tick_params("x", rotation=20)
        axes.set(xlabel=factor, ylabel=ACCURACY)
        axes.margins(x=0.3)
    return figure if len(groups) else None


def plot_heat_maps(table: pd.DataFrame) -> Figure | None:
    """Plot the mean accuracy by two factors, for the six pairs with the largest interactions.

    Args:
        table: Comparable configurations from `rank`.

    Returns:
        The figure, or None if no two factors are crossed.
    """
    found, varied = [], [factor for factor in list_factors(table) if table[factor].nunique() > 1]
    for pair in itertools.combinations(varied, 2):
        grid = 100 * select_balanced(table, *pair).pivot_table("val_acc", *pair, observed=True)
        if all(1 < levels <= MAX_LEVELS for levels in grid.shape):
            cells = grid.to_numpy(float)
            rest = cells - cells.mean(axis=1, keepdims=True) - cells.mean(axis=0) + cells.mean()
            found.append((float(np.sqrt(np.mean(rest**2))), grid))
    shown = sorted(found, key=lambda item: -item[0])[:6]
    side = max([2.7, *(0.55 * max(grid.shape) for _, grid in shown)])
    caption = f"{ACCURACY}; interaction: root mean square of what the two factors do not add up to"
    figure, panels = _make_panels(len(shown), side + 0.5, side, caption)
    for axes, (interaction, grid) in zip(panels, shown, strict=True):
        low, high = grid.to_numpy().min(), grid.to_numpy().max()
        # Twice the range, so that black numbers can be read.
        axes.imshow(grid, cmap="Blues", aspect="auto", vmin=low, vmax=2 * high - low + 0.1)
        for (i, j), value in np.ndenumerate(grid):
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8)
        axes.set_xticks(range(len(grid.columns)), grid.columns, rotation=20)
        axes.set_yticks(range(len(grid)), grid.index)
        axes.set(xlabel=grid.columns.name, ylabel=grid.index.name)
        axes.set_title(f"interaction {interaction:.2f} pp", fontsize=9)
    return figure if shown else None


def plot_accuracy_against_cost(table: pd.DataFrame) -> Figure | None:
    """Plot accuracy by MACs and by training time, with a numbered and named Pareto front.

    Args:
        table: Comparable configurations from `rank`.

    Returns:
        The figure, or None if all configurations cost the same.
    """
    shown = [cost for cost in COSTS if table[cost].nunique() > 1]
    caption = "numbered: no other is both cheaper and more accurate; bars: ± sd between seeds"
    figure, panels = _make_panels(len(shown), 8.2, 3.7, caption, columns=1)
    for axes, cost in zip(panels, shown, strict=True):
        found = table.dropna(subset=[cost]).sort_values([cost, "val_acc"], ascending=[True, False])
        x, y, sd = (found[key].astype(float) for key in (cost, "val_acc", "val_acc_sd"))
        axes.errorbar(x, 100 * y, 100 * sd.fillna(0), fmt="o", color="0.8")
        front = found.index[y > y.cummax().shift(fill_value=-1)]
        axes.step([*x[front], x.max()], 100 * y[[*front, front[-1]]], where="post", color=BLUE)
        for place, name in enumerate(front, 1):
            label, style = textwrap.fill(name, 44, break_long_words=False), f"${place}$"
            axes.plot(x[name], 100 * y[name], marker=style, ms=9, color=ORANGE, ls="", label=label)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
        axes.set(xlabel=COSTS[cost], ylabel=ACCURACY, xscale="log")
    return figure if shown else None


def _make_panels(
    count: int, width: float, height: float, caption: str, columns: int = 3
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels of so many inches each, and the panels."""
    columns = min(columns, count)
    lines = -(-count // max(columns, 1))
    size = (max(5.5, width * columns + 0.8), height * lines + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    figure.supxlabel(caption, fontsize=8, color="0.35")
    return figure, [figure.add_subplot(lines, columns, 1 + place) for place in range(count)]
