"""Intervals and tests that count photographs, not rows.

The variants of a photograph are mostly right or wrong together, so 7,172 test rows carry little more evidence than
their 348 photographs: an interval of 95 % that takes rows for independent holds the truth 25 to 50 times in a hundred.
`scripts/interval_coverage.py` measures what this file claims.

**Row accuracy.** The interval of Jeffreys for a binomial share (recommended by Brown, Cai and DasGupta, 2001) adds half
a trial of either outcome to the data; here the trial is a photograph. With that photograph, half right and half wrong,
added to the others, the variance of accuracy is estimated from the scatter of whole photographs. The number of
independent trials that would scatter as much (Kish, 1965) goes into the beta distribution in place of the number of
rows, as Korn and Graubard (1998) do for surveys. Where every photograph is all right or all wrong this is exactly
Jeffreys' interval on photographs; where photographs are partly wrong it narrows as far as the data allow. Since the
added photograph enters the variance too, a few errors that happen to be alike cannot shrink the interval to nothing:
that is where the percentile bootstrap, and the exact interval with an effective number of trials, lose their coverage.

No bound is closer to 0 or 1 than the exact bound (Clopper and Pearson, 1934) for no error, or nothing but errors, in as
many photographs: so the interval never has zero width, and a single error cannot promise more than no error does.

**Difference of two models.** Bonett and Price (2012) add to the pairs one won by either model. Here the pairs are
photographs, and the variance is that of whole photographs. It never has zero width, and holds the truth in 94 % of
cases or more, the more the fewer photographs the models differ on. On all-or-nothing photographs it excludes 0 where
the exact McNemar test has p < .05, and else only at p below .065.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri
from scipy.stats import binomtest

Counts = NDArray[np.integer] | NDArray[np.floating]
Floats = NDArray[np.float64]


def accuracy_interval(
    correct: NDArray[np.bool_], photographs: NDArray[np.integer], confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the share of rows that are right, counted by photograph.

    Args:
        correct: bool (N,), whether each row's letter is right.
        photographs: int (N,), which photograph each row shows, 0 or more.
        confidence: Share of such intervals that should hold the truth.

    Returns:
        Bounds in 0..1, low before high, never equal.

    Raises:
        ValueError: without rows, if the shapes differ, or if the confidence is not in (0, 1).

    >>> low, high = accuracy_interval(np.ones(7_000, bool), np.arange(7_000) // 20)
    >>> f"{low:.4f} to {high:.4f}"
    '0.9895 to 1.0000'
    """
    rows, right = _per_photograph(photographs, correct)
    low, high = accuracy_bounds(right, rows, confidence)
    return float(low), float(high)


