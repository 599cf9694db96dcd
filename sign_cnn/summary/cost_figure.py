"""The picture of what accuracy costs."""

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, LogLocator, NullFormatter, StrMethodFormatter

from sign_cnn.figures import TRAIN_COLOUR, VAL_COLOUR
from sign_cnn.summary.effects import front
from sign_cnn.summary.panels import ACCURACY, caption
from sign_cnn.summary.table import Configuration, varying

_LOG_SPAN = 2  # from which on costs are multiples, not sums
_MAX_NAMED = 12  # lines that fit beside a panel


def accuracy_against_cost(found: Sequence[Configuration]) -> Figure | None:
    """What more multiply-accumulates and more seconds buy, and which configurations nothing beats."""
    by_macs = [(float(item.macs), item) for item in found if item.macs]
    by_seconds = [(item.fit_seconds, item) for item in found if item.fit_seconds]
    plain = StrMethodFormatter("{x:g}")
    panels = [
        (pairs, label, ticks)
        for pairs, label, ticks in (
            (by_macs, "multiply-accumulates of one image", EngFormatter()),
            (by_seconds, "training time of a run / s", plain),
        )
        if len({cost for cost, _ in pairs}) > 1
    ]
    if not panels:
        return None
    figure = Figure(figsize=(9, 3.9 * len(panels)), layout="constrained")
    for axes, (pairs, label, ticks) in zip(figure.subplots(len(panels), 1, squeeze=False).ravel(), panels, strict=True):
        _cost(axes, pairs, ticks)
        axes.set(xlabel=label, ylabel=ACCURACY)
    said = ["numbered: no other configuration is both cheaper and more accurate"]
    if any(item.val_acc_sd for item in found):
        said.append("bars: ± standard deviation between seeds")
    caption(figure, said)
    return figure


def _cost(axes: Axes, pairs: Sequence[tuple[float, Configuration]], ticks: Formatter) -> None:
    costs = [cost for cost, _ in pairs]
    accuracies = [100 * (item.val_acc or 0.0) for _, item in pairs]
    spreads = [100 * (item.val_acc_sd or 0.0) for _, item in pairs]
    axes.errorbar(costs, accuracies, spreads, fmt="o", color=TRAIN_COLOUR, ecolor="0.75", markersize=5, elinewidth=1)
    best = front(costs, accuracies)
    x, y = [costs[i] for i in best], [accuracies[i] for i in best]
    axes.step([*x, max(costs)], [*y, y[-1]], where="post", color=VAL_COLOUR, linewidth=1.5, zorder=3)
    axes.plot(x, y, "s", color=VAL_COLOUR, markersize=11, zorder=4)
    for place, i in enumerate(best, 1):
        axes.text(costs[i], accuracies[i], str(place), ha="center", va="center", fontsize=8, color="white", zorder=5)
    axes.annotate(_legend([pairs[i][1] for i in best]), (1.02, 1), xycoords="axes fraction", va="top", fontsize=8)
    if max(costs) > _LOG_SPAN * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(costs) < 100 * min(costs) else (1,)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(ticks)
    axes.grid(alpha=0.3)


def _legend(found: Sequence[Configuration]) -> str:
    """The numbered points, the best above, by the factors in which they differ."""
    names = varying(found, list(found[0].factors))
    lines = [
        textwrap.fill(f"{place}  {item.name(names) or 'all'}", 44, subsequent_indent="    ", break_long_words=False)
        for place, item in enumerate(found, 1)
    ]
    return "\n".join(reversed(lines[-_MAX_NAMED:]))
