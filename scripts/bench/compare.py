"""This checkout and OTHER_CHECKOUT in turn, on the same CSVs; a seed each round.

Each run is a process in an empty folder, with this interpreter: `compare OTHER_CHECKOUT --recipes best --repeats 5`.
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd

from scripts.bench.measure import ROOT, Options, Variants, clock
from sign_cnn.config import SyntheticConfig
from sign_cnn.data.drawn import ensure_drawn
from sign_cnn.letters import LETTERS

RECIPES, REPEATS, PAIRS = ("best", "speedrun"), 5, ("this / other",)


def make_variants(recipe: str, options: Options) -> Variants:
    """Both checkouts; the named one is `other`."""
    assert options.checkout, "name the other checkout"
    words = [f"experiment={recipe}", "figures=false", "test=true", *options.overrides]
    if options.quick or not os.environ.get("SIGN_MNIST_DIR"):
        size = SyntheticConfig(2, 1, 5) if options.quick else SyntheticConfig()
        words.append(f"data.root={ensure_drawn(options.folder / 'drawn', size, LETTERS, 28)}")
    checkouts, commits = {"this": ROOT, "other": options.checkout.resolve()}, {}
    for name, path in checkouts.items():
        commits[name] = subprocess.getoutput(f"git -C '{path}' describe --always --dirty")
        _train(path, options, [*words, "trainer=debug"], 0)  # fills the cache
    options.tables["checkouts"] = (
        pd.DataFrame({"commit": commits, "path": checkouts}).astype(str).reset_index()
    )
    return {name: partial(_train, path, options, words) for name, path in checkouts.items()}


def _train(checkout: Path, options: Options, words: list[str], seed: int) -> dict[str, float]:
    folder, cache = options.make_folder(), options.folder / f"cache{checkout}".replace("/", "_")
    command = [
        sys.executable,
        "-m",
        "sign_cnn.train",
        *words,
        f"seed={seed}",
        "name=bench",
        f"data.cache_dir={cache}",
    ]
    start, environment = clock(), os.environ | {"PYTHONPATH": str(checkout)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    wall = clock() - start
    result = json.loads((folder / "outputs/runs/bench/result.json").read_text())
    wrong = result.get("test_photos_wrong", result.get("test_originals_wrong"))
    scores = {"test_acc, %": 100 * result["test_acc"], "test photos wrong": wrong}
    return {"fit_seconds": result["fit_seconds"], "wall_seconds": wall, **scores}
