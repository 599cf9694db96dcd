"""Log lines and tables on the console, which the progress bar shares, so that none overwrites another."""

import logging

import pandas as pd
from rich import get_console


class ConsoleHandler(logging.Handler):
    """Prints log messages as they are: no time stamp (train.log has it), no line break inside a path."""

    def emit(self, record: logging.LogRecord) -> None:
        print_line(self.format(record), "red" if record.levelno >= logging.ERROR else None)


def print_line(text: str, style: str | None = None) -> None:
    """Print one line as it is, however long."""
    get_console().print(text, style=style, soft_wrap=True, highlight=False, markup=False)


def print_table(df: pd.DataFrame, title: str = "") -> None:
    """Print a DataFrame without its index; numbers to the right, as they are."""
    sides = [
        "right" if df[name].astype(str).str.match(r"[-−–]?\d|–?$").all() else "left" for name in df
    ]
    table = df.astype(str).to_markdown(
        tablefmt="rounded_outline", index=False, disable_numparse=True, colalign=sides
    )
    print_line(f"{title}\n{table}".lstrip())
