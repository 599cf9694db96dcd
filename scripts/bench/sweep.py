"""What a job of a sweep takes besides its fit: config, data, network, trainer, files, summary."""

import io
import sys
from contextlib import redirect_stdout
from unittest.mock import patch

import pandas as pd

from scripts.bench.measure import Measures, Options, Variants, clock
from sign_cnn import train

RECIPES, ROUNDS = ("best",), 3
JOBS = 24


def make_variants(recipe: str, options: Options) -> Variants:
    """Return a sweep over seeds in this process, after a small one that fills the cache."""
    run_sweep(recipe, options, 2)
    jobs = 2 if options.quick else JOBS
    return {f"per job of {jobs}": lambda: run_sweep(recipe, options, jobs)}


def run_sweep(recipe: str, options: Options, jobs: int) -> Measures:
    """Train a few steps per job, without validation, and return seconds per job."""
    folder = options.make_folder()
    short = ["data.val_split=none", "trainer.max_epochs=1", "trainer.limit_train_batches=8"]
    seeds = f"seed={','.join(map(str, range(jobs)))}"
    words = ["-m", *options.recipe(recipe, *short, seeds, f"hydra.sweep.dir={folder}")]
    start = clock()
    with redirect_stdout(io.StringIO()), patch.object(sys, "argv", ["", *words]):
        train.main()
    seconds = clock() - start
    fits = pd.read_csv(folder / "results.csv")["fit_seconds"]
    return {"overhead_seconds": (seconds - fits.sum()) / jobs, "fit_seconds": fits.mean()}
