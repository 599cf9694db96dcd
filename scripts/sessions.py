"""Find which photos of Sign Language MNIST were taken in one go, which the CSVs do not say.

    python -m scripts.sessions synthetic --seed 0     # a synthetic set, scored against the truth
    python -m scripts.sessions --write                # the official set, in SIGN_MNIST_DIR

Every letter of the official set has 70 photos, and two steps group them:

1. **Bursts**, within a letter: the division into bursts of `--shots` photos with the least sum of
   distances within them (swaps of two photos from many random starts). A distance is the least
   root mean square difference over shifts by up to two pixels.
2. **Sessions**, across letters: each takes the same number of bursts of each letter. Borders,
   corners, greys and coarse pixels of a burst are compared with the sessions as they are in the
   other letters (linear discriminant analysis that never sees the letter it is asked about), and
   bursts are assigned anew until nothing moves.

`--write` stores what was found in the package.
"""

import argparse
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score

from sign_cnn.data.sign_mnist import SESSIONS, SignMNISTDataModule

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STARTS, SHIFTS = 40, range(-2, 3)
COMPONENTS = 40  # principal components of a burst's looks
SHRINKAGE = 0.2  # how far their covariance is made round


def median_photos(data: SignMNISTDataModule) -> tuple[Floats, pd.DataFrame]:
    """Return the median of each photo's variants, at equal brightness and contrast.

    Returns:
        Pictures float64 (P, S, S), and a table with split, photo, label and true session of each.
    """
    pictures, tables = [], []
    for split, rows in (("train", data.train_rows), ("test", data.test_rows)):
        facts = {"photo": rows.photos, "label": rows.labels, "truth": rows.groups["session"]}
        table = pd.DataFrame(facts).drop_duplicates().sort_values("photo").assign(split=split)
        tables.append(table)
        for photo in table["photo"]:
            pixels = rows.inputs[rows.photos == photo, 0].astype(float)
            mean = pixels.mean((1, 2), keepdims=True)
            deviation = pixels.std((1, 2), keepdims=True) + 1e-6
            middle = np.median((pixels - mean) / deviation, axis=0)
            pictures.append(middle * np.median(deviation) + np.median(mean))
    return np.stack(pictures), pd.concat(tables, ignore_index=True)


def photo_distances(pictures: Floats) -> Floats:
    """Return the least root mean square difference over shifts, float64 (P, P), in grey levels."""
    blurred, inner = gaussian_filter(pictures, (0, 0.6, 0.6)), slice(2, -2)
    still = blurred[:, inner, inner].reshape(len(pictures), -1)
    least = np.full((len(pictures),) * 2, np.inf)
    for down, right in product(SHIFTS, SHIFTS):
        moved = np.roll(blurred, (down, right), (1, 2))[:, inner, inner].reshape(still.shape)
        squares = (still**2).sum(1)[:, None] + (moved**2).sum(1) - 2 * still @ moved.T
        least = np.minimum(least, squares.clip(0))
    distances: Floats = np.sqrt(np.minimum(least, least.T) / still.shape[1])
    return distances


