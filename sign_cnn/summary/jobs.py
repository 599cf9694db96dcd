"""The jobs of a sweep, or the runs of any folder, as their directories tell of them."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sign_cnn.errors import UserError
from sign_cnn.runs.naming import labels
from sign_cnn.runs.results import Result
from sign_cnn.runs.study import Study
from sign_cnn.summary.evidence import Rows, read_rows

STATUSES = ("done", "failed", "running", "interrupted", "missing", "unreadable")
"""Of a job. `missing` is planned and not begun; `unreadable` has a damaged file; the others as in `Result`."""

_REPEATS = ("seed", "fold", "data.fold")
"""Labels that repeat a configuration instead of changing it."""


@dataclass(frozen=True)
class Job:
    """One directory."""

    name: str
    labels: dict[str, str]  # what it is called after
    status: str
    error: str | None = None  # why it failed, or cannot be read
    result: Result | None = None
    rows: Rows | None = field(default=None, repr=False)  # None: not looked at, or none

    @property
    def factors(self) -> dict[str, str]:
        """The labels of its configuration."""
        return {key: value for key, value in self.labels.items() if key not in _REPEATS}

    @property
    def seed(self) -> str:
        """As in its name; empty where it is not swept."""
        return self.labels.get("seed", "")

    @property
    def fold(self) -> str:
        """As in its name; empty where it is not swept."""
        return self.labels.get("fold", self.labels.get("data.fold", ""))


def read_names(folder: Path, study: Study) -> list[str]:
    """Planned jobs in the order of the plan, then the other subfolders that hold a result, by name."""
    found = [path.parent.name for path in folder.glob("*/result.json") if not path.parent.name.startswith(".")]
    return list(dict.fromkeys([*study.jobs, *sorted(found, key=natural)]))


def read_job(path: Path, *, with_rows: bool = False) -> Job:
    """One job, whatever state its directory is in.

    Args:
        path: Of its directory, which need not be there.
        with_rows: Read its predictions too, if it is done.
    """
    name, named = path.name, labels(path.name)
    if not (path / "result.json").exists():
        return Job(name, named, "running" if _held(path) else "missing")
    try:
        result = _checked(Result.read(path / "result.json"), path)
        status = "interrupted" if result.status == "running" and not _held(path) else str(result.status)
        scored = with_rows and status == "done" and result.val_acc is not None
        rows = read_rows(path / "predictions.npz") if scored else None
    except (UserError, OSError) as error:
        return Job(name, named, "unreadable", str(error))
    return Job(name, named, status, result.error if status == "failed" else None, result, rows)


def natural(text: str) -> list[tuple[int, float, str]]:
    """Sorts numbers inside of names by value.

    >>> sorted(["lr=10", "lr=9", "lr=0.5"], key=natural)
    ['lr=0.5', 'lr=9', 'lr=10']
    """
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", text)
    return [(0, float(part), "") if i % 2 else (1, 0.0, part) for i, part in enumerate(parts)]


def number(text: str) -> float | None:
    """A label as a finite number, if it is one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def in_order(values: list[str]) -> list[str]:
    """Different values of one factor: by size if all are numbers, else as they come."""
    different = list(dict.fromkeys(values))
    sizes = {value: number(value) for value in different}
    return different if None in sizes.values() else sorted(different, key=lambda value: (sizes[value], value))


def _held(path: Path) -> bool:
    """Whether a process is at work in a run's directory; asks by taking the lock for an instant."""
    if not (path / ".lock").exists():
        return False
    try:
        with FileLock(path / ".lock", timeout=0):
            return False
    except (Timeout, OSError):  # also a lock that only others may open
        return True


def _checked(result: Result, path: Path) -> Result:
    """The result, if its status and numbers are such.

    Raises:
        UserError: They are not.
    """
    numbers: dict[str, Any] = {
        key: getattr(result, key)
        for key in ("val_acc", "val_loss", "val_originals", "val_originals_wrong", "num_params", "macs", "fit_seconds")
    }
    wrong = [f"{key}={value!r}" for key, value in numbers.items() if not _is_number_or_none(value)]
    if result.status not in STATUSES[:4]:
        wrong.append(f"status={result.status!r}")
    if wrong:
        raise UserError(f"{path / 'result.json'} is damaged ({', '.join(wrong)}); remove it to run again")
    return result


def _is_number_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))
