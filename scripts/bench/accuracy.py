"""Seconds of fit, validation and checkpoints included, to the first epoch that reaches a test accuracy.

Every epoch's checkpoint is kept, and scored on the test set after the fit: no recipe may be chosen by what this shows.
"""

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from scripts.bench.measure import Options, Variants
from sign_cnn.config import DataConfig, to_dataclass
from sign_cnn.data.dataset import load_dataset
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.train import train

RECIPES, REPEATS, PAIRS = ("article_tuned", "best", "speedrun"), 5, ()
THRESHOLDS = (99.0, 99.5, 99.9)  # % of test rows
KEEP = "+callbacks.keep={_target_: pytorch_lightning.callbacks.ModelCheckpoint, filename: '{epoch}', save_top_k: -1}"


def make_variants(recipe: str, options: Options) -> Variants:
    """A fit of the seed of the round."""
    return {"fit": lambda seed: _fit(options.compose(recipe, f"seed={seed}", "test=true", KEEP))}


def score_epochs(cfg: DictConfig) -> pd.DataFrame:
    """The metrics.csv of a run that has kept its epochs, with a column test/acc, 0..1."""
    epochs = pd.read_csv(Path(cfg.run_dir, "metrics.csv"))
    test = load_dataset(to_dataclass(DataConfig, cfg.data)).test
    paths = [next(Path(cfg.run_dir).rglob(f"epoch={number - 1}.ckpt")) for number in epochs["epoch"]]
    acc = [(SignClassifier.load(path).predict_logits(test.images).argmax(1) == test.labels).mean() for path in paths]
    return epochs.assign(**{"test/acc": acc})


def _fit(cfg: DictConfig) -> dict[str, float]:
    final, epochs = train(cfg).test_acc, score_epochs(cfg)
    seconds, percent = epochs["seconds"].cumsum(), 100 * epochs["test/acc"]
    reached = {f"to {limit} %, seconds": seconds[percent >= limit].min() for limit in THRESHOLDS}  # NaN: never
    return {"fit_seconds": seconds.max(), **reached, "test_acc, %": 100 * (final or 0)}
