"""One line for each job of a sweep that ends, whoever runs it and wherever."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich import get_console

from sign_cnn import summarize
from sign_cnn.errors import UserError
from sign_cnn.runs.results import Result


class Progress:
    """Watches result files while the block lasts; after each that ends it brings the sweep's table up to date.

    It looks at files, not at return values, so that jobs on another machine, or of another process that shares the
    sweep, are seen as well.
    """

    INTERVAL_SECONDS = 0.5

    def __init__(self, folder: Path, names: Sequence[str] = (), total: int | None = None) -> None:
        """Takes note of what has ended before.

        Args:
            folder: Of the sweep.
            names: Of the jobs that are to run; none: whatever appears below the folder.
            total: How many there will be; as many as there are names by default.
        """
        self.folder, self.names = folder, list(names)
        self.total = len(self.names) if total is None else total
        self.ended: dict[str, Result] = {}
        self._before = {name: _modified(folder / name) for name in self._watched()}
        self._start = time.perf_counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Starts to watch."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Looks a last time."""
        self._stop.set()
        self._thread.join()
        self._look()

    def shortfall(self) -> str:
        """What is not done, in words; empty if everything is."""
        failed = sum(result.status == "failed" for result in self.ended.values())
        lost = [name for name in self.names if name not in self.ended]
        parts = [f"{failed} of {self.total} jobs failed"] if failed else []
        parts += [f"{', '.join(lost)} ended without a result"] if lost else []
        return ", ".join(parts)

    def _watch(self) -> None:
        while not self._stop.wait(self.INTERVAL_SECONDS):
            with suppress(UserError, OSError):  # the last look is not a thread's, and tells
                self._look()

    def _look(self) -> None:
        news = {name: result for name in self._watched() if name not in self.ended and (result := self._news(name))}
        for name, result in news.items():
            self.ended[name] = result
            get_console().print(self._line(name, result), soft_wrap=True, highlight=False, markup=False)
        if news:
            summarize.write(self.folder, final=False)

    def _watched(self) -> list[str]:
        return self.names or sorted(path.parent.name for path in self.folder.glob("*/result.json"))

    def _news(self, name: str) -> Result | None:
        modified = _modified(self.folder / name)
        if modified is None or (modified == self._before.get(name) and not self.names):
            return None
        try:
            result = Result.read(self.folder / name / "result.json")
        except UserError:
            return None
        # A job to be run that is done has been done since it was planned; one that had failed may not be begun again.
        news = result.status == "done" or (result.status == "failed" and modified != self._before.get(name))
        return result if news else None

    def _line(self, name: str, result: Result) -> str:
        count = f"[{len(self.ended)}/{self.total}] {name}"
        if result.status == "failed":
            return f"{count}  failed: {result.error}"
        score = f"val {100 * result.val_acc:.2f} %" if result.val_acc is not None else "no validation split"
        seconds = (time.perf_counter() - self._start) / len(self.ended) * (self.total - len(self.ended))
        left = f", {duration(seconds)} left" if seconds > 0 else ""
        return f"{count}  {score}, {result.fit_seconds or 0:.1f} s{left}"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(95), duration(41), duration(8000)
    ('1 min 35 s', '41 s', '2 h 13 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _modified(directory: Path) -> int | None:
    try:
        return (directory / "result.json").stat().st_mtime_ns
    except OSError:
        return None