def divide(distances: Floats, size: int, seed: int) -> tuple[Floats, Ints]:
    """Return the sum of distances within groups of `size` that no swap improves, and the groups."""
    rng, count = np.random.default_rng(seed), len(distances)
    groups, left = np.empty(count, np.int64), list(range(count))
    for group in range(count // size):
        start = left[rng.integers(len(left))]
        nearest = sorted(left, key=lambda other: float(distances[start, other]))[:size]
        groups[nearest] = group
        left = [item for item in left if item not in nearest]
    while True:
        to_group = distances @ np.eye(count // size)[groups]
        across, own = to_group[:, groups], to_group[np.arange(count), groups]
        gain = own[:, None] + own - across - across.T + 2 * distances
        gain[groups[:, None] == groups] = 0
        if gain.max() < 1e-9:
            return own.sum(), groups
        i, j = np.unravel_index(gain.argmax(), gain.shape)
        groups[i], groups[j] = groups[j], groups[i]


def find_bursts(pictures: Floats, labels: Ints, shots: int) -> tuple[Ints, Floats]:
    """Find the bursts of each letter.

    Returns:
        The burst of each photo, int64 (P,), and for each letter how well the better half of the
        starts agree with the best (adjusted Rand index).
    """
    bursts, agreement = np.empty(len(labels), np.int64), []
    for label in np.unique(labels):
        index = np.flatnonzero(labels == label)
        distances = photo_distances(pictures[index])
        found = [divide(distances, shots, seed) for seed in range(STARTS)]
        best, *others = (groups for _, groups in sorted(found, key=lambda pair: pair[0]))
        bursts[index] = best + label * (len(index) // shots)
        scores = [adjusted_rand_score(best, other) for other in others[: STARTS // 2 - 1]]
        agreement.append(np.mean(scores))
    return bursts, np.array(agreement)


def describe_looks(pictures: Floats) -> Floats:
    """Return borders, corners, greys and coarse pixels, standardized, float64 (P, features)."""
    count, size = len(pictures), pictures.shape[1] // 14 * 14
    image = pictures[:, :size, :size]
    turned = image.swapaxes(1, 2)
    strips = [
        border.mean(1).reshape(count, 7, -1).mean(2)
        for border in (image[:, :2], image[:, -2:], turned[:, :2], turned[:, -2:])
    ]
    corners = [image[:, :4, :4].mean((1, 2)), image[:, :4, -4:].mean((1, 2))]
    greys = np.percentile(image.reshape(count, -1), [2, 25, 50, 75, 98], axis=1).T
    centre = np.percentile(image[:, 8:20, 8:20].reshape(count, -1), [10, 50, 90], axis=1).T
    coarse = image.reshape(count, 14, size // 14, 14, size // 14).mean((2, 4)).reshape(count, -1)
    looks = np.column_stack([*strips, *corners, greys, centre, coarse])
    standardized: Floats = ((looks - looks.mean(0)) / looks.std(0)).clip(-3, 3)
    return standardized


def find_sessions(
    looks: Floats, labels: Ints, per_letter: int, seed: int
) -> tuple[float, float, Ints]:
    """Find sessions of `per_letter` bursts of each letter.

    Returns:
        Mean log-likelihood of the bursts, share of them that is recognised from the other letters,
        and the session of each burst, int64 (bursts,).
    """
    rng, letters = np.random.default_rng(seed), np.unique(labels)
    start = looks[labels == rng.choice(letters)]
    centres = rng.permutation(start)[: len(start) // per_letter]
    sessions = _assign(-((looks[:, None] - centres) ** 2).sum(2), labels, per_letter)
    for step in range(60):
        shrinkage = max(SHRINKAGE, 0.9 - 0.05 * step)
        scores = np.empty((len(looks), len(centres)))
        for letter in letters:
            here = labels == letter
            others = LinearDiscriminantAnalysis("lsqr", shrinkage)
            others.fit(looks[~here], sessions[~here])
            scores[here] = others.predict_log_proba(looks[here]).clip(-20)
        before, sessions = sessions, _assign(scores, labels, per_letter)
        if shrinkage == SHRINKAGE and (sessions == before).all():
            break
    likelihood = float(scores[np.arange(len(looks)), sessions].mean())
    return likelihood, float((scores.argmax(1) == sessions).mean()), sessions


def _assign(scores: Floats, labels: Ints, per_letter: int) -> Ints:
    sessions = np.empty(len(labels), np.int64)
    for letter in np.unique(labels):
        index = np.flatnonzero(labels == letter)
        row, column = linear_sum_assignment(-np.repeat(scores[index], per_letter, axis=1))
        sessions[index[row]] = column // per_letter
    return sessions


def main() -> None:
    """Find bursts and sessions, print how certain they are, and store them if that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", choices=("csv", "synthetic"), nargs="?", default="csv")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic set")
    parser.add_argument("--write", action="store_true", help=f"store them in {SESSIONS.name}")
    options = parser.parse_args()
    synthetic = options.source == "synthetic"
    data = SignMNISTDataModule(source=options.source, synthetic={"seed": options.seed})
    data.setup()
    pictures, photos = median_photos(data)
    labels = photos["label"].to_numpy()
    per_letter = int(photos["label"].value_counts().max())
    shots, per_session = (3, 1) if synthetic else (5, 2)  # photos of a burst, bursts of a session
    photos["burst"], agreement = find_bursts(pictures, labels, shots)
    print(f"{len(photos)} photos, {per_letter} of each letter, in bursts of {shots}")
    print(f"bursts: the better starts agree by {agreement.mean():.3f} (adjusted Rand index)")
    print(f"wholly in {(agreement == 1).sum()} of {len(agreement)} letters")
    in_train = (photos["split"] == "train").groupby(photos["burst"]).transform("sum")
    of_test = in_train[photos["split"] == "test"]
    print(f"{(of_test > 0).mean():.1%} of the test photos have shots of their burst in training")
    print(f"{of_test.mean():.1f} on average")

    burst_labels = photos.groupby("burst")["label"].first().to_numpy()
    looks = pd.DataFrame(describe_looks(pictures)).groupby(photos["burst"]).mean()
    looks = looks - looks.groupby(burst_labels).transform("mean")
    components = PCA(COMPONENTS).fit_transform(looks)
    found = [find_sessions(components, burst_labels, per_session, seed) for seed in range(12)]
    (_, recognised, sessions), *others = sorted(found, key=lambda result: -result[0])
    scores = [adjusted_rand_score(sessions, other) for *_, other in others[:5]]
    photos["session"] = sessions[photos["burst"]]
    print(f"sessions: {recognised:.1%} of bursts are recognised from the other letters")
    print(f"the next five of 12 starts agree by {np.mean(scores):.3f}")
    if synthetic:
        bursts = adjusted_rand_score(photos["truth"] + 1000 * labels, photos["burst"])
        truth = adjusted_rand_score(photos["truth"], photos["session"])
        print(f"adjusted Rand index against the truth: bursts {bursts:.3f}, sessions {truth:.3f}")
    if options.write and not synthetic:
        columns = ["split", "photo", "burst", "session"]
        photos[columns].to_csv(SESSIONS, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
