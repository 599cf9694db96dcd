"""A sweep explains itself: `python -m sign_cnn.summarize DIR [--quick]`, at any time, also while it runs.

DIR is the folder of a sweep, or any other whose subfolders are runs. What is found goes to `results.csv` (one line a
configuration), `jobs.csv` (one line a job), `results.md` and `figures/` in it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from rich import get_console

from sign_cnn.errors import clean_exit
from sign_cnn.files import explained, sweep_temporary, write_text
from sign_cnn.summary import pages
from sign_cnn.summary.contents import Summary, check, collect


def write(folder: Path, *, final: bool) -> Summary:
    """Summarises a folder of runs and writes it there; several processes may do so at once.

    Args:
        folder: Of a sweep, or of any runs.
        final: Compare configurations and draw figures; otherwise result files alone are read, in milliseconds.

    Raises:
        UserError: There is no such folder or no run in it, or its study.json is damaged.
        OSError: It cannot be written to.
    """
    check(folder)
    with FileLock(folder / ".summary.lock"):
        summary = collect(folder, final=final)
        if final:
            from sign_cnn.summary import figures  # loads matplotlib

            sweep_temporary(folder / "figures")
            figures.draw(summary)
        write_text(folder / "results.csv", pages.results_csv(summary))
        write_text(folder / "jobs.csv", pages.jobs_csv(summary.jobs))
        write_text(folder / "results.md", pages.page(summary))
    return summary


def show(summary: Summary) -> None:
    """Prints the table, what must be known to read it, and where the rest is."""
    console = get_console()

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, markup=False)

    console.print(pages.console_page(summary, console), highlight=False)
    more = len(summary.configurations) - pages.MAX_CONSOLE_ROWS
    if more > 0:
        say(f"… {more} more in results.md")
    if summary.paragraph:
        say(summary.paragraph.replace("`", ""))
    for note in summary.notes:
        say(note.replace("`", ""), "dim")
    for error in summary.errors:
        say(error.replace("`", ""), "red")
    console.print(f"Written to {summary.folder / 'results.md'}", soft_wrap=True, highlight=False, markup=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.summarize",
        description="Ranks the configurations of a sweep, says which differ, and draws it; also while it runs.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a sweep, or of any runs")
    parser.add_argument("--quick", action="store_true", help="the table alone, without comparisons and figures")
    options = parser.parse_args(arguments)
    with clean_exit(), explained(options.folder):
        summary = write(options.folder, final=not options.quick)
    show(summary)


if __name__ == "__main__":
    main()
