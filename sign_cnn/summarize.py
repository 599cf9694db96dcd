"""`python -m sign_cnn.summarize DIR`: tables and figures of a sweep or of any folder of runs, also while it runs.

Writes results.csv (configurations), jobs.csv, results.md and figures/; where folds were swept, pooled.json, pooled.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock
from rich import get_console

from sign_cnn.console import print_line, print_table
from sign_cnn.errors import exit_on_user_error
from sign_cnn.files import explain_os_errors, remove_temporary, write_text


@dataclass(frozen=True)
class Summary:
    """A sweep at one moment; the tables are explained in `sign_cnn.reports.sweep`."""

    folder: Path
    jobs: pd.DataFrame
    table: pd.DataFrame  # of configurations, the best first
    text: pd.DataFrame  # the same to be read
    pooled: pd.DataFrame  # out-of-fold scores as text; empty without folds
    caution: str  # what to know before them; empty if nothing
    notes: list[str]


def summarize(folder: Path) -> Summary:
    """Compare the runs of a folder and write tables and figures into it. Raises UserError: there is no run in it."""
    from sign_cnn.reports import figures, sweep  # scipy.stats, matplotlib

    command, names = sweep.read_plan(folder)
    with FileLock(folder / ".summary.lock"):
        jobs, photos = sweep.read_jobs(folder, names)
        table, right, rows = sweep.rank(jobs, photos)
        comparable = table.loc[list(right)]
        effects = sweep.average_factors(comparable, right, rows)
        pooled, refused = sweep.write_pooled(folder, jobs, photos)
        caution = sweep.caution(jobs, table)
        text, notes = sweep.format_table(table), [*sweep.take_notes(jobs, table), *refused[:1]]
        drawn = {
            "learning_curves.png": figures.plot_curves(
                sweep.read_curves(folder, jobs, list(table.index))
            ),
            "main_effects.png": figures.plot_main_effects(comparable, effects),
            "heat_maps.png": figures.plot_heat_maps(comparable),
            "accuracy_against_cost.png": figures.plot_accuracy_against_cost(comparable),
            **figures.plot_search(folder / "optuna.db"),
        }
        write_text(folder / "results.csv", table.to_csv(index=False, float_format="%.6g"))
        lines = jobs.drop(columns=["configuration", "key"]).convert_dtypes()
        write_text(folder / "jobs.csv", lines.to_csv(index=False))
        parts = [f"# {folder.resolve().name}", *([f"```\n{command}\n```"] if command else [])]
        parts += [f"**{caution}.**"] * bool(caution)
        parts += [
            text.to_markdown(index=False, disable_numparse=True),
            "\n".join(f"- {note}" for note in notes),
        ]
        remove_temporary(folder / "figures")
        for file, figure in drawn.items():
            (folder / "figures" / file).unlink(missing_ok=True)
            if figure:
                figures.save_figure(figure, folder / "figures" / file)
                parts.append(f"![{file}](figures/{file})")
        write_text(folder / "results.md", "\n\n".join(parts) + "\n")
    return Summary(folder, jobs, table, text, pooled, caution, notes)


def show(summary: Summary) -> None:
    """Print the twenty best configurations, what is needed to read the table, and where the rest is."""
    title = ": ".join(filter(None, [summary.folder.resolve().name, summary.caution]))
    text, console = summary.text.head(20), get_console()
    if console.is_terminal and console.width < 150:  # it would be wrapped
        text = text.drop(columns=["parameters", "MACs", "training time s"], errors="ignore")
    print_table(text, title)
    if not summary.pooled.empty:
        print_table(summary.pooled.head(20), "Out-of-fold, 95 % intervals by photo")
    for note in summary.notes:
        print_line(note)
    print_line(f"Written to {summary.folder / 'results.md'}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.summarize", description="Rank, compare and draw a sweep."
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder of a sweep, or of any runs"
    )
    folder = parser.parse_args(arguments).folder
    with exit_on_user_error(), explain_os_errors(folder):
        show(summarize(folder))


if __name__ == "__main__":
    main()
