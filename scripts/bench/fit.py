"""Fit time of a recipe in this checkout and in another, each run in a process of its own.

Set SIGN_MNIST_DIR: two checkouts may generate different synthetic hands.
"""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from scripts.bench.measure import ROOT, Measures, Options, Variants
from sign_cnn.console import print_line

RECIPES, ROUNDS = ("best", "speedrun"), 5


def make_variants(recipe: str, options: Options) -> Variants:
    """Return a run of each checkout, after a first one that fills its cache."""
    assert options.against
    words = options.recipe(recipe, "name=bench")
    variants: Variants = {}
    for name, checkout in {"this": ROOT, "other": options.against.resolve()}.items():
        folder = options.folder / name
        folder.mkdir(exist_ok=True)
        commit = subprocess.getoutput(f"git -C '{checkout}' describe --always --dirty")
        print_line(f"{name}: {checkout} at {commit}")
        fit(checkout, folder, [*words, "trainer.max_epochs=1"])
        variants[name] = partial(fit, checkout, folder, words)
    return variants


def fit(checkout: Path, folder: Path, words: list[str]) -> Measures:
    """Train a run and return the fit time that its result names.

    Args:
        checkout: Where `sign_cnn` is imported from.
        folder: Working directory, which keeps the cache of the data.
        words: Overrides.
    """
    shutil.rmtree(folder / "outputs", ignore_errors=True)
    command = [sys.executable, "-m", "sign_cnn.train", *words]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    result = json.loads((folder / "outputs/runs/bench/result.json").read_text())
    return {"fit_seconds": result["fit_seconds"]}
