"""A report in words: the same tables for the console and for Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import ConsoleRenderable, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sign_cnn.reports.report import Report


@dataclass(frozen=True)
class Section:
    """A table with a heading; the first column is text, the others are numbers unless named in `words`."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str] = ()
    note: str = ""


def percent(share: float | None, decimals: int = 2) -> str:
    """A share as text.

    >>> percent(0.98765)
    '98.77 %'
    """
    return "–" if share is None else f"{100 * share:.{decimals}f} %"


def between(bounds: tuple[float, float]) -> str:
    """An interval of shares as text.

    >>> between((0.9, 0.95))
    '90.00 to 95.00 %'
    """
    return f"{100 * bounds[0]:.2f} to {percent(bounds[1])}"


def summary(report: Report) -> Section:
    """The numbers to quote."""
    by_file = _by_file(report)
    share_wrong = report.photographs_wrong / report.photographs
    rows = [
        ("pictures right" if by_file else "rows right", percent(report.accuracy), between(report.accuracy_ci95)),
        (
            "pictures wrong" if by_file else "photographs wrong (most variants)",
            f"{report.photographs_wrong} of {report.photographs:,} = {percent(share_wrong)}",
            between(report.photographs_wrong_ci95),
        ),
    ]
    if not by_file:
        rows += [
            ("photographs with any error", f"{report.photographs_with_error} of {report.photographs:,}", ""),
            ("rows wrong", f"{report.errors:,} of {report.rows:,}", ""),
        ]
    rows += [
        ("mean of the letters' recalls", percent(report.macro_accuracy), ""),
        ("mean log loss", f"{report.loss:.4f} nats", ""),
        ("calibration error", percent(report.calibration_error), ""),
    ]
    interval = "95 % interval" if by_file else "95 % by photograph"
    return Section("", ("", "", interval), rows)


def letters(report: Report, *, only_faulty: bool) -> Section:
    """Precision and recall of each letter, or of those alone that have an error, worst recall first."""
    shown = [item for item in report.letters if item.support or item.precision is not None]
    faulty = [item for item in shown if (item.precision, item.recall) != (1.0, 1.0)]
    picked = sorted(faulty, key=lambda item: (item.recall is None, item.recall)) if only_faulty else shown
    rows = [
        (
            item.letter,
            percent(item.precision),
            percent(item.recall),
            f"{item.support:,}",
            f"{item.photographs_wrong} of {item.photographs}",
        )
        for item in picked
    ]
    rest = len(shown) - len(picked)
    note = f"{rest} other {'letter is' if rest == 1 else 'letters are'} all right" if rest else ""
    headers = ("letter", "precision", "recall", "rows", "photographs wrong")
    section = Section("Letters with errors" if only_faulty else "Letters", headers, rows, note=note)
    return _of_pictures(section) if _by_file(report) else section


def confused(report: Report, limit: int) -> Section:
    """The pairs that are taken for one another most."""
    rows = [
        (f"{pair.true} → {pair.predicted}", f"{pair.rows}", percent(pair.share), f"{pair.photographs}")
        for pair in report.confused[:limit]
    ]
    headers = ("true → predicted", "rows", "of the letter's", "photographs")
    section = Section("Most confused", headers, rows, note=_more(len(report.confused) - limit, "pair"))
    return _of_pictures(section) if _by_file(report) else section


def hardest(report: Report, limit: int) -> Section:
    """The photographs that do worst."""
    rows = [
        (
            item.name or str(item.photograph),
            f"{item.letter} → {item.predicted}" if item.letter != item.predicted else item.letter,
            f"{item.true_probability:.3f}",
            f"{item.variants_wrong} of {item.variants}",
        )
        for item in report.hardest[:limit]
    ]
    headers = ("photograph", "letter → most say", "mean p of the letter", "variants wrong")
    section = Section("Hardest photographs", headers, rows, words=("letter → most say",))
    return _of_pictures(section) if _by_file(report) else section


def console_report(title: str, report: Report) -> ConsoleRenderable:
    """What `evaluate` prints, at most 80 columns wide."""
    parts: list[ConsoleRenderable] = [console_table(summary(report), title)]
    if report.errors:
        parts += [console_table(letters(report, only_faulty=True))]
        parts += [console_table(confused(report, 6))]
    parts += [console_table(hardest(report, 6))]
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def console_table(section: Section, title: str | None = None) -> ConsoleRenderable:
    """A section as a table for a terminal."""
    table = Table(title=Text(title or section.title, style="bold"), title_justify="left")
    for i, header in enumerate(section.headers):
        numeric = i > 0 and header not in section.words
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in section.rows:
        table.add_row(*(Text(cell) for cell in row))
    return Group(table, Text(section.note, style="dim")) if section.note else table


def markdown_report(
    title: str, context: dict[str, str], report: Report, notes: Sequence[str], figures: dict[str, str]
) -> str:
    """The whole report as a Markdown page.

    Args:
        title: Of the page.
        context: What was scored, by name.
        report: The counts.
        notes: Sentences.
        figures: File name by caption.
    """
    sections = [
        Section("", ("what", "which"), list(context.items()), words=("which",)),
        summary(report),
        letters(report, only_faulty=False),
        confused(report, 20),
        hardest(report, len(report.hardest)),
    ]
    parts = [f"# {title}", *map(markdown_table, sections)]
    parts += [f"![{caption}]({file})" for caption, file in figures.items()]
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(section: Section) -> str:
    """A section as a Markdown table under its heading; empty without rows."""
    if not section.rows:
        return ""
    marks = ["---:" if i and header not in section.words else "---" for i, header in enumerate(section.headers)]
    lines = [section.headers, marks, *section.rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return "\n\n".join(part for part in (section.title and f"## {section.title}", table, section.note) if part)


def _by_file(report: Report) -> bool:
    """Whether each picture is its own photograph."""
    return report.rows == report.photographs


def _of_pictures(section: Section) -> Section:
    """The same without the last column, which counts variants or photographs of rows."""
    names = {
        "rows": "pictures",
        "photograph": "picture",
        "letter → most say": "letter → predicted",
        "mean p of the letter": "p of the letter",
    }
    return Section(
        section.title.replace("photographs", "pictures"),
        [names.get(header, header) for header in section.headers[:-1]],
        [row[:-1] for row in section.rows],
        [names.get(header, header) for header in section.words],
        section.note,
    )


def _more(number: int, what: str) -> str:
    return f"and {number} other {what}{'s' if number > 1 else ''}" if number > 0 else ""
