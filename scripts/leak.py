"""What a random validation split hides: validation and test accuracy by epoch of the article's network, by both splits.

    python scripts/leak.py train --split random     # three seeds, 10 epochs each, on one thread
    python scripts/leak.py train --split group      # half an hour, both at once on two cores
    python scripts/leak.py draw                     # the table, and .github/images/leak.png

Only this script looks at the test set in every epoch. It chooses nothing by it: the settings are the article's.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter
from numpy.typing import NDArray

from sign_cnn import figures
from sign_cnn.checks import check
from sign_cnn.config import settle, typed
from sign_cnn.data import source
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.files import write_text
from sign_cnn.runs import run_directory
from sign_cnn.train import CONFIG_DIR
from sign_cnn.training import fitting
from sign_cnn.training.callbacks import as_csv

FOLDER = Path("outputs/leak")
PICTURE = Path(__file__).resolve().parent.parent / ".github" / "images" / "leak.png"
EPOCHS = 10
SPLITS = {"random": "random rows, as the article", "group": "whole photographs"}


class ScoreEachEpoch(pl.Callback):
    """Accuracy on validation and test rows after every epoch, in evaluation mode."""

    def __init__(self, data: SignMNISTDataModule) -> None:
        self.loaders: dict[str, Any] = {"val": data.val_dataloader(), "test": data.test_dataloader()}
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds a row."""
        pl_module.eval()
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1}
        for name, loader in self.loaders.items():
            hits = [(pl_module(batch.images).argmax(1) == batch.labels).float() for batch in loader]
            row[name] = float(np.concatenate([hit.numpy() for hit in hits]).mean())
        pl_module.train()
        self.rows.append(row)


def train(split: str, seeds: list[int], threads: int) -> None:
    """Trains the article's network once for each seed and stores its curves."""
    for seed in seeds:
        path = FOLDER / f"{split},seed={seed}.csv"
        if path.exists():
            continue
        overrides = [f"seed={seed}", f"trainer.threads={threads}", "trainer.patience=0", f"trainer.max_epochs={EPOCHS}"]
        if split == "group":
            overrides += ["data.val_split=group", "data.val_size=null"]
        with initialize_config_dir(CONFIG_DIR):
            config = typed(compose("train", ["name=leak", "experiment=article_tuned", "logger=none", *overrides]))
        check(config)
        settle(config, sweeping=True)
        fingerprint, kind = source.fingerprint(config.data)
        with run_directory.opened(FOLDER / "runs" / path.stem, config, fingerprint, kind) as run:
            fitting.prepare(config)
            data = fitting.make_data(config)
            model = fitting.make_model(config, data)
            trainer = fitting.make_trainer(config, run)
            scores = ScoreEachEpoch(data)
            trainer.callbacks.append(scores)  # type: ignore[attr-defined]
            trainer.fit(model, data)
        write_text(path, as_csv(scores.rows))


def curves(split: str) -> NDArray[np.float64]:
    """Accuracies of every seed: (seeds, epochs, 2), validation and test."""
    runs = []
    for path in sorted(FOLDER.glob(f"{split},seed=*.csv")):
        with path.open(encoding="utf-8") as file:
            runs.append([(float(row["val"]), float(row["test"])) for row in csv.DictReader(file)])
    return np.array(runs)


def draw() -> Figure:
    """One panel a split: seeds thin, their mean thick."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (split, title) in zip(figure.subplots(1, 2, sharey=True), SPLITS.items(), strict=True):
        values = curves(split)
        epochs = np.arange(1, values.shape[1] + 1)
        for index, (name, colour, style) in enumerate(
            [("validation", figures.VAL_COLOUR, "-"), ("test", figures.TEST_COLOUR, "--")]
        ):
            axes.plot(epochs, values[:, :, index].T, style, color=colour, linewidth=0.8, alpha=0.5)
            axes.plot(epochs, values[:, :, index].mean(0), style, color=colour, linewidth=2.2, label=name)
        axes.set(xlabel="epoch", xticks=epochs, ylim=(0.8, 1.003))
        axes.set_title(f"validation on {title}", fontsize=10)
        axes.yaxis.set_major_locator(MultipleLocator(0.05))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("accuracy, rows")
    figure.axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.axes[0].legend(loc="lower right", fontsize=9)
    return figure


def table() -> str:
    """Mean over seeds by epoch, in %, as Markdown."""
    values = {split: curves(split) for split in SPLITS}
    lines = [
        "| epoch | random validation | test | grouped validation | test |",
        "|---:|---:|---:|---:|---:|",
    ]
    for epoch in range(EPOCHS):
        cells = [f"{100 * values[split][:, epoch, part].mean():.2f}" for split in SPLITS for part in (0, 1)]
        lines.append(f"| {epoch + 1} | {' | '.join(cells)} |")
    last = {split: values[split][:, -1] for split in SPLITS}
    gaps = [100 * (last[split][:, 0] - last[split][:, 1]) for split in SPLITS]
    lines += ["", "validation − test after the last epoch, points (mean, each seed): " + "; ".join(
        f"{split} {gap.mean():+.2f} ({', '.join(f'{one:+.2f}' for one in gap)})"
        for split, gap in zip(SPLITS, gaps, strict=True)
    )]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Validation and test accuracy by epoch, by two validation splits.")
    parser.add_argument("action", choices=["train", "draw"])
    parser.add_argument("--split", choices=SPLITS, default="random")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    options = parser.parse_args()
    if options.action == "train":
        train(options.split, options.seeds, options.threads)
        return
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figures.save(draw(), PICTURE)
    print(table())


if __name__ == "__main__":
    main()
