"""Log lines and tables on the console of the progress bar, so that none overwrites another."""

import logging
from typing import Any

import pandas as pd
from rich import get_console


class ConsoleHandler(logging.Handler):
    """Prints log messages without a time stamp (train.log has it) or a line break in a path."""

    def emit(self, record: logging.LogRecord) -> None:
        print_line(self.format(record), "red" if record.levelno >= logging.ERROR else None)


def print_line(text: str, style: str | None = None) -> None:
    """Print one line as it is, however long."""
    get_console().print(text, style=style, soft_wrap=True, highlight=False, markup=False)


def print_table(df: pd.DataFrame, title: str = "") -> None:
    """Print a table without its index; numbers are aligned to the right and not rounded."""
    df = df.astype(str)
    is_number = (df[name].str.match(r"[-−–]?\d|–?$").all() for name in df)
    sides = ["right" if right else "left" for right in is_number]
    options: Any = {"tablefmt": "rounded_outline", "index": False, "disable_numparse": True}
    print_line(f"{title}\n{df.to_markdown(**options, colalign=sides)}".lstrip())
