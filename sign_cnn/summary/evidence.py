"""What configurations are compared by: which validation rows each network has right, summed by photograph."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sign_cnn.errors import UserError


@dataclass(frozen=True)
class Rows:
    """The validation rows of one network, or of the folds of one seed; one entry a row, in ascending order."""

    row: NDArray[np.int64]  # in the training file, from 0
    photograph: NDArray[np.int64]
    correct: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several folds as one."""
        row = np.concatenate([part.row for part in parts])
        order = np.argsort(row, kind="stable")
        rest = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("photograph", "correct"))
        return cls(row[order], *rest)


@dataclass(frozen=True)
class Evidence:
    """One configuration on all its validation rows, seed by seed."""

    key: str  # two configurations can be compared if they share it: same data, rows and photographs
    rows: NDArray[np.int64]  # (G,), of each photograph
    right: NDArray[np.int64]  # (S, G), how many of them each seed's network has right

    @property
    def mean_right(self) -> NDArray[np.float64]:
        """(G,), mean over seeds."""
        mean: NDArray[np.float64] = self.right.mean(axis=0)
        return mean

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """(S,), share of rows right, 0..1."""
        shares: NDArray[np.float64] = self.right.sum(axis=1) / self.rows.sum()
        return shares

    @property
    def accuracy(self) -> float:
        """Mean over seeds, 0..1."""
        return float(self.accuracies.mean())

    @property
    def seeds(self) -> int:
        """How many."""
        return len(self.right)


def read_rows(path: Path) -> Rows:
    """The validation rows of a predictions.npz.

    Raises:
        UserError: The file is missing or damaged, or holds none.
    """
    from sign_cnn.runs.predictions import Predictions  # loads scipy, which a summary without comparisons does not need

    predictions = Predictions.load(path).of("val").in_row_order()
    if not len(predictions.row):
        raise UserError(f"{path} holds no validation rows: remove the run's directory and run it again")
    return Rows(predictions.row, predictions.photograph, predictions.correct)


def evidence(by_seed: Sequence[Rows], fingerprint: str) -> Evidence | None:
    """The evidence of the seeds of a configuration; None if they were not judged on the same rows.

    Args:
        by_seed: Of each seed, all folds together; at least one.
        fingerprint: Of the data.
    """
    first = by_seed[0]
    for other in by_seed[1:]:
        if not (np.array_equal(other.row, first.row) and np.array_equal(other.photograph, first.photograph)):
            return None
    digest = hashlib.sha256(fingerprint.encode())
    digest.update(first.row.tobytes())
    digest.update(first.photograph.tobytes())
    _, index, counts = np.unique(first.photograph, return_inverse=True, return_counts=True)
    right = np.stack([np.bincount(index[rows.correct], minlength=len(counts)) for rows in by_seed])
    return Evidence(digest.hexdigest(), counts, right)