def photograph_interval(wrong: int, photographs: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval (Clopper and Pearson, 1934) of the share of photographs that are wrong, low before high.

    Raises:
        ValueError: without photographs, or if more are wrong than there are.

    >>> low, high = photograph_interval(4, 348)
    >>> f"{low:.4f} to {high:.4f}"
    '0.0031 to 0.0292'
    """
    interval = binomtest(wrong, photographs).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def paired_difference(
    correct_a: NDArray[np.bool_],
    correct_b: NDArray[np.bool_],
    photographs: NDArray[np.integer],
    confidence: float = 0.95,
) -> tuple[float, float, float]:
    """Row accuracy of A minus that of B on the same rows, and its interval counted by photograph.

    Args:
        correct_a: bool (N,), whether A is right on each row.
        correct_b: bool (N,), whether B is right on each row.
        photographs: int (N,), which photograph each row shows, 0 or more.
        confidence: Share of such intervals that should hold the truth.

    Returns:
        Difference, low and high in -1..1; low and high are never equal.

    Raises:
        ValueError: without rows, if the shapes differ, or if the confidence is not in (0, 1).
    """
    rows, right_a, right_b = _per_photograph(photographs, correct_a, correct_b)
    gained = right_a - right_b
    low, high = difference_bounds(gained, rows, confidence)
    return float(gained.sum() / rows.sum()), float(low), float(high)


def mcnemar_exact(wrong_a: NDArray[np.bool_], wrong_b: NDArray[np.bool_]) -> float:
    """Exact test (McNemar, 1947) of whether two models are equals, on the photographs that only one of them gets wrong.

    Args:
        wrong_a: bool (G,), the photographs that A gets wrong.
        wrong_b: bool (G,), the same photographs, that B gets wrong.

    Returns:
        Two-sided p-value, the chance of a split at least as uneven between equals; 1 where the models never differ.

    Raises:
        ValueError: if the shapes differ.

    >>> mcnemar_exact(np.array([True] * 6 + [False] * 4), np.zeros(10, bool))
    0.03125
    """
    if wrong_a.shape != wrong_b.shape:
        raise ValueError(f"both models must have judged the same photographs, got {wrong_a.shape} and {wrong_b.shape}")
    only_a, only_b = int((wrong_a & ~wrong_b).sum()), int((wrong_b & ~wrong_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def wrong_photographs(
    correct: NDArray[np.bool_], photographs: NDArray[np.integer]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which photographs are wrong (more than half of their variants are), and which have any error.

    Args:
        correct: bool (N,), whether each row's letter is right.
        photographs: int (N,), which photograph each row shows, 0 or more.

    Returns:
        Two arrays, bool (G,), in ascending order of the photographs that occur.

    Raises:
        ValueError: without rows or if the shapes differ.
    """
    rows, right = _per_photograph(photographs, correct)
    return 2 * (rows - right) > rows, right < rows


def photographs_wrong(correct: NDArray[np.bool_], photographs: NDArray[np.integer]) -> tuple[int, int, int]:
    """Numbers of photographs, of those with more than half of their variants wrong, and of those with any error.

    >>> photographs_wrong(np.array([True, True, False, False, False, True]), np.array([0, 0, 0, 1, 1, 1]))
    (2, 1, 2)
    """
    wrong, with_error = wrong_photographs(correct, photographs)
    return len(wrong), int(wrong.sum()), int(with_error.sum())


def accuracy_bounds(right: Counts, rows: Counts, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Bounds of row accuracy for any number of samples of photographs at once; see `accuracy_interval`.

    Args:
        right: (..., G), how many rows of each photograph are right.
        rows: (..., G), how many rows it has, 1 or more.
        confidence: Share of such intervals that should hold the truth.

    Returns:
        Low and high, float64 (...), 0..1.
    """
    tail = _tail(confidence)
    total, size = _total_and_size(rows)
    accuracy = (right.sum(axis=-1) + size / 2) / (total + size)
    residuals = right - accuracy[..., None] * rows
    added = size**2 / 2 * (accuracy**2 + (1 - accuracy) ** 2)
    variance = ((residuals**2).sum(axis=-1) + added) / (total + size) ** 2
    trials = np.minimum(accuracy * (1 - accuracy) / variance, total + size)  # never more than rows
    shape = accuracy * trials, (1 - accuracy) * trials
    exact = tail ** (size / total)  # the lower bound when nothing is wrong
    low = np.minimum(betaincinv(*shape, tail), exact)
    high = np.maximum(betaincinv(*shape, 1 - tail), 1 - exact)
    return np.where(right.sum(axis=-1) == 0, 0.0, low), np.where(right.sum(axis=-1) == total, 1.0, high)


def difference_bounds(gained: Counts, rows: Counts, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Bounds of a difference of row accuracies for any number of samples at once; see `paired_difference`.

    Args:
        gained: (..., G), how many more rows of each photograph A has right than B; fractions in means over networks.
        rows: (..., G), how many rows it has, 1 or more.
        confidence: Share of such intervals that should hold the truth.

    Returns:
        Low and high, float64 (...), -1..1.
    """
    total, size = _total_and_size(rows)
    centre = gained.sum(axis=-1) / (total + 2 * size)
    residuals = gained - centre[..., None] * rows
    added = size**2 * ((1 - centre) ** 2 + (1 + centre) ** 2)
    half_width = -ndtri(_tail(confidence)) * np.sqrt((residuals**2).sum(axis=-1) + added) / (total + 2 * size)
    return np.maximum(centre - half_width, -1.0), np.minimum(centre + half_width, 1.0)


def _total_and_size(rows: Counts) -> tuple[Floats, Floats]:
    """Rows in all, and in the photograph of the average row: their ratio is Kish's number of equal photographs."""
    total = rows.sum(axis=-1, dtype=np.float64)
    return total, (rows.astype(np.float64) ** 2).sum(axis=-1) / total


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a share between 0 and 1, got {confidence}")
    return (1 - confidence) / 2


def _per_photograph(photographs: NDArray[np.integer], *flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    """Rows of every photograph that occurs, and how many of them each flag marks: int64 (G,) each."""
    if photographs.ndim != 1 or not len(photographs) or any(flag.shape != photographs.shape for flag in flags):
        shapes = [flag.shape for flag in flags]
        raise ValueError(f"need one flag and one photograph per row, got shapes {shapes} and {photographs.shape}")
    _, index, rows = np.unique(photographs, return_inverse=True, return_counts=True)
    return rows, *(np.bincount(index[flag], minlength=len(rows)) for flag in flags)
