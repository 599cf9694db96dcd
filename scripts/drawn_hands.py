"""Make the README's picture of drawn hands: `python scripts/drawn_hands.py`."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sign_cnn.config import DataConfig
from sign_cnn.data.dataset import load_dataset

PICTURE = Path(__file__).resolve().parent.parent / ".github" / "images" / "drawn_hands.png"
PHOTOS = 5  # of each letter, one variant each


def main() -> None:
    """Show the first photos of every letter of the drawn training set."""
    data = DataConfig(name="synthetic")
    train = load_dataset(data).train
    figure = Figure(figsize=(10, 3.3), layout="constrained")
    for index, axes in enumerate(figure.subplots(6, 4).flat):
        rows = np.flatnonzero(train.labels == index)
        _, first = np.unique(train.photos[rows], return_index=True)
        tiles = np.pad(
            train.images[rows[first[:PHOTOS]]], ((0, 0), (0, 0), (0, 1)), constant_values=255
        )
        axes.imshow(np.hstack(list(tiles))[:, :-1], cmap="gray", vmin=0, vmax=255)
        axes.set_ylabel(data.letters[index], rotation=0, ha="right", va="center", fontsize=13)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=130)


if __name__ == "__main__":
    main()
