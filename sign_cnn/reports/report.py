"""What a network's logits say of it, counted by row and by photograph. No files, no printing, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from sign_cnn import intervals
from sign_cnn.letters import LETTERS, NUM_CLASSES
from sign_cnn.runs.predictions import Predictions

NUM_BINS = 15
"""Equal bins of confidence that calibration is measured in; the usual number since Guo et al. (2017)."""

NUM_HARDEST = 24
"""How many photographs are listed and drawn."""


@dataclass(frozen=True)
class LetterScore:
    """One letter; rows unless said otherwise."""

    letter: str
    support: int  # rows that show it
    photographs: int
    photographs_wrong: int
    precision: float | None  # None: never predicted
    recall: float | None  # None: never shown


@dataclass(frozen=True)
class ConfusedPair:
    """A letter taken for another."""

    true: str
    predicted: str
    rows: int
    share: float  # of the true letter's rows
    photographs: int  # with at least one such row


@dataclass(frozen=True)
class HardPhotograph:
    """A photograph, and how badly it did."""

    photograph: int
    name: str | None  # of its file, if it came from one
    row: int  # the variant with the lowest probability, in the split's file
    letter: str
    predicted: str  # by most variants
    true_probability: float  # of the true letter, mean of the variants
    variants: int
    variants_wrong: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of which the network is about equally sure."""

    low: float
    high: float
    rows: int
    confidence: float | None  # mean probability of the predicted letter; None: no rows
    accuracy: float | None


@dataclass(frozen=True)
class Report:
    """All that is said of one set of rows. Intervals are of 95 %."""

    rows: int
    errors: int
    accuracy: float
    accuracy_ci95: tuple[float, float]  # counted by photograph
    photographs: int
    photographs_wrong: int  # most of whose variants are wrong
    photographs_wrong_ci95: tuple[float, float]  # as a share, exact
    photographs_with_error: int  # any variant of which is wrong
    macro_accuracy: float  # mean of the letters' recalls
    loss: float  # mean cross-entropy, in nats
    calibration_error: float  # mean distance of confidence from accuracy, over bins by their rows
    letters: list[LetterScore]
    confusion: list[list[int]]  # rows; true letter down, predicted across, in the order of `LETTERS`
    confused: list[ConfusedPair]  # most rows first
    hardest: list[HardPhotograph]  # hardest first
    reliability: list[ReliabilityBin]


def make_report(predictions: Predictions, names: Sequence[str] | None = None) -> Report:
    """Counts everything.

    Args:
        predictions: Of one split, with at least one row.
        names: Of the photographs' files, if they came from files; one for each number of `predictions.photograph`.

    Raises:
        ValueError: There are no rows.
    """
    correct, photographs = predictions.correct, predictions.photograph
    total, wrong, with_error = intervals.photographs_wrong(correct, photographs)
    counts = predictions.confusion
    letters = _letters(counts, predictions)
    probabilities = softmax(predictions.logits.astype(np.float64), axis=1)
    bins = reliability(probabilities.max(axis=1), correct)
    return Report(
        rows=len(correct),
        errors=int((~correct).sum()),
        accuracy=float(correct.mean()),
        accuracy_ci95=intervals.accuracy_interval(correct, photographs),
        photographs=total,
        photographs_wrong=wrong,
        photographs_wrong_ci95=intervals.photograph_interval(wrong, total),
        photographs_with_error=with_error,
        macro_accuracy=float(np.mean([item.recall for item in letters if item.recall is not None])),
        loss=predictions.loss,
        calibration_error=calibration_error(bins),
        letters=letters,
        confusion=counts.tolist(),
        confused=_confused(counts, predictions),
        hardest=_hardest(predictions, probabilities, names),
        reliability=bins,
    )


def reliability(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], num_bins: int = NUM_BINS
) -> list[ReliabilityBin]:
    """How often rows are right by how sure the network was.

    Args:
        confidence: float64 (N,), probability of the predicted letter, 0..1.
        correct: bool (N,), whether that letter is right.
        num_bins: Bins of equal width, each without its lower and with its upper end.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, num_bins - 1)
    rows, sure, right = (
        np.bincount(index, weights, num_bins) for weights in (None, confidence, correct.astype(np.float64))
    )
    return [
        ReliabilityBin(
            float(edges[i]),
            float(edges[i + 1]),
            int(rows[i]),
            float(sure[i] / rows[i]) if rows[i] else None,
            float(right[i] / rows[i]) if rows[i] else None,
        )
        for i in range(num_bins)
    ]


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean distance of confidence from accuracy, each bin weighted by its rows (expected calibration error, l1)."""
    gaps = [
        item.rows * abs(item.confidence - item.accuracy)
        for item in bins
        if item.confidence is not None and item.accuracy is not None
    ]
    return float(sum(gaps) / sum(item.rows for item in bins))


def _letters(counts: NDArray[np.int64], predictions: Predictions) -> list[LetterScore]:
    shown, said, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    scores = []
    for index, letter in enumerate(LETTERS):
        rows = predictions.label == index
        total, wrong = 0, 0
        if rows.any():
            total, wrong, _ = intervals.photographs_wrong(predictions.correct[rows], predictions.photograph[rows])
        precision = float(right[index] / said[index]) if said[index] else None
        recall = float(right[index] / shown[index]) if shown[index] else None
        scores.append(LetterScore(letter, int(shown[index]), total, wrong, precision, recall))
    return scores


def _confused(counts: NDArray[np.int64], predictions: Predictions) -> list[ConfusedPair]:
    """Every pair that occurs; ties in the order of the alphabet."""
    wrong = counts * ~np.eye(NUM_CLASSES, dtype=bool)
    pairs = []
    for true, predicted in sorted(np.argwhere(wrong).tolist(), key=lambda pair: (-wrong[pair[0], pair[1]], pair)):
        rows = (predictions.label == true) & (predictions.predicted == predicted)
        number = int(wrong[true, predicted])
        photographs = len(np.unique(predictions.photograph[rows]))
        share = float(number / counts[true].sum())
        pairs.append(ConfusedPair(LETTERS[true], LETTERS[predicted], number, share, photographs))
    return pairs


def _hardest(
    predictions: Predictions, probabilities: NDArray[np.float64], names: Sequence[str] | None
) -> list[HardPhotograph]:
    """`NUM_HARDEST` photographs, the lowest mean probability of the true letter first."""
    numbers = np.arange(len(predictions.label))
    of_true = probabilities[numbers, predictions.label]
    photographs, index, variants = np.unique(predictions.photograph, return_inverse=True, return_counts=True)
    means = np.bincount(index, of_true) / variants
    wrong = np.bincount(index, ~predictions.correct)
    found = []
    for i in np.argsort(means, kind="stable")[:NUM_HARDEST]:
        rows = np.flatnonzero(index == i)
        worst = rows[np.argmin(of_true[rows])]
        votes = np.bincount(predictions.predicted[rows], minlength=NUM_CLASSES)
        photograph = int(photographs[i])
        found.append(
            HardPhotograph(
                photograph,
                names[photograph] if names is not None else None,
                int(predictions.row[worst]),
                LETTERS[predictions.label[worst]],
                LETTERS[int(votes.argmax())],
                float(means[i]),
                int(variants[i]),
                int(wrong[i]),
            )
        )
    return found
