"""What the pictures of a sweep have in common."""

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

ACCURACY = "validation accuracy / %"

_LONGEST = 18  # characters of a tick label


def panels(
    number_of: int, *, width: float, height: float, columns: int = 4, shared: bool = True
) -> tuple[Figure, list[Axes]]:
    """Axes in lines of at most `columns`; with a shared scale of accuracy only those at the left have its label."""
    columns = min(columns, number_of)
    lines = -(-number_of // columns)
    figure = Figure(figsize=(max(4.5, width * columns + 0.8), height * lines + 0.5), layout="constrained")
    grid = figure.subplots(lines, columns, sharey=shared, squeeze=False)
    if shared:
        for axes in grid[:, 0]:
            axes.set_ylabel(ACCURACY)
    for axes in grid.ravel()[number_of:]:
        axes.remove()
    return figure, list(grid.ravel()[:number_of])


def caption(figure: Figure, said: Sequence[str]) -> None:
    """A line below all panels."""
    width = int(figure.get_figwidth() * 15)
    figure.supxlabel(textwrap.fill("; ".join(said), width), fontsize=8, color="0.35")


def name_ticks(axes: Axes, names: Sequence[str], room: int = 28) -> None:
    """Names 0, 1, 2, … on the horizontal axis; turned if they would run into each other.

    Args:
        axes: Where.
        names: In order.
        room: Characters that fit side by side.
    """
    short = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names]
    crowded = len(short) * (max(map(len, short)) + 1) > room
    turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks(range(len(short)), short, fontsize=9, **turned)
