"""What a random validation split hides: validation and test accuracy by epoch of the article's network, by both splits.

    python -m scripts.leak train --split random     # three seeds, ten epochs each, on one thread
    python -m scripts.leak train --split photo      # half an hour, both at once on two cores
    python -m scripts.leak draw                     # the table, and .github/images/leak.png

Every epoch's checkpoint is kept and scored on the test set afterwards. Nothing is chosen by it: the settings are the
article's. A run that is done is not trained again.
"""

import argparse
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from scripts.bench.accuracy import KEEP, score_epochs
from sign_cnn.config import CONFIG_DIR
from sign_cnn.files import write_text
from sign_cnn.reports.figures import TEST_COLOUR, VAL_COLOUR, save_figure
from sign_cnn.train import train

FOLDER = Path("outputs/leak")
PICTURE = Path(__file__).resolve().parents[1] / ".github" / "images" / "leak.png"
SPLITS = {"random": "single rows, as the article", "photo": "whole photos"}


def train_split(split: str, seeds: list[int], epochs: int, threads: int) -> None:
    """Train the article's network once for each seed; store its curves as `<split>,seed=<seed>.csv`."""
    for seed in seeds:
        name = f"{split},seed={seed}"
        overrides = [
            "experiment=article_tuned", f"seed={seed}", f"threads={threads}", f"trainer.max_epochs={epochs}",
            f"data.val_split={split}", "callbacks.early_stopping=null", "callbacks.progress_bar=null", KEEP,
            "logger=none", "test=false", "figures=false", f"run_dir='{FOLDER / 'runs' / name}'",
        ]  # fmt: skip
        with initialize_config_dir(CONFIG_DIR, job_name="leak"):
            cfg = compose("train", overrides + ["data.val_size=null"] * (split != "random"))
        train(cfg)
        write_text(FOLDER / f"{name}.csv", score_epochs(cfg).to_csv(index=False))


def load_curves(split: str, key: str) -> pd.DataFrame:
    """Accuracy by epoch, 0..1, a column per seed; `key` is val/acc or test/acc."""
    paths = sorted(FOLDER.glob(f"{split},seed=*.csv"))
    return pd.DataFrame({path.stem: pd.read_csv(path, index_col="epoch")[key] for path in paths})


def plot_curves() -> Figure:
    """One panel per split: seeds thin, their mean thick."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (split, title) in zip(figure.subplots(1, 2, sharey=True), SPLITS.items(), strict=True):
        for name, colour, style in (("val", VAL_COLOUR, "-"), ("test", TEST_COLOUR, "--")):
            seeds = load_curves(split, f"{name}/acc")
            axes.plot(seeds, style, color=colour, linewidth=0.8, alpha=0.5)
            axes.plot(seeds.mean(axis=1), style, color=colour, linewidth=2.2, label=name)
            axes.set(xlabel="epoch", xticks=seeds.index, ylim=(0.8, 1.003))
        axes.set_title(f"validation on {title}", fontsize=10)
        axes.yaxis.set_major_locator(MultipleLocator(0.05))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("accuracy, rows")
    figure.axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.axes[0].legend(loc="lower right", fontsize=9)
    return figure


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Validation and test accuracy by epoch, by two validation splits.")
    parser.add_argument("action", choices=["train", "draw"])
    parser.add_argument("--split", choices=SPLITS, default="random")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    args = parser.parse_args()
    if args.action == "train":
        train_split(args.split, args.seeds, args.epochs, args.threads)
        return
    save_figure(plot_curves(), PICTURE)
    table, gaps = pd.DataFrame(), []
    for split in SPLITS:
        val, test = (100 * load_curves(split, f"{name}/acc") for name in ("val", "test"))
        table[f"val, {split} split"], table[f"test, {split} split"] = val.mean(axis=1), test.mean(axis=1)
        gap = (val - test).iloc[-1]
        seeds = ", ".join(f"{points:+.2f}" for points in gap)
        gaps.append(f"validation − test at the end, {split} split: {gap.mean():+.2f} points ({seeds})")
    print(table.to_markdown(floatfmt=".2f"), *gaps, sep="\n\n")


if __name__ == "__main__":
    main()
