"""Seconds and peak memory of reading 50,000 generated pictures, 64×64 in colour, from a folder.

Each reading is a process of its own, whose peak resident memory `resource.getrusage` tells; that of
the imports alone stands beside it.
"""

import json
import shutil
import subprocess
import sys

import numpy as np
from PIL import Image

from scripts.bench.measure import Measures, Options, Variants

RECIPES, ROUNDS = ("image_folder",), 3
PICTURES, CLASSES, SIZE = 50_000, 10, 64
READ = """
import json, resource, sys, time
from sign_cnn.data.image_folder import ImageFolderDataModule
data = ImageFolderDataModule(root=sys.argv[1], cache_dir=sys.argv[2])
start = time.perf_counter()
if sys.argv[3] == "setup":
    data.setup()
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def make_variants(_: str, options: Options) -> Variants:
    """Write the pictures, once, and return three ways to read them."""
    root, cache = options.folder / "pictures", options.folder / "cache"
    rng = np.random.default_rng(0)
    for number in range(500 if options.quick else PICTURES):
        path = root / f"class_{number % CLASSES}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(path)

    def read(task: str) -> Measures:
        command = [sys.executable, "-c", READ, str(root), str(cache), task]
        seconds, memory = json.loads(subprocess.check_output(command))
        return {"seconds": seconds, "peak_mb": memory}

    def read_anew() -> Measures:
        shutil.rmtree(cache, ignore_errors=True)
        return read("setup")

    return {
        "first time": read_anew,
        "from the cache": lambda: read("setup"),
        "imports alone": lambda: read("nothing"),
    }
