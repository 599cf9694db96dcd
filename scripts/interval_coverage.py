"""How often 95 % intervals hold the true accuracy: simulated test sets of 354 photos, about 20 variants each.

Each cell is coverage in %, wanted: 93 to 97 at accuracy .90, .95 and .98, at least 93 at .99 and .995.

    python scripts/interval_coverage.py [--simulations 4000] [--seed 0]     # a minute and a half on 2 cores
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from sign_cnn.statistics import accuracy_bounds, difference_bounds

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Rates = Callable[[np.random.Generator, float, tuple[int, int]], Floats]
Tables = dict[Callable[..., Floats], tuple[object, ...]]

PHOTOS, CHUNK = (
    354,
    1_000,
)  # simulations at once: bounds memory, and gives every chunk resamples of its own
ACCURACIES = (0.90, 0.95, 0.98, 0.99, 0.995)
DIFFERENCES = (
    (0.05, 0.05),
    (0.03, 0.01),
    (0.02, 0.0),
    (0.01, 0.01),
    (0.01, 0.0),
)  # A alone right, B alone right
VARIANTS = {"20": (20, 20), "3 to 60": (3, 60)}


def beta(correlation: float) -> Rates:
    """Error rates from a beta distribution with this intra-class correlation."""
    concentration = 1 / correlation - 1
    return lambda rng, error, shape: rng.beta(
        error * concentration, (1 - error) * concentration, shape
    )


def mixture(slight: float, share: float) -> Rates:
    """A share of the errors in photos with `slight` of their variants wrong, the others in photos wholly wrong."""

    def rates(rng: np.random.Generator, error: float, shape: tuple[int, int]) -> Floats:
        draw, whole = rng.random(shape), (1 - share) * error
        return np.select([draw < whole, draw < whole + share * error / slight], [1.0, slight], 0.0)

    return rates


MIXTURES: dict[str, Rates] = {
    "all or nothing": mixture(1.0, 0.0),
    "beta, correlation .9": beta(0.9),
    "beta, correlation .7": beta(0.7),
    "beta, correlation .5": beta(0.5),
    "some slightly wrong": mixture(0.15, 0.4),
    "many slightly wrong": lambda rng, error, shape: mixture(5 * error, 0.5)(
        rng, error, shape
    ),  # in a tenth of them
    "only slightly wrong": mixture(0.15, 1.0),
}


def by_row(right: Counts, rows: Counts) -> tuple[Floats, Floats]:
    """The exact binomial interval that takes every row for independent."""
    total, hits = rows.sum(axis=1), right.sum(axis=1)
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 0.5), total - hits + 1, 0.025), 0)
    high = np.where(hits < total, betaincinv(hits + 1, np.maximum(total - hits, 0.5), 0.975), 1)
    return low, high


def bootstrap(rng: np.random.Generator, right: Counts, rows: Counts) -> tuple[Floats, Floats]:
    """The percentile bootstrap over photos."""
    picks = rng.multinomial(PHOTOS, np.full(PHOTOS, 1 / PHOTOS), 500).astype(np.float32)
    accuracy = (right.astype(np.float32) @ picks.T) / (rows.astype(np.float32) @ picks.T)
    low, high = np.quantile(accuracy.astype(np.float64), [0.025, 0.975], axis=1)
    return low - 1e-6, high + 1e-6  # float32 rounding


def accuracy_coverage(
    rng: np.random.Generator,
    rates: Rates,
    variants: tuple[int, int],
    accuracy: float,
    simulations: int,
) -> Floats:
    """Share of intervals that hold the accuracy: by photo, by row, bootstrap."""
    held = np.zeros(3)
    for rows in simulate_sizes(rng, variants, simulations):
        right = rows - rng.binomial(rows, rates(rng, 1 - accuracy, rows.shape))
        intervals = accuracy_bounds(right, rows), by_row(right, rows), bootstrap(rng, right, rows)
        held += [((low <= accuracy) & (accuracy <= high)).sum() for low, high in intervals]
    return held / simulations


def difference_coverage(
    rng: np.random.Generator,
    rates: Rates,
    variants: tuple[int, int],
    shares: tuple[float, float],
    simulations: int,
) -> Floats:
    """Share of intervals by photo that hold the difference."""
    held = np.zeros(1)
    for rows in simulate_sizes(rng, variants, simulations):
        uneven = rng.binomial(
            rows, rates(rng, sum(shares), rows.shape)
        )  # rows that one model alone has right
        gained = np.where(rng.random(rows.shape) < shares[0] / sum(shares), uneven, -uneven)
        low, high = difference_bounds(gained, rows)
        held += ((low <= shares[0] - shares[1]) & (shares[0] - shares[1] <= high)).sum()
    return held / simulations


def simulate_sizes(
    rng: np.random.Generator, variants: tuple[int, int], simulations: int
) -> Iterator[Counts]:
    """Rows of each photo, int64 (simulations, 354) in chunks."""
    for start in range(0, simulations, CHUNK):
        yield rng.integers(*variants, (min(CHUNK, simulations - start), PHOTOS), endpoint=True)


def main() -> None:
    """Print a Markdown table of accuracies, by photo / by row / bootstrap, and one of differences, by photo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--simulations", type=int, default=4_000, help="simulated test sets per cell"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, parts = (
        np.random.default_rng(options.seed),
        [(m, v) for m in MIXTURES.items() for v in VARIANTS.items()],
    )
    tables: Tables = {accuracy_coverage: ACCURACIES, difference_coverage: DIFFERENCES}
    for measure, truths in tables.items():
        print(
            f"\n| error rates | variants | {' | '.join(map(str, truths))} |\n|{'---|' * (len(truths) + 2)}"
        )
        for (name, rates), (size, variants) in parts:
            cells = [measure(rng, rates, variants, truth, options.simulations) for truth in truths]
            texts = [" / ".join(f"{100 * share:.1f}" for share in cell) for cell in cells]
            print(f"| {name} | {size} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main()
