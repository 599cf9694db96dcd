"""What the test set is worth: accuracy of runs against the similarity of test photos to training photos.

    python -m scripts.overlap outputs/sweeps/test_article_tuned outputs/sweeps/test_best

Every folder holds runs of one recipe that differ in seed and scored the test set. Prints a table, and draws
.github/images/overlap.png. A photo counts once, however many seeds judge it.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sign_cnn.data.photos import LOOKALIKE_THRESHOLD
from sign_cnn.reports.figures import TEST_COLOUR, TRAIN_COLOUR, VAL_COLOUR, save_figure
from sign_cnn.runs import Predictions, Result
from sign_cnn.statistics import accuracy_bounds

PICTURE = Path(__file__).resolve().parents[1] / ".github" / "images" / "overlap.png"
EDGES = [-1, 0.75, 0.8, 0.85, LOOKALIKE_THRESHOLD, 0.95, 1]
NAMES = ["below .75", ".75–.80", ".80–.85", ".85–.90", ".90–.95", "above .95"]


def read_photos(folder: Path) -> pd.DataFrame:
    """One line per test photo: rows right and rows, summed over the runs; similarity; runs that get it wrong."""
    tables = []
    for path in sorted(folder.glob("*/predictions.npz")):
        test = Predictions.load(path).of("test")
        rows = pd.DataFrame(
            {"photo": test.photo, "right": test.correct, "rows": 1, "similarity": test.similarity}
        )
        photos = rows.groupby("photo").agg({"right": "sum", "rows": "sum", "similarity": "first"})
        tables.append(photos.assign(wrong=2 * photos["right"] < photos["rows"]))
    totals = pd.concat(tables).groupby("photo")
    return totals.agg(
        {"right": "sum", "rows": "sum", "similarity": "first", "wrong": "sum"}
    ).assign(runs=len(tables))


def describe(photos: pd.DataFrame) -> dict[str, object]:
    """Photos, share of rows right with its interval by photo, and photos wrong of an average run."""
    low, high = accuracy_bounds(photos["right"].to_numpy(), photos["rows"].to_numpy())
    share = photos["right"].sum() / photos["rows"].sum()
    wrong = photos["wrong"].sum() / photos["runs"].iloc[0]
    return {
        "photos": len(photos),
        "share": share,
        "low": float(low),
        "high": float(high),
        "wrong": wrong,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes, lines = figure.subplots(), []
    for index, folder in enumerate(parser.parse_args().folders):
        photos = read_photos(folder)
        result = Result.load(next(iter(sorted(folder.glob("*/result.json")))))
        title = f"{result.experiment}, {photos['runs'].iloc[0]} seeds"
        bins = pd.cut(photos["similarity"], EDGES, labels=NAMES)
        clean = photos["similarity"] <= LOOKALIKE_THRESHOLD
        parts = {"all": photos, "no look-alike": photos[clean], "look-alike": photos[~clean]}
        parts |= {str(name): part for name, part in photos.groupby(bins, observed=True)}
        lines += [
            {"recipe": title, "test photos": name, **describe(part)} for name, part in parts.items()
        ]
        shown = pd.DataFrame([describe(parts[name]) for name in NAMES if name in parts])
        place = np.arange(len(shown)) + 0.12 * (index - 0.5)
        errors = [shown["share"] - shown["low"], shown["high"] - shown["share"]]
        colour = (TRAIN_COLOUR, VAL_COLOUR, TEST_COLOUR)[index % 3]
        axes.errorbar(
            place,
            shown["share"],
            errors,
            fmt="os^"[index % 3] + "-",
            color=colour,
            capsize=3,
            label=title,
        )
        axes.set_xticks(
            range(len(shown)),
            [f"{n}\n{c} photos" for n, c in zip(NAMES, shown["photos"], strict=True)],
        )
    axes.axvline(3.5, color="0.6", linewidth=1, linestyle=":")
    axes.set(
        xlabel="similarity of a test photo to the nearest training photo of its letter",
        ylabel="test rows right",
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    save_figure(figure, PICTURE)
    table = pd.DataFrame(lines)
    shares = 100 * table[["share", "low", "high"]].to_numpy()
    table["rows right % (95 % by photo)"] = [
        "{:.2f} ({:.2f} to {:.2f})".format(*row) for row in shares
    ]
    table["photos wrong a run"] = table.pop("wrong").map("{:.1f}".format)
    print(table.drop(columns=["share", "low", "high"]).to_markdown(index=False))


if __name__ == "__main__":
    main()
