"""One console for log lines, tables and the progress bar, so that none of them writes over another."""

import logging

from rich import get_console


class ConsoleHandler(logging.Handler):
    """Prints log messages as they are: no stamp (train.log has it), no wrapping that would break a path."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one record."""
        style = (
            "bold red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else None
        )
        get_console().print(self.format(record), style=style, soft_wrap=True, highlight=False, markup=False)
