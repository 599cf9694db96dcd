"""What the benchmarks share: recipes, fits, interleaved rounds and their table."""

import gc
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from sign_cnn.config import CONFIG_DIR, AugmentConfig, DataConfig, to_dataclass
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.train import train

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = Path("outputs/bench")
QUICK = (
    "data.synthetic={train_photos: 2, test_photos: 1, variants: 5, seed: 0}",
    f"data.synthetic_root={OUTPUT / 'quick'}",
    "data.epoch_rows=null",
    "data.batch_size=32",
    "model.width=4",
    "trainer.max_epochs=2",
)

Variants = Mapping[str, Callable[[int], dict[str, float]]]
clock = time.perf_counter


@dataclass
class Options:
    """What every benchmark is told, and its tables besides the rounds."""

    folder: Path  # for runs, removed at the end
    quick: bool
    overrides: list[str]
    checkout: Path | None
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def make_folder(self) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def recipe_overrides(self, recipe: str, *more: str) -> list[str]:
        """A recipe on the real set if SIGN_MNIST_DIR is set, else on a drawn one, without figures and test."""
        data = "sign_mnist" if os.environ.get("SIGN_MNIST_DIR") and not self.quick else "synthetic"
        chosen = (
            [] if any(item.startswith("data=") for item in self.overrides) else [f"data={data}"]
        )
        chosen += [
            f"experiment={recipe}",
            "figures=false",
            "test=false",
            "callbacks.progress_bar=null",
        ]
        return [*chosen, *(QUICK if self.quick else ()), *more, *self.overrides]

    def compose(self, recipe: str, *more: str) -> DictConfig:
        """The configuration of a run in an empty folder."""
        with initialize_config_dir(CONFIG_DIR, job_name="bench"):
            return compose(
                "train", [*self.recipe_overrides(recipe, *more), f"run_dir={self.make_folder()}"]
            )


def fit(cfg: DictConfig) -> dict[str, float]:
    """Train a run by `sign_cnn.train`; what it took, by its own result and metrics.csv."""
    result, epochs = train(cfg), pd.read_csv(Path(cfg.run_dir, "metrics.csv"))
    return {
        "step_ms": 1000 * epochs["train_seconds"].sum() / epochs["step"].max(),
        "fit_seconds": result.fit_seconds or 0,
        # A step's backward pass takes twice the multiply-adds of its forward pass.
        "gmacs_per_second": 3e-9 * (result.macs or 0) * (result.train_images_per_second or 0),
    }


def build(cfg: DictConfig) -> tuple[SignMNISTDataModule, SignClassifier]:
    """Data and network of a run, as `train` makes them; after a first `fit`, torch is as deterministic."""
    torch.manual_seed(cfg.seed)
    data = SignMNISTDataModule(
        to_dataclass(DataConfig, cfg.data), to_dataclass(AugmentConfig, cfg.augment), cfg.seed
    )
    data.setup()
    nodes: Any = OmegaConf.to_container(cfg, resolve=True)
    parts = [nodes[name] for name in ("model", "loss", "optimizer", "scheduler")]
    return data, SignClassifier(*parts, pixel_mean=data.pixel_mean, pixel_std=data.pixel_std)


def interleave(recipe: str, variants: Variants, repeats: int) -> pd.DataFrame:
    """A row of measures per round and variant; each round begins with another variant, so that none is favoured."""
    rows = []
    for turn in range(repeats):
        for name in [*variants, *variants][turn % len(variants) :][: len(variants)]:
            print(f"{recipe}, round {turn + 1} of {repeats}: {name}", flush=True)
            gc.collect()
            rows.append({"recipe": recipe, "variant": name, "round": turn, **variants[name](turn)})
    return pd.DataFrame(rows)


def summarize_rounds(rounds: pd.DataFrame, pairs: Iterable[str]) -> pd.DataFrame:
    """Median and range of every measure over n rounds, and of pairs such as "ours / plain" of the same round."""
    keys, parts = ["recipe", "variant", "round"], [rounds]
    for first, sign, second in (re.split(" ([/-]) ", pair) for pair in pairs):
        measures = rounds.set_index(keys).filter(regex="_ms$|seconds$|per_second$")
        a, b = (
            measures[measures.index.isin([name], "variant")].droplevel("variant")
            for name in (first, second)
        )
        parts.append(
            (a / b if sign == "/" else a - b)
            .assign(variant=f"{first} {sign} {second}")
            .reset_index()
        )
    values = pd.concat(parts).melt(keys, var_name="measure").dropna()
    groups = values.groupby(["recipe", "variant", "measure"], sort=False)["value"]
    table = groups.agg(median="median", min="min", max="max", n="count").reset_index()
    return table.sort_values("recipe", kind="stable")
