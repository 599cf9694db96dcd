"""What a run came to, as a table on the console. Imports nothing slow."""

from pathlib import Path

from rich import get_console
from rich.table import Table
from rich.text import Text

from sign_cnn.runs.results import Result


def show(result: Result, directory: Path) -> None:
    """Prints a run's summary as a table."""
    title = f"{result.experiment or result.name}, seed {result.seed}, {result.data_kind} data"
    table = Table(title=Text(title), show_header=False)
    table.add_column(style="bold")
    table.add_column()

    def percent(share: float) -> str:
        return f"{100 * share:.2f} %"

    if result.val_acc is not None:
        leak = ", which leaks" if result.val_split == "random" else ""
        split = f"({result.val_split} split{leak}; best epoch {result.best_epoch})"
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
    get_console().print(
        f"Results: {shown}\nCurves: tensorboard --logdir {shown}", soft_wrap=True, highlight=False, markup=False
    )
