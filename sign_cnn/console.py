"""Log lines on the console that tables and the progress bar share, so that none of them writes over another."""

import logging

from rich import get_console


class ConsoleHandler(logging.Handler):
    """Prints log messages as they are: no stamp (train.log has it), no wrapping that would break a path.

    What is logged with `extra=FILE_ONLY` is for train.log alone.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one record."""
        if getattr(record, "file_only", False):
            return
        style = (
            "bold red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else None
        )
        get_console().print(self.format(record), style=style, soft_wrap=True, highlight=False, markup=False)


FILE_ONLY = {"file_only": True}


def warnings_only() -> None:
    """Leaves the console to warnings and errors; train.log still gets everything."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ConsoleHandler):
            handler.setLevel(logging.WARNING)
