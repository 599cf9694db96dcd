"""Figures of a run and of a sweep, as Matplotlib `Figure`s that `save_figure` writes.

Colours also differ in grey and for colour-blind readers.
"""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from sign_cnn.files import atomic_write

ORANGE, GREY = "#e76300", "#474747"
MAX_NUMBERED_CLASSES = 40  # numbers in the cells of more classes would overlap


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
    caption = f"The grey line marks epoch {best_epoch}, whose weights are kept."
    figure, panels = _make_panels(2, 5.4, 3.9, caption)
    figure.suptitle(title, fontsize=10)
    for axes, key, label in zip(panels, ("loss", "acc"), ("loss", "accuracy"), strict=True):
        for split in ("train", "val"):
            if f"{split}/{key}" in metrics:
                curve = metrics.set_index("epoch")[f"{split}/{key}"].dropna()
                axes.plot(curve, "o-", ms=3.5, label=split)
        axes.axvline(best_epoch, color="0.6", linewidth=1, zorder=0)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    panels[0].set_yscale("log")
    panels[0].yaxis.set(major_formatter="{x:g}", minor_formatter="{x:.2g}")
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


def plot_sheet(photos: pd.DataFrame, pictures: NDArray[np.uint8], title: str) -> Figure:
    """Plot a contact sheet.

    Args:
        photos: Has the columns `class`, `predicted` and `p`, the probability of the class.
        pictures: uint8 (N, H, W, 3), a picture of each of the first N photos.
        title: Title of the figure.

    Returns:
        The figure.
    """
    caption = "True → predicted class; p is the mean probability of the true class."
    figure, panels = _make_panels(len(pictures), 1.45, 1.95, caption, columns=6)
    figure.suptitle(title, fontsize=10)
    for place, (axes, photo) in enumerate(zip(panels, photos.to_dict("records"), strict=False)):
        axes.imshow(pictures[place])
        caption = textwrap.fill(f"{photo['class']} → {photo['predicted']}", 14)
        axes.set_title(f"{caption}\np = {photo['p']:.2f}", fontsize=9)
        axes.set_axis_off()
    return figure


def plot_main_effects(effects: pd.DataFrame) -> Figure:
    """Plot the mean accuracy of each level of each factor, with intervals.

    Args:
        effects: From `average_factors`, not empty.

    Returns:
        The figure.
    """
    groups = effects.groupby("factor", sort=False)
    caption = "Bars are 95 % intervals of the difference to the mean, which is dashed."
    figure, panels = _make_panels(len(groups), 2.9, 2.9, caption)
    for axes, (factor, effect) in zip(panels, groups, strict=True):
        axes.sharey(panels[0])
        accuracy, delta = effect["accuracy"], effect["delta"]
        above = np.minimum(effect["delta_high"] - delta, 1 - accuracy)
        bars = 100 * np.array([delta - effect["delta_low"], above])
        axes.axhline(100 * accuracy.mean(), color=GREY, linestyle="--", linewidth=1)
        axes.errorbar(effect["level"].astype(str), 100 * accuracy, bars, fmt="o", color=ORANGE)
        axes.tick_params("x", rotation=20)
        axes.set(xlabel=factor, ylabel="validation accuracy / %")
        axes.margins(x=0.3)
    return figure


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
