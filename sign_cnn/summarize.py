"""`python -m sign_cnn.summarize DIR`: tables and figures of a sweep, or of any folder of runs.

It may be called at any time, also while the sweep runs. It writes results.csv (configurations),
jobs.csv, results.md and figures/, and if folds were swept, pooled.csv.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from filelock import FileLock

from sign_cnn.console import print_line, print_table
from sign_cnn.errors import exit_on_user_error
from sign_cnn.files import explain_os_errors, remove_temporary, write_text

POOLED = "All folds together, in percent, with 95 % intervals by photo, and by fold (Student's t)"


class Summary(NamedTuple):
    """A sweep at one moment. `sign_cnn.reports.sweep` explains the tables."""

    folder: Path
    jobs: pd.DataFrame
    table: pd.DataFrame  # a line per configuration, the best first
    text: pd.DataFrame  # the same, formatted
    pooled: pd.DataFrame  # out-of-fold scores, formatted; empty without folds
    notes: list[str]  # what weakens the table, how to read it, and errors


def summarize(folder: Path) -> Summary:
    """Compare the runs in a folder, and write tables and figures into it.

    Args:
        folder: Folder of a sweep, or of any runs.

    Returns:
        The tables, and what to know about them.

    Raises:
        UserError: If there is no run in the folder.
    """
    from sign_cnn.reports import figures, sweep  # they import Matplotlib and scikit-learn

    command, names = sweep.read_plan(folder)
    with FileLock(folder / ".summary.lock"):
        jobs, photos = sweep.read_jobs(folder, names)
        table, judged = sweep.rank(jobs, photos)
        comparable = table[table["verdict"].isin(["best", "tie", "worse"])]
        text, pooled = sweep.format_table(table), pd.DataFrame()
        notes, page = sweep.take_notes(jobs, table), [f"# {folder.resolve().name}"]
        page += [f"```\n{command}\n```"] if command else []
        page += ["\n".join(f"- {note}" for note in notes), _to_markdown(text)]
        if len(scores := sweep.pool_folds(table, judged)):
            pooled = sweep.format_pooled(scores)
            write_text(folder / "pooled.csv", scores.to_csv(index=False))
            page += [f"## {POOLED}", _to_markdown(pooled)]
        write_text(folder / "results.csv", table.to_csv(index=False, float_format="%.6g"))
        facts = jobs.drop(columns=["configuration", "key"]).convert_dtypes()
        write_text(folder / "jobs.csv", facts.to_csv(index=False))
        effects, file = (
            sweep.average_factors(comparable, judged),
            folder / "figures/main_effects.png",
        )
        remove_temporary(file.parent)
        file.unlink(missing_ok=True)
        if len(effects):
            figures.save_figure(figures.plot_main_effects(effects), file)
            page.append("![main_effects.png](figures/main_effects.png)")
        write_text(folder / "results.md", "\n\n".join(page) + "\n")
    return Summary(folder, jobs, table, text, pooled, notes)


def _to_markdown(df: pd.DataFrame) -> str:
    return df.to_markdown(index=False, disable_numparse=True)


def show(summary: Summary) -> None:
    """Print the notes, the twenty best configurations, and where the rest is written."""
    print_line("\n".join([summary.folder.resolve().name, *summary.notes]))
    print_table(summary.text.drop(columns=["num_params", "macs"]).head(20))
    if len(summary.pooled):
        print_table(summary.pooled.head(20), POOLED)
    print_line(f"Written to {summary.folder / 'results.md'}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    about = "Rank and compare the jobs of a sweep."
    parser = argparse.ArgumentParser("python -m sign_cnn.summarize", description=about)
    parser.add_argument("folder", type=Path, help="folder of a sweep, or of any runs")
    folder = parser.parse_args(arguments).folder
    with exit_on_user_error(), explain_os_errors(folder):
        show(summarize(folder))


if __name__ == "__main__":
    main()
