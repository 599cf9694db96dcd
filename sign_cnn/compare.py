"""Which of two runs is better, counted by photograph: `python -m sign_cnn.compare RUN_A RUN_B [--split val]`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import get_console

from sign_cnn import intervals
from sign_cnn.errors import UserError, clean_exit
from sign_cnn.reports import scoring
from sign_cnn.reports.report_text import Section, console_table, percent
from sign_cnn.runs.predictions import Predictions
from sign_cnn.runs.run_directory import RunDirectory, stored_config


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same rows. Accuracies are shares of rows, the other numbers are of photographs."""

    rows: int
    photographs: int
    accuracy_a: float
    accuracy_b: float
    difference: float  # of A minus that of B
    difference_ci95: tuple[float, float]  # counted by photograph
    wrong_a: int  # most of whose variants A gets wrong
    wrong_b: int
    only_a_wrong: int
    only_b_wrong: int
    mcnemar_p: float  # exact, two-sided, on photographs wrong

    def sentence(self, name_a: str = "A", name_b: str = "B") -> str:
        """The outcome in plain words."""
        low, high = self.difference_ci95
        if low > 0:
            return f"{name_a} is better by {_points(self.difference)} points (95 %: {_points(low)} to {_points(high)})."
        if high < 0:
            return (
                f"{name_b} is better by {_points(-self.difference)} points (95 %: {_points(-high)} to {_points(-low)})."
            )
        return (
            f"No difference shown: {name_a} minus {name_b} is {_points(self.difference)} points "
            f"(95 %: {_points(low)} to {_points(high)})."
        )


def compare_predictions(a: Predictions, b: Predictions) -> Comparison:
    """Compares two networks row by row.

    Args:
        a: Of one split, in the order of rows.
        b: The same.

    Raises:
        UserError: They are not of the same rows.
    """
    if not all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("row", "photograph", "label")):
        common = len(np.intersect1d(a.row, b.row))
        raise UserError(
            f"the runs scored different rows ({len(a.row)} and {len(b.row)}, {common} of them in both): "
            "only runs on the same photographs can be compared"
        )
    wrong_a, _ = intervals.wrong_photographs(a.correct, a.photograph)
    wrong_b, _ = intervals.wrong_photographs(b.correct, b.photograph)
    difference, low, high = intervals.paired_difference(a.correct, b.correct, a.photograph)
    return Comparison(
        rows=len(a.row),
        photographs=len(wrong_a),
        accuracy_a=float(a.correct.mean()),
        accuracy_b=float(b.correct.mean()),
        difference=difference,
        difference_ci95=(low, high),
        wrong_a=int(wrong_a.sum()),
        wrong_b=int(wrong_b.sum()),
        only_a_wrong=int((wrong_a & ~wrong_b).sum()),
        only_b_wrong=int((wrong_b & ~wrong_a).sum()),
        mcnemar_p=intervals.mcnemar_exact(wrong_a, wrong_b),
    )


def compare(path_a: Path, path_b: Path, split: str = "test") -> Comparison:
    """Compares two finished runs on one split.

    Raises:
        UserError: One is not finished, or they have not the same data, validation photographs or rows.
    """
    run_a, run_b = scoring.open_run(path_a), scoring.open_run(path_b)
    _check_comparable(run_a, run_b, split)
    return compare_predictions(scoring.predictions(run_a, split)[0], scoring.predictions(run_b, split)[0])


def table(comparison: Comparison, name_a: str, name_b: str) -> Section:
    """The comparison as a table."""
    low, high = comparison.difference_ci95
    rows = [
        ("rows right", percent(comparison.accuracy_a), percent(comparison.accuracy_b)),
        ("photographs wrong", str(comparison.wrong_a), str(comparison.wrong_b)),
        ("wrong in this run alone", str(comparison.only_a_wrong), str(comparison.only_b_wrong)),
    ]
    note = (
        f"{comparison.rows:,} rows of {comparison.photographs:,} photographs\n"
        f"A − B: {_points(comparison.difference)} points, 95 % by photograph {_points(low)} to {_points(high)}\n"
        f"exact McNemar test on photographs wrong: p = {comparison.mcnemar_p:.3g}"
    )
    return Section("", ("", f"A: {name_a}", f"B: {name_b}"), rows, note=note)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.compare", description="Which of two finished runs is better, counted by photograph."
    )
    parser.add_argument("run_a", type=Path, metavar="RUN_A", help="directory of a finished run")
    parser.add_argument("run_b", type=Path, metavar="RUN_B", help="directory of another, on the same data and split")
    parser.add_argument("--split", choices=scoring.SPLITS, default="test", help="which rows (default: test)")
    options = parser.parse_args(arguments)
    with clean_exit():
        comparison = compare(options.run_a, options.run_b, options.split)
    console = get_console()
    name_a, name_b = options.run_a.resolve().name, options.run_b.resolve().name
    console.print(console_table(table(comparison, name_a, name_b), f"{options.split} rows"), highlight=False)
    console.print(comparison.sentence(), soft_wrap=True, highlight=False)
    console.print("This holds for these two networks; other seeds would give others.", style="dim")


def _check_comparable(a: RunDirectory, b: RunDirectory, split: str) -> None:
    if a.result.data_fingerprint != b.result.data_fingerprint:
        raise UserError(
            f"{a.path} and {b.path} were trained on different data (fingerprints {a.result.data_fingerprint[:12]} and "
            f"{b.result.data_fingerprint[:12]}): compare runs on the same data"
        )
    if split != "val":
        return
    data_a, data_b = stored_config(a.path).data, stored_config(b.path).data
    names = ("val_split", "val_size", "folds", "fold", "split_seed")
    differing = [
        f"data.{name}={getattr(data_a, name)} and {getattr(data_b, name)}"
        for name in names
        if getattr(data_a, name) != getattr(data_b, name)
    ]
    if differing:
        raise UserError(
            f"{a.path} and {b.path} validated on different photographs ({', '.join(differing)}): compare runs of one "
            "split, or use --split test"
        )


def _points(share: float) -> str:
    """Percentage points, with as many decimals as are needed to be told from 0."""
    points = 100 * share
    text = f"{points:.2g}" if 0 < abs(points) < 0.095 else f"{points + 0.0:.1f}"
    return text.replace("-", "−")


if __name__ == "__main__":
    main()
