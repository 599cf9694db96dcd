"""Repeated measurements: interleaved, told as median and range, kept as JSON with what they were made on."""

import gc
import json
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from sign_cnn.files import write_text
from sign_cnn.runs import results

clock = time.perf_counter


@dataclass(frozen=True)
class Series:
    """Repeated measurements of one thing, in the order in which they were made."""

    name: str
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        """Half of the values are at most this."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{number(self.median)} {self.unit}, {number(min(self.values))} to {number(max(self.values))}"


@dataclass(frozen=True)
class Target:
    """What a figure should be."""

    text: str
    value: float
    limit: float
    at_least: bool  # else: at most

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{self.text}: {number(self.value)}, wanted {sign} {self.limit:g}: {'met' if self.met else 'NOT met'}"


@dataclass(frozen=True)
class Sheet:
    """A table that is no list of series."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass
class Report:
    """What a benchmark found."""

    name: str
    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)  # plain values, for the JSON alone

    def show(self, console: Console) -> None:
        """Prints it as tables."""
        if self.series:
            table = Table("", "median", "min", "max", "n", title=self.title)
            for one in self.series:
                low, high = number(min(one.values)), number(max(one.values))
                table.add_row(one.name, f"{number(one.median)} {one.unit}", low, high, str(len(one.values)))
            console.print(table)
        for sheet in self.sheets:
            table = Table(*sheet.columns, title=sheet.title)
            for row in sheet.rows:
                table.add_row(*row)
            console.print(table)
        for line in [*self.notes, *map(str, self.targets)]:
            console.print(line, highlight=False, soft_wrap=True)

    def write(self, folder: Path, started: datetime, words: Sequence[str]) -> Path:
        """Writes `NAME.json`, with machine, versions, commit and the command."""
        path = folder / f"{self.name}.json"
        command = shlex.join(["python", "-m", "scripts.bench", *words])
        record = {
            "benchmark": self.name, "title": self.title, "command": command,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
            "machine": results.machine(), "threads": threads(), "load_average": os.getloadavg()[0],
            "versions": results.versions(), "git_commit": results.git_commit(), "settings": self.settings,
            "series": [
                {"name": one.name, "unit": one.unit, "median": one.median, "min": min(one.values),
                 "max": max(one.values), "values": one.values} for one in self.series
            ],
            "targets": [
                {"text": one.text, "value": one.value, "at_least" if one.at_least else "at_most": one.limit,
                 "met": one.met} for one in self.targets
            ],
            "tables": [{"title": one.title, "columns": one.columns, "rows": one.rows} for one in self.sheets],
            "notes": self.notes, "details": self.details,
        }  # fmt: skip
        write_text(path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return path


def interleaved(
    variants: Mapping[str, Callable[[], Any]], rounds: int, fewer: Mapping[str, int] | None = None
) -> dict[str, list[Any]]:
    """What each variant returned in each round.

    The variants take turns within a round, and each round begins with the next one, so that neither a machine that
    slows down nor the place in the row favours one of them.

    Args:
        variants: Name to what is measured.
        rounds: How often each runs.
        fewer: Rounds of variants that run less often, in the first ones.
    """
    found: dict[str, list[Any]] = {name: [] for name in variants}
    names = list(variants)
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            if turn < (fewer or {}).get(name, rounds):
                gc.collect()
                found[name].append(variants[name]())
    return found


def images_per_second(work: Callable[[], int]) -> float:
    """Rate of `work`, which returns how many images it went through."""
    start = clock()
    images = work()
    return images / (clock() - start)


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Of the measurements of each round in which both were made."""
    return [a / b for a, b in zip(above, below, strict=False)]


@contextmanager
def timed(owner: Any, method: str, seconds: list[float]) -> Iterator[None]:
    """Within the block, notes in `seconds` how long each call of a method takes."""
    original = getattr(owner, method)

    def call(*arguments: Any, **named: Any) -> Any:
        start = clock()
        try:
            return original(*arguments, **named)
        finally:
            seconds.append(clock() - start)

    own = method in vars(owner)
    setattr(owner, method, call)
    try:
        yield
    finally:
        setattr(owner, method, original) if own else delattr(owner, method)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for runs, on the disk where runs lie, that goes when the block ends."""
    folder = Path("outputs")
    with TemporaryDirectory(prefix="bench_", dir=folder if folder.is_dir() else None) as name:
        yield Path(name)


def peak_megabytes() -> float:
    """Most resident memory that this process ever had."""
    status = Path("/proc/self/status")
    if status.exists():  # the figure of getrusage is at least that of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def number(value: float) -> str:
    """Three significant digits, more where there are more before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def threads() -> int | None:
    """CPU threads of torch; None if nothing needed torch."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None
