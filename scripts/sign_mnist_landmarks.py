"""Points of the hands in Sign Language MNIST's own pictures: `python -m scripts.sign_mnist_landmarks CSV`.

Of each training photo, the sharpest variant, enlarged; where no hand is seen, other sizes, borders and contrasts.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sign_cnn.config import DataConfig
from sign_cnn.data.dataset import load_dataset
from sign_cnn.files import atomic_write
from sign_cnn.hands.finder import Hand, HandFinder
from sign_cnn.hands.landmarks import COORDINATES
from sign_cnn.letters import LETTERS

WAYS = list(product((224, 140), (0.0, 0.4), (False, True)))  # pixels, border, contrast stretched


def find_hand(finder: HandFinder, image: NDArray[np.uint8]) -> Hand | None:
    """The hand in a picture of 28×28 pixels, in the first of the ways in which one is seen."""
    for size, border, contrast in WAYS:
        pad = round(len(image) * border)
        picture = Image.fromarray(np.pad(image, pad, mode="edge"))
        picture = ImageOps.autocontrast(picture, cutoff=1) if contrast else picture
        picture = picture.resize([round(size * (1 + 2 * border))] * 2, Image.Resampling.BICUBIC)
        if hand := finder(picture):
            return hand
    return None


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.sign_mnist_landmarks", description="Points of its hands."
    )
    parser.add_argument("csv", type=Path, metavar="CSV", help="table to write, .csv.gz")
    parser.add_argument("--root", default=DataConfig.root, help="folder of the CSVs")
    options = parser.parse_args()
    rows, finder = load_dataset(DataConfig(root=options.root)).train, HandFinder()
    sharpness = np.abs(np.diff(rows.images.astype(np.int16), axis=2)).mean((1, 2))
    best = pd.Series(sharpness).groupby(rows.photos).idxmax().to_numpy()
    table = []
    for row in best:
        hand = find_hand(finder, rows.images[row])
        points = hand.points.round(2).ravel() if hand else np.full(63, np.nan)
        found = [hand.hand if hand else "", int(hand is not None)]
        table.append(
            ["sign_mnist", rows.groups["session"][row], LETTERS[rows.labels[row]], *found, *points]
        )
    frame = pd.DataFrame(
        table, columns=["source", "person", "letter", "hand", "found", *COORDINATES]
    )
    with atomic_write(options.csv) as temporary:
        frame.to_csv(temporary, index=False, compression="gzip")
    print(f"a hand in {frame['found'].sum():,} of {len(frame):,} photos")
    print(
        frame.groupby("letter")["found"].mean().round(2).to_dict(),
        frame["hand"].value_counts().to_dict(),
    )


if __name__ == "__main__":
    main()
