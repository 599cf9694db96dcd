"""Find which photos were taken in one go: `python -m scripts.sessions [DATA] [--write]`.

The CSVs say nothing of it. Every letter of the official set has 70 photos, and two steps group them:

1. **Bursts**, within a letter: the division into bursts of `--shots` photos with the least sum of distances within
   them (swaps of two photos from many random starts). A distance is the least root mean square difference over shifts
   by up to two pixels.
2. **Sessions**, across letters: each takes the same number of bursts of each letter. Borders, corners, greys and coarse
   pixels of a burst are compared with the sessions as they are in the other letters (linear discriminant analysis that
   never sees the letter it is asked about), and bursts are assigned anew until nothing moves.

With drawn data, where the truth is known, both are scored by the adjusted Rand index. With the official data, `--write`
stores what was found in the package, and contact sheets go to `outputs/sessions` to be looked at.
"""

import argparse
import os
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from scipy.special import log_softmax
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from sign_cnn.config import DataConfig, SyntheticConfig
from sign_cnn.data.dataset import SESSIONS, load_dataset

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STARTS, SHIFTS = 40, range(-2, 3)
COMPONENTS, SHRINKAGE = (
    40,
    0.2,
)  # principal components of a burst's looks; how far their covariance is made round


def median_photos(data: DataConfig) -> tuple[Floats, pd.DataFrame]:
    """One picture a photo, (P, S, S), the median of its variants at equal brightness and contrast; half and label."""
    dataset, pictures, facts = load_dataset(data), [], []
    for half, rows in (("train", dataset.train), ("test", dataset.test)):
        for photo in range(rows.photos.max() + 1):
            index = rows.photos == photo
            pixels = rows.images[index].astype(float)
            mean, deviation = (
                pixels.mean((1, 2), keepdims=True),
                pixels.std((1, 2), keepdims=True) + 1e-6,
            )
            pictures.append(
                np.median((pixels - mean) / deviation, axis=0) * np.median(deviation)
                + np.median(mean)
            )
            facts.append((half, photo, rows.labels[index][0], rows.groups["session"][index][0]))
    return np.stack(pictures), pd.DataFrame(facts, columns=["half", "photo", "label", "truth"])


def photo_distances(pictures: Floats) -> Floats:
    """Root mean square difference (P, P) in grey levels, the least over shifts."""
    blurred, inner = gaussian_filter(pictures, (0, 0.6, 0.6)), slice(2, -2)
    still = blurred[:, inner, inner].reshape(len(pictures), -1)
    least = np.full((len(pictures),) * 2, np.inf)
    for down, right in product(SHIFTS, SHIFTS):
        moved = np.roll(blurred, (down, right), (1, 2))[:, inner, inner].reshape(len(pictures), -1)
        squares = (still**2).sum(1)[:, None] + (moved**2).sum(1) - 2 * still @ moved.T
        least = np.minimum(least, squares.clip(0))
    distances: Floats = np.sqrt(np.minimum(least, least.T) / still.shape[1])
    return distances


