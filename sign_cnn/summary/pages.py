"""A summary as files and on a console: results.csv, jobs.csv, the table, the page."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from rich.console import Console, ConsoleRenderable

from sign_cnn.reports.report_text import Section, console_table, markdown_table
from sign_cnn.runs.results import Result
from sign_cnn.summary.contents import Summary
from sign_cnn.summary.jobs import Job, number
from sign_cnn.summary.table import Configuration, Difference, factor_names, varying
from sign_cnn.summary.words import compact, points, tested

MAX_CONSOLE_ROWS = 20

_UNKNOWN = "–"
_SCALARS = [key for key in Result.__dataclass_fields__ if key not in ("name", "overrides", "test_acc_ci95")]


@dataclass(frozen=True)
class _Column:
    """One of the table's, in words."""

    header: str
    cells: list[str]
    leaves: int | None = None  # when it goes if the console is narrow: 0 first; None: never
    is_numeric: bool = True  # and set to the right


def results_csv(summary: Summary) -> str:
    """One line a configuration, the best first. Shares, not percent; empty where nothing is known."""
    names = factor_names(summary.jobs)
    lines = [{**{name: item.factors.get(name) for name in names}, **_numbers(item)} for item in summary.configurations]
    return _csv([{"rank": item.rank, **line} for item, line in zip(summary.configurations, lines, strict=True)])


def jobs_csv(jobs: Sequence[Job]) -> str:
    """One line a job, in the order of the sweep: its labels, and every single number of its result."""
    names = dict.fromkeys(key for job in jobs for key in job.labels)
    lines = []
    for job in jobs:
        scalars = {key: getattr(job.result, key, None) for key in _SCALARS}
        labels = {name: job.labels.get(name) for name in names}
        # Labels twice: the first place decides on the order of columns, the last on the value, as of a swept seed.
        lines.append({"job": job.name, **labels, **scalars, **labels, "status": job.status, "error": job.error})
    return _csv(lines)


def page(summary: Summary) -> str:
    """results.md."""
    section = _section(_columns(summary))
    errors = [f"- {line}" for line in summary.errors]
    parts = [
        f"# {summary.study.name}",
        f"```\n{summary.study.command}\n```" if summary.study.command else "",
        summary.paragraph,
        markdown_table(section),
        "\n".join(f"- {note}" for note in summary.notes),
        "\n\n".join(["## Errors", "\n".join(errors)]) if errors else "",
        *(f"![{caption}](figures/{file})" for file, caption in summary.figures.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def console_page(summary: Summary, console: Console) -> ConsoleRenderable:
    """The table in as many columns as fit."""
    columns = _columns(summary, MAX_CONSOLE_ROWS)
    title = summary.study.name
    broken = [_broken(column) for column in columns]
    for kept in (columns, broken):
        if _width(kept, console) <= console.width:
            return console_table(_section(kept), title)
    picked = {i for i, column in enumerate(broken) if column.leaves is None}
    for i in sorted(range(len(broken)), key=lambda i: -(broken[i].leaves or 0)):
        more = [column for j, column in enumerate(broken) if j in picked or j == i]
        if _width(more, console) <= console.width:
            picked.add(i)
    return console_table(_section([broken[i] for i in sorted(picked)]), title)


def _columns(summary: Summary, limit: int | None = None) -> list[_Column]:
    shown = summary.configurations[:limit]
    factors = factor_names(summary.jobs)
    differing = varying(summary.configurations, factors)

    def column(header: str, cell: Any, leaves: int | None = None, is_numeric: bool = True) -> _Column:
        cells = [_UNKNOWN if (value := cell(item)) is None else str(value) for item in shown]
        return _Column(header, cells, leaves, is_numeric)

    def factor(name: str) -> _Column:
        are_numbers = all(number(item.factors.get(name, "0")) is not None for item in summary.configurations)
        leaves = None if name in differing or factors == [name] else 1
        return column(name, lambda item: item.factors.get(name), leaves, are_numbers)

    all_done = all(job.status == "done" for job in summary.jobs)
    columns = [
        column("#", lambda item: item.rank),
        *(map(factor, factors) if factors else [column("study", lambda _: summary.study.name, None, False)]),
        column("seeds", lambda item: len(item.scores), 6),
        column("accuracy, %", lambda item: _percent(item.accuracies)),
        column("photographs", lambda item: _mean_count(item.photographs), 0),
        column("photographs wrong", lambda item: _mean_count(item.photographs_wrong), 7),
        *([column("test, %", lambda item: _percent(item.test_accuracies))] if tested(summary.configurations) else []),
        column("parameters", lambda item: compact(item.num_params), 3),
        column("MACs", lambda item: compact(item.macs), 5),
        column("fit, s", lambda item: _seconds(item.fit_seconds), 4),
    ]
    if any(item.verdict not in (None, "best") for item in summary.configurations):
        columns += [
            column("minus the best, points", lambda item: _interval(item.difference), 8),
            column("verdict", lambda item: item.verdict, None, False),
        ]
    return [*columns, column("status", lambda item: item.status, 2 if all_done else 9, False)]


def _section(columns: Sequence[_Column]) -> Section:
    words = [column.header for column in columns if not column.is_numeric]
    rows = list(zip(*(column.cells for column in columns), strict=True))
    return Section("", [column.header for column in columns], rows, words)


def _broken(column: _Column) -> _Column:
    """The same on several lines."""
    header = column.header.replace("_", "_\n").replace(", ", ",\n").replace(" wrong", "\nwrong")
    cells = [cell.replace(", ", ",\n") for cell in column.cells] if column.header == "status" else column.cells
    return replace(column, header=header, cells=cells)


def _width(columns: Sequence[_Column], console: Console) -> int:
    wide = console.options.update(width=10_000)
    return console.measure(console_table(_section(columns)), options=wide).maximum


def _percent(accuracies: Sequence[float]) -> str | None:
    """Mean and, of several, standard deviation."""
    if not accuracies:
        return None
    spread = f" ± {100 * stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    return f"{100 * fmean(accuracies):.2f}{spread}"


def _mean_count(number: float | None) -> str | None:
    return None if number is None else f"{number:,.1f}".removesuffix(".0")


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f}" if seconds < 99.95 else f"{seconds:,.0f}"


def _interval(difference: Difference | None) -> str | None:
    if difference is None:
        return None
    return f"{points(difference.value)} ({points(difference.low)} to {points(difference.high)})"


def _numbers(item: Configuration) -> dict[str, Any]:
    difference = item.difference
    return {
        "seeds": len(item.scores),
        "val_acc": item.val_acc,
        "val_acc_sd": item.val_acc_sd,
        "val_loss": item.val_loss,
        "val_originals": item.photographs,
        "val_originals_wrong": item.photographs_wrong,
        "num_params": item.num_params,
        "macs": item.macs,
        "fit_seconds": item.fit_seconds,
        "difference": difference.value if difference else None,
        "difference_low": difference.low if difference else None,
        "difference_high": difference.high if difference else None,
        "verdict": item.verdict,
        "status": item.status,
    }


def _csv(lines: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in line.items()} for line in lines)
    return text.getvalue()


def _cell(value: object) -> object:
    """Six decimals: more are noise, and may differ between machines."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
