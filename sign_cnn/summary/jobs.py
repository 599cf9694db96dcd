"""The jobs of a sweep, or the runs of any folder, as their directories tell of them."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from sign_cnn.errors import UserError
from sign_cnn.runs.naming import labels
from sign_cnn.runs.ownership import is_held
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
        return Job(name, named, "running" if is_held(path) else "missing")
    try:
        result = Result.read(path / "result.json")
        status = "interrupted" if result.status == "running" and not is_held(path) else str(result.status)
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