def divide(distances: Floats, size: int, seed: int) -> tuple[Floats, Ints]:
    """A division into groups of `size` that no swap of two improves: sum of distances within groups, and groups."""
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
    """Number the burst (P,) of each photo, letter by letter; and how well a letter's starts agree, by adjusted Rand."""
    bursts, agreement = np.empty(len(labels), np.int64), []
    for label in np.unique(labels):
        index = np.flatnonzero(labels == label)
        found = sorted(
            (divide(photo_distances(pictures[index]), shots, s) for s in range(STARTS)),
            key=lambda f: f[0],
        )
        bursts[index] = found[0][1] + label * (len(index) // shots)
        agreement.append(
            np.mean(
                [adjusted_rand_score(found[0][1], other) for _, other in found[1 : STARTS // 2]]
            )
        )
    return bursts, np.array(agreement)


def describe_looks(pictures: Floats) -> Floats:
    """What a session may share whatever the letter: corners, borders, greys and coarse pixels, (P, features)."""
    count, size = len(pictures), pictures.shape[1] // 14 * 14
    image = pictures[:, :size, :size]
    borders = [
        image[:, :2],
        image[:, -2:],
        image[:, :, :2].swapaxes(1, 2),
        image[:, :, -2:].swapaxes(1, 2),
    ]
    strips = [border.mean(1).reshape(count, 7, -1).mean(2) for border in borders]
    greys = np.percentile(image.reshape(count, -1), [2, 25, 50, 75, 98], axis=1).T
    centre = np.percentile(image[:, 8:20, 8:20].reshape(count, -1), [10, 50, 90], axis=1).T
    coarse = image.reshape(count, 14, size // 14, 14, size // 14).mean((2, 4)).reshape(count, -1)
    looks = np.column_stack(
        [
            *strips,
            image[:, :4, :4].mean((1, 2)),
            image[:, :4, -4:].mean((1, 2)),
            greys,
            centre,
            coarse,
        ]
    )
    standardized: Floats = ((looks - looks.mean(0)) / looks.std(0)).clip(-3, 3)
    return standardized


def find_sessions(
    looks: Floats, labels: Ints, per_letter: int, seed: int
) -> tuple[float, float, Ints]:
    """Sessions (bursts,) of `per_letter` bursts a letter: mean log-likelihood, share recognised from other letters."""
    rng, letters = np.random.default_rng(seed), np.unique(labels)
    start = looks[labels == rng.choice(letters)]
    centres = rng.permutation(start)[: len(start) // per_letter]
    sessions = _assign(-((looks[:, None] - centres) ** 2).sum(2), labels, per_letter)
    for step in range(60):
        shrinkage = max(SHRINKAGE, 0.9 - 0.05 * step)
        scores = np.empty((len(looks), len(centres)))
        for letter in letters:
            here = labels == letter
            means = np.stack([looks[~here & (sessions == k)].mean(0) for k in range(len(centres))])
            rest = looks[~here] - means[sessions[~here]]
            covariance = rest.T @ rest / len(rest)
            round_part = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
            inverse = np.linalg.inv((1 - shrinkage) * covariance + shrinkage * round_part)
            away = looks[here][:, None] - means
            scores[here] = log_softmax(
                -0.5 * np.einsum("nkd,de,nke->nk", away, inverse, away), axis=1
            ).clip(-20)
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


def save_sheet(pictures: Floats, photos: pd.DataFrame, path: Path) -> None:
    """A row for each session, a column for each letter, in it a photo of each of its bursts."""
    first = photos.drop_duplicates("burst").sort_values(["session", "label", "burst"])
    count = len(first) // photos["session"].nunique()
    tiles = np.pad(
        pictures[first.index].clip(0, 255), ((0, 0), (1, 1), (1, 1)), constant_values=255
    )
    sheet = np.vstack([np.hstack(list(tiles[i : i + count])) for i in range(0, len(tiles), count)])
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(sheet.astype(np.uint8))
    image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST).save(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument(
        "data", choices=("sign_mnist", "synthetic"), nargs="?", default="sign_mnist"
    )
    parser.add_argument("--shots", type=int, help="photos of a burst (default: 5, drawn data 3)")
    parser.add_argument(
        "--sessions", type=int, help="number of sessions (default: 7, drawn data one a burst)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the drawn data")
    parser.add_argument(
        "--write", action="store_true", help=f"store what is found in {SESSIONS.name}"
    )
    options = parser.parse_args()
    drawn = options.data == "synthetic"
    folder = f"data/synthetic_{options.seed}" if drawn else "data/synthetic"
    root = DataConfig(
        name=options.data,
        root=os.environ.get("SIGN_MNIST_DIR", DataConfig.root),
        synthetic_root=folder,
        synthetic=SyntheticConfig(seed=options.seed),
    )
    pictures, photos = median_photos(root)
    labels, shots = (
        photos["label"].to_numpy(),
        options.shots or (root.synthetic.shots if drawn else 5),
    )
    per_letter = photos["label"].value_counts()
    print(
        f"{len(photos)} photos, {per_letter.min()} to {per_letter.max()} of each letter, in bursts of {shots}"
    )
    photos["burst"], agreement = find_bursts(pictures, labels, shots)
    print(
        f"bursts: the better half of {STARTS} starts agree with the best by {agreement.mean():.3f} (adjusted Rand), "
        f"wholly in {(agreement == 1).sum()} letters"
    )
    in_train = photos.groupby("burst")["half"].transform(lambda halves: (halves == "train").sum())
    of_test = in_train[photos["half"] == "test"]
    print(
        f"{(of_test > 0).sum()} of {len(of_test)} test photos have shots of their burst in training, "
        f"{of_test.mean():.1f} on average"
    )
    bursts = photos.groupby("burst")
    looks = pd.DataFrame(describe_looks(pictures)).groupby(photos["burst"]).mean().to_numpy()
    burst_labels = bursts["label"].first().to_numpy()
    looks = looks - pd.DataFrame(looks).groupby(burst_labels).transform("mean").to_numpy()
    looks = PCA(COMPONENTS).fit_transform(looks)
    sessions = options.sessions or (per_letter.max() // shots if drawn else 7)
    size = per_letter.max() // shots // sessions
    found = sorted(
        (find_sessions(looks, burst_labels, size, seed) for seed in range(12)), key=lambda f: -f[0]
    )
    others = float(np.mean([adjusted_rand_score(found[0][2], other) for *_, other in found[1:6]]))
    print(
        f"sessions: {found[0][1]:.1%} of bursts recognised from the other letters; the next five of 12 starts agree "
        f"with the best by {others:.3f}"
    )
    photos["session"] = found[0][2][photos["burst"]]
    if drawn:
        truth = photos["truth"]
        scores = [
            adjusted_rand_score(truth + 1000 * labels, photos["burst"]),
            adjusted_rand_score(truth, photos["session"]),
        ]
        print("adjusted Rand against the truth: bursts {:.3f}, sessions {:.3f}".format(*scores))
    sheet = Path("outputs/sessions") / f"{options.data}_{options.seed}.png"
    save_sheet(pictures, photos, sheet)
    print(f"contact sheet: {sheet}")
    if options.write and not drawn:
        photos[["half", "photo", "burst", "session"]].to_csv(
            SESSIONS, index=False, lineterminator="\n"
        )
        print(f"written to {SESSIONS}")


if __name__ == "__main__":
    main()
