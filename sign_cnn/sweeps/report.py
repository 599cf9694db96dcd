"""What a sweep says while it runs and when it ends."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sign_cnn import summarize
from sign_cnn.errors import UserError
from sign_cnn.sweeps.progress import Progress


@contextmanager
def reported(folder: Path, names: Sequence[str] = (), total: int | None = None) -> Iterator[None]:
    """Shows a line for each job that ends, then the summary; exits with 1 if a job failed.

    The arguments are those of `Progress`. An interrupted sweep leaves its table without the slow parts.
    """
    progress = Progress(folder, names, total)
    try:
        with progress:
            yield
    except BaseException:
        with suppress(UserError, OSError):  # what stopped the sweep matters more
            summarize.write(folder, final=False)
        raise
    try:
        summarize.show(summarize.write(folder, final=True))
    except (UserError, OSError) as error:
        sys.exit(f"Error: {error}")
    if words := progress.shortfall():
        sys.exit(f"Error: {words}; the same command tries them again")
