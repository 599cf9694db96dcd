"""How often 95 % intervals hold the true accuracy: simulated test sets of 354 photographs, about 20 variants each.

Each cell is coverage in %, wanted: 93 to 97 at accuracy .90, .95 and .98, at least 93 at .99 and .995.

    python scripts/interval_coverage.py [--simulations 4000] [--seed 0]     # a minute and a half on 2 cores
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from sign_cnn.intervals import accuracy_bounds, difference_bounds

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Rates = Callable[[np.random.Generator, float, tuple[int, int]], Floats]

PHOTOGRAPHS = 354
ACCURACIES = (0.90, 0.95, 0.98, 0.99, 0.995)
DIFFERENCES = ((0.05, 0.05), (0.03, 0.01), (0.02, 0.0), (0.01, 0.01), (0.01, 0.0))
CHUNK = 1_000  # simulations at once: bounds memory, and gives every chunk bootstrap resamples of its own
RESAMPLES = 500


def all_or_nothing(rng: np.random.Generator, error: float, shape: tuple[int, int]) -> Floats:
    """Every photograph wholly right or wholly wrong."""
    return (rng.random(shape) < error).astype(float)


def beta(correlation: float) -> Rates:
    """Error rates from a beta distribution with this intra-class correlation."""

    def rates(rng: np.random.Generator, error: float, shape: tuple[int, int]) -> Floats:
        concentration = 1 / correlation - 1
        return rng.beta(error * concentration, (1 - error) * concentration, shape)

    return rates


def some_slightly(rng: np.random.Generator, error: float, shape: tuple[int, int]) -> Floats:
    """60 % of the errors in photographs wholly wrong, the rest in photographs with 15 % of their variants wrong."""
    draw, whole, slight = rng.random(shape), 0.6 * error, 0.4 * error / 0.15
    return np.select([draw < whole, draw < whole + slight], [1.0, 0.15], 0.0)


def many_slightly(rng: np.random.Generator, error: float, shape: tuple[int, int]) -> Floats:
    """Half of the errors in photographs wholly wrong, half spread thinly over a tenth of the photographs."""
    draw, whole = rng.random(shape), 0.5 * error
    return np.select([draw < whole, draw < whole + 0.1], [1.0, 0.5 * error / 0.1], 0.0)


def only_slightly(rng: np.random.Generator, error: float, shape: tuple[int, int]) -> Floats:
    """No photograph has more than 15 % of its variants wrong, on average."""
    return np.where(rng.random(shape) < error / 0.15, 0.15, 0.0)


MIXTURES: dict[str, Rates] = {
    "all or nothing": all_or_nothing,
    "beta, correlation .9": beta(0.9),
    "beta, correlation .7": beta(0.7),
    "beta, correlation .5": beta(0.5),
    "some slightly wrong": some_slightly,
    "many slightly wrong": many_slightly,
    "only slightly wrong": only_slightly,
}

SIZES: dict[str, tuple[int, int]] = {"20": (20, 20), "3 to 60": (3, 60)}


def sizes(rng: np.random.Generator, variants: tuple[int, int], count: int) -> Counts:
    """Rows of each photograph: int64 (count, 354)."""
    return rng.integers(*variants, (count, PHOTOGRAPHS), endpoint=True)


def by_row(right: Counts, rows: Counts) -> tuple[Floats, Floats]:
    """The exact binomial interval that takes every row for independent."""
    total, hits = rows.sum(axis=1), right.sum(axis=1)
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 0.5), total - hits + 1, 0.025), 0)
    high = np.where(hits < total, betaincinv(hits + 1, np.maximum(total - hits, 0.5), 0.975), 1)
    return low, high


def bootstrap(rng: np.random.Generator, right: Counts, rows: Counts) -> tuple[Floats, Floats]:
    """The percentile bootstrap over photographs."""
    picks = rng.multinomial(PHOTOGRAPHS, np.full(PHOTOGRAPHS, 1 / PHOTOGRAPHS), RESAMPLES).astype(np.float32)
    accuracy = (right.astype(np.float32) @ picks.T) / (rows.astype(np.float32) @ picks.T)
    low, high = np.quantile(accuracy.astype(np.float64), [0.025, 0.975], axis=1)
    return low - 1e-6, high + 1e-6  # float32 rounding


def chunks(simulations: int) -> Iterator[int]:
    """Sizes of chunks that add up to the simulations."""
    for start in range(0, simulations, CHUNK):
        yield min(CHUNK, simulations - start)


def accuracy_coverage(
    rng: np.random.Generator, rates: Rates, variants: tuple[int, int], accuracy: float, simulations: int
) -> Floats:
    """Share of intervals that hold the accuracy: ours, by row, bootstrap."""
    held = np.zeros(3)
    for count in chunks(simulations):
        rows = sizes(rng, variants, count)
        right = rows - rng.binomial(rows, rates(rng, 1 - accuracy, rows.shape))
        intervals = accuracy_bounds(right, rows), by_row(right, rows), bootstrap(rng, right, rows)
        held += [((low <= accuracy) & (accuracy <= high)).sum() for low, high in intervals]
    return held / simulations


def difference_coverage(
    rng: np.random.Generator, rates: Rates, variants: tuple[int, int], shares: tuple[float, float], simulations: int
) -> Floats:
    """Share of intervals that hold the difference where A alone and B alone are right on these shares: ours, by row."""
    held = np.zeros(2)
    difference = shares[0] - shares[1]
    for count in chunks(simulations):
        rows = sizes(rng, variants, count)
        uneven = rng.binomial(rows, rates(rng, sum(shares), rows.shape))  # rows that one model alone has right
        gained = np.where(rng.random(rows.shape) < shares[0] / sum(shares), uneven, -uneven)
        total = rows.sum(axis=1)
        centre = gained.sum(axis=1) / total
        half_width = 1.96 * np.sqrt((uneven.sum(axis=1) / total - centre**2) / total)
        intervals = (
            difference_bounds(gained, rows),
            (centre - half_width, centre + half_width),
        )
        held += [((low <= difference) & (difference <= high)).sum() for low, high in intervals]
    return held / simulations


def print_table(title: str, columns: list[str], cells: Callable[[Rates, tuple[int, int], int], Floats]) -> None:
    """One markdown table: a row for each mixture and number of variants."""
    print(
        f"\n{title}\n\n| error rates | variants | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}", flush=True
    )
    for name, rates in MIXTURES.items():
        for size, variants in SIZES.items():
            texts = [
                " / ".join(f"{100 * share:.1f}" for share in cells(rates, variants, i)) for i in range(len(columns))
            ]
            print(f"| {name} | {size} | {' | '.join(texts)} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=4_000, help="simulated test sets per cell")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, start = np.random.default_rng(options.seed), time.perf_counter()
    print_table(
        "Accuracy: by photograph (`accuracy_interval`) / by row / percentile bootstrap of photographs",
        [f"{accuracy:g}" for accuracy in ACCURACIES],
        lambda rates, variants, i: accuracy_coverage(rng, rates, variants, ACCURACIES[i], options.simulations),
    )
    print_table(
        "Difference, where A alone and B alone are right: by photograph (`paired_difference`) / by row",
        [f"{a:g}, {b:g}" for a, b in DIFFERENCES],
        lambda rates, variants, i: difference_coverage(rng, rates, variants, DIFFERENCES[i], options.simulations),
    )
    print(f"\n{options.simulations} simulations per cell, seed {options.seed}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
