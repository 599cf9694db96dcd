"""Makes the README's picture of drawn hands: `python scripts/drawn_hands.py`."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sign_cnn import figures
from sign_cnn.config import DataConfig
from sign_cnn.data import source
from sign_cnn.letters import LETTERS

IMAGES = Path(__file__).resolve().parent.parent / ".github" / "images"


def drawn_hands(columns: int = 5) -> Figure:
    """The first photographs of every letter of the drawn training set, one variant each."""
    dataset = source.load(DataConfig(name="synthetic"))
    photographs = source.photographs(dataset, DataConfig(name="synthetic"), "train")
    figure = Figure(figsize=(10, 3.3), layout="constrained")
    panels = figure.subplots(6, 4)
    for index, axes in enumerate(panels.flat):
        rows = np.flatnonzero(dataset.train_labels == index)
        _, first = np.unique(photographs[rows], return_index=True)
        tiles = dataset.train_images[rows[first[:columns]]]
        gap = np.full((len(tiles), 28, 1), 255, np.uint8)
        axes.imshow(
            np.concatenate([tiles, gap], axis=2).swapaxes(0, 1).reshape(28, -1)[:, :-1], cmap="gray", vmin=0, vmax=255
        )
        axes.set_ylabel(LETTERS[index], rotation=0, ha="right", va="center", fontsize=13)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure


def main() -> None:
    """Writes drawn_hands.png."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    figures.save(drawn_hands(), IMAGES / "drawn_hands.png")


if __name__ == "__main__":
    main()
