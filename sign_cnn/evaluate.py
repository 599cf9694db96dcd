"""Full report of a finished run's best checkpoint: `python -m sign_cnn.evaluate RUN [--split val | --images DIR]`."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import get_console

from sign_cnn.errors import DataError, clean_exit
from sign_cnn.files import explained, write_text
from sign_cnn.images.image_folder import read_image_folder
from sign_cnn.letters import LETTERS
from sign_cnn.reports import report_text, scoring
from sign_cnn.reports.report import Report, make_report
from sign_cnn.runs.predictions import Predictions
from sign_cnn.runs.run_directory import RunDirectory


@dataclass(frozen=True)
class Evaluation:
    """A report, and what it is a report of."""

    title: str
    context: dict[str, str]
    report: Report
    notes: list[str]  # where the numbers come from, and what was left out
    hardest: NDArray[np.uint8] | None  # (H, 28, 28), 0..255, images of `report.hardest`; None: not at hand
    directory: Path  # that it is written to


def evaluate_split(run: RunDirectory, split: str) -> Evaluation:
    """Scores the validation or the test rows of a run's own data.

    Raises:
        UserError: The run has no such split, or what it needs is gone.
    """
    predictions, stored = scoring.predictions(run, split)
    checkpoint = run.best_checkpoint.relative_to(run.path)
    source = "logits stored with the run" if stored else f"logits computed now with {checkpoint}"
    report, notes = make_report(predictions), [f"{split} rows: {source}"]
    try:
        dataset = scoring.load_data(run)
        hardest = dataset.half("test" if split == "test" else "train")[0][[item.row for item in report.hardest]]
    except DataError as error:
        hardest = None
        notes.append(f"hardest.png is left out: {error}")
    title = f"{_name(run)}, {split} rows"
    return Evaluation(title, _context(run, split), report, notes, hardest, run.path / "evaluation" / split)


def evaluate_images(run: RunDirectory, folder: Path) -> Evaluation:
    """Scores the pictures in a folder that has one sub-folder for each letter; each is its own photograph.

    Raises:
        UserError: There is no picture that can be read, or no checkpoint.
    """
    found = read_image_folder(folder)
    numbers = np.arange(len(found.labels))
    logits = scoring.logits(run, found.images)
    report = make_report(
        Predictions(np.full(len(numbers), "images"), numbers, numbers, found.labels, logits), found.names
    )
    hardest = found.images[[item.row for item in report.hardest]]
    name = folder.resolve().name
    directory = run.path / "evaluation" / f"images-{name}"
    context = _context(run, str(folder))
    return Evaluation(f"{_name(run)}, pictures in {name}", context, report, found.problems, hardest, directory)


def write(evaluation: Evaluation) -> None:
    """Writes report.md, report.json and the figures."""
    from sign_cnn import figures  # matplotlib: 1 s
    from sign_cnn.reports import evaluation_figures

    report, directory, title = evaluation.report, evaluation.directory, evaluation.title
    counts = np.array(report.confusion)
    right = f"{title}: {report_text.percent(report.accuracy)} right"
    captions = {"Confusion matrix": "confusion.png", "Reliability diagram": "reliability.png"}
    figures.save(figures.confusion_matrix(counts, right), directory / "confusion.png")
    diagram = evaluation_figures.reliability_diagram(report.reliability, report.calibration_error, title)
    figures.save(diagram, directory / "reliability.png")
    if evaluation.hardest is not None:
        sheet = evaluation_figures.contact_sheet(report.hardest, evaluation.hardest, f"{title}: the hardest")
        figures.save(sheet, directory / "hardest.png")
        captions["Hardest photographs"] = "hardest.png"
    text = report_text.markdown_report(title, evaluation.context, report, evaluation.notes, captions)
    write_text(directory / "report.md", text)
    write_text(directory / "report.json", as_json(evaluation))


def as_json(evaluation: Evaluation) -> str:
    """The report with its context, as the text of a JSON object."""
    content: dict[str, Any] = {
        **evaluation.context, **asdict(evaluation.report), "letter_order": LETTERS, "notes": evaluation.notes,
    }  # fmt: skip
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.evaluate", description="Report of a finished run's best checkpoint."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of a finished run")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--split", choices=scoring.SPLITS, default="test", help="which rows of its data (default: test)"
    )
    choice.add_argument(
        "--images", type=Path, metavar="DIR", help="score pictures instead, in one sub-folder for each letter"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of as tables")
    options = parser.parse_args(arguments)
    with clean_exit():
        run = scoring.open_run(options.run)
        evaluation = evaluate_images(run, options.images) if options.images else evaluate_split(run, options.split)
        with explained(evaluation.directory):
            write(evaluation)
    if options.json:
        sys.stdout.write(as_json(evaluation))
        return
    console = get_console()
    console.print(report_text.console_report(evaluation.title, evaluation.report), highlight=False)
    for note in [*evaluation.notes, f"Written to {evaluation.directory}"]:
        console.print(note, soft_wrap=True, highlight=False, markup=False)


def _context(run: RunDirectory, scored: str) -> dict[str, str]:
    result = run.result
    context = {
        "run": str(run.path), "experiment": result.experiment, "seed": str(result.seed), "scored": scored,
        "data": result.data_kind, "data_fingerprint": result.data_fingerprint, "git_commit": result.git_commit,
    }  # fmt: skip
    return {key: value for key, value in context.items() if value}


def _name(run: RunDirectory) -> str:
    """Of its directory; a job of a sweep is called after swept values alone, and needs its recipe beside them."""
    name = run.path.resolve().name
    return f"{run.result.experiment}, {name}" if "=" in name and run.result.experiment else name


if __name__ == "__main__":
    main()
