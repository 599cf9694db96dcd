"""Figures of a run and of a sweep. Colours differ in grey and for colour-blind eyes; every axis names its unit."""

import itertools
import textwrap
import warnings
from contextlib import suppress
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from sign_cnn.files import atomic_write
from sign_cnn.reports.run import NUM_BINS, calibration_error
from sign_cnn.reports.sweep import MAX_LEVELS, list_factors, select_balanced
from sign_cnn.runs import Predictions

TRAIN_COLOUR, VAL_COLOUR, TEST_COLOUR = "#3f90da", "#e76300", "#474747"
SHEET_COLUMNS = 6
BARE = {"xticks": [], "yticks": [], "frame_on": False}


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG atomically."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def plot_learning_curves(metrics: pd.DataFrame, title: str, best_epoch: int) -> Figure:
    """Loss (log axis) and accuracy by epoch from 1; columns epoch, train/loss, train/acc, maybe val/loss, val/acc."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title, fontsize=10)
    loss, accuracy = figure.subplots(1, 2)
    for axes, key, label in (
        (loss, "loss", "loss (val: cross-entropy / nats)"),
        (accuracy, "acc", "accuracy"),
    ):
        for split, style, colour in (("train", "o--", TRAIN_COLOUR), ("val", "s-", VAL_COLOUR)):
            if f"{split}/{key}" in metrics:
                curve = metrics[["epoch", f"{split}/{key}"]].dropna().to_numpy(float)
                axes.plot(
                    curve[:, 0], curve[:, 1], style, color=colour, markersize=3.5, label=split
                )
        axes.axvline(
            best_epoch, color="0.6", linewidth=1, zorder=0, label=f"weights kept ({best_epoch})"
        )
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
    loss.set_yscale("log")
    _tick_log_axis(loss.yaxis)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    accuracy.legend(loc="best", fontsize=8)
    return figure


def plot_confusion_matrix(counts: NDArray[np.int64], letters: str, title: str) -> Figure:
    """Counts (C, C) of rows by true (down) and predicted letter: right ones in grey, wrong ones in orange."""
    figure = Figure(figsize=(7.6, 7), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(counts), dtype=bool)
    axes.imshow(np.where(right, shares, np.nan), cmap="Greys", vmin=0, vmax=2)
    axes.imshow(
        np.where(~right & (counts > 0), np.maximum(shares, 0.08), np.nan),
        cmap="Oranges",
        vmin=0,
        vmax=0.6,
    )
    for true, predicted in np.argwhere(counts):
        axes.text(
            predicted, true, str(counts[true, predicted]), ha="center", va="center", fontsize=6.5
        )
    axes.set(xlabel="predicted letter", ylabel="true letter")
    axes.set_title(title, fontsize=10)
    axes.set_xticks(range(len(letters)), list(letters))
    axes.set_yticks(range(len(letters)), list(letters))
    return figure


def plot_reliability(predictions: Predictions, title: str) -> Figure:
    """Accuracy by confidence above the number of rows."""
    confidence = softmax(predictions.logits.astype(float), axis=1).max(axis=1)
    accuracy, mean_confidence = calibration_curve(predictions.correct, confidence, n_bins=NUM_BINS)
    error = calibration_error(confidence, predictions.correct)
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    figure.suptitle(f"{title}\ncalibration error {error:.2%}", fontsize=10)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], "--", color=TEST_COLOUR, linewidth=1, label="perfectly calibrated")
    above.plot(mean_confidence, accuracy, "o-", color=VAL_COLOUR, markersize=5, label="measured")
    above.set(ylabel="accuracy", ylim=(-0.03, 1.03), xlim=(0, 1))
    above.legend(loc="upper left", fontsize=8)
    above.grid(alpha=0.3)
    below.hist(confidence, np.linspace(0, 1, NUM_BINS + 1), color=TRAIN_COLOUR, edgecolor="white")
    below.set(
        xlabel="confidence: probability of the predicted letter",
        ylabel="rows",
        yscale="log",
        ylim=(0.7, None),
    )
    below.yaxis.set(major_locator=LogLocator(numticks=5), major_formatter="{x:,.0f}")
    return figure


def plot_hardest(
    hardest: pd.DataFrame,
    images: NDArray[np.uint8],
    title: str,
    heat: NDArray[np.float32] | None = None,
) -> Figure:
    """Contact sheet of a report's hardest photos, below `heat` if given; images: uint8 (H, S, S), heat: 0..1."""
    lines = max(1, -(-len(hardest) // SHEET_COLUMNS))
    figure = Figure(figsize=(1.45 * SHEET_COLUMNS, 1.95 * lines + 0.5), layout="constrained")
    figure.suptitle(
        f"{title}\ntrue → predicted letter; p: mean probability of the true letter", fontsize=10
    )
    grid = figure.subplots(
        lines, SHEET_COLUMNS, squeeze=False, subplot_kw=BARE, gridspec_kw={"hspace": 0.08}
    )
    for place, (axes, photo) in enumerate(zip(grid.flat, hardest.to_dict("records"), strict=False)):
        axes.imshow(images[place], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        if heat is not None:
            axes.imshow(heat[place], cmap="inferno", vmin=0, vmax=1, alpha=0.5)
        wrong = photo["predicted"] != photo["letter"]
        said = f"{photo['letter']} → {photo['predicted']}" if wrong else photo["letter"]
        axes.set_title(
            said, fontsize=11, pad=3, color=VAL_COLOUR if wrong else TEST_COLOUR, fontweight="bold"
        )
        votes = (
            f"{photo['variants_wrong']} of {photo['variants']} wrong\n"
            if photo["variants"] > 1
            else ""
        )
        below = f"{votes}p = {photo['p']:.2f}"
        axes.text(0.5, -0.04, below, transform=axes.transAxes, ha="center", va="top", fontsize=7)
    return figure


def plot_confused(confused: pd.DataFrame, images: NDArray[np.uint8], title: str) -> Figure | None:
    """The six pairs of letters that are confused most, a line each with wrong rows of it; images: of all rows."""
    pairs = confused.head(6).to_dict("records")
    if not pairs:
        return None
    figure = Figure(figsize=(1.45 * SHEET_COLUMNS, 1.5 * len(pairs) + 0.6), layout="constrained")
    figure.suptitle(f"{title}\npairs confused most, true → predicted letter", fontsize=10)
    grid = figure.subplots(len(pairs), SHEET_COLUMNS, squeeze=False, subplot_kw=BARE)
    for line, pair in zip(grid, pairs, strict=True):
        name = (
            f"{pair['letter']} → {pair['predicted']}\n{pair['rows']} rows\n{pair['photos']} photos"
        )
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for axes, row in zip(line, pair["examples"], strict=False):
            axes.imshow(images[row], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    return figure


ACCURACY = "validation accuracy / %"
COSTS = {"macs": "multiply-accumulates of one image", "fit_seconds": "training time of a run / s"}


def plot_main_effects(table: pd.DataFrame, effects: pd.DataFrame) -> Figure | None:
    """A panel per factor: its levels with intervals, or a cross per configuration where levels cannot be averaged."""
    averaged = dict(list(effects.groupby("factor")))
    sizes = {
        factor: pd.to_numeric(table[factor].astype("string"), errors="coerce")
        for factor in list_factors(table)
    }
    drawn = {
        f for f in sizes if sizes[f].notna().all() and sizes[f].nunique() > 6
    } - averaged.keys()  # as by Optuna
    shown = [
        f
        for f in sizes
        if table[f].nunique() > 1 and (f in drawn or table[f].nunique() <= MAX_LEVELS)
    ]
    bars, crosses = (
        "bars: 95 % interval of the difference to the mean (dashed)",
        "crosses: one configuration each",
    )
    caption = "; ".join([bars] * bool(averaged) + [crosses] * bool(set(shown) - averaged.keys()))
    figure, panels = _make_panels(len(shown), 2.7, 2.9, caption, columns=4)
    for axes, factor in zip(panels, shown, strict=True):
        axes.set(xlabel=factor, ylabel=ACCURACY)
        axes.sharey(panels[0])
        axes.grid(axis="y", alpha=0.3)
        if factor in drawn:
            axes.plot(sizes[factor], 100 * table["val_acc"], "x", color=VAL_COLOUR)
            _scale(axes, sizes[factor])
            continue
        levels = table[factor].cat.remove_unused_categories().cat
        _name_ticks(axes, list(levels.categories))
        axes.margins(x=0.3)
        if factor in averaged:
            effect = averaged[factor].reset_index()
            accuracy, low, high = (
                100 * effect[key] for key in ("accuracy", "delta_low", "delta_high")
            )
            axes.axhline(mean := accuracy.mean(), color=TEST_COLOUR, linestyle="--", linewidth=1)
            axes.vlines(
                effect.index, mean + low, (mean + high).clip(upper=100), VAL_COLOUR, linewidth=2
            )
            axes.plot(accuracy, "o", color=VAL_COLOUR)
        else:
            axes.plot(levels.codes, 100 * table["val_acc"], "x", color=VAL_COLOUR)
    return figure if shown else None


def plot_heat_maps(table: pd.DataFrame) -> Figure | None:
    """Mean accuracy by two factors, for the six pairs with the largest interactions."""
    found, varied = [], [factor for factor in list_factors(table) if table[factor].nunique() > 1]
    for pair in itertools.combinations(varied, 2):
        crossed = table if len(varied) == 2 else select_balanced(table, *pair)
        grid = 100 * crossed.pivot_table("val_acc", *pair, observed=True)
        if (
            all(1 < levels <= MAX_LEVELS for levels in grid.shape)
            and grid.isna().to_numpy().mean() <= 0.25
        ):
            rest = grid.sub(grid.mean(axis=1), axis=0).sub(grid.mean(), axis=1) + np.nanmean(grid)
            found.append((float(np.sqrt(np.nanmean(rest**2))), grid))
    shown = sorted(found, key=lambda item: -item[0])[:6]
    side = max([2.7, *(0.55 * max(grid.shape) for _, grid in shown)])
    caption = f"{ACCURACY}; interaction: root mean square of what the two factors, each on its own, do not explain"
    figure, panels = _make_panels(len(shown), side + 0.5, side, caption, columns=3)
    for axes, (interaction, grid) in zip(panels, shown, strict=True):
        low, high = np.nanmin(grid), np.nanmax(grid)
        axes.imshow(
            grid, cmap="Blues", vmin=low, vmax=2 * high - low + 0.1, aspect="auto"
        )  # pale below black numbers
        for (i, j), value in np.ndenumerate(grid):
            axes.text(j, i, f"{value:.2f}".replace("nan", ""), ha="center", va="center", fontsize=8)
        _name_ticks(axes, list(grid.columns))
        axes.set_yticks(range(len(grid)), grid.index)
        axes.set(xlabel=grid.columns.name, ylabel=grid.index.name)
        axes.set_title(f"interaction {interaction:.2f} pp", fontsize=9)
    return figure if shown else None


def plot_accuracy_against_cost(table: pd.DataFrame) -> Figure | None:
    """Accuracy by MACs and by training time; the Pareto front is numbered and named."""
    shown = [cost for cost in COSTS if table[cost].nunique() > 1]
    caption = "numbered: no other configuration is both cheaper and more accurate; bars: ± sd between seeds"
    figure, panels = _make_panels(len(shown), 8.2, 3.7, caption)
    for axes, cost in zip(panels, shown, strict=True):
        found = table.dropna(subset=[cost]).sort_values([cost, "val_acc"], ascending=[True, False])
        x, y = found[cost].astype(float), 100 * found["val_acc"]
        axes.errorbar(
            x, y, 100 * found["val_acc_sd"].fillna(0), fmt="o", color=TRAIN_COLOUR, ecolor="0.75"
        )
        front = found.index[y > y.cummax().shift(fill_value=-1)]
        axes.step([*x[front], x.max()], [*y[front], y.max()], where="post", color=VAL_COLOUR)
        for place, name in enumerate(front, 1):
            label = textwrap.fill(f"{place}  {name}", 44, break_long_words=False)
            axes.plot(x[name], y[name], "s", color=VAL_COLOUR, markersize=11, zorder=3, label=label)
            axes.text(
                x[name],
                y[name],
                str(place),
                ha="center",
                va="center",
                fontsize=8,
                color="white",
                zorder=4,
            )
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, handlelength=0, markerscale=0
        )
        axes.set(xlabel=COSTS[cost], ylabel=ACCURACY)
        axes.grid(alpha=0.3)
        _scale(axes, x)
    return figure if shown else None


def plot_curves(curves: dict[str, pd.DataFrame]) -> Figure | None:
    """Loss and accuracy by epoch of the eight best configurations: lines means, shades from seed to seed."""
    caption = "means over runs; shades: from the least to the most"
    figure, (loss, accuracy) = _make_panels(2, 5.4, 3.9, caption, columns=2)
    for name, table in itertools.islice(curves.items(), 8):
        split = "val" if "val/acc" in table else "train"
        for axes, key, scale in ((loss, f"{split}/loss", 1), (accuracy, f"{split}/acc", 100)):
            found = scale * table.groupby("epoch")[key].agg(["mean", "min", "max"])
            (line,) = axes.plot(
                found.index, found["mean"], "o-", markersize=3, label=textwrap.fill(name, 60)
            )
            axes.fill_between(
                found.index, found["min"], found["max"], color=line.get_color(), alpha=0.15
            )
            axes.set(
                xlabel="epoch", ylabel=f"{split}/{key.rpartition('/')[2]}{' / %' * (scale > 1)}"
            )
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.grid(alpha=0.3)
    loss.set_yscale("log")
    _tick_log_axis(loss.yaxis)
    figure.legend(*loss.get_legend_handles_labels(), loc="outside upper left", fontsize=8, ncols=1)
    return figure if curves else None


def plot_search(database: Path) -> dict[str, Figure]:
    """Optuna's own figures of a search: how its best value grew, and how much each setting mattered (fANOVA)."""
    if not database.exists():
        return {}
    import optuna

    storage = f"sqlite:///{database}"
    (name,) = optuna.get_all_study_names(storage)
    study, figures = optuna.load_study(study_name=name, storage=storage), {}
    with (
        warnings.catch_warnings(action="ignore"),
        matplotlib.rc_context({"figure.constrained_layout.use": True}),
    ):
        for file, draw in (
            ("history", "plot_optimization_history"),
            ("importance", "plot_param_importances"),
        ):
            with suppress(RuntimeError, ValueError):  # too few trials
                figures[f"search_{file}.png"] = getattr(optuna.visualization.matplotlib, draw)(
                    study
                ).figure
    return figures


def _make_panels(
    count: int, width: float, height: float, caption: str, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    columns = min(columns, max(count, 1))
    lines = max(1, -(-count // columns))
    figure = Figure(
        figsize=(max(5.5, width * columns + 0.8), height * lines + 0.5), layout="constrained"
    )
    figure.supxlabel(caption, fontsize=8, color="0.35")
    return figure, [figure.add_subplot(lines, columns, place + 1) for place in range(count)]


def _name_ticks(axes: Axes, names: list[str]) -> None:
    axes.set_xticks(
        range(len(names)), names, fontsize=9, rotation=30 if sum(map(len, names)) > 22 else 0
    )


def _scale(axes: Axes, values: pd.Series) -> None:
    if values.min() > 0 and values.max() > 3 * values.median():
        axes.set_xscale("log")
        _tick_log_axis(axes.xaxis)
    if values.max() > 1000:
        axes.xaxis.set_major_formatter(EngFormatter(places=1))


def _tick_log_axis(axis: Axis) -> None:
    """Numbers a reader can use, also within a decade."""
    low, high = axis.get_view_interval()
    subs = (1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5) if high < 1000 * low else (1,)
    axis.set(
        major_locator=LogLocator(subs=subs),
        major_formatter="{x:g}",
        minor_formatter=NullFormatter(),
    )
