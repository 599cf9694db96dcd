"""Measure how often intervals of 95 % hold the truth, on simulated test sets of 348 photos.

    python -m scripts.interval_coverage [--simulations 4000] [--seed 0]

The first table shows the coverage in % of the interval by photo, and of the exact interval that
takes rows for independent; the second shows that of the interval of a difference. Intervals by
photo should hold 93 to 97 % at accuracies up to .98, and at least 93 % at .99 and .995.
"""

import argparse
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from sign_cnn.statistics import accuracy_bounds, difference_bounds

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Rates = Callable[[np.random.Generator, float, tuple[int, ...]], Floats]
Coverage = Callable[[np.random.Generator, Rates, Counts, Any], tuple[float, ...]]

PHOTOS = 348
VARIANTS = {"20": (20, 20), "3 to 60": (3, 60)}  # fewest and most rows of a photo
ACCURACIES = (0.90, 0.95, 0.98, 0.99, 0.995)
DIFFERENCES = ((0.05, 0.05), (0.03, 0.01), (0.02, 0.0), (0.01, 0.01), (0.01, 0.0))
"""Shares of rows that model A alone, and model B alone, gets right."""


def beta(correlation: float) -> Rates:
    """Return error rates from a beta distribution with this intra-class correlation."""
    weight = 1 / correlation - 1
    return lambda rng, error, shape: rng.beta(error * weight, (1 - error) * weight, shape)


def mixture(slight: float, share: float) -> Rates:
    """Return error rates of photos that are wholly wrong, slightly wrong or right.

    Args:
        slight: Share of a slightly wrong photo's variants that are wrong, in (0, 1].
        share: Share of all errors that fall into slightly wrong photos, in [0, 1].
    """

    def rates(rng: np.random.Generator, error: float, shape: tuple[int, ...]) -> Floats:
        number, whole = rng.random(shape), (1 - share) * error
        slightly = number < whole + share * error / slight
        return np.select([number < whole, slightly], [1.0, slight], 0.0)

    return rates


MIXTURES: dict[str, Rates] = {
    "all or nothing": mixture(1.0, 0.0),
    "beta, correlation .7": beta(0.7),
    "beta, correlation .5": beta(0.5),
    "some slightly wrong": mixture(0.15, 0.4),
    "only slightly wrong": mixture(0.15, 1.0),
}


def accuracy_coverage(
    rng: np.random.Generator, rates: Rates, rows: Counts, accuracy: float
) -> tuple[float, float]:
    """Return the shares of intervals by photo, and by row, that hold the accuracy."""
    right = rows - rng.binomial(rows, rates(rng, 1 - accuracy, rows.shape))
    hits, misses = right.sum(axis=1), (rows - right).sum(axis=1)
    lows, highs = accuracy_bounds(right, rows)
    row_lows = np.where(hits > 0, betaincinv(np.maximum(hits, 0.5), misses + 1, 0.025), 0)
    row_highs = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 0.5), 0.975), 1)
    return _held(lows, highs, accuracy), _held(row_lows, row_highs, accuracy)


def difference_coverage(
    rng: np.random.Generator, rates: Rates, rows: Counts, shares: tuple[float, float]
) -> tuple[float]:
    """Return the share of intervals by photo that hold the difference of two accuracies."""
    only_one_right = rng.binomial(rows, rates(rng, sum(shares), rows.shape))
    won = rng.random(rows.shape) < shares[0] / sum(shares)
    lows, highs = difference_bounds(np.where(won, only_one_right, -only_one_right), rows)
    return (_held(lows, highs, shares[0] - shares[1]),)


def _held(lows: Floats, highs: Floats, truth: float) -> float:
    return float(((lows <= truth) & (truth <= highs)).mean())


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(",")[0])
    parser.add_argument("--simulations", type=int, default=4_000, help="test sets per cell")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    tables: dict[Coverage, tuple[Any, ...]] = {
        accuracy_coverage: ACCURACIES,
        difference_coverage: DIFFERENCES,
    }
    for coverage, truths in tables.items():
        print(f"\n| error rates | variants | {' | '.join(map(str, truths))} |")
        print(f"|{'---|' * (len(truths) + 2)}")
        for mixture_name, size in product(MIXTURES, VARIANTS):
            cells = []
            for truth in truths:
                shape = options.simulations, PHOTOS
                rows = rng.integers(*VARIANTS[size], shape, endpoint=True)
                shares = coverage(rng, MIXTURES[mixture_name], rows, truth)
                cells.append(" / ".join(f"{100 * share:.1f}" for share in shares))
            print(f"| {mixture_name} | {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
