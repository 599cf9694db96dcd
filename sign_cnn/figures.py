"""Pictures of a run. Colours keep apart in grey and for colour-blind eyes; every axis says its unit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from sign_cnn.files import replacing
from sign_cnn.letters import LETTERS

TRAIN_COLOUR, VAL_COLOUR, TEST_COLOUR = "#3f90da", "#e76300", "#474747"


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG in one step."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def learning_curves(rows: Sequence[dict[str, float]], title: str, best_epoch: int) -> Figure:
    """Loss and accuracy of training and validation by epoch; the best checkpoint's epoch is marked.

    Args:
        rows: Of metrics.csv.
        title: Above both panels.
        best_epoch: Counted from 1.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title, fontsize=10)
    epochs = [row["epoch"] for row in rows]
    for axes, key, label in zip(
        figure.subplots(1, 2), ("loss", "acc"), ("cross-entropy / nats", "accuracy"), strict=True
    ):
        for part, colour, style, marker in (("train", TRAIN_COLOUR, "--", "o"), ("val", VAL_COLOUR, "-", "s")):
            if f"{part}/{key}" in rows[0]:
                values = [row[f"{part}/{key}"] for row in rows]
                axes.plot(epochs, values, style, color=colour, marker=marker, markersize=3.5, label=_LONG_NAMES[part])
        axes.axvline(best_epoch, color="0.6", linewidth=1, zorder=0, label=f"best checkpoint ({best_epoch})")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.axes[0].set_yscale("log")
    figure.axes[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    figure.axes[1].legend(loc="lower right", fontsize=8)
    return figure


def confusion_matrix(counts: NDArray[np.int64], title: str) -> Figure:
    """Rows by true and predicted letter; the right ones are grey, the wrong ones stand out.

    Args:
        counts: int (24, 24), true letter down, predicted across.
        title: Above the matrix.
    """
    figure = Figure(figsize=(7.6, 7), layout="constrained")
    axes = figure.subplots()
    totals = np.maximum(counts.sum(1, keepdims=True), 1)
    shares = counts / totals
    right = np.eye(len(counts), dtype=bool)
    axes.imshow(np.where(right, shares, np.nan), cmap="Greys", vmin=0, vmax=2)
    axes.imshow(np.where(~right & (counts > 0), np.maximum(shares, 0.08), np.nan), cmap="Oranges", vmin=0, vmax=0.6)
    for i, j in zip(*np.nonzero(counts), strict=True):
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=6.5)
    axes.set(xlabel="predicted letter", ylabel="true letter")
    axes.set_title(title, fontsize=10)
    axes.set_xticks(range(len(LETTERS)), list(LETTERS))
    axes.set_yticks(range(len(LETTERS)), list(LETTERS))
    return figure


_LONG_NAMES = {"train": "training", "val": "validation"}
