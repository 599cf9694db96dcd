from pathlib import Path

import numpy as np
import pytest
from fake_runs import fake_run, judged_run
from matplotlib.figure import Figure

from sign_cnn.summary import figures
from sign_cnn.summary.contents import Summary, collect
from sign_cnn.summary.cost_figure import accuracy_against_cost

PHOTOGRAPHS = np.repeat(np.arange(30), 5)
ALL = ["accuracy_against_cost.png", "heat_maps.png", "main_effects.png", "seed_spread.png"]


def sweep(folder: Path, *, seeds: int = 2, macs: bool = True) -> Summary:
    """Two factors of two and three levels; more depth costs more and is better."""
    for depth in (1, 2):
        for kernel in (3, 5, 7):
            for seed in range(seeds):
                wrong = 40 // depth - kernel + seed
                cost = {"macs": depth * kernel * 100_000, "fit_seconds": depth + kernel / 10} if macs else {}
                judged_run(
                    folder / f"depth={depth},kernel_size={kernel},seed={seed}",
                    np.arange(150) >= wrong, PHOTOGRAPHS, **cost,
                )  # fmt: skip
    return collect(folder, final=True)


def drawn(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "figures").glob("*"))


def texts(figure: Figure) -> str:
    figure.draw_without_rendering()
    return "\n".join(item.get_text() for item in figure.findobj(lambda item: hasattr(item, "get_text")))


def test_every_figure_is_drawn_and_named(tmp_path: Path):
    summary = sweep(tmp_path)
    figures.draw(summary)
    assert drawn(tmp_path) == sorted(summary.figures) == ALL
    assert all((tmp_path / "figures" / file).read_bytes().startswith(b"\x89PNG") for file in ALL)


def test_a_figure_without_anything_to_show_is_removed(tmp_path: Path):
    sweep(tmp_path)
    (tmp_path / "figures").mkdir()
    for file in ALL:
        (tmp_path / "figures" / file).write_text("old")
    for path in tmp_path.glob("*kernel_size=[57]*/result.json"):
        path.unlink()
    for path in tmp_path.glob("*seed=1/result.json"):
        path.unlink()
    summary = collect(tmp_path, final=True)
    figures.draw(summary)
    assert drawn(tmp_path) == sorted(summary.figures) == ["accuracy_against_cost.png", "main_effects.png"]


def test_nothing_done_draws_nothing(tmp_path: Path):
    fake_run(tmp_path / "depth=1", None, status="failed", error="e")
    summary = collect(tmp_path, final=True)
    figures.draw(summary)
    assert (drawn(tmp_path), summary.figures) == ([], {})


def test_main_effects_have_a_panel_a_factor_with_units_and_numbers(tmp_path: Path):
    figure = figures.main_effects(sweep(tmp_path).effects)
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == ["depth", "kernel_size"]
    assert figure.axes[0].get_ylabel() == "validation accuracy / %"
    said = texts(figure)
    assert "n = 6 a level" in said
    assert "n = 4 a level" in said
    assert "new photographs and seeds" in said.replace("\n", " ")


def test_intervals_end_at_100_percent(tmp_path: Path):
    for depth in (1, 2):
        judged_run(tmp_path / f"depth={depth}", np.ones(150, bool), PHOTOGRAPHS)
    figure = figures.main_effects(collect(tmp_path, final=True).effects)
    assert figure is not None
    (bars,) = figure.axes[0].containers
    assert max(segment[:, 1].max() for segment in bars.lines[2][0].get_segments()) == pytest.approx(100)


def test_what_a_search_drew_has_a_logarithmic_axis_where_it_spans_much(tmp_path: Path):
    for i in range(6):
        name = f"lr={10.0**-i:.6f},dropout={0.1 * i + 0.1:.1f},activation={'abc'[i % 3]}"
        judged_run(tmp_path / name, np.arange(150) >= i, PHOTOGRAPHS)
    summary = collect(tmp_path, final=True)
    assert summary.effects == []
    figure = figures.main_effects(summary.trends)
    assert figure is not None
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear", "linear"]


def test_heat_maps_write_each_cell(tmp_path: Path):
    summary = sweep(tmp_path)
    figure = figures.heat_maps(summary.grids)
    assert figure is not None
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == [f"{100 * value:.2f}" for value in summary.grids[0].accuracy.ravel()]


def test_the_front_of_cost_is_numbered(tmp_path: Path):
    found = sweep(tmp_path).configurations
    figure = accuracy_against_cost(found)
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "multiply-accumulates of one image", "training time of a run / s",
    ]  # fmt: skip
    legend = [text.get_text() for text in figure.axes[0].texts if "depth" in text.get_text()]
    assert legend == ["\n".join(
        ["5  depth=2, kernel_size=7", "4  depth=2, kernel_size=5", "3  depth=2, kernel_size=3",
         "2  depth=1, kernel_size=5", "1  depth=1, kernel_size=3"]
    )]  # fmt: skip


def test_cost_is_drawn_where_it_is_known_and_differs(tmp_path: Path):
    assert accuracy_against_cost(sweep(tmp_path / "unknown", macs=False).configurations) is None
    for i in range(2):
        fields = {"macs": 100, "fit_seconds": 1.0 + i}
        judged_run(tmp_path / "same" / f"dropout={i}", np.arange(150) >= i, PHOTOGRAPHS, **fields)
    figure = accuracy_against_cost(collect(tmp_path / "same", final=True).configurations)
    assert figure is not None
    assert len(figure.axes) == 1


def test_the_spread_of_seeds_shows_30_rows_at_most(tmp_path: Path):
    for i in range(34):
        for seed in range(2 if i < 2 else 1):
            judged_run(tmp_path / f"width={i},seed={seed}", np.arange(150) >= i + seed, PHOTOGRAPHS)
    found = collect(tmp_path, final=True).configurations
    figure = figures.seed_spread(found)
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [str(i) for i in range(30)]
    assert "4 more below" in texts(figure)
    assert figures.seed_spread([]) is None
