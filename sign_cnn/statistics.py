"""Confidence intervals of 95 % and paired tests that count photos instead of rows.

The variants of a photo are mostly right or wrong together, so rows are not independent.
`docs/results.md` explains the method, and `scripts/interval_coverage.py` measures how often the
intervals contain the truth.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtrit

Counts = NDArray[np.integer] | NDArray[np.floating]
Floats = NDArray[np.float64]

TAIL = 0.025  # probability that the truth lies beyond one bound


def photo_interval(wrong: int, photos: int) -> tuple[float, float]:
    """Return the exact interval (Clopper and Pearson, 1934) of the share of wrong photos.

    Args:
        wrong: Number of wrong photos.
        photos: Number of photos, 1 or more.

    Returns:
        The lower and the upper bound, 0..1.
    """
    from scipy.stats import binomtest  # takes half a second, which a plain import can do without

    interval = binomtest(wrong, photos).proportion_ci(1 - 2 * TAIL, method="exact")
    return float(interval.low), float(interval.high)


def mcnemar_exact(wrong_a: NDArray[np.bool_], wrong_b: NDArray[np.bool_]) -> float:
    """Test whether two models are equally good, on the photos that only one gets wrong.

    This is the exact version of the test of McNemar (1947).

    Args:
        wrong_a: bool (G,), whether the first model gets each photo wrong.
        wrong_b: bool (G,), the same for the second model.

    Returns:
        The exact two-sided p-value; 1 if the models never differ.
    """
    from scipy.stats import binomtest

    only_a, only_b = int((wrong_a & ~wrong_b).sum()), int((wrong_b & ~wrong_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def count_right(
    photos: NDArray[np.integer], *correct: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], ...]:
    """Count the rows of each photo, and how many of them each model gets right.

    Args:
        photos: (N,), the photo that each row shows.
        correct: For each model bool (N,), whether each row is right.

    Returns:
        For each model the number of right rows, then the number of rows: int64 (G,), photos in
        ascending order.
    """
    _, index, rows = np.unique(photos, return_inverse=True, return_counts=True)
    return *(np.bincount(index[flags], minlength=len(rows)) for flags in correct), rows


def accuracy_bounds(right: Counts, rows: Counts) -> tuple[Floats, Floats]:
    """Return the bounds of row accuracies, for any number of samples of photos at once.

    Args:
        right: (..., G), how many rows of each photo are right.
        rows: (..., G), how many rows it has, 1 or more.

    Returns:
        The lower and the upper bounds, float64 (...), 0..1, never equal.
    """
    hits, (total, size) = right.sum(axis=-1), _total_and_size(rows)
    accuracy = (hits + size / 2) / (total + size)
    residuals = right - accuracy[..., None] * rows
    added = size**2 / 2 * (accuracy**2 + (1 - accuracy) ** 2)
    variance = ((residuals**2).sum(axis=-1) + added) / (total + size) ** 2
    trials = np.minimum(accuracy * (1 - accuracy) / variance, total + size)  # never more than rows
    shape = accuracy * trials, (1 - accuracy) * trials
    exact = TAIL ** (size / total)  # the lower bound when nothing is wrong
    low = np.minimum(betaincinv(*shape, TAIL), exact)
    high = np.maximum(betaincinv(*shape, 1 - TAIL), 1 - exact)
    return np.where(hits == 0, 0.0, low), np.where(hits == total, 1.0, high)


def difference_bounds(gained: Counts, rows: Counts) -> tuple[Floats, Floats]:
    """Return the bounds of differences of row accuracies, A minus B, for many samples at once.

    Args:
        gained: (..., G), how many more rows of each photo A has right than B; fractions in means
            over networks.
        rows: (..., G), how many rows it has, 1 or more.

    Returns:
        The lower and the upper bounds, float64 (...), -1..1, never equal.
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
    """Return a weighted sum of the accuracies of configurations, and its interval.

    The accuracy of a configuration is the mean over its seeds.

    The interval is that of `difference_bounds` by photo, for these networks as they are. It adds
    one photo that is won and one that is lost, here as large as the largest gain seen on any photo
    (as Fay and Feuer, 1997, do for weighted counts) but no smaller than what one network can win
    alone: hardly any photo is won by all of hundreds of networks, and adding whole photos would
    dominate the variance.

    If every configuration has two seeds or more, the scatter between seeds widens the interval,
    which then holds for new photos and new seeds. The two variances are added, so scatter by photo
    and seed together counts twice, and the interval is slightly too wide.

    Args:
        right: For each configuration (S, G): how many rows of each photo the network of each seed
            has right.
        rows: (G,), how many rows each photo has, 1 or more.
        weights: One for each configuration; they add up to 0, as 1 and -1 do for a difference.

    Returns:
        The sum, its lower and its upper bound, -1..1.
    """
    seeds = [len(part) for part in right]
    means = np.array([part.mean(axis=0) for part in right])
    gained: Floats = np.asarray(weights) @ means
    alone = max(abs(weight) / count for weight, count in zip(weights, seeds, strict=True))
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
    """Return the number of rows, and the size of the average row's photo (Kish)."""
    total = rows.sum(axis=-1, dtype=np.float64)
    return total, (rows.astype(np.float64) ** 2).sum(axis=-1) / total
