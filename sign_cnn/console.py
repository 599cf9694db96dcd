"""One console for log lines, tables and the progress bar, so that none of them writes over another."""

import logging
from pathlib import Path

from rich import get_console
from rich.table import Table

from sign_cnn.results import Result


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


def show(result: Result, directory: Path) -> None:
    """Prints a run's summary as a table."""
    title = f"{result.experiment or result.name}, seed {result.seed}, {result.data_kind} data"
    table = Table(title=title, show_header=False)
    table.add_column(style="bold")
    table.add_column()

    def percent(share: float) -> str:
        return f"{100 * share:.2f} %"

    if result.val_acc is not None:
        split = f"({result.val_split} split, best epoch {result.best_epoch})"
        table.add_row("validation accuracy", f"{percent(result.val_acc)}  {split}")
    if result.test_acc is not None and result.test_acc_ci95:
        low, high = map(percent, result.test_acc_ci95)
        table.add_row("test accuracy", f"{percent(result.test_acc)}  (95 % by photograph: {low} to {high})")
        table.add_row("test photographs wrong", f"{result.test_originals_wrong} of {result.test_originals}")
    size = f"{result.num_params:,} parameters, {(result.macs or 0) / 1e6:.1f} M multiply-adds an image"
    table.add_row("network", size)
    epochs = f"{result.epochs} epoch{'s' if result.epochs != 1 else ''}"
    table.add_row("time", f"{result.fit_seconds:.1f} s for {epochs}, {result.train_images_per_second:,.0f} images/s")
    get_console().print(table)
    shown = directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
    get_console().print(f"Written to {shown}\nCurves: tensorboard --logdir {shown}", soft_wrap=True, highlight=False)
