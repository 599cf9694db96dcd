"""Photos whose label is in doubt: `python -m scripts.label_errors outputs/sweeps/cv_best` (pip install -e ".[labels]").

Takes the out-of-fold probabilities of a sweep over all folds, averaged over seeds and over the variants of a photo, and
asks cleanlab (confident learning, Northcutt et al., 2021). Prints what it finds; a sheet to look at goes beside it.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import softmax

from sign_cnn.config import DataConfig, to_dataclass
from sign_cnn.data.dataset import load_dataset
from sign_cnn.reports.figures import save_figure
from sign_cnn.runs import Predictions, load_config


def main() -> None:
    """The command line."""
    from cleanlab.filter import find_label_issues

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    runs = sorted(folder.glob("*/predictions.npz"))
    val = Predictions.concat([Predictions.load(path).of("val") for path in runs])
    table = pd.DataFrame(softmax(val.logits.astype(float), axis=1))
    photos = table.groupby(val.photo).mean()
    facts = pd.DataFrame({"label": val.label, "row": val.row}).groupby(val.photo).first()
    labels, probabilities = facts["label"].to_numpy(), photos.to_numpy()
    found = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    letters = load_config(runs[0].parent).data.letters
    print(f"{len(runs)} runs, {len(labels)} photos, {len(found)} with a label in doubt")
    for index in found:
        other = probabilities[index].argmax()
        own, likeliest = (f"{letters[k]} ({probabilities[index, k]:.1%})" for k in (labels[index], other))
        print(f"photo {photos.index[index]}: labelled {own}, read as {likeliest}")
    images = load_dataset(to_dataclass(DataConfig, load_config(runs[0].parent).data)).train.images
    figure = Figure(figsize=(12, 1.5 * -(-max(len(found), 1) // 10)), layout="constrained")
    for place, axes in enumerate(np.ravel(figure.subplots(-(-max(len(found), 1) // 10), 10))):
        axes.axis("off")
        if place < len(found):
            index = found[place]
            axes.imshow(images[facts["row"].iloc[index]], cmap="gray", vmin=0, vmax=255)
            axes.set_title(f"{letters[labels[index]]} or {letters[probabilities[index].argmax()]}?", fontsize=9)
    save_figure(figure, folder / "label_errors.png")
    print(f"written to {folder / 'label_errors.png'}")


if __name__ == "__main__":
    main()
