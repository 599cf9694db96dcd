"""What the benchmarks share: the config of a recipe, and interleaved rounds with their table."""

import gc
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

import sign_cnn.resolvers  # noqa: F401  # conf/ refers to them
from sign_cnn.config import CONFIG_DIR

ROOT = Path(__file__).resolve().parents[2]
QUICK = (
    "data.synthetic={train_photos: 2, test_photos: 1, variants: 5}",
    "data.batch_size=32",
    "model.width=4",
)
clock = time.perf_counter

Measures = dict[str, float]
Variants = dict[str, Callable[[], Measures]]


@dataclass(frozen=True)
class Options:
    """What every benchmark is told."""

    folder: Path  # of all that is written, removed at the end
    quick: bool = False
    overrides: Sequence[str] = ()
    against: Path | None = None  # another checkout

    def make_folder(self) -> Path:
        """Return a new empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def recipe(self, name: str, *more: str) -> list[str]:
        """Return the overrides of a recipe, on the real set if SIGN_MNIST_DIR names it."""
        real = os.environ.get("SIGN_MNIST_DIR") and not self.quick
        small = QUICK if self.quick else ()
        common = [f"experiment={name}", "figures=false", "test=false"]
        data = "data=sign_mnist" if real else "data=synthetic"
        return [data, *common, *small, *more, *self.overrides]

    def compose(self, name: str, *more: str) -> DictConfig:
        """Return the config of a recipe in a new folder."""
        words = self.recipe(name, *more, f"run_dir={self.make_folder()}")
        with initialize_config_dir(CONFIG_DIR, job_name="bench"):
            return compose("train", words)


def run_rounds(variants: Variants, rounds: int) -> pd.DataFrame:
    """Run all variants in turn, each round beginning with another, so that none is favoured.

    Returns:
        A column per measure, and a row per round and variant.
    """
    names, rows = list(variants), {}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            rows[number, name] = variants[name]()
    return pd.DataFrame.from_dict(rows, orient="index")


def summarize_rounds(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return median and range of each measure, and of the first two variants in the same round."""
    names = rounds.index.get_level_values(1).unique()
    parts = {name: rounds.xs(name, level=1) for name in names}
    if len(names) > 1:
        first, second = names[:2]
        parts[f"{first} / {second}"] = parts[first] / parts[second]
        parts[f"{first} - {second}"] = parts[first] - parts[second]
    values = pd.concat(parts, names=["variant"]).melt(ignore_index=False, var_name="measure")
    groups = values.dropna().groupby(["variant", "measure"], sort=False)["value"]
    table: pd.DataFrame = groups.agg(["median", "min", "max", "count"]).reset_index()
    return table
