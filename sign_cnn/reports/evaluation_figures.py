"""Pictures of an evaluation: how sure the network is, and what it does worst."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from sign_cnn.figures import TEST_COLOUR, TRAIN_COLOUR, VAL_COLOUR
from sign_cnn.reports.report import HardPhotograph, ReliabilityBin
from sign_cnn.reports.report_text import percent

_COLUMNS = 6
_FEW_ROWS = 20  # a share of fewer says little


def reliability_diagram(bins: Sequence[ReliabilityBin], error: float, title: str) -> Figure:
    """How often rows are right by how sure the network is, above how many rows that is.

    Args:
        bins: Of equal width, from 0 to 1.
        error: Calibration error, 0..1.
        title: Above both panels.
    """
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    figure.suptitle(f"{title}\ncalibration error {percent(error)}", fontsize=10)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [item for item in bins if item.confidence is not None and item.accuracy is not None]
    above.plot([0, 1], [0, 1], "--", color=TEST_COLOUR, linewidth=1, label="perfectly calibrated")
    sure, right = [item.confidence for item in filled], [item.accuracy for item in filled]
    above.plot(sure, right, "-o", color=VAL_COLOUR, markersize=5, label="measured")
    few = [(item.confidence, item.accuracy) for item in filled if item.rows < _FEW_ROWS]
    if few:
        hollow = {"markerfacecolor": "white", "markeredgecolor": VAL_COLOUR, "markersize": 5}
        above.plot(*zip(*few, strict=True), "o", **hollow, label=f"fewer than {_FEW_ROWS} rows")
    above.set(ylabel="rows right", ylim=(-0.03, 1.03), xlim=(0, 1))
    above.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    above.legend(loc="upper left", fontsize=8)
    lows, widths = [item.low for item in bins], [item.high - item.low for item in bins]
    below.bar(lows, [item.rows for item in bins], widths, align="edge", color=TRAIN_COLOUR, edgecolor="white")
    below.set(xlabel="probability given to the predicted letter", ylabel="rows", yscale="log")
    below.set_ylim(bottom=0.7)
    below.yaxis.set_major_locator(LogLocator(numticks=5))
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    below.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    return figure


def contact_sheet(photographs: Sequence[HardPhotograph], images: NDArray[np.uint8], title: str) -> Figure:
    """The hardest photographs, hardest first, each with its letter and what it was taken for.

    Args:
        photographs: One for each image.
        images: uint8 (N, 28, 28), 0..255.
        title: Above the sheet.
    """
    lines = max(1, -(-len(photographs) // _COLUMNS))
    height = 1.95 if any(item.variants > 1 for item in photographs) else 1.75
    figure = Figure(figsize=(1.45 * _COLUMNS, height * lines + 0.5), layout="constrained")
    figure.get_layout_engine().set(hspace=0.08)  # type: ignore[union-attr, call-arg]
    figure.suptitle(f"{title}\ntrue → predicted letter; p: mean probability of the true letter", fontsize=10)
    for axes in (grid := figure.subplots(lines, _COLUMNS, squeeze=False).ravel()):
        axes.set_axis_off()
    for axes, item, image in zip(grid, photographs, images, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        wrong = item.predicted != item.letter
        said = f"{item.letter} → {item.predicted}" if wrong else item.letter
        axes.set_title(said, fontsize=11, pad=3, color=VAL_COLOUR if wrong else TEST_COLOUR, fontweight="bold")
        share = f"{item.variants_wrong} of {item.variants} wrong\n" if item.variants > 1 else ""
        mean = "p < 0.01" if item.true_probability < 0.01 else f"p = {item.true_probability:.2f}"
        axes.text(0.5, -0.04, share + mean, transform=axes.transAxes, ha="center", va="top", fontsize=7)
    return figure
