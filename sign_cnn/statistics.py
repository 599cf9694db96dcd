"""Intervals of 95 % and tests that count photos, not rows: the variants of a photo are mostly right or wrong together.

`docs/results.md` explains the method, and `scripts/interval_coverage.py` measures what it claims.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtrit
from scipy.stats import binomtest

Counts = NDArray[np.integer] | NDArray[np.floating]
Floats = NDArray[np.float64]

TAIL = 0.025  # chance that the truth lies beyond one bound


def accuracy_interval(
    correct: NDArray[np.bool_], photos: NDArray[np.integer]
) -> tuple[float, float]:
    """Interval of the share of rows that are right, 0..1, low before high, from which photo each row (N,) shows."""
    low, high = accuracy_bounds(*count_right(photos, correct))
    return float(low), float(high)


def photo_interval(wrong: int, photos: int) -> tuple[float, float]:
    """Exact interval (Clopper and Pearson, 1934) of the share of photos that are wrong, low before high."""
    interval = binomtest(wrong, photos).proportion_ci(1 - 2 * TAIL, method="exact")
    return float(interval.low), float(interval.high)


def mcnemar_exact(wrong_a: NDArray[np.bool_], wrong_b: NDArray[np.bool_]) -> float:
    """Exact test (McNemar, 1947) of whether two models are equals, on the photos (G,) that only one of them gets wrong.

    Returns:
        Two-sided p-value, the chance of a split at least as uneven between equals; 1 where the models never differ.
    """
    only_a, only_b = int((wrong_a & ~wrong_b).sum()), int((wrong_b & ~wrong_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def count_right(
    photos: NDArray[np.integer], *correct: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], ...]:
    """How many rows each model has right of every photo that occurs, in ascending order, and last how many it has."""
    _, index, rows = np.unique(photos, return_inverse=True, return_counts=True)
    return *(np.bincount(index[flags], minlength=len(rows)) for flags in correct), rows


def wrong_photos(
    correct: NDArray[np.bool_], photos: NDArray[np.integer]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which photos, in ascending order, are wrong (more than half of their rows are), and which have any error."""
    right, rows = count_right(photos, correct)
    return 2 * right < rows, right < rows


def accuracy_bounds(right: Counts, rows: Counts) -> tuple[Floats, Floats]:
    """Bounds of row accuracy for any number of samples of photos at once; see `accuracy_interval`.

    Args:
        right: (..., G), how many rows of each photo are right.
        rows: (..., G), how many rows it has, 1 or more.

    Returns:
        Low and high, float64 (...), 0..1, never equal.
    """
    hits, (total, size) = right.sum(axis=-1), _total_and_size(rows)
    accuracy = (hits + size / 2) / (total + size)
    residuals = right - accuracy[..., None] * rows
    added = size**2 / 2 * (accuracy**2 + (1 - accuracy) ** 2)
    variance = ((residuals**2).sum(axis=-1) + added) / (total + size) ** 2
    trials = np.minimum(accuracy * (1 - accuracy) / variance, total + size)  # never more than rows
    shape = accuracy * trials, (1 - accuracy) * trials
    exact = TAIL ** (size / total)  # the lower bound when nothing is wrong
    low, high = (
        np.minimum(betaincinv(*shape, TAIL), exact),
        np.maximum(betaincinv(*shape, 1 - TAIL), 1 - exact),
    )
    return np.where(hits == 0, 0.0, low), np.where(hits == total, 1.0, high)


def difference_bounds(gained: Counts, rows: Counts) -> tuple[Floats, Floats]:
    """Bounds of a difference of row accuracies, A minus B, for any number of samples at once.

    Args:
        gained: (..., G), how many more rows of each photo A has right than B; fractions in means over networks.
        rows: (..., G), how many rows it has, 1 or more.

    Returns:
        Low and high, float64 (...), -1..1, never equal.
    """
    total, size = _total_and_size(rows)
    centre = gained.sum(axis=-1) / (total + 2 * size)
    residuals = gained - centre[..., None] * rows
    added = size**2 * ((1 - centre) ** 2 + (1 + centre) ** 2)
    half_width = -ndtri(TAIL) * np.sqrt((residuals**2).sum(axis=-1) + added) / (total + 2 * size)
    return np.maximum(centre - half_width, -1.0), np.minimum(centre + half_width, 1.0)


def contrast(
    right: Sequence[Counts], rows: Counts, weights: Sequence[float]
) -> tuple[float, float, float]:
    """Weighted sum of the accuracies of configurations, each the mean over its seeds, and its interval.

    The interval is that of `difference_bounds` by photo, with one network each as it is. It adds one photo that is won
    and one that is lost, here as large as the largest gain seen on any photo (as Fay and Feuer, 1997, do for weighted
    counts) but no smaller than what one network can win alone: hardly any photo is won by all of hundreds of networks,
    and whole ones added would be most of the variance.

    Where every configuration has two seeds or more, the scatter between seeds widens the interval, which then is one
    for new photos and new seeds. The variances are added, so what scatters by photo and seed together counts twice and
    the interval is rather too wide.

    Args:
        right: Of each configuration, (S, G): how many rows of each photo each seed's network has right.
        rows: (G,), how many rows each photo has, 1 or more.
        weights: Of each configuration; they add up to 0, as 1 and -1 do for a difference.

    Returns:
        Sum, low and high, -1..1.
    """
    seeds = [len(part) for part in right]
    gained: Floats = np.sum(
        [w * part.mean(axis=0) for w, part in zip(weights, right, strict=True)], axis=0
    )
    alone = max(abs(w) / count for w, count in zip(weights, seeds, strict=True))
    unit = max(float((np.abs(gained) / rows).max()), alone)
    low, high = (unit * float(bound) for bound in difference_bounds(gained / unit, rows))
    if min(seeds) > 1:
        variances = [(part.sum(axis=1) / rows.sum()).var(ddof=1) / len(part) for part in right]
        error = np.sqrt(np.dot(np.square(weights), variances))
        quantile = stdtrit(sum(seeds) - len(seeds), 1 - TAIL)  # Student's t
        centre, half = (low + high) / 2, float(np.hypot((high - low) / 2, quantile * error))
        low, high = max(centre - half, -1.0), min(centre + half, 1.0)
    return float(gained.sum() / rows.sum()), low, high


def _total_and_size(rows: Counts) -> tuple[Floats, Floats]:
    """Rows in all, and in the photo of the average row: their ratio is Kish's number of equal photos."""
    total = rows.sum(axis=-1, dtype=np.float64)
    return total, (rows.astype(np.float64) ** 2).sum(axis=-1) / total
