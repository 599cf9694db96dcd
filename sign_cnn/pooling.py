"""Cross-validation pooled: every training photograph judged by a network that never saw it.

`python -m sign_cnn.pooling DIR` takes the finished runs below DIR, one for each fold and seed of one configuration, as
`sweep=cross_validation` leaves them.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich import get_console

from sign_cnn import intervals
from sign_cnn.errors import UserError, clean_exit
from sign_cnn.files import explained, write_text
from sign_cnn.letters import letter_of
from sign_cnn.reports.folds import check_folds, find_runs
from sign_cnn.reports.report_text import Section, console_table, markdown_table, percent
from sign_cnn.runs.predictions import Predictions
from sign_cnn.runs.run_directory import RunDirectory


@dataclass(frozen=True)
class PooledScore:
    """Out-of-fold scores of one seed, or their mean over seeds. Intervals are of 95 %, by photograph."""

    seed: int | None  # None: mean
    accuracy: float  # rows right
    accuracy_ci95: tuple[float, float]
    photographs_wrong: float  # most of whose variants are wrong
    photographs_right: float  # share
    photographs_right_ci95: tuple[float, float]
    photographs_with_error: float  # any variant of which is wrong


@dataclass(frozen=True)
class WrongPhotograph:
    """A photograph that some seed gets wrong."""

    photograph: int
    row: int  # its first one in the training file
    letter: str
    seeds_wrong: int


@dataclass(frozen=True)
class Pooled:
    """Cross-validation of one configuration."""

    rows: int
    photographs: int
    folds: int
    data_fingerprint: str
    scores: list[PooledScore]  # by seed
    mean: PooledScore
    accuracy_sd: float | None  # between seeds; None: there is one
    photographs_right_sd: float | None
    wrong: list[WrongPhotograph]  # by most seeds first


def pool(runs: Sequence[RunDirectory]) -> Pooled:
    """Joins the validation rows of all folds, seed by seed.

    Raises:
        UserError: The runs are not the folds of one configuration on the same data, each once for each seed.
    """
    configs = check_folds(runs)
    by_seed: dict[int, list[Predictions]] = defaultdict(list)
    for run, config in zip(runs, configs, strict=True):
        by_seed[config.seed].append(Predictions.load(run.predictions).of("val"))
    pooled = {seed: _joined(seed, parts) for seed, parts in sorted(by_seed.items())}
    first = next(iter(pooled.values()))
    if any(not np.array_equal(item.photograph, first.photograph) for item in pooled.values()):
        raise UserError("the seeds scored different rows or photographs: train those again that differ")
    correct = np.stack([item.correct for item in pooled.values()])
    scores = [_score(seed, item.correct[None], item.photograph) for seed, item in pooled.items()]
    wrong = np.stack([intervals.wrong_photographs(item.correct, item.photograph)[0] for item in pooled.values()])
    return Pooled(
        rows=len(first.row),
        photographs=wrong.shape[1],
        folds=configs[0].data.folds,
        data_fingerprint=runs[0].result.data_fingerprint,
        scores=scores,
        mean=_score(None, correct, first.photograph),
        accuracy_sd=_sd([score.accuracy for score in scores]),
        photographs_right_sd=_sd([score.photographs_right for score in scores]),
        wrong=_wrong(wrong.sum(axis=0), first),
    )


def table(pooled: Pooled) -> Section:
    """One line for each seed, and their mean."""
    rows = [
        (
            "mean" if score.seed is None else str(score.seed),
            _with_interval(score.accuracy, score.accuracy_ci95),
            _with_interval(score.photographs_right, score.photographs_right_ci95),
            f"{score.photographs_wrong:.4g}",
            f"{score.photographs_with_error:.4g}",
        )
        for score in [*pooled.scores, pooled.mean]
    ]
    headers = ("seed", "rows right, %", "photographs right, %", "wrong", "any error")
    size = f"{pooled.folds} folds, {pooled.photographs:,} photographs, {pooled.rows:,} rows"
    note = f"{size}; in brackets 95 % by photograph"
    if pooled.accuracy_sd is not None:
        spread = f"{percent(pooled.accuracy_sd)} of rows, {percent(pooled.photographs_right_sd)} of photographs"
        note += f"\nstandard deviation between seeds: {spread}"
    return Section("", headers, rows, note=note)


def write(pooled: Pooled, folder: Path) -> None:
    """Writes pooled.json and pooled.md."""
    write_text(folder / "pooled.json", json.dumps(asdict(pooled), indent=2, allow_nan=False) + "\n")
    seeds = len(pooled.scores)
    wrong = Section(
        "Photographs wrong",
        ("photograph", "letter", "first row", "seeds wrong"),
        [(str(x.photograph), x.letter, str(x.row), f"{x.seeds_wrong} of {seeds}") for x in pooled.wrong],
        words=("letter",),
    )
    parts = [f"# {folder.resolve().name}, out-of-fold", markdown_table(table(pooled)), markdown_table(wrong)]
    write_text(folder / "pooled.md", "\n\n".join(part for part in parts if part) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.pooling", description="Pools the folds of a cross-validation, seed by seed."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder that holds the runs, at any depth")
    options = parser.parse_args(arguments)
    with clean_exit():
        pooled = pool(find_runs(options.folder))
        with explained(options.folder):
            write(pooled, options.folder)
    console = get_console()
    console.print(console_table(table(pooled), f"{options.folder.resolve().name}, out-of-fold"), highlight=False)
    console.print(f"Written to {options.folder / 'pooled.md'}", soft_wrap=True, highlight=False, markup=False)


def _with_interval(share: float, bounds: tuple[float, float]) -> str:
    return f"{100 * share:.2f} ({100 * bounds[0]:.2f}–{100 * bounds[1]:.2f})"


def _joined(seed: int, parts: list[Predictions]) -> Predictions:
    """All training rows, in order."""
    whole = Predictions.joined(parts).in_row_order()
    if not len(whole.row) or not np.array_equal(whole.row, np.arange(len(whole.row))):
        raise UserError(f"the folds of seed {seed} do not hold every training row exactly once: train them again")
    if sum(len(np.unique(part.photograph)) for part in parts) != len(np.unique(whole.photograph)):
        raise UserError(f"folds of seed {seed} share photographs: they were found in another way for some; train again")
    return whole


def _score(seed: int | None, correct: NDArray[np.bool_], photographs: NDArray[np.int64]) -> PooledScore:
    """Scores of bool (seeds, N); a photograph stays one, however many seeds judge it."""
    judged = [intervals.wrong_photographs(row, photographs) for row in correct]
    wrong, with_error = (np.stack(flags) for flags in zip(*judged, strict=True))
    numbers, seeds = np.arange(wrong.shape[1]), len(correct)
    if seeds == 1:
        low, high = intervals.photograph_interval(int(wrong.sum()), len(numbers))
        right_interval = 1 - high, 1 - low
    else:
        right_interval = intervals.accuracy_interval(~wrong.ravel(), np.tile(numbers, seeds))
    return PooledScore(
        seed=seed,
        accuracy=float(correct.mean()),
        accuracy_ci95=intervals.accuracy_interval(correct.ravel(), np.tile(photographs, seeds)),
        photographs_wrong=float(wrong.sum() / seeds),
        photographs_right=float(1 - wrong.mean()),
        photographs_right_ci95=right_interval,
        photographs_with_error=float(with_error.sum() / seeds),
    )


def _sd(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _wrong(seeds_wrong: NDArray[np.int64], rows: Predictions) -> list[WrongPhotograph]:
    photographs, first = np.unique(rows.photograph, return_index=True)
    order = [i for i in np.argsort(-seeds_wrong, kind="stable") if seeds_wrong[i]]
    return [
        WrongPhotograph(
            int(photographs[i]), int(rows.row[first[i]]), letter_of(int(rows.label[first[i]])), int(seeds_wrong[i])
        )
        for i in order
    ]


if __name__ == "__main__":
    main()
